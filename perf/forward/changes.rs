//! Changes of the FIB under full load: stations that move between two VLANs of a trunk, as fast as a worker reports
//! it, and what that costs the frames of all others.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::capture::{self, station_frame};
use super::case::Pages;
use super::config::{Host, PEER};
use super::process::pause;
use super::trial::Outcome;
use super::vtep::Ferry;

/// Stations, of which the first ones move.
const STATIONS: usize = 100_000;
/// A worker reports each once a tick at each of its places, and those that collide in its memory of what it has
/// reported as often as they come.
const SOME: usize = 400;
/// So many that nearly all collide.
const MANY: usize = 8_000;
const MBUFS: usize = 393_215;
/// Changes a second.
const TARGET: f64 = 10_000.0;
/// The rate under changes, as a share of that without.
const KEPT: f64 = 0.95;
const WARM_UP: Duration = Duration::from_secs(1);
const SAMPLE: Duration = Duration::from_secs(2);
/// With and without in turns: the best of each counts.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);

/// Rate without and with.
///
/// # Errors
/// Ferry does not start, does not learn all, or loses a packet.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let (mut rate, mut quiet, mut changes, mut lost) = (0.0f64, 0.0f64, 0.0, 0);
    for _ in 0..ROUNDS {
        let (without, _, lost_without) = measure(pages, folder, 0)?;
        let (with, moved, lost_with) = measure(pages, folder, SOME)?;
        (quiet, rate, changes) = (quiet.max(without), rate.max(with), moved);
        lost += lost_without + lost_with;
    }
    let (stormy, storm, lost_in_storm) = measure(pages, folder, MANY)?;
    lost += lost_in_storm;
    let share = rate / quiet;
    let line = |changes: f64, rate: f64| {
        format!(
            "changes: {changes:.0} MACs moved a second, {:.2} Mpps of {:.2} without ({:.0} %)",
            rate / 1e6,
            quiet / 1e6,
            rate / quiet * 100.0
        )
    };
    Ok(Outcome {
        lines: vec![line(changes, rate), line(storm, stormy)],
        figures: json!({
            "changes_a_second": changes,
            "mpps": rate / 1e6,
            "mpps_without": quiet / 1e6,
            "storm_changes_a_second": storm,
            "storm_mpps": stormy / 1e6,
            "lost_packets": lost,
        }),
        verdicts: vec![
            (format!("{changes:.0} FIB changes/s, target ≥ {TARGET:.0}"), changes >= TARGET),
            (format!("of the rate without changes {share:.2}, target ≥ {KEPT}"), share >= KEPT),
            (format!("{lost} packets lost under changes, target 0"), lost == 0),
        ],
    })
}

/// Packets a second of the worker's time, changes a second, and drops.
fn measure(pages: Pages, folder: &Path, moving: usize) -> Result<(f64, f64, u64)> {
    let path = folder.join("changes.pcap");
    // The whole capture twice: those that move are in VLAN 2 the second time.
    let frames = (0..STATIONS * 2).map(|number| {
        let station = number % STATIONS;
        let moved = number >= STATIONS && station < moving;
        station_frame(station, station, Some(1 + u16::from(moved)), number)
    });
    capture::write_frames(&path, frames)?;
    let host = Host { pages, mbufs: MBUFS, ..Host::new() };
    let input = format!("net_pcap0,rx_pcap={},infinite_rx=1", path.display());
    let ferry = Ferry::start(folder, |socket| {
        let mut text = host.preamble("net_null0,no-rx=1", &input, socket);
        let _ = write!(
            text,
            "networks:\n  - vni: 1000\n    name: bench\n    ports: [{{port: vm1, vlan: 1}}, {{port: vm1, vlan: 2}}]\n    \
             mac_limit: {}\n    flood: {{peers: [{PEER}]}}\n    ageing: 1h\n    mac_move: {{moves: off}}\n    macs:\n",
            STATIONS + 1024
        );
        for station in 0..STATIONS {
            let mac = ferry::wire::MacAddr(capture::destination(station));
            let _ = writeln!(text, "      - {{mac: \"{mac}\", peer: {PEER}}}");
        }
        text
    })?;
    let mut client = ferry.client()?;
    let start = Instant::now();
    let mut network = || -> Result<ferry::api::model::Network> {
        let mut networks: Vec<ferry::api::model::Network> = client.get("/v1/networks")?;
        ensure!(networks.len() == 1, "one network was configured");
        Ok(networks.swap_remove(0))
    };
    while network()?.macs_learned < STATIONS as u64 {
        ensure!(start.elapsed() < PATIENCE, "not all MACs are learned");
        pause(Duration::from_millis(50))?;
    }
    pause(WARM_UP)?;
    let (received, _, time) = ferry.counters()?;
    let (moves, start) = (network()?.mac_moves, Instant::now());
    pause(SAMPLE)?;
    let (more_received, _, more_time) = ferry.counters()?;
    let changes = (network()?.mac_moves - moves) as f64 / start.elapsed().as_secs_f64();
    let rate = (more_received - received) as f64 / (more_time - time).as_secs_f64();
    let totals: ferry::api::model::Totals = client.get("/v1/totals")?;
    drop(client);
    ferry.stop()?;
    Ok((rate, changes, totals.drops))
}
