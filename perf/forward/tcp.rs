//! TCP in bulk from a VM into a tunnel, both ends by vhost-user, by one core: the VM leaves long packets to its device (TSO), or sends
//! segments. OVS-DPDK in turns with Ferry.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use serde_json::json;

use super::bulk::{Bulk, Sample};
use super::case::{CASES, Pages};
use super::generator;
use super::ovs;
use super::process::{Process, WORKER};
use super::trial::Outcome;
use super::vtep::Ferry;

/// All in turns; the median counts.
const ROUNDS: usize = 5;
const MILLISECONDS: &str = "1000";

/// Payload of TCP a second.
///
/// # Errors
/// Something does not start, or what comes out is wrong.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let (mut tso, mut plain, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let has_ovs = ovs::is_there();
    for _ in 0..ROUNDS {
        tso.push(through_ferry(pages, folder, Bulk::Tso)?);
        plain.push(through_ferry(pages, folder, Bulk::Plain)?);
        if has_ovs {
            others.push(through_ovs(pages, folder, Bulk::Plain)?);
        }
    }
    let rate = |samples: &[Sample]| {
        let mut rates: Vec<_> = samples.iter().map(|sample| sample.rate / 1e9).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    };
    let line = |name: &str, samples: &[Sample]| {
        let rate = rate(samples)?;
        let lost: u64 = samples.iter().map(|sample| sample.lost).sum();
        Some(format!("tcp {name:30} {rate:5.1} Gbit/s, {lost} bytes lost"))
    };
    let mut lines: Vec<_> = [
        ("Ferry, segments left to it", &tso),
        ("Ferry, segments", &plain),
        ("OVS-DPDK, segments", &others),
    ]
    .into_iter()
    .filter_map(|(name, samples)| line(name, samples))
    .collect();
    let (tso, plain) = (rate(&tso).context("no sample")?, rate(&plain).context("no sample")?);
    let mut verdicts = Vec::new();
    let mut of_ovs = None;
    if has_ovs {
        let other = rate(&others).context("no sample")?;
        // Once is enough: OVS 3.1 takes no such packet into a tunnel.
        let other_tso = through_ovs(pages, folder, Bulk::Tso)?;
        lines.extend(line("OVS-DPDK, segments left to it", &[other_tso]));
        let other_tso = other_tso.rate / 1e9;
        for (what, rate, other) in [("with TSO", tso, other_tso), ("without", plain, other)] {
            let text = format!("{what} {rate:.1} Gbit/s, target > {other:.1} (OVS-DPDK)");
            verdicts.push((text, rate > other));
        }
        of_ovs = Some([other_tso, other]);
    } else {
        lines.push("tcp OVS-DPDK is missing: package openvswitch-switch-dpdk".to_owned());
    }
    let figures = json!({ "ferry_gbps": [tso, plain], "ovs_gbps": of_ovs });
    Ok(Outcome { lines, figures, verdicts })
}

fn through_ferry(pages: Pages, folder: &Path, kind: Bulk) -> Result<Sample> {
    let sockets = generator::sockets(folder);
    let ferry = Ferry::start(folder, |socket| generator::config(pages, &sockets, socket))?;
    let sample = generate(folder, &sockets, kind, &ferry.process, WORKER)?;
    ferry.stop()?;
    Ok(sample)
}

fn through_ovs(pages: Pages, folder: &Path, kind: Bulk) -> Result<Sample> {
    let case = *CASES.first().context("no case")?;
    let (ovs, sockets) = ovs::Instance::between_vms(case, pages, folder, kind == Bulk::Tso)?;
    let sample = generate(folder, &sockets, kind, &ovs.switch, ovs::THREAD)?;
    ovs.stop()?;
    Ok(sample)
}

fn generate(
    folder: &Path,
    sockets: &[PathBuf; 2],
    kind: Bulk,
    forwarder: &Process,
    thread: &str,
) -> Result<Sample> {
    let kind = kind.to_possible_value().context("no such kind")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--generate").args(sockets).args(["--milliseconds", MILLISECONDS]);
    command.args(["--bulk", kind.get_name(), "--worker"]).arg(forwarder.statistics(thread)?);
    let output = command.current_dir(folder).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the generator failed: {}", errors.trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}
