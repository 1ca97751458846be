//! The `ferry` command.

use std::io;
use std::process::ExitCode;

use ferry::cli::{self, Exit, Plan, Wanted};
use ferry::config::Config;

fn main() -> ExitCode {
    if !ferry::dpdk::cpu_suits() {
        eprintln!(
            "ferry: built for CPUs of the level x86-64-v3 (AVX2, BMI2, MOVBE), which this one lacks; build it with \
             RUSTFLAGS='-C target-cpu=x86-64-v2'"
        );
        return Exit::Refused.into();
    }
    let (plan, log) = match cli::parse(std::env::args_os(), &cli::version()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    let limit = cli::log::init(&log);
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
        Plan::Doctor { config, json } => match Config::load(&config) {
            Ok(config) => cli::doctor(&config, json, &mut io::stdout())
                .unwrap_or_else(|error| fail(&error, Exit::Failed)),
            Err(error) => fail(&error, Exit::Refused),
        },
        Plan::Change(plan) => {
            // As with diff(1), 1 is no trouble.
            let is_diff = matches!(plan.wanted, Wanted::Difference { .. });
            let failed = if is_diff { Exit::Refused } else { Exit::Failed };
            cli::change(&plan, io::stdout(), io::stderr())
                .unwrap_or_else(|error| fail(&error, failed))
        }
        Plan::Completions(shell) => {
            finish(cli::completions(shell, &cli::version(), &mut io::stdout()))
        }
        Plan::Schema { is_page } => finish(cli::schema(is_page, &mut io::stdout())),
        Plan::Manual { folder } => finish(cli::manual(&folder, &cli::version())),
        Plan::Events { json, socket } => finish(cli::events(&socket, json, io::stdout())),
        Plan::TraceLive(plan) => finish(cli::trace_live(&plan, io::stdout())),
        Plan::Capture(plan) => finish(cli::capture(&plan, io::stderr())),
        Plan::Trace(plan) => finish(cli::trace(&plan, io::stdout())),
        Plan::Top { socket } => finish(cli::top(&socket)),
        Plan::Show(show) => finish(cli::show(&show, io::stdout())),
    };
    limit.finish();
    exit.into()
}

fn finish(done: Result<(), impl std::error::Error>) -> Exit {
    done.map_or_else(|error| fail(&error, Exit::Failed), |()| Exit::Fine)
}

fn fail(error: &dyn std::error::Error, exit: Exit) -> Exit {
    eprintln!("ferry: {error}");
    exit
}
