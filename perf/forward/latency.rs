//! How long a packet takes at half load, beside testpmd `io` on the same devices.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::case::{CASES, Pages};
use super::generator::{self, Sample};
use super::process::Process;
use super::testpmd;
use super::trial::Outcome;
use super::vtep::Ferry;

/// With and without Ferry in turns; the median of the rounds counts.
const ROUNDS: usize = 5;
/// Share of the greatest rate.
const LOAD: f64 = 0.5;
/// By how much longer than testpmd Ferry may be held up, as a share of the time: what it did itself would be among that.
const HELD_UP: f64 = 0.01;
/// Frames of a burst: what a frame may have to wait for.
const BURST: f64 = ferry::dpdk::BURST as f64;
const MILLISECONDS: &str = "2000";
const START: Duration = Duration::from_secs(30);

/// Latencies at half load.
///
/// # Errors
/// Something does not start, or nothing comes through.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let most = through_ferry(pages, folder, None)?.rate;
    let pace = Some(most * LOAD);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(through_testpmd(pages, folder, pace)?);
        with.push(through_ferry(pages, folder, pace)?);
    }
    let hertz = super::tsc_hertz();
    let of = |samples: &[Sample], what: fn(&Sample) -> f64| {
        let mut figures: Vec<_> = samples.iter().map(what).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2] / hertz * 1e9
    };
    let medians = |sample: &Sample| sample.median;
    let p99s = |sample: &Sample| sample.p99;
    let p999s = |sample: &Sample| sample.p999;
    let added = of(&with, p99s) - of(&without, p99s);
    let burst = BURST / most * 1e9;
    let longest = generator::LONGEST / hertz * 1e9;
    let is_measured = of(&with, p99s) < longest && of(&without, p99s) < longest;
    let held_up = |samples: &[Sample]| {
        samples.iter().map(|sample| sample.held_up).sum::<f64>() / samples.len() as f64
    };
    let longer = held_up(&with) - held_up(&without);
    let line = |name: &str, samples: &[Sample]| {
        let refused: u64 = samples.iter().map(|sample| sample.refused).sum();
        format!(
            "latency {name}: median {:.0} ns, p99 {:.0}, p99.9 {:.0} at {:.2} Mpps, held up {:.1} % of the time, {refused} frames refused",
            of(samples, medians),
            of(samples, p99s),
            of(samples, p999s),
            most * LOAD / 1e6,
            held_up(samples) * 100.0
        )
    };
    Ok(Outcome {
        lines: vec![
            line("testpmd io", &without),
            line("Ferry", &with),
            format!(
                "latency: the greatest rate is {:.2} Mpps, a burst of it {burst:.0} ns",
                most / 1e6
            ),
        ],
        figures: json!({
            "greatest_mpps": most / 1e6,
            "burst_ns": burst,
            "io_ns": [of(&without, medians), of(&without, p99s), of(&without, p999s)],
            "ferry_ns": [of(&with, medians), of(&with, p99s), of(&with, p999s)],
            "held_up": [held_up(&without), held_up(&with)],
        }),
        verdicts: vec![
            (
                format!("p99 {added:.0} ns above io at half load, target ≤ {burst:.0} (a burst)"),
                is_measured && added <= burst,
            ),
            (
                format!(
                    "held up {:.1} % of the time longer than io, target ≤ {:.0} %",
                    longer * 100.0,
                    HELD_UP * 100.0
                ),
                longer <= HELD_UP,
            ),
        ],
    })
}

fn through_ferry(pages: Pages, folder: &Path, pace: Option<f64>) -> Result<Sample> {
    let sockets = generator::sockets(folder);
    let ferry = Ferry::start(folder, |socket| generator::config(pages, &sockets, socket))?;
    let sample = generate(folder, &sockets, pace)?;
    ferry.stop()?;
    Ok(sample)
}

fn through_testpmd(pages: Pages, folder: &Path, pace: Option<f64>) -> Result<Sample> {
    let sockets = generator::sockets(folder);
    let devices = [0, 1].map(|end| generator::device(end, &sockets[end]));
    let case = *CASES.first().context("no case")?;
    let mut command = Command::new(testpmd::PROGRAM);
    command.args(testpmd::arguments(case, "io", pages, &devices));
    let mut process = Process::start(command, &folder.join("testpmd.log"))?;
    process
        .wait_for("sockets", START, |_| sockets.iter().all(|path| path.exists()).then_some(()))?;
    let sample = generate(folder, &sockets, pace)?;
    process.stop()?;
    for socket in &sockets {
        let _ = std::fs::remove_file(socket);
    }
    Ok(sample)
}

fn generate(folder: &Path, sockets: &[PathBuf; 2], pace: Option<f64>) -> Result<Sample> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--generate").args(sockets).args(["--milliseconds", MILLISECONDS]);
    command.current_dir(folder);
    if let Some(pace) = pace {
        command.args(["--pace", &pace.to_string()]);
    }
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the generator failed: {}", errors.trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}
