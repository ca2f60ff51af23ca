//! The `fairflow` command.

fn main() -> std::process::ExitCode {
    fairflow::cli::main()
}
