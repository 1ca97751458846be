//! The forwarding bench: one worker, from `net_pcap` to `net_null`, beside dpdk-testpmd on the same devices.
//! perf/README.md tells how to read it.

#[path = "forward/bindings.rs"]
mod bindings;
#[path = "forward/bulk.rs"]
mod bulk;
#[path = "forward/capture.rs"]
mod capture;
#[path = "forward/case.rs"]
mod case;
#[path = "forward/changes.rs"]
mod changes;
#[path = "forward/config.rs"]
mod config;
#[path = "forward/contender.rs"]
mod contender;
#[path = "forward/generator.rs"]
mod generator;
#[path = "forward/guest_tcp.rs"]
mod guest_tcp;
#[path = "forward/hugepages.rs"]
mod hugepages;
#[path = "forward/instructions.rs"]
mod instructions;
#[path = "forward/kernel.rs"]
mod kernel;
#[path = "forward/latency.rs"]
mod latency;
#[path = "forward/learning.rs"]
mod learning;
#[path = "forward/namespace.rs"]
mod namespace;
#[path = "forward/ovs.rs"]
mod ovs;
#[path = "forward/plot.rs"]
mod plot;
#[path = "forward/process.rs"]
mod process;
#[path = "forward/report.rs"]
mod report;
#[path = "forward/scale.rs"]
mod scale;
#[path = "forward/stacks.rs"]
mod stacks;
#[path = "forward/stages.rs"]
mod stages;
#[path = "forward/storm.rs"]
mod storm;
#[path = "forward/tap.rs"]
mod tap;
#[path = "forward/target.rs"]
mod target;
#[path = "forward/tcp.rs"]
mod tcp;
#[path = "forward/testpmd.rs"]
mod testpmd;
#[path = "forward/trial.rs"]
mod trial;
#[path = "forward/vtep.rs"]
mod vtep;
#[path = "forward/workers.rs"]
mod workers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use case::{CASES, Case, Pages};
use contender::CONTENDERS;
use report::{Machine, Row};
use trial::{TRIALS, Trial};

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/perf/results");
/// Most bytes that a network may cost before it learns.
const NETWORK_CEILING: f64 = 4096.0;

