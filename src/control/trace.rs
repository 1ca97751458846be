//! `ferry trace`: what the workers would do with a frame, by a dry run of their own stages, in the operator's words.

use std::net::IpAddr;

use super::adjacency::{NextHop, Way};
use super::core::{Control, Parts};
use super::network::Network;
use super::ports::{ControlPort, Role};
use super::report::drop_count;
use super::snapshot;
use crate::api::model::{self, Decision, Effect, Ingress, Outer, Sent, Station, Udp};
use crate::api::{TraceError, to_hex};
use crate::fib::MacKey;
use crate::tunnel::Encap;
use crate::wire::{MacAddr, ethernet, gre, ipv4, ipv6, udp, vxlan};
use crate::worker::{AdjacencyIndex, Event, FloodKind, Found, Story, Verdict, dry_run};

impl Control {
    /// What would become of a frame that comes in by a port. Nothing does.
    pub(super) fn trace(&self, port: &str, frame: &[u8]) -> Result<model::Trace, TraceError> {
        let Parts { config, ports, adjacencies, networks, peers, domain, .. } = &self.parts;
        let (index, of) = ports.named(port)?;
        let mut mbuf = of.share.pool().allocate().ok_or(TraceError::NoMbuf)?;
        if !mbuf.append(frame) {
            let (port, length, most) = (port.to_owned(), frame.len(), mbuf.room());
            return Err(TraceError::TooLong { port, length, most });
        }
        let node = self.parts.eal.lcores().first().map_or(0, |lcore| lcore.socket as i32);
        let pools = self.parts.pools.of_worker(node).ok_or(TraceError::NoMbuf)?;
        // There is a place for the control core, which takes it nowhere else.
        let reader = domain.register().map_err(|_| TraceError::NoMbuf)?;
        let mut snapshot = snapshot::build(config, ports, adjacencies, networks, peers);
        snapshot.detach(&reader);
        let states = ports.iter().map(|(index, port)| (index, port.port.state()));
        let story = dry_run(&snapshot, &reader, pools, states, self.tick(), (index, mbuf));
        story.map(|story| self.report_trace(of, &story)).ok_or(TraceError::NoMbuf)
    }

    /// What became of a frame that came in by a port.
    pub(super) fn report_trace(&self, port: &ControlPort, story: &Story) -> model::Trace {
        let mut trace = model::Trace {
            port: port.name().to_owned(),
            role: port.role.into(),
            length: story.length,
            ingress: None,
            source: None,
            destination: None,
            decision: None,
            effects: self.effects(story),
            sent: Vec::new(),
            more: story.more,
            drops: Vec::new(),
        };
        if let Some(sighting) = &story.sighting
            && let Some(network) = self.parts.networks.get(sighting.ingress.network() as usize)
        {
            trace.ingress = Some(Ingress {
                vni: network.vni(),
                network: network.name().to_owned(),
                place: self.parts.place(sighting.ingress.location().adjacency()),
                group: self.group_of(network, sighting.ingress.location().adjacency(), story),
            });
            trace.source = Some(self.station(network, &sighting.source));
            trace.destination = Some(self.station(network, &sighting.destination));
            trace.decision = Some(match sighting.verdict {
                Verdict::Send(index) => Decision::Send { to: self.parts.place(index) },
                Verdict::Flood(kind) => Decision::Flood {
                    kind: match kind {
                        FloodKind::Broadcast => model::FloodKind::Broadcast,
                        FloodKind::Multicast => model::FloodKind::Multicast,
                        FloodKind::UnknownUnicast => model::FloodKind::UnknownUnicast,
                    },
                },
                Verdict::Drop(reason) => Decision::Drop { reason: reason.name().to_owned() },
            });
        }
        let sent = story.sent().filter_map(|(index, packet)| {
            let port = self.parts.ports.get(index)?;
            let encapsulated = story.sighting.is_some() && port.role == Role::Underlay;
            Some(Sent {
                port: port.name().to_owned(),
                role: port.role.into(),
                length: packet.len(),
                outer: if encapsulated { self.outer(index, packet) } else { None },
                packet: to_hex(packet),
            })
        });
        trace.sent = sent.collect();
        let drops = story.drops.iter();
        trace.drops = drops
            .map(|(port, reason, packets)| drop_count(&self.port_name(*port), *reason, *packets))
            .collect();
        trace
    }

    /// The group that the sender of a frame is of, by the place that it came in at or by what its peer tells.
    fn group_of(&self, network: &Network, way: AdjacencyIndex, story: &Story) -> Option<u16> {
        if let Some((_, policy)) = network.places().find(|(place, _)| *place == way) {
            return policy.group;
        }
        let tells = self
            .parts
            .peers
            .iter()
            .any(|(key, peer)| peer.adjacency == way && key.encap.has_groups());
        self.outer(story.port, &story.frame).filter(|_| tells)?.group
    }

