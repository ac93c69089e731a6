//! The program `warren-producer`: a command line, and a gateway.

mod cli;
mod gateway;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    warren_runtime::tls::install();
    cli::Cli::parse().run()
}
