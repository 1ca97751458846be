//! How frames to one peer are carried: data, not types, because peers of one network may differ.

use std::net::IpAddr;

use super::{Marking, Sequence};
use crate::wire::{ethernet, gre, ipv4, ipv6, udp, vxlan};

/// An encapsulation with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encap {
    /// RFC 7348.
    Vxlan {
        /// UDP port that the peer receives at.
        udp_port: u16,
        /// Whether the UDP checksum is sent.
        checksum: UdpChecksum,
        /// Whether both ends tell of which group a frame's sender is (draft-smith-vxlan-group-policy).
        group_policy: bool,
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

/// Whether VXLAN's UDP checksum is sent; else it is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UdpChecksum {
    /// Over IPv6 (RFC 8200 section 8.1), and over IPv4 where the port computes it: receivers without a NIC that looks into
    /// tunnels merge segments of one TCP stream only where there is one.
    Auto,
    /// Always.
    On,
    /// Never (over IPv6: RFC 6935).
    Off,
}

/// Who computes the UDP checksum of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummedBy {
    /// Nobody: it is zero.
    Nobody,
    /// A worker.
    Worker,
    /// The device.
    Device,
}

impl Encap {
    /// VXLAN as peers speak it that say nothing else.
    pub fn vxlan(udp_port: u16) -> Self {
        Self::Vxlan { udp_port, checksum: UdpChecksum::Auto, group_policy: false }
    }

    /// Whether packets tell of which group the sender of what they carry is.
    pub fn has_groups(self) -> bool {
        matches!(self, Self::Vxlan { group_policy: true, .. })
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
    /// DSCP and time to live.
    pub marking: Marking,
    /// What is between IP and the inner frame.
    pub encap: Encap,
    /// The network's ID at this peer, where it is another than ours.
    pub id: Option<u32>,
    /// Whether the port computes UDP checksums.
    pub offloads: bool,
}

impl OuterHeader {
    /// Who computes the UDP checksum; `None` where there is no UDP.
    pub fn summed_by(&self) -> Option<SummedBy> {
        let Encap::Vxlan { checksum, .. } = self.encap else { return None };
        let sent = match checksum {
            UdpChecksum::Auto => self.offloads || self.destination.is_ipv6(),
            UdpChecksum::On => true,
            UdpChecksum::Off => false,
        };
        Some(match (sent, self.offloads) {
            (false, _) => SummedBy::Nobody,
            (true, false) => SummedBy::Worker,
            (true, true) => SummedBy::Device,
        })
    }

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
