//! The command line: arguments, exit status, and what is printed for people.
//!
//! Exit status is 0, 1 where the command failed, and 2 for usage or configuration.

mod check;
mod format;
mod page;
mod plots;
pub mod replay;
mod serve;
mod simulate;

use std::io::BufRead;
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

fn hash_key() -> ExitCode {
    let mut key = String::new();
    match std::io::stdin().lock().read_line(&mut key) {
        Ok(_) if !key.trim().is_empty() => {
            println!("{}", KeyHash::of(key.trim()));
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
