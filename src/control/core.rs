//! The control core's state and its loop.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, never, unbounded};
use hashbrown::HashMap;

use super::adjacency::{Adjacencies, NextHop, Way};
use super::clock::{self, Tick};
use super::netlink::{Netlink, Twin, TwinError};
use super::network::Network;
use super::ports::{ControlPort, NodePools, Role};
use crate::api::Query;
use crate::api::model::Totals;
use crate::config::{Config, Neighbour};
use crate::dpdk::{Eal, Lcore, LcoreTask};
use crate::fib::Reclaimer;
use crate::tunnel::{OuterHeader, TEMPLATE_LENGTH, Vtep};
use crate::wire::{MacAddr, ethernet};
use crate::worker::{
    AccessPort, AdjacencyIndex, Attachment, EventQueue, IndexMap, PortEntry, Shared, Snapshot,
    UnderlayPort, WorkerCounters,
};

/// How long the loop waits when there is nothing to do: the latency of learning a MAC.
const PAUSE: Duration = Duration::from_millis(1);

/// A peer, over all networks.
pub struct Peer {
    /// Its adjacency.
    pub adjacency: AdjacencyIndex,
    /// The VNIs of the networks that it is part of.
    pub networks: Vec<u32>,
    /// Whether the kernel has a route to it.
    pub routed: bool,
}

/// What the control core knows of one worker.
pub struct WorkerHandle {
    /// Where it runs.
    pub lcore: Lcore,
    /// Its end.
    pub task: LcoreTask,
    /// What it counted.
    pub counters: Arc<WorkerCounters>,
    /// What it saw.
    pub events: Arc<EventQueue>,
    /// Its receive queues as `(port index, queue)`.
    pub queues: Vec<(u16, u16)>,
}

/// A peer's next hop, as found by netlink or by configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Packets leave by the underlay port (index into the configuration's) to this MAC.
    Resolved {
        /// Index into `Config::underlay.ports`.
        underlay: usize,
        /// The peer's or the gateway's.
        mac: MacAddr,
        /// The peer itself, or the gateway on the way.
        next_hop: Ipv4Addr,
    },
    /// The next hop does not answer.
    Unresolved,
    /// No route by an underlay port.
    NoRoute,
}

/// A peer's next hop, found or lost.
pub type NextHopUpdate = (Ipv4Addr, Resolution);

/// What a [`Control`] is made of.
pub(super) struct Parts {
    pub config: Config,
    pub ports: Vec<ControlPort>,
    pub pools: HashMap<i32, NodePools>,
    pub adjacencies: Adjacencies,
    pub networks: Vec<Network>,
    pub peers: HashMap<Ipv4Addr, Peer>,
    pub shared: Arc<Shared>,
    pub reclaimer: Reclaimer,
    pub workers: Vec<WorkerHandle>,
    /// Last: ports and mbufs must be gone before it.
    pub _eal: Eal,
}

/// The control core.
pub struct Control {
    pub(super) started: Instant,
    tick: Tick,
    /// Follows next hops where there are twins.
    netlink: Option<Netlink>,
    next_hops: Receiver<NextHopUpdate>,
    pub(super) parts: Parts,
}

/// What is left when everything has stopped.
pub struct Stopped {
    /// The last totals.
    pub totals: Totals,
    /// Mempools that did not get all mbufs back: name and how many are missing.
    pub missing: Vec<(String, u32)>,
}

impl Control {
    pub(super) fn new(parts: Parts) -> Self {
        let mut control =
            Self { started: Instant::now(), tick: 0, netlink: None, next_hops: never(), parts };
        let fixed = control.parts.config.underlay.neighbours.clone();
        control.follow(fixed.into_iter().map(|neighbour| {
            let Neighbour { ip, mac, port } = neighbour;
            (ip, Resolution::Resolved { underlay: port, mac, next_hop: ip })
        }));
        control
    }

