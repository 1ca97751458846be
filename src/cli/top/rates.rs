//! Rates, from counters that are read again and again.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::api::client::{Client, ClientError};
use crate::api::model::{DropCount, Network, Peer, Port, Totals, Volume, Worker};

/// Rates that are kept of a counter.
pub(super) const KEPT: usize = 60;

/// All that is shown, as it was at one time.
pub(super) struct Reading {
    pub at: Instant,
    pub ports: Vec<Port>,
    pub networks: Vec<Network>,
    pub peers: Vec<Peer>,
    pub workers: Vec<Worker>,
    pub drops: Vec<DropCount>,
    pub totals: Totals,
}

impl Reading {
    /// Asks for it.
    pub fn take(client: &mut Client) -> Result<Self, ClientError> {
        Ok(Self {
            ports: client.get("/v1/ports")?,
            networks: client.get("/v1/networks")?,
            peers: client.get("/v1/peers")?,
            workers: client.get("/v1/workers")?,
            drops: client.get("/v1/drops")?,
            totals: client.get("/v1/totals")?,
            at: Instant::now(),
        })
    }

    /// The counters that rates are made of.
    fn counters(&self) -> Vec<((Counter, String), f64)> {
        use Counter::*;
        let Totals { rx, tx, drops, .. } = self.totals;
        let mut all: Vec<(Counter, String, f64)> =
            [(Rx, rx), (Tx, tx), (Drops, drops)].map(|(of, n)| (of, TOTAL.into(), n as f64)).into();
        for port in &self.ports {
            let bits = |bytes: u64| 8.0 * bytes as f64;
            let counters = [
                (Rx, port.rx_packets as f64),
                (Tx, port.tx_packets as f64),
                (RxBits, bits(port.rx_bytes)),
                (TxBits, bits(port.tx_bytes)),
                (Drops, port.drops as f64),
            ];
            all.extend(counters.map(|(of, value)| (of, port.name.clone(), value)));
        }
        for network in &self.networks {
            let answered = network.arp_suppression.as_ref().map_or(0, |of| of.answered);
            let counters =
                [(Moves, network.mac_moves), (Refused, network.macs_refused), (Answered, answered)];
            all.extend(counters.map(|(of, n)| (of, network.vni.to_string(), n as f64)));
            for (ways, volume) in [
                ([FromPorts, FromPortsBits], network.from_ports),
                ([FromPeers, FromPeersBits], network.from_peers),
            ] {
                all.extend(carried(ways, &network.vni.to_string(), volume));
            }
        }
        for peer in &self.peers {
            all.extend(carried([Sent, SentBits], &peer_name(peer), peer.sent));
            all.extend(carried([Received, ReceivedBits], &peer_name(peer), peer.received));
        }
        for worker in &self.workers {
            let counters = [
                (WorkerRx, worker.rx_packets as f64),
                (Bursts, worker.bursts as f64),
                (Busy, worker.busy_seconds),
                (Idle, worker.idle_seconds),
            ];
            all.extend(counters.map(|(of, value)| (of, worker.lcore.to_string(), value)));
        }
        all.extend(self.drops.iter().map(|drop| (Reason, drop_name(drop), drop.packets as f64)));
        all.into_iter().map(|(of, name, value)| ((of, name), value)).collect()
    }
}

/// Packets and bits, where they are counted.
fn carried(
    [packets, bits]: [Counter; 2],
    name: &str,
    volume: Option<Volume>,
) -> impl Iterator<Item = (Counter, String, f64)> {
    volume.into_iter().flat_map(move |of| {
        [
            (packets, name.to_owned(), of.packets as f64),
            (bits, name.to_owned(), 8.0 * of.bytes as f64),
        ]
    })
}

/// The name of what all ports have counted: none of a port, which is not empty.
pub(super) const TOTAL: &str = "";

/// The name of a peer's counters.
pub(super) fn peer_name(peer: &Peer) -> String {
    format!("{} {}", peer.address, peer.index)
}

/// The name of a drop's counter.
pub(super) fn drop_name(drop: &DropCount) -> String {
    format!("{} {}", drop.port, drop.reason)
}

/// What is counted of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counter {
    Rx,
    Tx,
    RxBits,
    TxBits,
    Drops,
    Moves,
    Refused,
    Answered,
    FromPorts,
    FromPeers,
    FromPortsBits,
    FromPeersBits,
    Sent,
    Received,
    SentBits,
    ReceivedBits,
    WorkerRx,
    Bursts,
    Busy,
    Idle,
    Reason,
}

struct Line {
    at: Instant,
    value: f64,
    rates: VecDeque<f64>,
}

/// How fast counters rise.
#[derive(Default)]
pub(super) struct Rates(HashMap<(Counter, String), Line>);

impl Rates {
    /// Takes what was read. A counter that falls has begun anew.
    pub fn read(&mut self, reading: &Reading) {
        let at = reading.at;
        for (key, value) in reading.counters() {
            let line =
                self.0.entry(key).or_insert_with(|| Line { at, value, rates: VecDeque::new() });
            let seconds = at.saturating_duration_since(line.at).as_secs_f64();
            if seconds > 0.0 && value >= line.value {
                if line.rates.len() == KEPT {
                    line.rates.pop_front();
                }
                line.rates.push_back((value - line.value) / seconds);
            }
            (line.at, line.value) = (at, value);
        }
        self.0.retain(|_, line| line.at == at);
    }

    /// A second's worth; `None` while it was read once only.
    pub fn latest(&self, of: Counter, name: &str) -> Option<f64> {
        self.line(of, name).and_then(|rates| rates.back()).copied()
    }

    /// The last minute's, oldest first.
    pub fn line(&self, of: Counter, name: &str) -> Option<&VecDeque<f64>> {
        self.0.get(&(of, name.to_owned())).map(|line| &line.rates)
    }

    /// The rate of one counter in terms of another's.
    pub fn share(&self, of: Counter, per: Counter, name: &str) -> Option<f64> {
        let (of, per) = (self.latest(of, name)?, self.latest(per, name)?);
        (per > 0.0).then_some(of / per)
    }
}
