//! What the underlay's paths carry, as routers say it (RFC 1191, RFC 8201).
//!
//! The kernel would learn it for sockets of its own only, and tunnels have none: workers hear what routers say to the
//! twin, and read what they quote.

use std::net::IpAddr;

use super::clock::Seconds;
use super::core::Control;
use crate::config;
use crate::too_big::Report;
use crate::tunnel::Encap;

/// No path is taken to carry less, whatever is said: IPv4's are Linux's (`net.ipv4.route.min_pmtu`), IPv6's those of RFC 8200
/// section 5.
const LEAST_V4: u16 = 552;
const LEAST_V6: u16 = 1280;

impl Control {
    /// A router says that a packet to a peer was too big. What is not less than before, is nothing new.
    pub(super) fn narrow_path(&mut self, report: Report) {
        let mtu = match report.peer {
            IpAddr::V4(_) => report.mtu.max(LEAST_V4),
            // Who says less is to be ignored (RFC 8201 section 4).
            IpAddr::V6(_) if report.mtu < LEAST_V6 => return,
            IpAddr::V6(_) => report.mtu,
        };
        let now = self.now();
        let parts = &mut self.parts;
        if !parts.peers.at(report.peer).any(|(key, _)| speaks(key, report.udp_port)) {
            return;
        }
        for (_, peer) in parts.peers.at(report.peer) {
            if parts.adjacencies.narrow(peer.adjacency, mtu, now) {
                tracing::debug!("peer {}: its path carries {mtu} bytes", report.peer);
                self.unpublished = true;
            }
        }
    }

    /// Once a tick: what was learned long ago is forgotten, as paths change.
    pub(super) fn age_paths(&mut self) {
        let now = self.now();
        if let Some(ageing) = self.parts.config.underlay.vtep.path_mtu_ageing {
            self.unpublished |= self.parts.adjacencies.widen(now, ageing.as_secs() as Seconds);
        }
    }
}

fn speaks(peer: &config::Peer, udp_port: Option<u16>) -> bool {
    match peer.encap {
        Encap::Vxlan { udp_port: own, .. } => udp_port == Some(own),
        Encap::Nvgre { .. } | Encap::Gre { .. } => udp_port.is_none(),
    }
}
