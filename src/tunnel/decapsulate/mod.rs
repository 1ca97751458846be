//! The decision on a packet from the underlay: ours to decapsulate, the kernel's, or bad.
//!
//! Pure: bytes in, verdict out. The checks are those of RFC 7348 sections 4.1 and 5, RFC 1122 section 3.2, RFC 8200
//! and RFC 2784.

mod gre;
mod ip;
mod shape;
mod vxlan;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::drop_reason::DropReason;
use crate::tunnel::Mark;
use crate::wire::vxlan::GroupPolicy;
pub use shape::{Keyed, Plain, PlainIpv6, Shape};

/// Our own tunnel end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vtep {
    /// The address that outer IPv4 packets come to; `0.0.0.0` where there is none.
    pub address: Ipv4Addr,
    /// The UDP port that VXLAN comes to.
    pub udp_port: u16,
    /// The address that outer IPv6 packets come to.
    pub ipv6: Option<Ipv6Addr>,
    /// Whether Ethernet over GRE, and so NVGRE, is ours; else it is the kernel's.
    pub gre: bool,
    /// Whether UDP over IPv6 may come without a checksum (RFC 6935).
    pub zero_checksum: bool,
    /// Whether VXLAN with reserved bits set is dropped; RFC 7348 section 5 ignores them.
    pub drops_reserved_bits: bool,
    /// Whether any peer tells of groups; else what they are told by are reserved bits.
    pub knows_groups: bool,
    /// What of an outer header's traffic class is looked at.
    pub noted: NotedBits,
}

/// The bits of an outer header's traffic class that make a packet none of the most frequent shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotedBits {
    /// Among the first words that these are told by.
    ipv4: u64,
    ipv6: u32,
}

impl NotedBits {
    /// EtherType, version and header length over IPv4, and what is before the traffic class over IPv6.
    const IPV4: u64 = 0x00ff_ffff;
    const IPV6: u32 = 0x00f0_ffff;

    /// Those of [`Mark`]s, and perhaps of priorities.
    pub const fn new(priorities: bool) -> Self {
        let bits = Mark::BIT | if priorities { PRIORITY } else { 0 };
        // Over IPv6 in the lower half of one byte and the upper half of the next.
        let ipv6 = (bits as u32 >> 4) << 16 | (bits as u32 & 0x0f) << 28;
        Self { ipv4: Self::IPV4 | (bits as u64) << 24, ipv6: Self::IPV6 | ipv6 }
    }
}

/// The bits of a traffic class that are the priority of a VLAN tag at their place there (RFC 2474 section 4.2.2).
pub const PRIORITY: u8 = 0xe0;

impl Vtep {
    /// VXLAN over IPv4 as RFC 7348 has it, and nothing else.
    pub fn vxlan(address: Ipv4Addr, udp_port: u16) -> Self {
        let (gre, zero_checksum, drops_reserved_bits, knows_groups) = Default::default();
        let (ipv6, noted) = (None, NotedBits::new(false));
        Self {
            address,
            udp_port,
            ipv6,
            gre,
            zero_checksum,
            drops_reserved_bits,
            knows_groups,
            noted,
        }
    }
}

/// What is known of a packet besides the bytes of its first segment.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes of the whole packet.
    pub length: usize,
    /// Whether the device found the IPv4 header checksum right; if not, it is computed here.
    pub ipv4_verified: bool,
    /// Whether the device found the UDP checksum right; if not, a non-zero one is computed here.
    pub udp_verified: bool,
}

/// What becomes of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// A tunnel packet.
    Tunnel(Inner),
    /// One that tells of group policy, if its sender may: else those are reserved bits.
    Grouped(Inner, GroupPolicy),
    /// Not tunnel traffic: for the kernel.
    Punt,
}

/// Where the tenant's frame lies in a tunnel packet, and whose it is: numbers, which are compared for each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    source: u128,
    label: u64,
    /// The sequence number, of GRE that has one.
    pub sequence: Option<u32>,
    /// The outer header's traffic class.
    pub class: u8,
    /// Bytes before the inner frame.
    pub offset: usize,
    /// Bytes up to its end; what follows is Ethernet padding.
    pub end: usize,
}

impl Inner {
    const KEYED: u64 = 1 << 32;
    const EXTENDED: u64 = 1 << 33;
    const VXLAN: u64 = 1 << 34;
    const OVER_IPV6: u64 = 1 << 35;

    /// A frame from `source`, the sending VTEP, in the network that `label` names.
    #[inline(always)]
    pub fn new(source: IpAddr, label: Label, offset: usize, end: usize) -> Self {
        let (source, family) = match source {
            IpAddr::V4(source) => (u32::from(source).into(), 0),
            IpAddr::V6(source) => (u128::from_ne_bytes(source.octets()), Self::OVER_IPV6),
        };
        let label = match label {
            Label::Vxlan(vni) => Self::VXLAN | u64::from(vni),
            Label::Gre { key, extended } => {
                let extended = if extended { Self::EXTENDED } else { 0 };
                extended | key.map_or(0, |key| Self::KEYED | u64::from(key))
            }
        };
        Self { source, label: label | family, sequence: None, class: 0, offset, end }
    }

    /// The sending VTEP.
    pub fn source(&self) -> IpAddr {
        match self.label & Self::OVER_IPV6 {
            0 => Ipv4Addr::from(self.source as u32).into(),
            _ => Ipv6Addr::from(self.source.to_ne_bytes()).into(),
        }
    }

    /// What names the network.
    pub fn label(&self) -> Label {
        let key = self.label as u32;
        if self.label & Self::VXLAN != 0 {
            return Label::Vxlan(key);
        }
        Label::Gre {
            key: (self.label & Self::KEYED != 0).then_some(key),
            extended: self.label & Self::EXTENDED != 0,
        }
    }

    /// Whether another frame has the same sender and the same label.
    #[inline(always)]
    pub fn is_like(&self, other: &Self) -> bool {
        self.source == other.source && self.label == other.label
    }
}

/// What a tunnel packet says of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// A VXLAN network ID, 24 bits.
    Vxlan(u32),
    /// Ethernet over GRE. Only the sender tells whether it is NVGRE.
    Gre {
        /// The key: in NVGRE a network ID (24 bits) and a flow ID (8).
        key: Option<u32>,
        /// Whether a checksum or a sequence number is there, neither of which NVGRE has.
        extended: bool,
    },
}

/// Decides on an Ethernet frame from an underlay port. [`Shape`] recognises the most frequent kinds faster.
///
/// # Errors
/// The reason to drop it.
#[inline(always)]
pub fn decapsulate(frame: &[u8], vtep: &Vtep, received: Received) -> Result<Outer, DropReason> {
    match shape::other(frame, vtep, received) {
        Some(inner) => Ok(Outer::Tunnel(inner)),
        None if vtep.knows_groups => grouped(frame, vtep, received),
        None => ip::decapsulate(frame, vtep, received),
    }
}

#[inline(never)]
fn grouped(frame: &[u8], vtep: &Vtep, received: Received) -> Result<Outer, DropReason> {
    match shape::grouped(frame, vtep, received) {
        Some((inner, policy)) => Ok(Outer::Grouped(inner, policy)),
        None => ip::decapsulate(frame, vtep, received),
    }
}

#[cfg(test)]
mod tests;
