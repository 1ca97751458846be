//! What the addresses of a network take that answers ARP for them.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::case::Pages;
use super::config::{Host, PEER, pair_of_stations};
use super::process::pause;
use super::trial::Outcome;
use super::vtep::Ferry;

const ADDRESSES: usize = 100_000;
/// MiB.
const TARGET: f64 = 16.0;
const WARM_UP: Duration = Duration::from_millis(500);

/// Resident memory of so many MACs with an address each, beside as many without.
///
/// # Errors
/// Ferry does not start or does not end well.
pub fn run(pages: Pages, folder: &Path) -> Result<Outcome> {
    let resident = |addresses| -> Result<u64> {
        let ferry = Ferry::start(folder, |socket| config(pages, socket, addresses))?;
        pause(WARM_UP)?;
        let bytes = ferry.resident()?;
        ferry.stop()?;
        Ok(bytes)
    };
    let (without, with) = (resident(false)?, resident(true)?);
    let mebibytes = (with as f64 - without as f64) / f64::from(1 << 20);
    let text = format!("{ADDRESSES} addresses take {mebibytes:.1} MiB of resident memory");
    Ok(Outcome {
        lines: vec![format!("bindings: {text}")],
        figures: json!({ "addresses": ADDRESSES, "mebibytes": mebibytes }),
        verdicts: vec![(format!("{text}, target < {TARGET}"), mebibytes < TARGET)],
    })
}

fn config(pages: Pages, socket: &Path, addresses: bool) -> String {
    let host = Host { pages, ..Host::new() };
    let mut text = host.preamble("net_null0,no-rx=1", "net_null1,no-rx=1", socket);
    text.push_str(
        "networks:\n  - vni: 1000\n    name: bench\n    ports: [vm1]\n    arp_suppression: true\n",
    );
    text.push_str(&format!("    flood: {{peers: [{PEER}]}}\n    macs:\n"));
    for station in 0..ADDRESSES / 2 {
        pair_of_stations(&mut text, station, "vm1", addresses);
    }
    text
}
