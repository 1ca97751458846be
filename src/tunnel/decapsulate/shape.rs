//! The shapes that nearly all tunnel packets have, each recognised some words at a time: no options, extension headers
//! or fragments, and lengths that agree. Whatever else a packet is, [`super::ip`] tells.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Inner, Label, NotedBits, Received, Vtep};
use crate::wire::vxlan::GroupPolicy;
use crate::wire::{checksum, ethernet, gre, ipv4, ipv6, udp, vxlan};

/// A shape that tunnel packets may have.
pub trait Shape: Sized {
    /// Bytes before the inner frame.
    const OFFSET: usize;

    /// The packet, if it has this shape.
    fn recognise(frame: &[u8], vtep: &Vtep, received: Received) -> Option<Self>;

    /// Bytes up to the inner frame's end; what follows is Ethernet padding.
    fn end(&self) -> usize;
}

/// A tunnel packet of the most frequent kind: VXLAN over IPv4, its UDP checksum none or found right by the device, and without
/// any of the [noted bits](super::NotedBits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// The 24-bit network ID.
    pub vni: u32,
    /// The sending VTEP.
    pub source: Ipv4Addr,
    /// Bytes up to the inner frame's end; what follows is Ethernet padding.
    pub end: usize,
}

impl Shape for Plain {
    const OFFSET: usize = ethernet::LENGTH + ipv4::LENGTH + udp::LENGTH + vxlan::LENGTH;

    #[inline(always)]
    fn recognise(frame: &[u8], vtep: &Vtep, received: Received) -> Option<Self> {
        vxlan_over_ipv4::<false, false>(frame, vtep, received)
    }

    #[inline(always)]
    fn end(&self) -> usize {
        self.end
    }
}

/// NVGRE or GRE with a key and nothing else, over IPv4, and without any of the [noted bits](super::NotedBits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The key: in NVGRE a network ID (24 bits) and a flow ID (8).
    pub key: u32,
    /// The sending VTEP.
    pub source: Ipv4Addr,
    /// Bytes up to the inner frame's end; what follows is Ethernet padding.
    pub end: usize,
}

impl Keyed {
    /// What names the network.
    pub fn label(&self) -> Label {
        Label::Gre { key: Some(self.key), extended: false }
    }
}

impl Shape for Keyed {
    const OFFSET: usize = ethernet::LENGTH + ipv4::LENGTH + gre::LENGTH + gre::OPTION;

    #[inline(always)]
    fn recognise(frame: &[u8], vtep: &Vtep, received: Received) -> Option<Self> {
        let header = Words(frame.first_chunk::<{ Self::OFFSET + ethernet::LENGTH }>()?);
        if !header.is_ipv4(gre::PROTOCOL, vtep.noted.ipv4) || !vtep.gre {
            return None;
        }
        let flags_and_protocol =
            u32::from(gre::KEY.swap_bytes()) | u32::from(gre::ETHERNET.swap_bytes()) << 16;
        let strange = header.strange_end(vtep, flags_and_protocol, u32::MAX);
        let end = ethernet::LENGTH + usize::from(header.number(16));
        let whole = end <= received.length && end >= Self::OFFSET + ethernet::LENGTH;
        if strange != 0 || !whole {
            return None;
        }
        if !received.ipv4_verified && !header.ipv4_adds_up() {
            return None;
        }
        let source = Ipv4Addr::from(header.half(26).swap_bytes());
        Some(Self { key: header.half(38).swap_bytes(), source, end })
    }

    #[inline(always)]
    fn end(&self) -> usize {
        self.end
    }
}

/// VXLAN over IPv6 without any of the [noted bits](super::NotedBits), its UDP checksum right, or none where that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainIpv6 {
    /// The 24-bit network ID.
    pub vni: u32,
    /// The sending VTEP, as two numbers of this machine: packets are compared by them.
    pub source: [u64; 2],
    /// Bytes up to the inner frame's end; what follows is Ethernet padding.
    pub end: usize,
}

impl PlainIpv6 {
    const UDP: usize = ethernet::LENGTH + ipv6::LENGTH;

    /// The sending VTEP.
    pub fn address(&self) -> Ipv6Addr {
        let [first, second] = self.source.map(u128::from);
        (first | second << 64).to_le_bytes().into()
    }
}

impl Shape for PlainIpv6 {
    const OFFSET: usize = Self::UDP + udp::LENGTH + vxlan::LENGTH;

    #[inline(always)]
    fn recognise(frame: &[u8], vtep: &Vtep, received: Received) -> Option<Self> {
        let header = Words(frame.first_chunk::<{ Self::OFFSET + ethernet::LENGTH }>()?);
        // EtherType, version, and what is noted of the traffic class.
        if header.half(12) & vtep.noted.ipv6 != 0x0060_dd86 || header.0[20] != ipv4::UDP {
            return None;
        }
        let own = Words(&vtep.ipv6?.octets());
        // Destination; port; the I flag, GPE's P flag and the G bit of group policy.
        let strange = (header.word(38) ^ own.word(0))
            | (header.word(46) ^ own.word(8))
            | u64::from(header.number(56) ^ vtep.udp_port)
            | (header.word(62) ^ 0x08) & 0x8c;
        let datagram = usize::from(header.number(58));
        let end = Self::UDP + datagram;
        let whole = end <= received.length && end >= Self::OFFSET + ethernet::LENGTH;
        if strange != 0 || datagram != usize::from(header.number(18)) || !whole {
            return None;
        }
        if vtep.drops_reserved_bits && has_reserved_bits(header.word(62)) {
            return None;
        }
        if header.number(60) == 0 {
            if !vtep.zero_checksum {
                return None;
            }
        } else if !received.udp_verified {
            // The addresses lie before the datagram.
            let covered = frame.get(Self::UDP - 32..end)?;
            if !checksum::verify_udp_behind_addresses(covered, datagram) {
                return None;
            }
        }
        let source = [header.word(22), header.word(30)];
        Some(Self { vni: header.half(66).swap_bytes() >> 8, source, end })
    }

