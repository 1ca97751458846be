//! The answers to the API's queries.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;

use super::adjacency::{NextHop, Way};
use super::ageing::age;
use super::core::{Control, Parts, WorkerHandle};
use super::mirrors::is_network;
use super::multicast::Multicast;
use super::neighbours::Suppressor;
use super::network::Network;
use super::ports::{ControlPort, Pools, Role};
use super::startup::StartError;
use crate::api::{ApplyError, Cursor, MacFilter, MacPage, Place, Query, model};
use crate::config::{self, EncapName};
use crate::dpdk::{LinkState, cycles_per_second};
use crate::drop_reason::DropReason;
use crate::fib::{Entry, MacKey};
use crate::tunnel::{Dscp, Encap, SummedBy, Ttl};
use crate::wire::{MacAddr, Vlan, ethernet};
use crate::worker::{
    AdjacencyIndex, Counter, FloodKind, MovePolicy, OversizeReport, PortCount, PortCounters,
    StormControl, Volume, WorkerCounters,
};

impl Control {
    /// Answers one query.
    pub(super) fn answer(&mut self, query: Query) {
        match query {
            Query::Ports(reply) => reply.send(self.report_ports()),
            Query::Networks(reply) => reply.send(self.report_networks()),
            Query::Groups(reply) => reply.send(self.report_groups()),
            Query::Macs(filter, reply) => reply.send(self.report_macs(&filter)),
            Query::Neighbours(filter, reply) => reply.send(self.report_neighbours(&filter)),
            Query::Config(reply) => reply.send(self.running()),
            Query::Apply { config, reply } => {
                reply.send(self.apply(config).map_err(|error| match error {
                    StartError::NoPlace(count) => ApplyError::NoPlace(count),
                    other => ApplyError::Failed(other.to_string()),
                }));
            }
            Query::Flush(flush, reply) => reply.send(self.flush(&flush)),
            Query::Peers(reply) => reply.send(self.report_peers()),
            Query::Mirrors(reply) => reply.send(self.report_mirrors()),
            Query::Workers(reply) => reply.send(self.report_workers()),
            Query::Drops { all, reply } => reply.send(self.report_drops(all)),
            Query::Capture { port, filter, direction, reply } => {
                reply.send(self.capture(&port, filter, direction));
            }
            Query::Live { port, filter, rate, reply } => {
                reply.send(self.trace_live(port.as_deref(), filter, rate));
            }
            Query::Trace { port, frame, reply } => reply.send(self.trace(&port, &frame)),
            Query::Totals(reply) => reply.send(self.report_totals()),
            Query::Reading { of, reply } => reply.send(self.read(of)),
        }
    }

    pub(super) fn report_totals(&self) -> model::Totals {
        let counters: Vec<_> = self.counters().cloned().collect();
        let Parts { pools, peers, former, .. } = &self.parts;
        totals(&counters, pools, *former, peers.refused, self.started)
    }

    pub(super) fn port_name(&self, index: u16) -> String {
        self.parts.port_name(index)
    }

    fn counters(&self) -> impl Iterator<Item = &Arc<WorkerCounters>> + Clone {
        self.parts.workers.iter().map(|worker| &worker.counters)
    }

    pub(super) fn report_ports(&self) -> Vec<model::Port> {
        let report = |(index, port): (u16, &ControlPort)| {
            let sum = |counter: fn(&PortCounters) -> u64| {
                self.counters().map(|of| counter(&of.ports[usize::from(index)])).sum()
            };
            let link = port.port.link();
            let losses = port.port.losses();
            // The twin has its underlay port's MAC by netlink, of which DPDK's tap driver knows nothing.
            let mac_of = match port.role {
                Role::Twin(underlay) => self.parts.ports.get(underlay).unwrap_or(port),
                Role::Access | Role::Underlay => port,
            };
            model::Port {
                name: port.name().to_owned(),
                role: port.role.into(),
                device: port.wanted.device.clone(),
                driver: port.port.driver(),
                mac: MacAddr(mac_of.port.mac()).to_string(),
                link: link.into(),
                speed_mbps: link.speed_mbps,
                mtu: port.port.mtu(),
                rx_packets: sum(|of| of.rx_packets.get()),
                rx_bytes: sum(|of| of.rx_bytes.get()),
                rx_missed: losses.missed,
                rx_errors: losses.damaged,
                rx_no_buffer: losses.no_mbuf,
                tx_packets: sum(|of| of.tx_packets.get()),
                tx_bytes: sum(|of| of.tx_bytes.get()),
                tx_errors: losses.unsent,
                drops: sum(all_drops),
                storm_control: port.storm.as_deref().map(storm_control),
                filter: port.port.filter_room().filter(|_| port.role == Role::Access).map(|room| {
                    model::UnicastFilter {
                        macs: port.filter.count() as u64,
                        room: room.into(),
                        refused: port.filter.refused() as u64,
                    }
                }),
            }
        };
        self.parts.ports.iter().map(report).collect()
    }

