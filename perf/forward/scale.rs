//! The largest Ferry that anybody asked for: 16,000 networks, 4,000 peers, 10 million MACs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::capture::{self, outer_frame, station_frame};
use super::case::{Pages, Tunnel};
use super::config::{Host, peer, vni};
use super::process::pause;
use super::trial::Outcome;
use super::vtep::Ferry;

const NETWORKS: usize = 16_000;
const PEERS: usize = 4_000;
/// Peers in each network's flood list.
const FLOOD: usize = 16;
const MACS: usize = 10_000_000;
/// Frames of a capture: each brings a new source, so captures follow one another until all are learned.
const FRAMES: usize = 1_000_000;
const MBUFS: usize = FRAMES + 131_072;
/// MiB of packet memory in huge pages.
pub const MEMORY: usize = 512 + MBUFS / 420;
/// From the command to the first forwarded packet.
const START: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(120);
const SAMPLE: Duration = Duration::from_secs(3);
/// The stream of new sources is read by so many queues at once: what one of them reports while the control core is
/// behind, the next one reports again.
const READERS: usize = 4;
const VLANS: usize = 4_000;

/// Starts it, fills it, forwards.
///
/// # Errors
/// Ferry does not start, does not learn all, or loses a packet.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let (stream, known) = (folder.join("stream.pcap"), folder.join("known.pcap"));
    capture::write_frames(&stream, (0..MACS).map(frame))?;
    // Of the same stations, in an order that no cache foresees.
    capture::write_frames(&known, (0..FRAMES).map(|number| frame(number * 7_368_787 % MACS)))?;
    let readers = vec![format!("rx_pcap={}", stream.display()); READERS].join(",");
    let file = folder.join("scale.yaml");
    fs::write(&file, config(pages, &readers, &known, &folder.join("ferry.sock")))?;
    let start = Instant::now();
    Ferry::check(&file)?;
    let check = start.elapsed();
    let start = Instant::now();
    let mut ferry = Ferry::run(folder, &file)?;
    let socket = ferry.socket.clone();
    ferry.process.wait_for("first packets", PATIENCE, |_| {
        let mut client = ferry::api::client::Client::connect(&socket).ok()?;
        let totals: ferry::api::model::Totals = client.get("/v1/totals").ok()?;
        (totals.rx > 0).then_some(())
    })?;
    let started = start.elapsed();
    let (macs, learned) = ferry.learn_all_there_is()?;
    let (received, _, time) = ferry.counters()?;
    pause(SAMPLE)?;
    let (more, _, more_time) = ferry.counters()?;
    let rate = (more - received) as f64 / (more_time - time).as_secs_f64();
    let resident = ferry.resident()?;
    let drops = ferry.show("drops")?;
    let lost: u64 =
        drops.as_array().into_iter().flatten().filter_map(|row| row["packets"].as_u64()).sum();
    ferry.stop()?;
    let (check, started, learned) =
        (check.as_secs_f64(), started.as_secs_f64(), learned.as_secs_f64());
    let gibibytes = resident as f64 / f64::from(1 << 30);
    Ok(Outcome {
        lines: vec![format!(
            "scale: {NETWORKS} networks, {PEERS} peers: checked in {check:.1} s, forwarding after {started:.1} s, {macs} of \
             {MACS} MACs learned {learned:.1} s later; {gibibytes:.2} GiB resident without huge pages; then decapsulates {:.2} Mpps",
            rate / 1e6
        )],
        figures: json!({
            "check_seconds": check,
            "start_seconds": started,
            "learned": macs,
            "learned_seconds": learned,
            "resident_bytes": resident,
            "mpps": rate / 1e6,
            "lost_packets": lost,
        }),
        verdicts: vec![
            (
                format!(
                    "start with {NETWORKS} networks {started:.1} s, target ≤ {}",
                    START.as_secs()
                ),
                started <= START.as_secs_f64(),
            ),
            (format!("{macs} MACs learned at scale, target {MACS}"), macs == MACS as u64),
            (format!("{lost} packets lost at scale, target 0"), lost == 0),
        ],
    })
}

/// A tunnel packet of a station to its network's own.
fn frame(station: usize) -> Vec<u8> {
    let network = station % NETWORKS;
    let from = flood_peer(network, station / NETWORKS % FLOOD);
    let inner = station_frame(network, station, None, station);
    let sender = (Tunnel::Vxlan, peer(from).into());
    outer_frame(&inner, capture::GROUP, sender, vni(network), station)
}

fn flood_peer(network: usize, number: usize) -> usize {
    (network * FLOOD + number) % PEERS
}

fn config(pages: Pages, readers: &str, known: &Path, socket: &Path) -> String {
    let host = Host { pages, mbufs: MBUFS, peers: PEERS, ..Host::new() };
    let mut text = host.head(socket);
    let _ = write!(
        text,
        "    - {{name: up0, device: \"net_pcap0,{readers}\", queues: {READERS}}}\n    \
         - {{name: up1, device: \"net_pcap1,rx_pcap={},infinite_rx=1\"}}\n",
        known.display()
    );
    host.vtep(&mut text);
    text.push_str("access:\n  ports:\n");
    for port in 0..NETWORKS.div_ceil(VLANS) {
        let _ = writeln!(text, "    - {{name: trunk{port}, device: \"net_null{port},no-rx=1\"}}");
    }
    text.push_str("networks:\n");
    for network in 0..NETWORKS {
        let peers: Vec<_> =
            (0..FLOOD).map(|number| peer(flood_peer(network, number)).to_string()).collect();
        let (port, vlan) = (network / VLANS, network % VLANS + 1);
        let mac = ferry::wire::MacAddr(capture::destination(network));
        let _ = write!(
            text,
            "  - vni: {}\n    name: tenant{network}\n    ports: [{{port: trunk{port}, vlan: {vlan}}}]\n    \
             flood: {{peers: [{}]}}\n    ageing: 1h\n    macs:\n      - {{mac: \"{mac}\", port: trunk{port}, vlan: {vlan}}}\n",
            vni(network),
            peers.join(", ")
        );
    }
    text
}