    /// The configuration it was started with.
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// Sets the kernel twins up, if there are any, and follows next hops from then on.
    pub(super) fn start_netlink(&mut self) -> Result<(), TwinError> {
        let mut twins = Vec::new();
        for (underlay, config) in self.parts.config.underlay.ports.iter().enumerate() {
            let Some(interface) = config.twin.clone() else { continue };
            let role = Role::Underlay(underlay);
            let Some(port) = self.parts.ports.iter().find(|port| port.role == role) else {
                continue;
            };
            let (mac, mtu) = (MacAddr(port.port.mac()), port.port.mtu());
            let addresses = config.addresses.clone();
            twins.push(Twin { interface, underlay, mac, mtu, addresses });
        }
        if twins.is_empty() {
            return Ok(());
        }
        let fixed: Vec<_> = self.parts.config.underlay.neighbours.iter().map(|n| n.ip).collect();
        let peers = self.parts.peers.keys().copied().filter(|peer| !fixed.contains(peer)).collect();
        let (updates, next_hops) = unbounded();
        self.netlink = Some(Netlink::start(twins, peers, updates)?);
        self.next_hops = next_hops;
        Ok(())
    }

    /// A packet was dropped because this peer has no next hop.
    pub(super) fn want_next_hop(&self, peer: Ipv4Addr) {
        if let Some(netlink) = &self.netlink {
            netlink.want(peer);
        }
    }

    pub(super) fn tick(&self) -> Tick {
        self.tick
    }

    /// Works until `stop` is set: learns, ages, answers the API's queries and follows next hops.
    pub fn run(&mut self, stop: &AtomicBool, queries: &Receiver<Query>) {
        while !stop.load(Ordering::Relaxed) {
            let learned = self.drain_events();
            self.advance_clock();
            self.reclaim();
            let pause = if learned == 0 { PAUSE } else { Duration::ZERO };
            if let Ok(query) = queries.recv_timeout(pause) {
                self.answer(query);
            }
            if !self.next_hops.is_empty() {
                let updates: Vec<_> = self.next_hops.try_iter().collect();
                self.follow(updates);
            }
        }
    }

    /// Stops workers and ports, and counts what did not come home.
    pub fn stop(self) -> Stopped {
        self.parts.shared.stop.store(true, Ordering::Relaxed);
        drop(self.netlink);
        let mut parts = self.parts;
        let mut counters = Vec::new();
        for worker in parts.workers.drain(..) {
            worker.task.join();
            counters.push(worker.counters);
        }
        let totals = super::report::totals(&counters, &parts.pools, self.started);
        parts.ports.clear();
        let pools = parts.pools.values().flat_map(|node| [&node.packets, &node.headers]);
        let missing: Vec<_> = pools
            .map(|pool| (pool.name().to_owned(), pool.in_use()))
            .filter(|(_, missing)| *missing > 0)
            .collect();
        Stopped { totals, missing }
    }

    /// Follows the next hops of peers, and shows workers all changes at once.
    fn follow(&mut self, updates: impl IntoIterator<Item = NextHopUpdate>) {
        let mut changed = false;
        for (address, resolution) in updates {
            changed |= self.resolve(address, resolution);
        }
        if changed {
            self.publish();
        }
    }

    /// Follows one peer's next hop. Returns whether workers must be told.
    fn resolve(&mut self, address: Ipv4Addr, resolution: Resolution) -> bool {
        let Some(peer) = self.parts.peers.get_mut(&address) else { return false };
        let next_hop = match resolution {
            Resolution::NoRoute | Resolution::Unresolved => {
                peer.routed = resolution == Resolution::Unresolved;
                None
            }
            Resolution::Resolved { underlay, mac, next_hop: hop } => {
                let role = Role::Underlay(underlay);
                let index = self.parts.ports.iter().position(|port| port.role == role);
                index.map(|index| {
                    next_hop(
                        &self.parts.config,
                        &self.parts.ports[index],
                        index,
                        address,
                        (hop, mac),
                    )
                })
            }
        };
        let adjacency = peer.adjacency;
        let changed = self.parts.adjacencies.set_next_hop(adjacency, next_hop);
        if changed {
            tracing::info!("peer {address}: {}", self.describe_peer(address));
        }
        changed
    }

