//! TCP segments that follow one another: what a NIC with receive offload makes one packet of (GRO, LRO).
//!
//! The rules are those by which segments can be told from the packet again: nothing but sequence number, length, checksums,
//! identification and, of the last, the PSH flag differs between them.

use super::checksum::{self, Sum};
use super::ipv4;
use super::transport::Transport;

/// Flags of the TCP header (RFC 9293 section 3.1).
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// The byte of an IPv4 header that says don't fragment, and no more.
const DONT_FRAGMENT: u8 = 0x40;

/// A TCP segment, as the first bytes of its frame say.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Where the headers are.
    pub headers: Transport,
    sequence: u32,
    /// Whether its sender waits for an answer before it sends more (PSH).
    pub ends: bool,
    is_plain: bool,
}

impl Segment {
    /// In a frame of `length` bytes. `None` where it has no TCP.
    #[inline]
    pub fn find(frame: &[u8], length: usize) -> Option<Self> {
        let headers = Transport::find(frame, length).filter(|headers| headers.is_tcp)?;
        let Transport { ip_at, at, payload_at, end, over_ipv6, .. } = headers;
        let flags = *frame.get(at + 13)?;
        let is_bare = match over_ipv6 {
            true => headers.is_plain(),
            // An identification says nothing of what must not be fragmented (RFC 6864 section 4.1).
            false => at - ip_at == ipv4::LENGTH && frame.get(ip_at + 6) == Some(&DONT_FRAGMENT),
        };
        Some(Self {
            headers,
            sequence: u32::from_be_bytes(*frame.get(at + 4..)?.first_chunk()?),
            ends: flags & PSH != 0,
            is_plain: is_bare && flags & !PSH == ACK && payload_at < end && end == length,
        })
    }

    /// Whether it may become part of a packet: it has payload and no other flags than any segment, and its frame nothing
    /// that would be lost.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Bytes of payload.
    #[inline]
    pub fn payload(&self) -> usize {
        self.headers.end - self.headers.payload_at
    }

    /// The same for all segments of a connection's direction, and different for nearly all others.
    #[inline]
    pub fn connection(&self, frame: &[u8]) -> u64 {
        // The ends of both addresses, and both ports.
        let word = |at: usize| {
            let bytes = frame.get(at..).and_then(|bytes| bytes.first_chunk());
            u64::from(u32::from_le_bytes(*bytes.unwrap_or(&[0; 4])))
        };
        let Transport { ip_at, at, over_ipv6, .. } = self.headers;
        let (source, destination) = if over_ipv6 { (20, 36) } else { (12, 16) };
        (word(ip_at + source) << 32 | word(at)) ^ word(ip_at + destination).rotate_left(16)
    }

    /// Whether another segment's payload follows this one's directly, and its headers are otherwise the same. Both
    /// [are plain](Segment::is_plain).
    pub fn is_followed(&self, own: &[u8], next: &Self, other: &[u8]) -> bool {
        let Transport { ip_at, at, payload_at, over_ipv6, .. } = self.headers;
        let (Some(own), Some(other)) = (own.get(..payload_at), other.get(..payload_at)) else {
            return false;
        };
        let alike = |from: usize, to: usize| own[from..to] == other[from..to];
        let begins = |headers: &Transport| (headers.ip_at, headers.at, headers.payload_at);
        begins(&self.headers) == begins(&next.headers)
            && self.sequence.wrapping_add(self.payload() as u32) == next.sequence
            && alike(0, ip_at)
            && match over_ipv6 {
                true => alike(ip_at, ip_at + 4) && alike(ip_at + 6, at),
                false => {
                    alike(ip_at, ip_at + 2) && alike(ip_at + 6, ip_at + 10) && alike(ip_at + 12, at)
                }
            }
            && alike(at, at + 4)
            && alike(at + 8, at + 13)
            && alike(at + 14, at + 16)
            && alike(at + 18, payload_at)
    }

