//! A storm of ARP requests on one port, and what it leaves of the others' forwarding. One worker serves all ports in
//! turn, a burst from each queue, so that the number of the others' queues says how strong the storm is.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ferry::api::model::Port;
use ferry::wire::MacAddr;
use serde_json::{Value, json};

use super::capture::{self, station_frame};
use super::case::{FLOWS, Pages};
use super::config::{Host, PEER};
use super::process::pause;
use super::trial::Outcome;
use super::vtep::{Ferry, LEARNING};

/// Ports that forward.
const CALM: usize = 3;
/// `net_pcap` has no more queues.
const MOST_QUEUES: usize = 16;
const MBUFS: usize = 262_143;
/// ARP requests a second.
const STORM: f64 = 1e6;
/// The others' rate in such a storm, as a share of that without.
const KEPT: f64 = 0.95;
const WARM_UP: Duration = Duration::from_millis(500);
const SAMPLE: Duration = Duration::from_secs(2);
/// All in turns: the best of each counts.
const ROUNDS: usize = 3;

/// What becomes of the requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storm {
    /// There are none.
    None,
    /// Storm control lets 1,000 a second pass.
    Limited,
    /// All are answered.
    Answered,
}

/// The others' rate without a storm and with each kind.
///
/// # Errors
/// Ferry does not start or does not learn all.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    for port in 0..CALM {
        let stations = port * FLOWS..(port + 1) * FLOWS;
        let frames = stations.map(|station| station_frame(station, station, None, station));
        capture::write_frames(&folder.join(format!("calm{port}.pcap")), frames)?;
    }
    let asking = CALM * FLOWS..(CALM + 1) * FLOWS;
    let requests = asking.clone().map(|station| {
        let asked = asking.start + station * 7 % FLOWS;
        capture::arp_request(station, asked)
    });
    capture::write_frames(&folder.join("storm.pcap"), requests)?;
    let calm = measure(pages, folder, Storm::None, 12)?.0;
    let queues = ((calm / CALM as f64 / STORM) as usize).clamp(1, MOST_QUEUES);
    let kinds = [Storm::None, Storm::Limited, Storm::Answered];
    let mut best = [(0.0f64, f64::MAX); 3];
    for _ in 0..ROUNDS {
        for (best, kind) in best.iter_mut().zip(kinds) {
            let (rate, storm) = measure(pages, folder, kind, queues)?;
            *best = (best.0.max(rate), best.1.min(storm));
        }
    }
    let mut outcome = Outcome { lines: Vec::new(), figures: Value::Null, verdicts: Vec::new() };
    let mut figures = Vec::new();
    let calm = best[0].0;
    for ((rate, storm), name) in best.into_iter().zip(["", "limited", "answered"]).skip(1) {
        let share = rate / calm;
        outcome.lines.push(format!(
            "storm {name}: {:.2} M ARP requests/s on one port leave the others {:.2} Mpps of {:.2} ({:.1} %)",
            storm / 1e6,
            rate / 1e6,
            calm / 1e6,
            share * 100.0
        ));
        figures.push(json!({ "storm": name, "requests_a_second": storm, "mpps": rate / 1e6 }));
        // What it takes goes with its strength, which whole queues and noise only bring near.
        let kept = 1.0 - (1.0 - share) * STORM / storm;
        outcome.verdicts.push((
            format!(
                "{name}: at 1 M requests/s {kept:.3} of the rate without a storm, target ≥ {KEPT}"
            ),
            kept >= KEPT,
        ));
    }
    outcome.figures = json!({ "mpps_without": calm / 1e6, "storms": figures });
    Ok(outcome)
}

/// Packets a second from the forwarding ports, and from the other, of the worker's time.
fn measure(pages: Pages, folder: &Path, storm: Storm, queues: usize) -> Result<(f64, f64)> {
    let mut ferry = Ferry::start(folder, |socket| config(pages, folder, socket, storm, queues))?;
    ferry.learn((CALM * FLOWS) as u64, LEARNING)?;
    pause(WARM_UP)?;
    let count = || -> Result<(u64, u64, Duration)> {
        let ports: Vec<Port> = ferry.client()?.get("/v1/ports")?;
        let (storm, others): (Vec<&Port>, Vec<&Port>) =
            ports.iter().partition(|port| port.name == "storm");
        let storm = storm.first().context("no such port")?.rx_packets;
        let calm = others.iter().map(|port| port.rx_packets).sum();
        Ok((calm, storm, ferry.process.worker_time(super::process::WORKER)?))
    };
    let (calm, requests, time) = count()?;
    pause(SAMPLE)?;
    let (more_calm, more_requests, more_time) = count()?;
    ferry.stop()?;
    let seconds = (more_time - time).as_secs_f64();
    Ok(((more_calm - calm) as f64 / seconds, (more_requests - requests) as f64 / seconds))
}

fn config(pages: Pages, folder: &Path, socket: &Path, storm: Storm, queues: usize) -> String {
    let host = Host { pages, mbufs: MBUFS, ..Host::new() };
    let mut text = host.head(socket);
    text.push_str("    - {name: up0, device: \"net_null0,no-rx=1\", mtu: 1600}\n");
    host.vtep(&mut text);
    text.push_str("access:\n  ports:\n");
    for port in 0..CALM {
        let capture = format!(",rx_pcap={}/calm{port}.pcap", folder.display()).repeat(queues);
        let device = format!("net_pcap{port}{capture},infinite_rx=1");
        let _ = writeln!(text, "    - {{name: vm{port}, device: \"{device}\", queues: {queues}}}");
    }
    let device = match storm {
        Storm::None => "net_null1,no-rx=1".to_owned(),
        _ => format!("net_pcap{CALM},rx_pcap={}/storm.pcap,infinite_rx=1", folder.display()),
    };
    let limit = if storm == Storm::Limited { ", storm_control: {broadcast: 1000}" } else { "" };
    let _ = writeln!(text, "    - {{name: storm, device: \"{device}\"{limit}}}");
    let _ = write!(
        text,
        "networks:\n  - vni: 1000\n    name: bench\n    ports: [vm0, vm1, vm2, storm]\n    flood: {{peers: [{PEER}]}}\n    \
         ageing: 1h\n    arp_suppression: true\n    macs:\n"
    );
    for station in 0..CALM * FLOWS {
        let mac = MacAddr(capture::destination(station));
        let _ = writeln!(text, "      - {{mac: \"{mac}\", peer: {PEER}}}");
    }
    for station in CALM * FLOWS..(CALM + 1) * FLOWS {
        super::config::pair_of_stations(&mut text, station, "storm", true);
    }
    text
}