    fn report_networks(&self) -> Vec<model::Network> {
        let mtus = self.mtus();
        let networks = self.parts.networks.iter();
        networks.map(|(index, network)| self.report_network(index, network, &mtus)).collect()
    }

    fn report_network(
        &self,
        index: u32,
        network: &Network,
        mtus: &HashMap<u32, u16>,
    ) -> model::Network {
        let carried = self.parts.traffic.of_network(index);
        let ways = network.locals().iter().chain(network.peers());
        let mut ports = Vec::new();
        let mut peers = Vec::new();
        let mut policies = network.config.policies.iter();
        for way in ways.filter_map(|index| self.parts.adjacencies.get(*index)) {
            match way {
                Way::Local { port, vlan } => {
                    let (port, (vlan, inner_vlan)) = (self.port_name(*port), ids_of(*vlan));
                    let config::PlacePolicy { group, accepts } =
                        policies.next().cloned().unwrap_or_default();
                    let accept_groups = accepts;
                    ports.push(model::NetworkPort { port, vlan, inner_vlan, group, accept_groups });
                }
                Way::Peer { address, .. } => peers.push(*address),
                Way::Group(_) => {}
            }
        }
        model::Network {
            vni: network.vni(),
            name: network.name().to_owned(),
            group_policy: network.config.usual.group_policy,
            encap: match network.config.usual.encap {
                EncapName::Vxlan => model::Encap::Vxlan,
                EncapName::Nvgre => model::Encap::Nvgre,
                EncapName::Gre => model::Encap::Gre,
            },
            ports,
            peers,
            group: network.admission.as_ref().and_then(|of| of.group),
            learns_peers: network.admission.is_some(),
            macs_learned: network.fib.learned() as u64,
            macs_static: network.fib.fixed() as u64,
            mac_limit: network.fib.limit() as u64,
            macs_refused: network.refused,
            mac_moves: network.moves,
            mac_move: match network.config.mac_move.policy {
                MovePolicy::Allow => model::MacMove::Allow,
                MovePolicy::LocalWins => model::MacMove::LocalWins,
                MovePolicy::Freeze => model::MacMove::Freeze,
            },
            macs_frozen: network.movers.frozen() as u64,
            learning: network.config.learning,
            ageing_seconds: network.config.ageing.map(|age| age.as_secs()),
            arp_suppression: network.suppressor.as_ref().map(Suppressor::report),
            storm_control: network.storm.as_deref().map(storm_control),
            snooping: network.multicast.as_ref().and_then(Multicast::report),
            mtu: mtus.get(&network.vni()).copied(),
            oversize: oversize(network.oversize.report()),
            from_ports: carried.map(|of| of.from_ports.into()),
            from_peers: carried.map(|of| of.from_peers.into()),
        }
    }

    /// The largest IP packet that fits the ways to all peers, by network ID.
    fn mtus(&self) -> HashMap<u32, u16> {
        let peers = self.parts.peers.iter();
        let by_peer =
            peers.flat_map(|(_, peer)| peer.networks.iter().map(|vni| (*vni, peer.adjacency)));
        let by_list =
            self.parts.networks.iter().flat_map(|(_, network)| {
                network.peers().iter().map(|index| (network.vni(), *index))
            });
        let mut mtus = HashMap::new();
        for (vni, index) in by_peer.chain(by_list) {
            if let Some(mtu) = self.mtu_by(index) {
                let least = mtus.entry(vni).or_insert(mtu);
                *least = mtu.min(*least);
            }
        }
        mtus
    }

