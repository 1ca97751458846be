//! dpdk-testpmd on the same devices: what these cost by themselves.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::case::{Case, Pages};
use super::config;
use super::process::{Process, WORKER};

/// The program.
pub const PROGRAM: &str = "dpdk-testpmd";
/// Seconds of warm-up, the first of which has no rate yet.
const WARM_UP: usize = 2;
/// Seconds that count.
const SAMPLES: usize = 2;

/// The rate of a forwarding mode, in packets a second of its thread's time on the core.
///
/// # Errors
/// testpmd does not start or forwards nothing.
pub fn measure(case: Case, mode: &str, pages: Pages, folder: &Path) -> Result<f64> {
    let mut command = Command::new(PROGRAM);
    command.args(arguments(case, mode, pages, &config::devices(case, folder)));
    let mut process = Process::start(command, &folder.join("testpmd.log"))?;
    let limit = Duration::from_secs(20);
    let mut seconds = |count| {
        let rates = process.wait_for("receive rates", limit, |process| {
            let rates = rates(&process.output());
            (rates.len() >= count).then_some(rates)
        })?;
        Ok::<_, anyhow::Error>((rates, process.worker_time(WORKER)?, Instant::now()))
    };
    let (_, time, start) = seconds(WARM_UP)?;
    let (rates, more_time, end) = seconds(WARM_UP + SAMPLES)?;
    process.stop()?;
    let counted = &rates[WARM_UP..WARM_UP + SAMPLES];
    let share = (more_time - time).as_secs_f64() / (end - start).as_secs_f64();
    let rate = counted.iter().sum::<f64>() / SAMPLES as f64 / share;
    anyhow::ensure!(rate > 0.0, "testpmd forwards nothing in mode {mode}");
    Ok(rate)
}

/// To forward between two devices on core 1.
pub fn arguments(case: Case, mode: &str, pages: Pages, devices: &[String; 2]) -> Vec<String> {
    let memory = match pages {
        Pages::Huge => ["--in-memory"].as_slice(),
        Pages::Small => &["--no-huge", "--no-shconf"],
    };
    let arguments = ["-l", "0,1", "--no-pci", "--no-telemetry"].iter().chain(memory);
    let mut arguments: Vec<_> = arguments.map(|&argument| argument.to_owned()).collect();
    arguments.push(format!("-m{}", case.memory(pages)));
    arguments.extend(devices.iter().map(|device| format!("--vdev={device}")));
    arguments.extend(
        ["--", "--nb-cores=1", "--burst=32", "--no-mlockall", "--stats-period=1"]
            .map(str::to_owned),
    );
    arguments.push(format!("--forward-mode={mode}"));
    arguments.push(format!("--total-num-mbufs={}", case.mbufs()));
    arguments
}

/// The `Rx-pps` of each second that is complete, summed over both ports: the output port receives nothing.
fn rates(output: &str) -> Vec<f64> {
    let rates: Vec<f64> = output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Rx-pps:"))
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .collect();
    rates.chunks_exact(2).map(|ports| ports.iter().sum()).collect()
}