    #[inline(always)]
    fn end(&self) -> usize {
        self.end
    }
}

/// Recognises VXLAN over IPv4 that has noted bits, or a UDP checksum which no device has looked at.
#[inline(always)]
pub(super) fn other(frame: &[u8], vtep: &Vtep, received: Received) -> Option<Inner> {
    let Plain { vni, source, end } = vxlan_over_ipv4::<true, false>(frame, vtep, received)?;
    let inner = Inner::new(source.into(), Label::Vxlan(vni), Plain::OFFSET, end);
    Some(Inner { class: frame[15], ..inner })
}

/// The same that tells of group policy.
#[inline(always)]
pub(super) fn grouped(
    frame: &[u8],
    vtep: &Vtep,
    received: Received,
) -> Option<(Inner, GroupPolicy)> {
    let Plain { vni, source, end } = vxlan_over_ipv4::<true, true>(frame, vtep, received)?;
    let inner = Inner::new(source.into(), Label::Vxlan(vni), Plain::OFFSET, end);
    let (header, _) = vxlan::Header::parse(&frame[Plain::OFFSET - vxlan::LENGTH..]).ok()?;
    Some((Inner { class: frame[15], ..inner }, header.group_policy()?))
}

/// Headers as numbers, in the order of their bytes in a little-endian machine.
struct Words<'f, const N: usize>(&'f [u8; N]);

impl<const N: usize> Words<'_, N> {
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        self.0[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    #[inline(always)]
    fn half(&self, at: usize) -> u32 {
        self.0[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// A 16-bit field.
    #[inline(always)]
    fn number(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    /// Whether it is IPv4 without options or fragments, and what that carries: EtherType, version and header length; fragment
    /// flag, offset and protocol. What is noted of the traffic class is zero.
    #[inline(always)]
    fn is_ipv4(&self, protocol: u8, noted: u64) -> bool {
        let strange = (self.word(12) ^ 0x0045_0008) & noted
            | (self.word(20) ^ u64::from(protocol) << 24) & 0xff00_ff3f;
        strange == 0
    }

    /// What differs of the IPv4 destination and of those bits of the four bytes behind it.
    #[inline(always)]
    fn strange_end(&self, vtep: &Vtep, behind: u32, bits: u32) -> u64 {
        let destination = u64::from(u32::from(vtep.address).swap_bytes());
        let right = destination | u64::from(behind) << 32;
        (self.word(30) ^ right) & (0xffff_ffff | u64::from(bits) << 32)
    }

    /// Whether the IPv4 header adds up.
    #[inline(always)]
    fn ipv4_adds_up(&self) -> bool {
        // All ones in one's complement: a multiple of 0xffff. The first byte is 0x45, so the sum is not zero.
        let (first, second) = (self.word(14), self.word(22));
        let low = (first & 0xffff_ffff) + (second & 0xffff_ffff) + u64::from(self.half(30));
        (low + (first >> 32) + (second >> 32)).is_multiple_of(0xffff)
    }
}

/// `ANY`: with a UDP checksum and noted bits, too. `GROUPED`: with the G bit of group policy.
#[inline(always)]
fn vxlan_over_ipv4<const ANY: bool, const GROUPED: bool>(
    frame: &[u8],
    vtep: &Vtep,
    received: Received,
) -> Option<Plain> {
    let header = Words(frame.first_chunk::<{ Plain::OFFSET + ethernet::LENGTH }>()?);
    if !header.is_ipv4(ipv4::UDP, if ANY { NotedBits::IPV4 } else { vtep.noted.ipv4 }) {
        return None;
    }
    let udp_port = u32::from(vtep.udp_port.swap_bytes()) << 16;
    let no_checksum = if ANY || received.udp_verified { 0 } else { 0xffff };
    // The UDP checksum, the I flag, GPE's P flag and the G bit.
    let flags = if GROUPED { 0x0088_0000 } else { 0x0008_0000 };
    let strange = header.strange_end(vtep, udp_port, 0xffff_0000)
        | (header.word(40) ^ flags) & (0x008c_0000 | no_checksum);
    let (total, datagram) = (usize::from(header.number(16)), usize::from(header.number(38)));
    let fits = ethernet::LENGTH + total <= received.length;
    let holds_a_frame = datagram >= udp::LENGTH + vxlan::LENGTH + ethernet::LENGTH;
    if strange != 0 || total != ipv4::LENGTH + datagram || !fits || !holds_a_frame {
        return None;
    }
    // Behind a G bit these are none: it, the flags of group policy, and the group.
    let used = if GROUPED { 0xffff_4880 } else { 0 };
    if vtep.drops_reserved_bits && has_reserved_bits(header.word(42) & !used) {
        return None;
    }
    if !received.ipv4_verified && !header.ipv4_adds_up() {
        return None;
    }
    let end = ethernet::LENGTH + total;
    if ANY && header.number(40) != 0 && !received.udp_verified {
        // The addresses lie before the datagram.
        let covered = frame.get(26..end)?;
        if !checksum::verify_udp_behind_addresses(covered, datagram) {
            return None;
        }
    }
    Some(Plain {
        vni: header.half(46).swap_bytes() >> 8,
        source: header.half(26).swap_bytes().into(),
        end,
    })
}

/// Of a VXLAN header.
#[inline(always)]
fn has_reserved_bits(header: u64) -> bool {
    header & 0xff00_0000_ffff_fff7 != 0
}