    fn station(&self, network: &Network, found: &Found) -> Station {
        let valid = found.entry.filter(|entry| self.is_valid(*entry));
        Station {
            mac: text(found.mac),
            known: valid.map(|entry| self.report_mac(network, found.mac, entry)),
        }
    }

    fn effects(&self, story: &Story) -> Vec<Effect> {
        let mut effects = Vec::new();
        for event in &story.events {
            effects.push(match event {
                Event::Learn { ingress, mac } => {
                    let place = self.parts.place(ingress.location().adjacency());
                    Effect::Learn { mac: text(*mac), place }
                }
                Event::Bind { claim, .. } => {
                    Effect::Bind { ip: claim.address.ip(), mac: claim.mac.to_string() }
                }
                Event::Stranger { address, .. } => Effect::LearnPeer { peer: *address },
                Event::Unresolved { adjacency } => {
                    Effect::Resolve { peer: self.parts.place(*adjacency).peer }
                }
                Event::TooBig(report) => Effect::Narrow { peer: report.peer, mtu: report.mtu },
            });
        }
        let notes = story.notes;
        let others = [
            (notes.is_heard, Effect::Snoop),
            (notes.is_suppressed, Effect::Suppress),
            (notes.is_told_of_size, Effect::TellSize),
            (notes.is_fragmented, Effect::Fragment),
            (notes.is_held, Effect::Hold),
            (notes.is_unfinished, Effect::FloodOn),
        ];
        effects.extend(others.into_iter().filter(|(is, _)| *is).map(|(_, effect)| effect));
        effects
    }

    /// What the outer headers of a packet say that leaves by a port; of fragments nothing.
    fn outer(&self, port: u16, packet: &[u8]) -> Option<Outer> {
        let (link, behind) = ethernet::Header::parse(packet).ok()?;
        let (source, destination, ttl, protocol, payload) = match link.ethertype.get() {
            ethernet::ethertype::IPV4 => {
                let (ip, payload) =
                    ipv4::Header::parse(behind).ok().filter(|(ip, _)| !ip.is_fragment())?;
                let (from, to) = (IpAddr::from(ip.source()), IpAddr::from(ip.destination()));
                (from, to, ip.ttl, ip.protocol, payload)
            }
            ethernet::ethertype::IPV6 => {
                let is_whole = |ip: &ipv6::Header| ip.next_header != ipv6::FRAGMENT;
                let (ip, payload) =
                    ipv6::Header::parse(behind).ok().filter(|(ip, _)| is_whole(ip))?;
                let (from, to) = (IpAddr::from(ip.source()), IpAddr::from(ip.destination()));
                (from, to, ip.hop_limit, ip.next_header, payload)
            }
            _ => return None,
        };
        let hop = self.next_hop_of(destination, protocol, (port, link.destination));
        let encap = hop.map(|hop| hop.outer.encap);
        let mut group = None;
        let (udp, encap, id, inner) = if protocol == ipv4::UDP {
            let (udp, payload) = udp::Header::parse(payload).ok()?;
            let (header, inner) = vxlan::Header::parse(payload).ok()?;
            let udp = Udp {
                source: udp.source_port.get(),
                destination: udp.destination_port.get(),
                checksum: hop.and_then(|hop| hop.outer.summed_by()).map(Into::into),
            };
            group = header.group_policy().map(|policy| policy.group).filter(|group| *group != 0);
            (Some(udp), model::Encap::Vxlan, Some(header.vni()), inner)
        } else {
            let (header, payload) = gre::Header::parse(payload).ok()?;
            let options = header.options(payload).ok()?;
            let inner = payload.get(options.length - gre::LENGTH..)?;
            match encap {
                Some(Encap::Nvgre { .. }) => {
                    (None, model::Encap::Nvgre, options.key.map(|key| key >> 8), inner)
                }
                _ => (None, model::Encap::Gre, options.key, inner),
            }
        };
        Some(Outer {
            source_mac: link.source.to_string(),
            destination_mac: link.destination.to_string(),
            next_hop: hop.map(|hop| hop.address).filter(|_| !destination.is_multicast()),
            source,
            destination,
            ttl,
            udp,
            encap,
            id,
            group,
            inner_length: inner.len(),
        })
    }

    /// The way to a peer that is spoken to by an IP protocol, by a port and to a MAC.
    fn next_hop_of(
        &self,
        address: IpAddr,
        protocol: u8,
        (port, mac): (u16, MacAddr),
    ) -> Option<&NextHop> {
        let mut peers = self.parts.peers.iter();
        let is_it =
            |key: &crate::config::Peer| key.address == address && key.encap.protocol() == protocol;
        let (_, peer) = peers.find(|(key, _)| is_it(key))?;
        match self.parts.adjacencies.get(peer.adjacency)? {
            Way::Peer { next_hops, .. } => {
                next_hops.iter().find(|hop| hop.port == port && hop.outer.next_hop_mac == mac.0)
            }
            Way::Local { .. } | Way::Group(_) => None,
        }
    }
}

fn text(mac: MacKey) -> String {
    MacAddr(mac.octets()).to_string()
}
