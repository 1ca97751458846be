//! Instructions a packet on the packet path, counted by callgrind: the one figure that no noise of the machine
//! changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::case::Case;
use super::config::Host;
use super::process::{Process, pause};
use super::{capture, config, vtep};

/// Case name and most instructions a packet.
const CEILINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/perf/instructions.txt");
/// What a count may differ from its ceiling, as a share: compilers differ that much between patch releases.
const SLACK: f64 = 0.03;
/// The stages, and what they call out of line. The poll loop around them counts differently with each turn, and devices
/// are not ours.
const STAGES: [&str; 13] = [
    "ferry::worker::access::process",
    "ferry::worker::underlay::process",
    "ferry::worker::forward::finish",
    "ferry::worker::transmit::flush",
    "ferry::worker::underlay::unwrap_any",
    "ferry::worker::underlay::unwrap_as",
    "ferry::worker::underlay::unwrap_other",
    "ferry::worker::output::",
    "ferry::worker::bum::",
    "ferry::worker::suppression::",
    "ferry::neighbours::",
    "ferry::tunnel::",
    "ferry::wire::checksum::",
];
const START: Duration = Duration::from_secs(60);
/// Slowed down some fifty times, and still a million packets.
const SAMPLE: Duration = Duration::from_secs(2);
/// Two cases are counted at once, as valgrind runs one thread of each at a time: control and worker of one are on the cores of
/// worker and control of the other.
const CORES: [(usize, &str); 2] = [(0, "[1]"), (1, "[0]")];

/// Counts the cases that have a ceiling, and says what is above it, or so far below that the ceiling no longer
/// guards anything.
///
/// # Errors
/// No valgrind, or Ferry does not run in it.
pub fn check(cases: &[Case], folder: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(CEILINGS).context("cannot read perf/instructions.txt")?;
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut complaints = Vec::new();
    println!("{:>14}  {:>12}  {:>8}", "case", "instructions", "ceiling");
    for lines in lines.chunks(CORES.len()) {
        let checked: Vec<_> = std::thread::scope(|scope| {
            let checks: Vec<_> = lines
                .iter()
                .zip(CORES)
                .map(|(line, cores)| scope.spawn(move || check_line(line, cases, folder, cores)))
                .collect();
            checks.into_iter().map(|check| check.join()).collect()
        });
        for outcome in checked {
            let (line, complaint) = outcome.map_err(|_| anyhow!("a count panicked"))??;
            println!("{line}");
            complaints.extend(complaint);
        }
    }
    Ok(complaints)
}

/// One case's count beside its ceiling, and what is wrong with it.
fn check_line(
    line: &str,
    cases: &[Case],
    folder: &Path,
    cores: (usize, &'static str),
) -> Result<(String, Option<String>)> {
    let (name, ceiling) = line.split_once(char::is_whitespace).context("name and ceiling")?;
    let ceiling: f64 = ceiling.trim().parse().context("a ceiling is a number")?;
    let case = cases.iter().find(|case| case.name() == name);
    let case = *case.with_context(|| format!("perf/instructions.txt: no case {name}"))?;
    let folder = folder.join(name);
    fs::create_dir(&folder)?;
    let count = count(case, &folder, cores).with_context(|| format!("counting {name}"))?;
    let complaint = format!(
        "{name}: {count:.1} instructions a packet, {ceiling} were agreed on. If that is meant, or the compiler is not the one \
         that perf/instructions.txt names, write {count:.0} there, with both figures and the reason in the commit message"
    );
    let is_wrong = (count / ceiling - 1.0).abs() > SLACK;
    Ok((format!("{name:>14}  {count:>12.1}  {ceiling:>8}"), is_wrong.then_some(complaint)))
}

/// Instructions a packet of all stages.
fn count(case: Case, folder: &Path, (control, cores): (usize, &'static str)) -> Result<f64> {
    capture::write(case, capture::GROUP, &config::capture_of(case, folder))?;
    let (file, socket) = (folder.join("counted.yaml"), folder.join("counted.sock"));
    let host =
        Host { mbufs: case.mbufs(), peers: case.flood_peers(), control, cores, ..Host::new() };
    fs::write(&file, config::with_host(case, &host, folder, &socket))?;
    let (log, counts) = (folder.join("counted.log"), folder.join("counts"));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--fair-sched=yes"]);
    command.arg(format!("--callgrind-out-file={}", counts.display()));
    command.arg(vtep::program()).arg("run").arg("-c").arg(&file);
    let mut process = Process::start(command, &log).context("valgrind: package valgrind")?;
    process.wait_for("start of forwarding", START, |process| {
        process.output().contains("forwarding;").then_some(())
    })?;
    pause(SAMPLE)?;
    process.stop()?;
    let log = fs::read_to_string(&log)?;
    let received = log.split("received ").nth(1).and_then(|rest| rest.split(',').next());
    let packets: f64 = received.and_then(|count| count.parse().ok()).context("no summary")?;
    ensure!(packets > 100_000.0, "only {packets} packets came through");
    let stages = stages(&counts)?;
    let total: u64 = stages.values().sum();
    ensure!(total > 0, "callgrind saw none of {STAGES:?}: were they inlined?");
    Ok(total as f64 / packets)
}

/// Instructions of each stage without what it calls.
fn stages(counts: &Path) -> Result<BTreeMap<&'static str, u64>> {
    let output = Command::new("callgrind_annotate")
        .args(["--auto=no", "--threshold=100", "--show-percs=no"])
        .arg(counts)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("callgrind_annotate failed");
    }
    let mut stages = BTreeMap::new();
    // A line: the count with commas, the source file (also that of inlined code) and, behind a colon, the function.
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((digits, place)) = line.trim_start().split_once("  ") else { continue };
        let Some(stage) = STAGES.iter().find(|stage| place.contains(&format!(":{stage}"))) else {
            continue;
        };
        let instructions: u64 = digits.replace(',', "").parse().context("no count in a line")?;
        *stages.entry(*stage).or_default() += instructions;
    }
    Ok(stages)
}