    /// The largest IP packet that fits a way: what the longest frame holds besides its Ethernet header.
    fn mtu_by(&self, index: AdjacencyIndex) -> Option<u16> {
        let limit = self.parts.adjacencies.inner_limit(index)?;
        Some(limit.saturating_sub(ethernet::LENGTH as u16))
    }

    /// One page: about as many entries as asked for are looked at, so that a rare match in a large table
    /// does not hold the control core up.
    fn report_macs(&self, filter: &MacFilter) -> MacPage {
        let mut room = filter.limit();
        let mut page = MacPage::default();
        let start = filter.after.map_or((0, 0), |after| (after.vni, after.position as usize));
        for (_, network) in self.parts.networks.iter() {
            let vni = network.vni();
            if vni < start.0 || filter.vni.is_some_and(|wanted| wanted != vni) {
                continue;
            }
            let cursor = if vni == start.0 { start.1 } else { 0 };
            let (entries, next) = match room {
                0 => (Vec::new(), Some(cursor)),
                _ => network.fib.page(cursor, room),
            };
            room = room.saturating_sub(entries.len());
            let valid = entries.into_iter().filter(|(_, entry)| self.is_valid(*entry));
            let macs = valid.map(|(key, entry)| self.report_mac(network, key, entry));
            page.macs.extend(macs.filter(|mac| filter.admits(mac)));
            if let Some(next) = next {
                page.next = Some(Cursor { vni, position: next as u64 });
                return page;
            }
        }
        page
    }

    /// Whether an entry was not voided by a flush.
    pub(super) fn is_valid(&self, entry: Entry) -> bool {
        let generation = self.parts.adjacencies.generation(entry.adjacency());
        entry.is_static() || generation == Some(entry.generation())
    }

    pub(super) fn report_mac(&self, network: &Network, key: MacKey, entry: Entry) -> model::Mac {
        let kind = if entry.is_static() { model::MacKind::Static } else { model::MacKind::Learned };
        model::Mac {
            vni: network.vni(),
            network: network.name().to_owned(),
            mac: MacAddr(key.octets()).to_string(),
            kind,
            place: self.parts.place(entry.adjacency()),
            frozen: entry.is_frozen(),
            age_seconds: (!entry.is_static()).then(|| age(self.tick(), entry).into()),
        }
    }

    pub(super) fn report_peers(&self) -> Vec<model::Peer> {
        let mut peers: Vec<_> = self.parts.peers.iter().collect();
        peers.sort_by_key(|(key, peer)| (key.address, peer.adjacency));
        let report = |(key, peer): (&config::Peer, &super::peers::Peer)| {
            let hops = match self.parts.adjacencies.get(peer.adjacency) {
                Some(Way::Peer { next_hops, .. }) => &next_hops[..],
                _ => &[],
            };
            let marking = key.marking(&self.parts.config.underlay.vtep);
            let hop = hops.first();
            let carried = self.parts.traffic.of_peer(peer.adjacency);
            model::Peer {
                address: key.address,
                index: peer.adjacency,
                encap: match key.encap {
                    Encap::Vxlan { .. } => model::Encap::Vxlan,
                    Encap::Nvgre { .. } => model::Encap::Nvgre,
                    Encap::Gre { .. } => model::Encap::Gre,
                },
                id: key.id,
                group_policy: key.encap.has_groups(),
                udp_checksum: hop.and_then(|hop| hop.outer.summed_by()).map(Into::into),
                dscp: match marking.dscp {
                    Dscp::Copy => model::Dscp::Copy,
                    Dscp::Priority => model::Dscp::Priority,
                    Dscp::Fixed(dscp) => model::Dscp::Fixed(dscp),
                },
                ttl: match marking.ttl {
                    Ttl::Inherit => None,
                    Ttl::Fixed(ttl) => Some(ttl),
                },
                state: self.state(peer),
                port: hop.map(|hop| self.port_name(hop.port)),
                next_hop: hop.map(|hop| hop.address),
                mac: hop.map(|hop| MacAddr(hop.outer.next_hop_mac).to_string()),
                next_hops: match hops {
                    [] | [_] => Vec::new(),
                    several => several.iter().map(|hop| self.report_next_hop(hop)).collect(),
                },
                learned: peer.learned,
                age_seconds: peer.learned.then(|| {
                    let last = self.parts.adjacencies.heard(peer.adjacency).last;
                    self.now().saturating_sub(last).into()
                }),
                networks: if peer.learned {
                    self.networks_that_admit(key)
                } else {
                    let mut networks: Vec<_> =
                        peer.networks.iter().copied().filter(|id| is_network(*id)).collect();
                    networks.sort_unstable();
                    networks
                },
                mtu: self.mtu_by(peer.adjacency),
                path_mtu: self.parts.adjacencies.path(peer.adjacency).map(|path| model::PathMtu {
                    mtu: path.mtu,
                    age_seconds: (self.now() - path.since).into(),
                }),
                sent: carried.map(|of| of.from_ports.into()),
                received: carried.map(|of| of.from_peers.into()),
            }
        };
        peers.into_iter().map(report).collect()
    }

