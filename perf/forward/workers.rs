//! Two workers beside one: what they write must not be shared.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::case::{Case, Pages};
use super::config::{self, Host};
use super::process::pause;
use super::trial::Outcome;
use super::vtep::{Ferry, LEARNING};
use super::{capture, case};

/// Two workers' rate in that of one.
const TARGET: f64 = 1.9;
const WARM_UP: Duration = Duration::from_secs(1);
const SAMPLE: Duration = Duration::from_secs(3);
/// Each of the two is measured so often, in turns.
const ROUNDS: usize = 3;

/// Rates of one worker and of two, each with a receive queue of its own that plays the same capture.
///
/// # Errors
/// Ferry does not start or does not learn all.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let mut lines = Vec::new();
    let mut figures = Vec::new();
    let mut verdicts = Vec::new();
    for name in ["encap-1000", "decap-1000"] {
        let case = *case::CASES.iter().find(|case| case.name() == name).context("no such case")?;
        capture::write(case, capture::GROUP, &config::capture_of(case, folder))?;
        let (mut one, mut two) = (0.0f64, 0.0f64);
        for _ in 0..ROUNDS {
            one = one.max(measure(case, pages, 1, folder)?);
            two = two.max(measure(case, pages, 2, folder)?);
        }
        let factor = two / one;
        lines.push(format!(
            "two-workers {name}: {:.2} Mpps, one worker {:.2}: {factor:.2} times (best of {ROUNDS})",
            two / 1e6,
            one / 1e6
        ));
        figures.push(json!({ "case": name, "one_mpps": one / 1e6, "two_mpps": two / 1e6 }));
        let text = format!("{name}: two workers are {factor:.2} times one, target ≥ {TARGET}");
        verdicts.push((text, factor >= TARGET));
    }
    Ok(Outcome { lines, figures: figures.into(), verdicts })
}

/// Packets a second, each worker's by its own time on its core: the second one shares that with the control core.
fn measure(case: Case, pages: Pages, workers: usize, folder: &Path) -> Result<f64> {
    let cores = if workers == 1 { "[1]" } else { "[1, 0]" };
    let host =
        Host { pages, mbufs: case.mbufs(), cores, idle: "yield", queues: workers, ..Host::new() };
    let mut ferry = Ferry::start(folder, |socket| config::with_host(case, &host, folder, socket))?;
    ferry.learn(case.all_macs() as u64, LEARNING)?;
    pause(WARM_UP)?;
    let sample = || -> Result<Vec<(u64, Duration)>> {
        let shown = ferry.show("workers")?;
        (0..workers)
            .map(|worker| {
                let received = shown[worker]["rx_packets"].as_u64().context("no rx_packets")?;
                let thread = format!("rte-worker-{}", shown[worker]["lcore"]);
                Ok((received, ferry.process.worker_time(&thread)?))
            })
            .collect()
    };
    let before = sample()?;
    pause(SAMPLE)?;
    let after = sample()?;
    ferry.stop()?;
    let rate = |((received, time), (more, more_time)): (&(u64, Duration), &(u64, Duration))| {
        (more - received) as f64 / (*more_time - *time).as_secs_f64()
    };
    Ok(before.iter().zip(&after).map(rate).sum())
}
