//! What an IP packet says of how it should be carried: its traffic class, which is DSCP (RFC 2474) and ECN (RFC 3168), and how
//! far it may go. Of packets in Ethernet frames, below up to two VLAN tags.

use super::ethernet::{self, ethertype};
use super::{checksum, ipv4, ipv6};

/// The ECN bits of a traffic class; the others are the DSCP.
pub const ECN: u8 = 0x03;

/// What the ECN bits say.
pub mod ecn {
    /// The sender knows no ECN.
    pub const NOT_ECT: u8 = 0;
    /// It does: ECT(1).
    pub const ECT_1: u8 = 1;
    /// It does: ECT(0).
    pub const ECT_0: u8 = 2;
    /// Congestion was experienced.
    pub const CE: u8 = 3;
}

enum Version {
    V4,
    V6,
}

fn version(kind: u16, packet: &[u8]) -> Option<Version> {
    match (kind, packet.first()? >> 4) {
        (ethertype::IPV4, 4) if packet.len() >= ipv4::LENGTH => Some(Version::V4),
        (ethertype::IPV6, 6) if packet.len() >= ipv6::LENGTH => Some(Version::V6),
        _ => None,
    }
}

/// Where a frame's IP header begins, if it has one and that is whole.
fn find(frame: &[u8]) -> Option<(Version, usize)> {
    let (kind, packet) = ethernet::behind_tags(frame).ok()?;
    Some((version(kind, packet)?, frame.len() - packet.len()))
}

/// The traffic class of the packet in a frame; `None`: it is not IP.
pub fn traffic_class(frame: &[u8]) -> Option<u8> {
    let (kind, packet) = ethernet::behind_tags(frame).ok()?;
    of_packet(kind, packet)
}

/// The same of what is behind an EtherType.
#[inline]
pub(super) fn of_packet(kind: u16, packet: &[u8]) -> Option<u8> {
    let word = u16::from_be_bytes(*packet.first_chunk()?);
    Some(match version(kind, packet)? {
        Version::V4 => word as u8,
        Version::V6 => (word >> 4) as u8,
    })
}

/// Its time to live, over IPv6 the hop limit.
pub fn hop_limit(frame: &[u8]) -> Option<u8> {
    let (version, at) = find(frame)?;
    Some(match version {
        Version::V4 => frame[at + 8],
        Version::V6 => frame[at + 7],
    })
}

/// Has the packet in a frame say something else of congestion, and its checksum agree.
pub fn set_ecn(frame: &mut [u8], ecn: u8) {
    let Some((version, at)) = find(frame) else { return };
    match version {
        Version::V4 => {
            let word = |frame: &[u8], at| u16::from_be_bytes([frame[at], frame[at + 1]]);
            let old = word(frame, at);
            frame[at + 1] = frame[at + 1] & !ECN | ecn;
            let sum = checksum::update(word(frame, at + 10), old, word(frame, at));
            frame[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
        }
        Version::V6 => frame[at + 1] = frame[at + 1] & !(ECN << 4) | ecn << 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(tags: usize, kind: [u8; 2], packet: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([0x81, 0, 0, 7].repeat(tags));
        frame.extend(kind);
        frame.extend(packet);
        frame
    }

    fn ipv4(class: u8, ttl: u8, tags: usize) -> Vec<u8> {
        let mut packet =
            [0x45, class, 0, 20, 1, 2, 0x40, 0, ttl, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let sum = checksum::compute(&packet).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
        frame(tags, [8, 0], &packet)
    }

    fn ipv6(class: u8, limit: u8, tags: usize) -> Vec<u8> {
        let mut packet = [0; 40];
        packet[..8].copy_from_slice(&[0x60 | class >> 4, class << 4 | 5, 1, 2, 0, 0, 59, limit]);
        frame(tags, [0x86, 0xdd], &packet)
    }

    proptest! {
        #[test]
        fn it_is_read_and_changed_and_the_checksum_agrees(
            class: u8,
            limit: u8,
            tags in 0..3usize,
            ecn in 0..4u8,
        ) {
            let wanted = class & !ECN | ecn;
            for (mut frame, other) in [
                (ipv4(class, limit, tags), ipv4(wanted, limit, tags)),
                (ipv6(class, limit, tags), ipv6(wanted, limit, tags)),
            ] {
                prop_assert_eq!(traffic_class(&frame), Some(class));
                prop_assert_eq!(hop_limit(&frame), Some(limit));
                set_ecn(&mut frame, ecn);
                prop_assert_eq!(frame, other);
            }
        }
    }

    #[test]
    fn what_is_no_whole_ip_header_says_nothing_and_stays() {
        let (v4, v6) = (ipv4(0xff, 9, 1), ipv6(0xff, 9, 0));
        let mut others = vec![ipv4(0xff, 9, 3), frame(0, [8, 6], &[0xff; 40])];
        others.push(frame(0, [8, 0], &[0x6f; 40]));
        others.push(frame(0, [0x86, 0xdd], &[0x4f; 40]));
        others.extend((0..v4.len()).map(|end| v4[..end].to_vec()));
        others.extend((0..v6.len()).map(|end| v6[..end].to_vec()));
        for mut frame in others {
            assert_eq!((traffic_class(&frame), hop_limit(&frame)), (None, None), "{frame:02x?}");
            let before = frame.clone();
            set_ecn(&mut frame, 0);
            assert_eq!(frame, before);
        }
    }
}
