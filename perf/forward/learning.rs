//! How fast a network fills: a million new sources, behind one known destination, as fast as they come in.

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

/// New sources.
const SOURCES: usize = 1_000_000;
/// `net_pcap` holds the capture, and the worker some more.
const MBUFS: usize = SOURCES * 2 + 131_072;
/// MiB of packet memory in huge pages.
pub const MEMORY: usize = 512 + MBUFS / 420;
/// New MACs a second.
const TARGET: f64 = 2e6;
const PATIENCE: Duration = Duration::from_secs(30);

/// Learns them all. Every other frame is of a pair that has been there from the start.
///
/// # Errors
/// Ferry does not start, does not learn all, or loses a packet.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let path = folder.join("learning.pcap");
    let frames = (0..SOURCES * 2).map(|number| {
        let source = if number % 2 == 0 { 0 } else { number / 2 };
        station_frame(0, source, None, number)
    });
    capture::write_frames(&path, frames)?;
    let host = Host { pages, mbufs: MBUFS, ..Host::new() };
    let input = format!("net_pcap0,rx_pcap={},infinite_rx=1", path.display());
    let destination = ferry::wire::MacAddr(capture::destination(0));
    let ferry = Ferry::start(folder, |socket| {
        let mut text = host.preamble("net_null0,no-rx=1", &input, socket);
        let _ = write!(
            text,
            "networks:\n  - vni: 1000\n    name: bench\n    ports: [vm1]\n    mac_limit: {}\n    \
             flood: {{peers: [{PEER}]}}\n    ageing: 1h\n    \
             macs:\n      - {{mac: \"{destination}\", peer: {PEER}}}\n",
            SOURCES + 1024
        );
        text
    })?;
    let mut client = ferry.client()?;
    let (mut first, mut last) = (None, (Instant::now(), 0));
    let start = Instant::now();
    while last.1 < SOURCES as u64 {
        let networks: Vec<ferry::api::model::Network> = client.get("/v1/networks")?;
        last = (Instant::now(), networks.iter().map(|network| network.macs_learned).sum());
        first.get_or_insert(last);
        ensure!(start.elapsed() < PATIENCE, "{} of {SOURCES} MACs are learned", last.1);
        pause(Duration::from_millis(10))?;
    }
    let first = first.unwrap_or(last);
    let seconds = (last.0 - first.0).as_secs_f64();
    let rate = (last.1 - first.1) as f64 / seconds;
    let totals: ferry::api::model::Totals = client.get("/v1/totals")?;
    drop(client);
    ferry.stop()?;
    let lost = totals.drops;
    Ok(Outcome {
        lines: vec![format!(
            "learning: {:.2} M new MACs/s: {} in {seconds:.2} s until the table held all {SOURCES}; {} of {} \
             frames lost meanwhile, {} events",
            rate / 1e6,
            last.1 - first.1,
            lost,
            totals.rx,
            totals.events_lost
        )],
        figures: json!({
            "macs_a_second": rate,
            "seconds": seconds,
            "lost_packets": lost,
            "lost_events": totals.events_lost,
        }),
        verdicts: vec![
            (format!("{:.2} M new MACs/s, target ≥ {}", rate / 1e6, TARGET / 1e6), rate >= TARGET),
            (format!("{lost} packets lost while learning, target 0"), lost == 0),
        ],
    })
}
