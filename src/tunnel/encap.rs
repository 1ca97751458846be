//! How frames to one peer are carried: data, not types, because peers of one network may differ.

use std::net::IpAddr;

use super::Sequence;
use crate::wire::{ethernet, gre, ipv4, ipv6, udp, vxlan};

/// An encapsulation with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encap {
    /// RFC 7348.
    Vxlan {
        /// UDP port that the peer receives at.
        udp_port: u16,
        /// Whether the UDP checksum is sent; else zero (over IPv6: RFC 6935).
        checksum: bool,
    },
    /// RFC 7637: GRE whose key is the network ID and a flow ID.
    Nvgre {
        /// Whether the flow ID tells flows apart; else zero.
        flow_id: bool,
    },
    /// Ethernet over GRE (RFC 2784, RFC 2890).
    Gre {
        /// Whether the network ID is sent as key; else the peer's address alone names the network.
        key: bool,
        /// Whether the GRE checksum is sent.
        checksum: bool,
        /// Whether packets are numbered.
        sequence: Sequence,
    },
}

impl Encap {
    /// What every VTEP understands: VXLAN without a checksum.
    pub fn vxlan(udp_port: u16) -> Self {
        Self::Vxlan { udp_port, checksum: false }
    }

    /// Bytes between the IP header and the inner frame.
    pub fn length(self) -> usize {
        match self {
            Self::Vxlan { .. } => udp::LENGTH + vxlan::LENGTH,
            Self::Nvgre { .. } => gre::LENGTH + gre::OPTION,
            Self::Gre { key, checksum, sequence } => {
                let given = [key, checksum, sequence.is_sent()];
                let options = given.into_iter().filter(|given| *given).count();
                gre::LENGTH + gre::OPTION * options
            }
        }
    }

    /// Bytes that a station's packet becomes longer by as one of the underlay: the outer headers behind Ethernet, and
    /// the station's own Ethernet header.
    pub fn overhead(self, peer: IpAddr) -> usize {
        ip_length(peer) + self.length() + ethernet::LENGTH
    }

    /// IP protocol number.
    pub fn protocol(self) -> u8 {
        match self {
            Self::Vxlan { .. } => ipv4::UDP,
            Self::Nvgre { .. } | Self::Gre { .. } => gre::PROTOCOL,
        }
    }
}

/// What the outer header of one peer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterHeader {
    /// Our underlay port's MAC.
    pub source_mac: [u8; 6],
    /// The next hop's MAC: the peer's on one link, else the gateway's.
    pub next_hop_mac: [u8; 6],
    /// Our VTEP address, of the destination's family.
    pub source: IpAddr,
    /// The peer's VTEP address, or a multicast group.
    pub destination: IpAddr,
    /// Time to live, over IPv6 the hop limit.
    pub ttl: u8,
    /// What is between IP and the inner frame.
    pub encap: Encap,
    /// The network's ID at this peer, where it is another than ours.
    pub id: Option<u32>,
}

impl OuterHeader {
    /// Bytes from the Ethernet header to the inner frame.
    pub fn length(&self) -> usize {
        ethernet::LENGTH + ip_length(self.destination) + self.encap.length()
    }
}

fn ip_length(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => ipv4::LENGTH,
        IpAddr::V6(_) => ipv6::LENGTH,
    }
}
