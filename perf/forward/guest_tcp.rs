//! TCP of a VM's kernel to another host's, whose kernel is the VTEP there: what a VM gains by leaving work to its device. Ferry in turns
//! with OVS-DPDK.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use ferry::api::model::Port;
use ferry::wire::MacAddr;
use serde_json::json;

use super::bulk::Bulk;
use super::case::{CASES, Pages};
use super::generator;
use super::namespace::Namespace;
use super::ovs;
use super::stacks::Sample;
use super::trial::Outcome;
use super::vtep::Ferry;

/// All in turns; the median of what they bring counts.
const ROUNDS: usize = 5;
const MILLISECONDS: &str = "1500";
/// With TSO, of the rate without.
const GAIN: f64 = 1.25;
/// Without TSO both kernels are busy with each segment, whoever forwards: of OVS-DPDK's rate, with what rounds differ by.
const PAR: f64 = 0.95;

/// One row.
struct Way {
    name: &'static str,
    kind: Bulk,
    measure: fn(Pages, &Path, Bulk) -> Result<Sample>,
    samples: Vec<Sample>,
}

impl Way {
    /// In Gbit/s; zero without a connection.
    fn rate(&self) -> f64 {
        let mut rates: Vec<_> = self.samples.iter().flat_map(|sample| &sample.rates).collect();
        rates.sort_by(|one, other| one.total_cmp(other));
        rates.get(rates.len() / 2).map_or(0.0, |rate| *rate / 1e9)
    }

    fn line(&self) -> Option<String> {
        let again: u64 = self.samples.iter().map(|sample| sample.again).sum();
        let frame = self.samples.first()?.frame;
        Some(format!(
            "guest-tcp {:28} {:5.2} Gbit/s, frames of {frame:.0} bytes, {again} segments sent again",
            self.name,
            self.rate()
        ))
    }
}

/// Payload of TCP a second.
///
/// # Errors
/// Something does not start, or what arrives is not what was sent.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let way = |name, kind, measure| Way { name, kind, measure, samples: Vec::new() };
    let mut ways = vec![
        way("Ferry, TSO", Bulk::Tso, through_ferry as fn(_, &_, _) -> _),
        way("Ferry, checksums", Bulk::Checksums, through_ferry),
        way("Ferry, nothing left to it", Bulk::Plain, through_ferry),
    ];
    let has_ovs = ovs::is_there();
    if has_ovs {
        ways.push(way("OVS-DPDK, nothing left to it", Bulk::Plain, through_ovs));
    }
    for _ in 0..ROUNDS {
        for way in &mut ways {
            way.samples.push((way.measure)(pages, folder, way.kind)?);
        }
    }
    if has_ovs {
        // Once is enough: OVS 3.1 takes no such packet into a tunnel, from the first of a connection on.
        let samples = vec![through_ovs(pages, folder, Bulk::Tso)?];
        ways.push(Way { samples, ..way("OVS-DPDK, TSO", Bulk::Tso, through_ovs) });
    }
    let mut lines: Vec<_> = ways.iter().filter_map(Way::line).collect();
    let rates: Vec<_> = ways.iter().map(Way::rate).collect();
    let (tso, plain) = (rates[0], rates[2]);
    let mut verdicts = vec![(
        format!("with TSO {:.2} times the rate without, target ≥ {GAIN}", tso / plain),
        tso >= GAIN * plain,
    )];
    if let Some([other, other_tso]) = rates.get(3..) {
        let best = other.max(*other_tso);
        let text = format!("with TSO {tso:.2} Gbit/s, target > {best:.2} (the best of OVS-DPDK)");
        verdicts.push((text, tso > best));
        let text = format!("without {plain:.2} Gbit/s, target ≥ {PAR} × {other:.2} (OVS-DPDK)");
        verdicts.push((text, plain >= PAR * other));
    } else {
        lines.push("guest-tcp OVS-DPDK is missing: package openvswitch-switch-dpdk".to_owned());
    }
    let figures: Vec<_> =
        ways.iter().map(|way| json!({ "way": way.name, "samples": way.samples })).collect();
    Ok(Outcome { lines, figures: figures.into(), verdicts })
}

fn through_ferry(pages: Pages, folder: &Path, kind: Bulk) -> Result<Sample> {
    let sockets = generator::sockets(folder);
    let ferry = Ferry::start(folder, |socket| generator::config(pages, &sockets, socket))?;
    let ports: Vec<Port> = ferry.client()?.get("/v1/ports")?;
    let underlay = ports.iter().find(|port| port.name == "up0").context("no up0")?;
    let sample = talk(folder, &sockets, kind, &underlay.mac)?;
    ensure!(!sample.rates.is_empty(), "no connection through Ferry");
    ferry.stop()?;
    Ok(sample)
}

fn through_ovs(pages: Pages, folder: &Path, kind: Bulk) -> Result<Sample> {
    let case = *CASES.first().context("no case")?;
    let (ovs, sockets) = ovs::Instance::between_vms(case, pages, folder, kind == Bulk::Tso)?;
    let sample = talk(folder, &sockets, kind, &MacAddr(ovs::MAC).to_string())?;
    ovs.stop()?;
    Ok(sample)
}

/// The VM and the other host, by a process of their own.
fn talk(folder: &Path, sockets: &[PathBuf; 2], kind: Bulk, vtep: &str) -> Result<Sample> {
    let (vm, host) = (Namespace::new("vm")?, Namespace::new("host")?);
    let kind = kind.to_possible_value().context("no such kind")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--generate").args(sockets).args(["--milliseconds", MILLISECONDS]);
    command.args(["--bulk", kind.get_name(), "--stacks", vm.name(), host.name()]);
    command.args(["--vtep-mac", vtep]);
    let output = command.current_dir(folder).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the generator failed: {}", errors.trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}