    fn report_next_hop(&self, hop: &NextHop) -> model::NextHop {
        model::NextHop {
            port: self.port_name(hop.port),
            address: hop.address,
            mac: MacAddr(hop.outer.next_hop_mac).to_string(),
            weight: hop.weight,
        }
    }

    /// IDs of the networks that take what a learned peer sends.
    fn networks_that_admit(&self, peer: &config::Peer) -> Vec<u32> {
        let networks = self.parts.networks.iter().map(|(_, network)| network);
        let admits = |network: &&Network| {
            network.admission.as_ref().is_some_and(|admission| {
                let alike = admission.group_policy == peer.encap.has_groups();
                alike && admission.admits(peer.address)
            })
        };
        networks.filter(admits).map(Network::vni).collect()
    }

    pub(super) fn report_workers(&self) -> Vec<model::Worker> {
        let report = |worker: &WorkerHandle| {
            let counters = &worker.counters;
            let sum = |counter: fn(&PortCounters) -> &Counter| {
                counters.ports.iter().map(|port| counter(port).get()).sum()
            };
            // In this order, as a worker adds to the second first.
            let busy = counters.busy_cycles.get();
            let total = counters.total_cycles.get().max(1);
            let seconds = |cycles: u64| cycles as f64 / cycles_per_second() as f64;
            let queue = |(port, queue): &(u16, u16)| format!("{}:{queue}", self.port_name(*port));
            model::Worker {
                lcore: worker.lcore.id,
                core: worker.lcore.cpu as u32,
                socket: worker.lcore.socket,
                queues: worker.queues.iter().map(queue).collect(),
                rx_packets: sum(|port| &port.rx_packets),
                tx_packets: sum(|port| &port.tx_packets),
                polls: counters.polls.get(),
                empty_polls: counters.empty_polls.get(),
                bursts: counters.bursts.get(),
                busy_percent: (busy as f64 / total as f64 * 1000.0).round() / 10.0,
                busy_seconds: seconds(busy),
                idle_seconds: seconds(total.saturating_sub(busy)),
            }
        };
        self.parts.workers.iter().map(report).collect()
    }

    pub(super) fn report_drops(&self, all: bool) -> Vec<model::DropCount> {
        let mut drops = Vec::new();
        for (index, port) in self.parts.ports.iter() {
            for reason in DropReason::ALL {
                let packets =
                    self.counters().map(|of| of.ports[usize::from(index)].drops(*reason)).sum();
                if packets > 0 || all {
                    drops.push(drop_count(port.name(), *reason, packets));
                }
            }
        }
        drops
    }
}

impl Parts {
    fn port_name(&self, index: u16) -> String {
        self.ports.get(index).map_or(String::new(), |port| port.name().to_owned())
    }

