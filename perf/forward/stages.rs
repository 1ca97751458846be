//! Where a packet's cycles go: samples of the worker's program counter by the clock, each put down to the stage whose code
//! it lies in. The forwarder is the one that is always measured: nothing in it counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use addr2line::Loader;
use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::json;

use super::case::{CASES, Case, Pages};
use super::process::{WORKER, pause};
use super::trial::Outcome;
use super::vtep::{Ferry, LEARNING};
use super::{capture, config};

/// Cases to look into.
const LOOKED_INTO: [&str; 6] =
    ["encap-1", "encap-100000", "encap-1000x100", "decap-1", "decap-100000", "decap-1000x100"];
/// In a packet's order; [`OTHER`] is the loop itself and what no rule names.
const STAGES: [&str; 6] = ["rx", "parse", "learn", "look up", "rewrite", "tx"];
const OTHER: &str = "other";
const WARM_UP: Duration = Duration::from_millis(500);
const SECONDS: &str = "3";
/// Samples a second, no multiple of anything that the kernel does.
const FREQUENCY: &str = "4999";

/// Which stage code belongs to: the innermost function of a chain of inlined ones that a rule names decides.
/// File, function (or any), stage.
const RULES: [(&str, Option<&str>, &str); 13] = [
    ("src/dpdk/queue.rs", Some("receive"), "rx"),
    ("src/dpdk/queue.rs", Some("send"), "tx"),
    ("src/worker/transmit.rs", None, "tx"),
    ("src/worker/output.rs", None, "rewrite"),
    ("src/wire/flow.rs", None, "rewrite"),
    ("src/tunnel/template.rs", None, "rewrite"),
    ("src/worker/forward.rs", Some("learn"), "learn"),
    ("src/worker/forward.rs", Some("lane"), "parse"),
    ("src/worker/forward.rs", None, "look up"),
    ("src/worker/access.rs", None, "parse"),
    ("src/worker/underlay.rs", None, "parse"),
    ("src/worker/origin.rs", None, "parse"),
    ("src/tunnel/decapsulate/shape.rs", None, "parse"),
];

/// Cycles a packet by stage.
///
/// # Errors
/// There is no `perf`, or Ferry does not run.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let mut head = format!("{:16}", "cycles a packet");
    STAGES.iter().chain([&OTHER]).for_each(|stage| head += &format!("{stage:>9}"));
    let mut lines = vec![head + "      all"];
    let mut figures = Vec::new();
    for name in LOOKED_INTO {
        let case = *CASES.iter().find(|case| case.name() == name).context("no such case")?;
        capture::write(case, capture::GROUP, &config::capture_of(case, folder))?;
        let Measured { cycles, shares, instructions } = measure(case, pages, folder)?;
        let mut line = format!("{name:16}");
        for stage in STAGES.iter().chain([&OTHER]) {
            line += &format!("{:9.1}", shares.get(stage).unwrap_or(&0.0) * cycles);
        }
        line += &format!("{cycles:9.1}");
        if let Some(count) = instructions {
            line += &format!(", {count:.0} instructions");
        }
        lines.push(line);
        let stages: BTreeMap<_, _> =
            shares.iter().map(|(stage, share)| (*stage, share * cycles)).collect();
        figures.push(json!({
            "case": name, "cycles": cycles, "stages": stages, "instructions": instructions,
        }));
    }
    Ok(Outcome { lines, figures: figures.into(), verdicts: Vec::new() })
}

struct Measured {
    /// A packet.
    cycles: f64,
    /// Each stage's part of them.
    shares: BTreeMap<&'static str, f64>,
    /// A packet, where the machine counts them.
    instructions: Option<f64>,
}

fn measure(case: Case, pages: Pages, folder: &Path) -> Result<Measured> {
    let mut ferry = Ferry::start(folder, |socket| config::of_case(case, pages, folder, socket))?;
    ferry.learn(case.all_macs() as u64, LEARNING)?;
    pause(WARM_UP)?;
    let thread = ferry.process.thread(WORKER)?;
    let data = folder.join("perf.data");
    let (received, _, time) = ferry.counters()?;
    let mut record = perf(&["record", "-q", "-e", "cpu-clock", "-F", FREQUENCY]);
    record.args(["-t", &thread.to_string(), "-o"]).arg(&data).args(["--", "sleep", SECONDS]);
    succeed(&mut record)?;
    let (more_received, _, more_time) = ferry.counters()?;
    let instructions = instructions(&ferry, thread)?;
    let mappings = Mapping::all(ferry.process.id())?;
    ferry.stop()?;
    let mut script = perf(&["script", "-F", "ip", "-i"]);
    script.arg(&data);
    let addresses = succeed(&mut script)?;
    let mut programs = Programs::default();
    let mut counts = BTreeMap::new();
    let mut all = 0u64;
    for line in addresses.lines() {
        let Ok(address) = u64::from_str_radix(line.trim(), 16) else { continue };
        all += 1;
        *counts.entry(programs.stage(&mappings, address)).or_insert(0u64) += 1;
    }
    ensure!(all > 1000, "perf took only {all} samples");
    let shares =
        counts.into_iter().map(|(stage, count)| (stage, count as f64 / all as f64)).collect();
    let seconds = (more_time - time).as_secs_f64();
    let cycles = seconds * super::tsc_hertz() / (more_received - received) as f64;
    Ok(Measured { cycles, shares, instructions })
}

