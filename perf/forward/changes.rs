//! Changes of the FIB under full load, and what they cost the frames under way: by a controller, which moves half of a network's
//! static MACs from peer to peer, and by stations that move between two VLANs of a trunk, as fast as a worker reports it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ferry::api::client::Client;
use ferry::api::model::Network;
use serde_json::json;

use super::capture::{self, station_frame};
use super::case::Pages;
use super::config::{Host, peer, vni};
use super::process::pause;
use super::trial::Outcome;
use super::vtep::{Ferry, LEARNING};

/// Stations, each of which sends to a static MAC of its own.
const STATIONS: usize = 20_000;
/// Static MACs that change their peer with each order.
const ORDERED: usize = STATIONS / 2;
/// Orders come so far apart.
const PACE: Duration = Duration::from_millis(900);
/// Stations that move. A worker reports each move once a tick, but those that collide in its memory of what it has reported as
/// often as they come: of so many, nearly all.
const RESTLESS: usize = 8_000;
const MBUFS: usize = 262_143;
/// Changes a second.
const TARGET: f64 = 10_000.0;
/// The rate under changes, as a share of that without.
const KEPT: f64 = 0.95;
const WARM_UP: Duration = Duration::from_secs(1);
const SAMPLE: Duration = Duration::from_secs(4);
/// With and without in turns: the best of each counts.
const ROUNDS: usize = 3;

/// Who changes the FIB.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Nobody,
    Controller,
    Stations,
}

/// Rate without and with.
///
/// # Errors
/// Ferry does not start, or does not learn all.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let (mut rate, mut quiet, mut ordered, mut lost) = (0.0f64, 0.0f64, 0.0, 0);
    for _ in 0..ROUNDS {
        let (without, _, lost_without) = measure(pages, folder, By::Nobody)?;
        let (with, changes, lost_with) = measure(pages, folder, By::Controller)?;
        (quiet, rate, ordered) = (quiet.max(without), rate.max(with), changes);
        lost += lost_without + lost_with;
    }
    let (restless, moves, lost_in_storm) = measure(pages, folder, By::Stations)?;
    lost += lost_in_storm;
    let share = rate / quiet;
    let line = |what: &str, changes: f64, rate: f64| {
        format!(
            "changes: {changes:.0} MACs a second {what}, {:.2} Mpps of {:.2} without ({:.0} %)",
            rate / 1e6,
            quiet / 1e6,
            rate / quiet * 100.0
        )
    };
    Ok(Outcome {
        lines: vec![
            line("moved by a controller", ordered, rate),
            line("that moved by themselves", moves, restless),
        ],
        figures: json!({
            "changes_a_second": ordered,
            "mpps": rate / 1e6,
            "mpps_without": quiet / 1e6,
            "moves_a_second": moves,
            "mpps_with_moves": restless / 1e6,
            "lost_packets": lost,
        }),
        verdicts: vec![
            (format!("{ordered:.0} FIB changes/s, target ≥ {TARGET:.0}"), ordered >= TARGET),
            (format!("of the rate without changes {share:.2}, target ≥ {KEPT}"), share >= KEPT),
            (format!("{lost} packets lost under changes, target 0"), lost == 0),
        ],
    })
}

/// Packets a second of the worker's time, changes a second, and drops.
fn measure(pages: Pages, folder: &Path, by: By) -> Result<(f64, f64, u64)> {
    let path = folder.join("changes.pcap");
    let restless = if by == By::Stations { RESTLESS } else { 0 };
    // The whole capture twice: those that move are in VLAN 2 the second time.
    let frames = (0..STATIONS * 2).map(|number| {
        let station = number % STATIONS;
        let moved = number >= STATIONS && station < restless;
        station_frame(station, station, Some(1 + u16::from(moved)), number)
    });
    capture::write_frames(&path, frames)?;
    let host = Host { pages, mbufs: MBUFS, peers: 2, ..Host::new() };
    let input = format!("net_pcap0,rx_pcap={},infinite_rx=1", path.display());
    let (network, vlans) = (vni(0), "{port: vm1, vlan: 1}, {port: vm1, vlan: 2}");
    let mut ferry = Ferry::start(folder, |socket| {
        let mut text = host.preamble("net_null0,no-rx=1", &input, socket);
        let (one, other, limit) = (peer(0), peer(1), STATIONS + 1024);
        let _ = write!(
            text,
            "networks:\n  - vni: {network}\n    name: bench\n    ports: [{vlans}]\n    mac_limit: {limit}\n    \
             flood: {{peers: [{one}, {other}]}}\n    ageing: 1h\n    mac_move: {{moves: off}}\n    macs:\n{}",
            statics(0)
        );
        text
    })?;
    ferry.learn(STATIONS as u64, LEARNING)?;
    pause(WARM_UP)?;
    let mut client = ferry.client()?;
    let (received, _, time) = ferry.counters()?;
    let (moves, start) = (moves(&mut client)?, Instant::now());
    let mut changes = 0;
    if by == By::Controller {
        for order in 1.. {
            let changed = client.replace_macs(network, statics(order), &path, false)?.macs.changed;
            ensure!(changed == ORDERED as u64, "an order changed {changed} MACs");
            changes += changed;
            let next = PACE * order as u32;
            if next > SAMPLE {
                break;
            }
            pause(next.saturating_sub(start.elapsed()))?;
        }
    }
    pause(SAMPLE.saturating_sub(start.elapsed()))?;
    let (more_received, _, more_time) = ferry.counters()?;
    changes += self::moves(&mut client)? - moves;
    let changes = changes as f64 / start.elapsed().as_secs_f64();
    let rate = (more_received - received) as f64 / (more_time - time).as_secs_f64();
    let totals: ferry::api::model::Totals = client.get("/v1/totals")?;
    drop(client);
    ferry.stop()?;
    Ok((rate, changes, totals.drops))
}

fn moves(client: &mut Client) -> Result<u64> {
    let networks: Vec<Network> = client.get("/v1/networks")?;
    Ok(networks.iter().map(|network| network.mac_moves).sum())
}

/// The static MACs after so many orders.
fn statics(orders: usize) -> String {
    let mut text = String::new();
    for station in 0..STATIONS {
        let mac = ferry::wire::MacAddr(capture::destination(station));
        let peer = peer(if station < ORDERED { orders % 2 } else { 0 });
        let _ = writeln!(text, "      - {{mac: \"{mac}\", peer: {peer}}}");
    }
    text
}