    /// Port and VLAN, peer, or underlay group, of an adjacency.
    pub(super) fn place(&self, adjacency: AdjacencyIndex) -> Place {
        match self.adjacencies.get(adjacency) {
            Some(Way::Local { port, vlan }) => {
                let (vlan, inner_vlan) = ids_of(*vlan);
                Place { port: Some(self.port_name(*port)), vlan, inner_vlan, peer: None }
            }
            Some(Way::Peer { address, .. }) => Place { peer: Some(*address), ..Place::default() },
            Some(Way::Group(hop)) => Place { peer: Some(hop.address), ..Place::default() },
            None => Place::default(),
        }
    }
}

impl From<LinkState> for model::Link {
    fn from(link: LinkState) -> Self {
        match link {
            LinkState { is_gone: true, .. } => Self::Gone,
            LinkState { up: true, .. } => Self::Up,
            _ => Self::Down,
        }
    }
}

impl From<SummedBy> for model::UdpChecksum {
    fn from(by: SummedBy) -> Self {
        match by {
            SummedBy::Nobody => Self::Zero,
            SummedBy::Worker => Self::Software,
            SummedBy::Device => Self::Device,
        }
    }
}

/// Drops of one reason at a port.
pub(super) fn drop_count(port: &str, reason: DropReason, packets: u64) -> model::DropCount {
    model::DropCount {
        port: port.to_owned(),
        reason: reason.name().to_owned(),
        packets,
        meaning: reason.meaning().to_owned(),
        remedy: reason.remedy().to_owned(),
    }
}

/// The sums of all workers.
pub(super) fn totals(
    counters: &[Arc<WorkerCounters>],
    pools: &Pools,
    former: PortCount,
    peers_refused: u64,
    started: Instant,
) -> model::Totals {
    let ports = || counters.iter().flat_map(|worker| worker.ports.iter());
    let sum = |counter: fn(&WorkerCounters) -> &Counter| -> u64 {
        counters.iter().map(|worker| counter(worker).get()).sum()
    };
    let pool = |(node, pool): (i32, &crate::dpdk::Mempool)| model::Mempool {
        name: pool.name().to_owned(),
        socket: node as u32,
        size: pool.size(),
        available: pool.size() - pool.in_use(),
    };
    model::Totals {
        rx: former.rx + ports().map(|port| port.rx_packets.get()).sum::<u64>(),
        copies: sum(|worker| &worker.copies),
        tx: former.tx + ports().map(|port| port.tx_packets.get()).sum::<u64>(),
        drops: former.drops + ports().map(|port| all_drops(port)).sum::<u64>(),
        held: sum(|worker| &worker.held) + sum(|worker| &worker.fragments_held),
        merged: sum(|worker| &worker.merged),
        events_lost: sum(|worker| &worker.events_lost),
        peers_refused,
        uptime_seconds: started.elapsed().as_secs(),
        mempools: pools.iter().map(pool).collect(),
    }
}

fn storm_control(storm: &StormControl) -> model::StormControl {
    let limit = |kind| {
        storm.report(kind).map(|of| model::StormLimit { limit: of.limit, dropped: of.dropped })
    };
    model::StormControl {
        broadcast: limit(FloodKind::Broadcast),
        multicast: limit(FloodKind::Multicast),
        unknown_unicast: limit(FloodKind::UnknownUnicast),
    }
}

fn oversize(report: OversizeReport) -> model::Oversize {
    let OversizeReport { answered, unanswered, fragmented } = report;
    model::Oversize { answered, unanswered, fragmented }
}

fn all_drops(port: &PortCounters) -> u64 {
    DropReason::ALL.iter().map(|reason| port.drops(*reason)).sum()
}

/// The IDs of a VLAN's tags, of two the outer one first.
impl From<Volume> for model::Volume {
    fn from(Volume { packets, bytes }: Volume) -> Self {
        Self { packets, bytes }
    }
}

fn ids_of(vlan: Option<Vlan>) -> (Option<u16>, Option<u16>) {
    let ids = vlan.map(Vlan::ids);
    (ids.map(|(id, _)| id), ids.and_then(|(_, inner)| inner))
}
