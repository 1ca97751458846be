//! The `ferry` command.

use std::io;
use std::process::ExitCode;

use ferry::cli::{self, Exit, Plan};
use ferry::config::Config;

fn main() -> ExitCode {
    if !ferry::dpdk::cpu_suits() {
        eprintln!(
            "ferry: built for CPUs of the level x86-64-v3 (AVX2, BMI2, MOVBE), which this one lacks; build it with \
             RUSTFLAGS='-C target-cpu=x86-64-v2'"
        );
        return Exit::Refused.into();
    }
    let (plan, filter) = match cli::parse(std::env::args_os(), &cli::version()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    cli::log::init(&filter);
    let exit = match plan {
        Plan::Run { config } => {
            cli::run(&config).unwrap_or_else(|error| fail(&error, Exit::Refused))
        }
        Plan::Check { config } => {
            let loaded = Config::load(&config);
            let summary = loaded.as_ref().map(|loaded| (loaded.summary(), &[] as &[&str]));
            cli::check(summary, &mut io::stdout(), &mut io::stderr())
                .unwrap_or_else(|error| fail(&error, Exit::Failed))
        }
        Plan::ReplaceMacs(plan) => match cli::replace_macs(&plan, io::stdout()) {
            Ok(()) => Exit::Fine,
            Err(error) => fail(&error, Exit::Failed),
        },
        Plan::Show(show) => match cli::show(&show, io::stdout()) {
            Ok(()) => Exit::Fine,
            Err(error) => fail(&error, Exit::Failed),
        },
    };
    exit.into()
}

fn fail(error: &dyn std::error::Error, exit: Exit) -> Exit {
    eprintln!("ferry: {error}");
    exit
}
