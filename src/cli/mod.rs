//! The command line: arguments, exit status, and what is printed for people.
//!
//! Exit status is 0, 1 where the command failed, and 2 for usage or configuration.

/// Prints a line. That nobody reads it any more (a closed pipe) does not end what was asked for.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::write(format_args!($($text)*)) };
}

mod check;
mod format;
mod page;
mod plots;
pub mod replay;
mod serve;
mod simulate;

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::KeyHash;

#[derive(Debug, Parser)]
#[command(name = "fairflow", version, about = "A fair, self-tuning concurrency scheduler for AI generation")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway; without a config, on a simulated provider
    Serve(serve::Options),
    /// Play a trace of real arrivals through a gateway, or an embedded scheduler on a simulated provider
    Replay(replay::Options),
    /// Play scenarios in virtual time, fairflow beside its rivals; table and report
    Simulate(simulate::Options),
    /// Validate a config and say what is wrong and where
    Check {
        /// The TOML file
        file: PathBuf,
    },
    /// Read a key on stdin and print what goes into the config
    HashKey,
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(options) => serve::main(&options),
        Command::Replay(options) => replay::main(&options),
        Command::Simulate(options) => simulate::main(&options),
        Command::Check { file } => check::main(&file),
        Command::HashKey => hash_key(),
    }
}

fn write(line: std::fmt::Arguments<'_>) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

fn hash_key() -> ExitCode {
    let mut key = String::new();
    match std::io::stdin().lock().read_line(&mut key) {
        Ok(_) if !key.trim().is_empty() => {
            say!("{}", KeyHash::of(key.trim()));
            ExitCode::SUCCESS
        }
        Ok(_) => {
            eprintln!("no key on stdin; try: printf %s \"$KEY\" | fairflow hash-key");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("stdin cannot be read: {error}");
            ExitCode::from(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