    /// Sets the flag that its [end](Segment::ends) has. The checksum is left to do.
    pub fn end(&self, frame: &mut [u8]) {
        if let Some(flags) = frame.get_mut(self.headers.at + 13) {
            *flags |= PSH;
        }
    }

    /// Whether its checksums are right.
    pub fn is_sound(&self, frame: &[u8]) -> bool {
        let Transport { ip_at, at, over_ipv6, .. } = self.headers;
        let Some(segment) = frame.get(at..self.headers.end) else { return false };
        let pseudo = self.headers.pseudo_header(frame, segment.len());
        (pseudo + Sum::of(segment)).fold() == 0xffff
            && (over_ipv6 || checksum::verify(&frame[ip_at..at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::transport::tests::tcp_packet;
    use proptest::prelude::*;

    /// A packet of some payload, its segments and where their headers are.
    fn cut(over_ipv6: bool, payload: usize, size: usize) -> Vec<Vec<u8>> {
        let packet = tcp_packet(over_ipv6, payload);
        let found = Transport::find(&packet, packet.len()).unwrap();
        let (headers, payload) = packet.split_at(found.payload_at);
        let count = payload.len().div_ceil(size);
        let pieces = payload.chunks(size).enumerate().map(|(number, piece)| {
            let mut frame = [headers, piece].concat();
            found.patch_segment(&mut frame, number as u16, number * size, number + 1 == count);
            frame
        });
        pieces.collect()
    }

    fn find(frame: &[u8]) -> Segment {
        Segment::find(frame, frame.len()).unwrap()
    }

    proptest! {
        #[test]
        fn segments_of_a_packet_follow_each_other(
            over_ipv6: bool,
            payload in 2..5000usize,
            size in 1..1500usize,
            at in 0..1600usize,
            change in 1..=255u8,
        ) {
            let frames = cut(over_ipv6, payload, size.min(payload - 1));
            for pair in frames.windows(2) {
                let [one, two] = [&pair[0], &pair[1]].map(|frame| find(frame));
                prop_assert!(one.is_plain() && two.is_plain() && !one.ends);
                prop_assert!(one.is_sound(&pair[0]) && two.is_sound(&pair[1]));
                prop_assert!(one.is_followed(&pair[0], &two, &pair[1]));
                prop_assert!(!two.is_followed(&pair[1], &one, &pair[0]));
                prop_assert_eq!(one.connection(&pair[0]), two.connection(&pair[1]));
            }
            // Whatever byte of a segment is another, it is none of them: at the latest its checksums say so. But nobody
            // checks an identification, and PSH is anybody's.
            let [.., before, last] = &frames[..] else { unreachable!() };
            let mut wrong = last.clone();
            let at = at % wrong.len();
            wrong[at] ^= change;
            let taken = Segment::find(&wrong, wrong.len()).is_some_and(|two| {
                two.is_plain() && two.is_sound(&wrong) && find(before).is_followed(before, &two, &wrong)
            });
            prop_assert!(!taken, "byte {at}");
        }
    }

    #[test]
    fn what_is_more_than_payload_stays_by_itself() {
        let [plain] = &cut(false, 100, 100)[..] else { unreachable!() };
        assert!(find(plain).is_plain() && find(plain).payload() == 100);
        let with = |at: usize, byte: u8| {
            let mut frame = plain.clone();
            frame[at] = byte;
            frame
        };
        for flags in [ACK | 0x01, ACK | 0x02, ACK | 0x04, ACK | 0x20, ACK | 0x40, ACK | 0x80, 0] {
            assert!(!find(&with(38 + 13, flags)).is_plain(), "flags {flags:02x}");
        }
        assert!(find(&with(38 + 13, ACK | PSH)).ends);
        assert!(!find(&with(24, 0)).is_plain(), "may be fragmented");
        let padded = [&plain[..], &[0; 4]].concat();
        assert!(!find(&padded).is_plain(), "bytes behind the packet");
    }
}