    fn describe_peer(&self, address: Ipv4Addr) -> String {
        let Some(peer) = self.parts.peers.get(&address) else { return String::new() };
        match self.parts.adjacencies.get(peer.adjacency) {
            Some(Way::Peer { next_hop: Some(hop), .. }) => {
                let mac = MacAddr(hop.outer.next_hop_mac);
                format!("next hop {mac} by {}", self.parts.ports[usize::from(hop.port)].name)
            }
            _ if peer.routed => "its next hop does not answer".to_owned(),
            _ => "no route by an underlay port".to_owned(),
        }
    }

    /// Shows workers the world as it is now.
    pub(super) fn publish(&mut self) {
        let parts = &mut self.parts;
        let snapshot = build_snapshot(
            &parts.config,
            &parts.ports,
            &parts.adjacencies,
            &parts.networks,
            &parts.peers,
        );
        parts.shared.snapshot.publish(Box::new(snapshot), &mut parts.reclaimer);
    }

    fn advance_clock(&mut self) {
        let seconds = self.started.elapsed().as_millis() / clock::TICK.as_millis();
        let now = seconds as Tick;
        if now != self.tick {
            self.tick = now;
            self.parts.shared.tick.store(now, Ordering::Relaxed);
            self.age();
        }
    }

    fn reclaim(&mut self) {
        for network in &mut self.parts.networks {
            network.fib.reclaim(&mut self.parts.reclaimer);
        }
        self.parts.reclaimer.reclaim();
    }
}

fn next_hop(
    config: &Config,
    port: &ControlPort,
    index: usize,
    peer: Ipv4Addr,
    (address, mac): (Ipv4Addr, MacAddr),
) -> NextHop {
    let outer = OuterHeader {
        source_mac: port.port.mac(),
        next_hop_mac: mac.0,
        source: config.underlay.address,
        destination: peer,
        udp_port: config.underlay.vxlan_port,
    };
    let headers = (TEMPLATE_LENGTH - ethernet::LENGTH) as u16;
    NextHop {
        port: index as u16,
        address,
        outer,
        inner_limit: port.port.mtu().saturating_sub(headers),
    }
}

/// What workers read.
pub(super) fn build_snapshot(
    config: &Config,
    ports: &[ControlPort],
    adjacencies: &Adjacencies,
    networks: &[Network],
    peers: &HashMap<Ipv4Addr, Peer>,
) -> Snapshot {
    let vnis: Vec<_> =
        networks.iter().enumerate().map(|(index, network)| (network.vni, index as u32)).collect();
    let peers: Vec<_> =
        peers.iter().map(|(address, peer)| (u32::from(*address), peer.adjacency)).collect();
    Snapshot {
        ports: (0..ports.len())
            .map(|index| port_entry(ports, index as u16, adjacencies, networks))
            .collect(),
        networks: networks.iter().map(Network::build).collect(),
        adjacencies: adjacencies.build(),
        vnis: IndexMap::new(&vnis),
        peers: IndexMap::new(&peers),
        vtep: Vtep { address: config.underlay.address, udp_port: config.underlay.vxlan_port },
    }
}

fn port_entry(
    ports: &[ControlPort],
    index: u16,
    adjacencies: &Adjacencies,
    networks: &[Network],
) -> PortEntry {
    let port = &ports[usize::from(index)];
    match port.role {
        Role::Twin(underlay) => PortEntry::Twin { underlay },
        Role::Underlay(_) => PortEntry::Underlay(UnderlayPort {
            mac: port.port.mac(),
            twin: ports.iter().position(|twin| twin.role == Role::Twin(index)).map(|i| i as u16),
        }),
        Role::Access(_) => {
            let mut access = AccessPort { untagged: Attachment::NONE, vlans: None };
            for (network, of) in networks.iter().enumerate() {
                for adjacency in &of.locals {
                    let attachment = Attachment { network: network as u32, adjacency: *adjacency };
                    match adjacencies.get(*adjacency) {
                        Some(Way::Local { port, vlan: 0 }) if *port == index => {
                            access.untagged = attachment;
                        }
                        Some(Way::Local { port, vlan }) if *port == index => {
                            let none = || Box::new([Attachment::NONE; 4096]);
                            access.vlans.get_or_insert_with(none)[usize::from(*vlan)] = attachment;
                        }
                        _ => {}
                    }
                }
            }
            PortEntry::Access(access)
        }
    }
}