/// Instructions a packet, if the machine counts them.
fn instructions(ferry: &Ferry, thread: u32) -> Result<Option<f64>> {
    let (received, ..) = ferry.counters()?;
    let mut stat = perf(&["stat", "-x", ",", "-e", "instructions:u", "-t"]);
    let output = stat.arg(thread.to_string()).args(["--", "sleep", "1"]).output()?;
    let (more_received, ..) = ferry.counters()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split(',').next()?.parse::<f64>().ok());
    Ok(count.map(|count| count / (more_received - received) as f64))
}

fn perf(arguments: &[&str]) -> Command {
    let mut command = Command::new("perf");
    command.args(arguments).stdin(Stdio::null());
    command
}

fn succeed(command: &mut Command) -> Result<String> {
    let output = command.output().context("cannot run perf (Debian's linux-perf)")?;
    ensure!(
        output.status.success(),
        "perf failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where the process has a file's code.
struct Mapping {
    start: u64,
    end: u64,
    /// Of the file's first byte, for a program whose addresses begin at zero.
    base: u64,
    file: PathBuf,
}

impl Mapping {
    /// By proc_pid_maps(5).
    fn all(process: u32) -> Result<Vec<Self>> {
        let text = fs::read_to_string(format!("/proc/{process}/maps"))?;
        let mut mappings: Vec<Self> = Vec::new();
        for line in text.lines() {
            let mut fields = line.split_whitespace();
            let range = fields.next().and_then(|range| range.split_once('-'));
            let Some(file) = fields.nth(4).map(PathBuf::from).filter(|file| file.is_absolute())
            else {
                continue;
            };
            let (start, end) = range.context("no range")?;
            let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
            let first = mappings.iter().find(|mapping| mapping.file == file);
            let base = first.map_or(start, |mapping| mapping.base);
            mappings.push(Self { start, end, base, file });
        }
        Ok(mappings)
    }
}

/// Debug information that was read, and what it said of addresses.
#[derive(Default)]
struct Programs {
    ferry: Option<Loader>,
    known: BTreeMap<u64, &'static str>,
}

impl Programs {
    fn stage(&mut self, mappings: &[Mapping], address: u64) -> &'static str {
        if let Some(stage) = self.known.get(&address) {
            return stage;
        }
        let mapping =
            mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address));
        let stage = mapping.map_or(OTHER, |mapping| {
            let name = mapping.file.file_name().unwrap_or_default().to_string_lossy();
            match &*name {
                "ferry" => self.of_ferry(mapping, address - mapping.base).unwrap_or(OTHER),
                // Packets are copied out of the capture, and freed where they would leave.
                name if name.contains("net_pcap") || name.starts_with("libc.") => "rx",
                name if name.contains("net_null") => "tx",
                _ => OTHER,
            }
        });
        self.known.insert(address, stage);
        stage
    }

    fn of_ferry(&mut self, mapping: &Mapping, address: u64) -> Result<&'static str> {
        if self.ferry.is_none() {
            let loader = Loader::new(&mapping.file).map_err(|error| anyhow!("{error}"))?;
            self.ferry = Some(loader);
        }
        let loader = self.ferry.as_ref().context("no debug information")?;
        let mut frames = loader.find_frames(address).map_err(|error| anyhow!("{error}"))?;
        while let Some(frame) = frames.next().map_err(|error| anyhow!("{error}"))? {
            let file = frame.location.as_ref().and_then(|location| location.file);
            let name = frame.function.as_ref().map(|function| function.demangle());
            let (Some(file), Some(Ok(name))) = (file, name) else { continue };
            // Without generic arguments, whose names would mislead.
            let name = name.split('<').next().unwrap_or_default();
            let function = name.rsplit("::").find(|part| !part.is_empty()).unwrap_or_default();
            let rule = RULES.iter().find(|(of, wanted, _)| {
                file.ends_with(of) && wanted.is_none_or(|wanted| wanted == function)
            });
            if let Some((.., stage)) = rule {
                return Ok(stage);
            }
        }
        Ok(OTHER)
    }
}
