//! TCP of a VM's kernel to another host's, whose kernel is the VTEP there, and back: what a VM gains by leaving work to its device, and by
//! getting packets whole. Ferry in turns with OVS-DPDK.

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
    /// From the other host to the VM.
    incoming: bool,
    measure: fn(Pages, &Path, Bulk, bool) -> Result<Sample>,
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
    let ferry = |name, kind, incoming| Way {
        name,
        kind,
        incoming,
        measure: through_ferry,
        samples: Vec::new(),
    };
    let ovs = |name, kind, incoming| Way { measure: through_ovs, ..ferry(name, kind, incoming) };
    let mut ways = vec![
        ferry("Ferry, TSO", Bulk::Tso, false),
        ferry("Ferry, checksums", Bulk::Checksums, false),
        ferry("Ferry, nothing left to it", Bulk::Plain, false),
        ferry("Ferry, to the VM, whole", Bulk::Tso, true),
        ferry("Ferry, to the VM, segments", Bulk::Plain, true),
    ];
    let has_ovs = ovs::is_there();
    if has_ovs {
        ways.push(ovs("OVS-DPDK, nothing left to it", Bulk::Plain, false));
        ways.push(ovs("OVS-DPDK, to the VM", Bulk::Plain, true));
    }
    for _ in 0..ROUNDS {
        for way in &mut ways {
            way.samples.push((way.measure)(pages, folder, way.kind, way.incoming)?);
        }
    }
    if has_ovs {
        // Once is enough: OVS 3.1 takes no such packet into a tunnel, from the first of a connection on.
        let samples = vec![through_ovs(pages, folder, Bulk::Tso, false)?];
        ways.push(Way { samples, ..ovs("OVS-DPDK, TSO", Bulk::Tso, false) });
    }
    let mut lines: Vec<_> = ways.iter().filter_map(Way::line).collect();
    let rates: Vec<_> = ways.iter().map(Way::rate).collect();
    let (tso, plain) = (rates[0], rates[2]);
    let mut verdicts = vec![(
        format!("with TSO {:.2} times the rate without, target ≥ {GAIN}", tso / plain),
        tso >= GAIN * plain,
    )];
    let (whole, apart) = (rates[3], rates[4]);
    verdicts.push((
        format!("to the VM {:.2} times the rate of segments, target ≥ {GAIN}", whole / apart),
        whole >= GAIN * apart,
    ));
    if let Some([other, incoming, other_tso]) = rates.get(5..) {
        let best = other.max(*other_tso);
        let text = format!("with TSO {tso:.2} Gbit/s, target > {best:.2} (the best of OVS-DPDK)");
        verdicts.push((text, tso > best));
        let text = format!("without {plain:.2} Gbit/s, target ≥ {PAR} × {other:.2} (OVS-DPDK)");
        verdicts.push((text, plain >= PAR * other));
        let text = format!("to the VM {whole:.2} Gbit/s, target > {incoming:.2} (OVS-DPDK)");
        verdicts.push((text, whole > *incoming));
    } else {
        lines.push("guest-tcp OVS-DPDK is missing: package openvswitch-switch-dpdk".to_owned());
    }
    let figures: Vec<_> =
        ways.iter().map(|way| json!({ "way": way.name, "samples": way.samples })).collect();
    Ok(Outcome { lines, figures: figures.into(), verdicts })
}

fn through_ferry(pages: Pages, folder: &Path, kind: Bulk, incoming: bool) -> Result<Sample> {
    let sockets = generator::sockets(folder);
    let ferry = Ferry::start(folder, |socket| generator::config(pages, &sockets, socket))?;
    let ports: Vec<Port> = ferry.client()?.get("/v1/ports")?;
    let underlay = ports.iter().find(|port| port.name == "up0").context("no up0")?;
    let sample = talk(folder, &sockets, (kind, incoming), &underlay.mac)?;
    ensure!(!sample.rates.is_empty(), "no connection through Ferry");
    ferry.stop()?;
    Ok(sample)
}

fn through_ovs(pages: Pages, folder: &Path, kind: Bulk, incoming: bool) -> Result<Sample> {
    let case = *CASES.first().context("no case")?;
    let (ovs, sockets) = ovs::Instance::between_vms(case, pages, folder, kind == Bulk::Tso)?;
    let sample = talk(folder, &sockets, (kind, incoming), &MacAddr(ovs::MAC).to_string())?;
    ovs.stop()?;
    Ok(sample)
}

/// The VM and the other host, by a process of their own.
fn talk(
    folder: &Path,
    sockets: &[PathBuf; 2],
    (kind, incoming): (Bulk, bool),
    vtep: &str,
) -> Result<Sample> {
    let (vm, host) = (Namespace::new("vm")?, Namespace::new("host")?);
    let kind = kind.to_possible_value().context("no such kind")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--generate").args(sockets).args(["--milliseconds", MILLISECONDS]);
    command.args(["--bulk", kind.get_name(), "--stacks", vm.name(), host.name()]);
    command.args(["--vtep-mac", vtep]);
    if incoming {
        command.arg("--incoming");
    }
    let output = command.current_dir(folder).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the generator failed: {}", errors.trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}
