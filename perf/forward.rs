//! The forwarding bench: one worker, from `net_pcap` to `net_null`, beside dpdk-testpmd on the same devices.
//! perf/README.md tells how to read it.

#[path = "forward/capture.rs"]
mod capture;
#[path = "forward/case.rs"]
mod case;
#[path = "forward/process.rs"]
mod process;
#[path = "forward/report.rs"]
mod report;
#[path = "forward/testpmd.rs"]
mod testpmd;
#[path = "forward/vtep.rs"]
mod vtep;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use case::CASES;
use report::{Machine, Row};

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/perf/results");
/// Most bytes that a network may cost before it learns.
const NETWORK_CEILING: f64 = 4096.0;

/// Measures forwarding beside dpdk-testpmd.
#[derive(Parser)]
struct Options {
    /// Fail where a rate is below its floor, a packet is dropped, or a network takes too much memory.
    #[arg(long)]
    check: bool,
    /// Rounds, interleaved over all cases and contenders.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the cases whose name contains this, such as 'encap'.
    filter: Option<String>,
    /// Leave the memory of empty networks out.
    #[arg(long)]
    no_memory: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(complaints) if complaints.is_empty() || !options.check => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("forward: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Vec<String>> {
    process::catch_signals()?;
    let machine = machine()?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let wanted = |name: &str| options.filter.as_deref().is_none_or(|part| name.contains(part));
    let mut rows: Vec<_> =
        CASES.into_iter().filter(|case| wanted(&case.name())).map(Row::new).collect();
    ensure!(!rows.is_empty(), "no case is named so; there are {}", names());
    for row in &rows {
        capture::write(row.case, &row.case.capture(folder)).context("cannot write a capture")?;
    }
    for round in 1..=options.rounds {
        for row in &mut rows {
            eprintln!("round {round} of {}: {}", options.rounds, row.case.name());
            row.io.push(testpmd::measure(row.case, "io", folder)?);
            row.macswap.push(testpmd::measure(row.case, "macswap", folder)?);
            let run = vtep::measure(row.case, folder)?;
            row.ferry.push(run.rate);
            row.drops.extend(run.drops);
        }
    }
    let Machine { cpu, kernel, dpdk, hertz } = &machine;
    println!("{cpu}, Linux {kernel}, {dpdk}, {:.3} GHz TSC, 64-byte inner frames\n", hertz / 1e9);
    println!("{}\n", report::table(&rows, &machine));
    let mut complaints: Vec<_> = rows.iter().flat_map(Row::complaints).collect();
    let memory = if options.no_memory { None } else { Some(vtep::bytes_per_network(folder)?) };
    if let Some(bytes) = memory {
        println!("A network without MACs takes {bytes:.0} bytes of resident memory.\n");
        if bytes > NETWORK_CEILING {
            complaints.push(format!(
                "a network takes {bytes:.0} bytes, the ceiling is {NETWORK_CEILING}"
            ));
        }
    }
    for complaint in &complaints {
        println!("MISSED  {complaint}");
    }
    let file = Path::new(RESULTS).join("forward.json");
    fs::create_dir_all(RESULTS)?;
    fs::write(&file, serde_json::to_string_pretty(&report::json(&rows, &machine, memory))?)?;
    println!("figures in perf/results/forward.json");
    Ok(complaints)
}

fn names() -> String {
    CASES.map(|case| case.name()).join(", ")
}

fn machine() -> Result<Machine> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let cpu = model.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown CPU").trim();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
    let dpdk = ferry::dpdk::version();
    Ok(Machine { cpu: cpu.to_owned(), kernel, dpdk, hertz: tsc_hertz() })
}

/// Time-stamp cycles a second, by the clock.
fn tsc_hertz() -> f64 {
    let (start, before) = (Instant::now(), ferry::dpdk::cycles());
    std::thread::sleep(Duration::from_millis(200));
    let cycles = ferry::dpdk::cycles().wrapping_sub(before);
    cycles as f64 / start.elapsed().as_secs_f64()
}
