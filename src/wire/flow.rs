//! The entropy of an inner frame: which flow does it belong to?
//!
//! Underlay routers and receive queues spread tunnel packets by their outer UDP source port, so it must
//! differ between flows and stay the same within one (RFC 7348 section 5).

use super::ethernet::{self, ethertype};
use super::ipv4::{TCP, UDP};
use super::traffic_class;

const SCTP: u8 = 132;

/// What outer headers take from an inner frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    hash: u32,
    /// DSCP and ECN; zero where it is not IP.
    pub traffic_class: u8,
}

impl Flow {
    /// By a hash of the flow that an Ethernet frame belongs to: addresses, protocol and ports of TCP, UDP and SCTP,
    /// below up to two VLAN tags. All fragments of a datagram hash alike (no ports). What is not IP hashes
    /// by its MAC addresses.
    #[inline(always)]
    pub fn of(frame: &[u8]) -> Self {
        Self::of_usual(frame).unwrap_or_else(|| Self::of_any(frame))
    }

    /// The same of nearly every frame: untagged IPv4 without options, whole, TCP or UDP. `None` of all others.
    #[inline(always)]
    pub fn of_usual(frame: &[u8]) -> Option<Self> {
        let header = frame.first_chunk::<38>()?;
        let word =
            |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        // EtherType, version and header length; then fragment flag, offset and protocol.
        let (kind, protocol) = (word(12), word(20) & 0xff00_ff3f);
        if kind & 0x00ff_ffff != 0x0045_0008
            || protocol != u32::from(UDP) << 24 && protocol != u32::from(TCP) << 24
        {
            return None;
        }
        let addresses = u64::from(word(26)) | u64::from(word(30)) << 32;
        let hash = mix(addresses, u64::from(word(34)) << 8 | u64::from(protocol >> 24));
        Some(Self { hash, traffic_class: (kind >> 24) as u8 })
    }

    /// Of every other kind of frame; of the plain kind it says the same.
    #[cold]
    #[inline(never)]
    fn of_any(frame: &[u8]) -> Self {
        let (kind, packet) = ethernet::behind_tags(frame).unwrap_or_default();
        let hash = match kind {
            ethertype::IPV4 => ipv4(packet),
            ethertype::IPV6 => ipv6(packet),
            _ => None,
        };
        Self {
            hash: hash.unwrap_or_else(|| by_stations(frame)),
            traffic_class: traffic_class::of_packet(kind, packet).unwrap_or(0),
        }
    }

    /// The outer UDP source port, in the dynamic range 49152–65535.
    #[inline(always)]
    pub fn entropy_port(self) -> u16 {
        FIRST_ENTROPY_PORT | (self.hash >> 18) as u16
    }
}

fn by_stations(frame: &[u8]) -> u32 {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = frame.first_chunk().copied().unwrap_or([0; 12]);
    mix(u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, 0, 0, 0, 0]))
}

/// The first of the dynamic ports.
pub const FIRST_ENTROPY_PORT: u16 = 0xc000;

#[inline(always)]
fn ipv4(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<20>()?;
    let length = usize::from(header[0] & 0x0f) * 4;
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    let protocol = header[9];
    let ports = if fragment { None } else { ports(protocol, packet.get(length..)) };
    let addresses = *header[12..].first_chunk::<8>()?;
    let ports = u64::from(ports.unwrap_or(0)) << 8 | u64::from(protocol);
    Some(mix(u64::from_le_bytes(addresses), ports))
}

#[inline(always)]
fn ipv6(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<40>()?;
    let word = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let protocol = header[6];
    let ports = ports(protocol, packet.get(40..)).unwrap_or(0);
    let source = word(8) ^ word(16).rotate_left(17);
    let destination = word(24) ^ word(32).rotate_left(17);
    let rest = u64::from(ports) << 8 | u64::from(protocol);
    Some(mix(source ^ rest.rotate_left(23), destination.rotate_left(32) ^ rest))
}

#[inline(always)]
fn ports(protocol: u8, segment: Option<&[u8]>) -> Option<u32> {
    if !matches!(protocol, TCP | UDP | SCTP) {
        return None;
    }
    segment?.first_chunk().map(|ports| u32::from_le_bytes(*ports))
}

/// Folded multiplication; the result is best in its high bits.
#[inline(always)]
fn mix(a: u64, b: u64) -> u32 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd6e8_feb8_6659_fd93);
    let folded = product as u64 ^ (product >> 64) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn flow_hash(frame: &[u8]) -> u32 {
        Flow::of(frame).hash
    }

    fn frame(tags: usize, source: [u8; 4], ports: (u16, u16), fragment: u16) -> Vec<u8> {
        let mut frame = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01".to_vec();
        for tag in 0..tags {
            frame.extend([0x81, 0, 0, tag as u8]);
        }
        frame.extend(b"\x08\0\x45\0\0\x1c\0\0");
        frame.extend(fragment.to_be_bytes());
        frame.extend(b"\x40\x11\0\0");
        frame.extend(source);
        frame.extend([10, 0, 0, 2]);
        frame.extend(ports.0.to_be_bytes());
        frame.extend(ports.1.to_be_bytes());
        frame.extend([0; 4]);
        frame
    }

    #[test]
    fn flows_spread_evenly_over_the_port_range() {
        let mut buckets = HashMap::new();
        for flow in 0..16_384u16 {
            let frame = frame(0, [10, 0, 0, 1], (10_000 + flow, 80), 0);
            let port = Flow::of(&frame).entropy_port();
            assert!(port >= 49152);
            *buckets.entry(port >> 6).or_insert(0) += 1;
        }
        // 256 buckets of 64 on average: far tails only.
        assert_eq!(buckets.len(), 256);
        assert!(buckets.values().all(|count| (20..140).contains(count)), "{buckets:?}");
    }

    #[test]
    fn the_short_way_says_the_same_as_the_long_way() {
        for port in 0..100 {
            let mut frame = frame(0, [10, 0, 0, 1], (port, 2), 0x4000);
            frame[15] = port as u8;
            assert_eq!(Flow::of(&frame), Flow::of_any(&frame));
            assert_eq!(Flow::of(&frame).traffic_class, port as u8);
        }
    }

    #[test]
    fn a_tag_does_not_change_the_flow() {
        let plain = flow_hash(&frame(0, [10, 0, 0, 1], (1, 2), 0));
        assert_eq!(flow_hash(&frame(1, [10, 0, 0, 1], (1, 2), 0)), plain);
        assert_eq!(flow_hash(&frame(2, [10, 0, 0, 1], (1, 2), 0)), plain);
        assert_ne!(flow_hash(&frame(0, [10, 0, 0, 3], (1, 2), 0)), plain);
    }

    #[test]
    fn fragments_of_a_datagram_hash_alike() {
        let first = flow_hash(&frame(0, [10, 0, 0, 1], (1, 2), 0x2000));
        assert_eq!(flow_hash(&frame(0, [10, 0, 0, 1], (77, 78), 0x00b9)), first);
    }

    #[test]
    fn frames_without_ip_hash_by_their_stations() {
        let arp = |last| {
            let mut frame = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\x06".to_vec();
            frame[11] = last;
            frame
        };
        assert_eq!(flow_hash(&arp(1)), flow_hash(&arp(1)));
        assert_ne!(flow_hash(&arp(1)), flow_hash(&arp(2)));
    }
}