/// Measures forwarding beside dpdk-testpmd.
#[derive(Parser)]
struct Options {
    /// Fail where a target is missed, a packet is dropped, or a network takes too much memory.
    #[arg(long)]
    check: bool,
    /// Rounds, interleaved over all cases and contenders.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only count instructions, against perf/instructions.txt, and fail where they differ.
    #[arg(long)]
    instructions: bool,
    /// Measure this program, not the one that was built with the bench.
    #[arg(long, value_name = "PROGRAM")]
    ferry: Option<PathBuf>,
    /// All cases, not only the usual ones.
    #[arg(long)]
    all: bool,
    /// Only the contenders whose name contains this, such as 'Ferry' (testpmd io is always among them).
    #[arg(long)]
    contender: Option<String>,
    /// Only the case or trial of this name, such as 'encap-1', or else those whose name contains it, such as 'encap'.
    filter: Option<String>,
    /// Only write the captures of the chosen cases into this folder, for other generators.
    #[arg(long, value_name = "FOLDER")]
    captures: Option<PathBuf>,
    /// Outer destination MAC of the tunnel packets of `--captures`: the device under test's.
    #[arg(long, requires = "captures", value_parser = mac)]
    outer_mac: Option<[u8; 6]>,
    /// No huge pages for any contender, though the machine may have some.
    #[arg(long)]
    no_huge: bool,
    /// Leave the memory of empty networks out.
    #[arg(long)]
    no_memory: bool,
    /// Be the generator of a trial.
    #[command(flatten)]
    generator: generator::Order,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(_) if !options.check && !options.instructions => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("forward: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Vec<String>> {
    if let Some(folder) = &options.captures {
        return captures(options, folder);
    }
    if !options.generator.generate.is_empty() {
        return generator::run(&options.generator).map(|()| Vec::new());
    }
    process::catch_signals()?;
    if let Some(program) = &options.ferry {
        vtep::choose(program)?;
    }
    if options.instructions {
        let complaints = instructions::check(CASES, tempfile::tempdir()?.path())?;
        complaints.iter().for_each(|complaint| println!("CHANGED  {complaint}"));
        return Ok(complaints);
    }
    let mut machine = machine()?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (cases, trials) = chosen(options)?;
    let mut rows: Vec<_> = cases.into_iter().map(Row::new).collect();
    for row in &rows {
        let path = config::capture_of(row.case, folder);
        capture::write(row.case, capture::GROUP, &path).context("cannot write a capture")?;
    }
    let reserved = if options.no_huge {
        Err("--no-huge was given".to_owned())
    } else {
        let cases = rows.iter().map(|row| row.case.memory(Pages::Huge).max(ovs::MEMORY));
        let needed = cases.chain(trials.iter().map(|trial| trial.memory)).max();
        hugepages::Reserved::new(needed.unwrap_or_default())
    };
    let pages = if reserved.is_ok() { Pages::Huge } else { Pages::Small };
    machine.pages = match &reserved {
        Ok(_) => "2 MiB pages".to_owned(),
        Err(why) => format!("no huge pages ({why})"),
    };
    let takes_part = |name: &str| {
        name == "testpmd io" || options.contender.as_deref().is_none_or(|part| name.contains(part))
    };
    for round in 1..=options.rounds {
        for row in &mut rows {
            eprintln!("round {round} of {}: {}", options.rounds, row.case.name());
            for (_, measure) in CONTENDERS.iter().filter(|(name, _)| takes_part(name)) {
                measure(row, pages, folder)?;
            }
        }
    }
    let Machine { cpu, kernel, dpdk, hertz, pages: memory } = &machine;
    println!("{cpu}, Linux {kernel}, {dpdk}, {:.3} GHz TSC, {memory}\n", hertz / 1e9);
    if !rows.is_empty() {
        println!("{}\n", report::table(&rows, &machine));
    }
    let mut complaints: Vec<_> =
        rows.iter().flat_map(|row| row.complaints(&rows, machine.hertz)).collect();
    let mut trial_figures = Vec::new();
    for trial in trials {
        eprintln!("{}", trial.name);
        let outcome = (trial.run)(pages, folder).with_context(|| trial.name)?;
        outcome.lines.iter().for_each(|line| println!("{line}"));
        for (text, met) in &outcome.verdicts {
            println!("  {}: {text}", if *met { "met" } else { "MISSED" });
            if !met {
                complaints.push(format!("{}: {text}", trial.name));
            }
        }
        trial_figures.push(trial::json(trial.name, &outcome));
    }
    println!();
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
    let mut results = report::json(&rows, &machine, memory);
    results["trials"] = trial_figures.into();
    let file = Path::new(RESULTS).join("forward.json");
    fs::create_dir_all(RESULTS)?;
    fs::write(&file, serde_json::to_string_pretty(&results)?)?;
    let title = format!("Mpps of one core: {cpu}, {dpdk}");
    fs::write(Path::new(RESULTS).join("forward.svg"), plot::rates(&rows, &title))?;
    println!("figures in perf/results/forward.json, a plot in perf/results/forward.svg");
    Ok(complaints)
}

/// The cases and trials that the options ask for.
fn chosen(options: &Options) -> Result<(Vec<Case>, Vec<&'static Trial>)> {
    let exact = CASES.iter().any(|case| Some(case.name()) == options.filter);
    let wanted = |name: &str, usual: bool| match &options.filter {
        Some(whole) if exact => name == whole,
        Some(part) => name.contains(part.as_str()),
        None => options.all || usual,
    };
    let cases = CASES.iter().filter(|case| wanted(&case.name(), case.usual));
    let trials = TRIALS.iter().filter(|trial| wanted(trial.name, trial.usual));
    let (cases, trials): (Vec<_>, Vec<_>) = (cases.copied().collect(), trials.collect());
    let some = !cases.is_empty() || !trials.is_empty();
    ensure!(some, "no case is named so; there are {}", names());
    Ok((cases, trials))
}

/// Writes captures only.
fn captures(options: &Options, folder: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(folder)?;
    for case in chosen(options)?.0 {
        let path = config::capture_of(case, folder);
        capture::write(case, options.outer_mac.unwrap_or(capture::GROUP), &path)?;
        println!("{}: {} frames", path.display(), case.frames());
    }
    Ok(Vec::new())
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("'{text}' is no MAC such as 02:00:00:00:00:01"))
}

fn names() -> String {
    let trials = TRIALS.iter().map(|trial| trial.name.to_owned());
    CASES.iter().map(|case| case.name()).chain(trials).collect::<Vec<_>>().join(", ")
}

fn machine() -> Result<Machine> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let cpu = model.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown CPU").trim();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
    let dpdk = ferry::dpdk::version();
    Ok(Machine { cpu: cpu.to_owned(), kernel, dpdk, hertz: tsc_hertz(), pages: String::new() })
}

/// Time-stamp cycles a second, by the clock.
fn tsc_hertz() -> f64 {
    let (start, before) = (Instant::now(), ferry::dpdk::cycles());
    std::thread::sleep(Duration::from_millis(200));
    let cycles = ferry::dpdk::cycles().wrapping_sub(before);
    cycles as f64 / start.elapsed().as_secs_f64()
}
