//! The Internet checksum (RFC 1071).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Add;

/// A one's-complement sum of bytes as the words that they are in memory, modulo 2^64 - 1: in the other byte order the same words
/// have the same sum, in that order, and wider ones add up to the same once they are folded (RFC 1071 section 2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Of bytes that follow an even number of others.
    #[inline(always)]
    pub fn of(bytes: &[u8]) -> Self {
        Self(if bytes.len() < BLOCK { add_few(0, bytes) } else { add_many(bytes) })
    }

    /// In 16 bits, as a number, and not inverted. Zero only of nothing but zeros.
    #[inline(always)]
    pub fn fold(self) -> u16 {
        // Adding the halves of a number to each other leaves their sum and its carry in the upper one.
        let sum = (self.0.wrapping_add(self.0.rotate_left(32)) >> 32) as u32;
        ((sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16).swap_bytes()
    }
}

impl<T: Into<Self>> Add<T> for Sum {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: T) -> Self {
        Self(add_words(self.0, &[other.into().0.to_le_bytes()]))
    }
}

/// A number in network byte order.
impl From<u16> for Sum {
    #[inline(always)]
    fn from(number: u16) -> Self {
        Self(number.swap_bytes().into())
    }
}

/// A number in network byte order.
impl From<u32> for Sum {
    #[inline(always)]
    fn from(number: u32) -> Self {
        Self(number.swap_bytes().into())
    }
}

/// The sum of bytes that come in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pieces {
    sum: Sum,
    /// Whether an odd number of bytes came so far.
    odd: bool,
}

impl Pieces {
    /// Adds a piece.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        let Sum(sum) = Sum::of(bytes);
        // Of bytes at odd places it is that many bits more significant.
        self.sum = self.sum + Sum(if self.odd { sum.rotate_left(8) } else { sum });
        self.odd ^= bytes.len() & 1 == 1;
    }

    /// Of all that came.
    #[inline]
    pub fn sum(self) -> Sum {
        self.sum
    }
}

/// The one's-complement sum of bytes, not inverted.
#[inline(always)]
pub fn sum(bytes: &[u8]) -> u16 {
    Sum::of(bytes).fold()
}

/// Whether bytes that contain their checksum add up.
#[inline]
pub fn verify(bytes: &[u8]) -> bool {
    sum(bytes) == 0xffff
}

/// The checksum of bytes whose checksum field is zero.
#[inline]
pub fn compute(bytes: &[u8]) -> u16 {
    !sum(bytes)
}

/// The checksum after one 16-bit word of what it covers has become another (RFC 1624).
#[inline]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !(Sum::from(!checksum) + !old + new).fold()
}

/// Whether a UDP header and payload over IPv4, with a checksum other than zero, add up (RFC 768).
pub fn verify_udp_v4(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> bool {
    sum_udp_v4(source, destination, segment) == 0xffff
}

/// The checksum of a UDP header and payload over IPv4 whose checksum field is zero. Never zero, which
/// would mean 'none'.
pub fn compute_udp_v4(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> u16 {
    match !sum_udp_v4(source, destination, segment) {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// Whether a UDP header and payload over IPv6, with a checksum other than zero, add up (RFC 8200 section 8.1).
pub fn verify_udp_v6(source: Ipv6Addr, destination: Ipv6Addr, segment: &[u8]) -> bool {
    verify_v6(source, destination, super::ipv4::UDP, segment)
}

/// Whether what follows an IPv6 header, of a protocol with this kind of checksum, adds up (RFC 8200 section 8.1).
pub fn verify_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, payload: &[u8]) -> bool {
    sum_v6(source, destination, protocol, payload) == 0xffff
}

/// The same over IPv4 and IPv6, of bytes that begin with both addresses: what is before a datagram in a packet without
/// options or extension headers. `length` is the datagram's.
#[inline(always)]
pub fn verify_udp_behind_addresses(bytes: &[u8], length: usize) -> bool {
    // All ones in one's complement: a multiple of 0xffff other than zero, which a protocol is not.
    let Sum(sum) = Sum::of(bytes) + protocol_and_length(super::ipv4::UDP, length);
    sum.is_multiple_of(0xffff)
}

/// Whether an ICMPv6 message that contains its checksum adds up (RFC 4443 section 2.3).
pub fn verify_icmpv6(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> bool {
    verify_v6(source, destination, super::ipv6::ICMPV6, message)
}

/// The checksum of an ICMPv6 message whose checksum field is zero.
pub fn compute_icmpv6(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    !sum_v6(source, destination, super::ipv6::ICMPV6, message)
}

fn sum_udp_v4(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> u16 {
    let addresses = Sum::of(&source.octets()) + Sum::of(&destination.octets());
    let pseudo = addresses + protocol_and_length(super::ipv4::UDP, segment.len());
    (pseudo + Sum::of(segment)).fold()
}

fn sum_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, payload: &[u8]) -> u16 {
    let addresses = Sum::of(&source.octets()) + Sum::of(&destination.octets());
    (addresses + protocol_and_length(protocol, payload.len()) + Sum::of(payload)).fold()
}

/// What else is in a pseudo-header, of a segment shorter than 64 KiB.
#[inline(always)]
fn protocol_and_length(protocol: u8, length: usize) -> Sum {
    Sum::from(u16::from(protocol)) + length as u16
}

/// Adds fewer bytes than a block, which follow an even number of others.
#[inline(always)]
fn add_few(mut sum: u64, bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    if let Some((chunk, behind)) = rest.split_first_chunk::<64>() {
        (sum, rest) = (add_words(sum, zerocopy::transmute_ref!(chunk) as &[_; 8]), behind);
    }
    if let Some((chunk, behind)) = rest.split_first_chunk::<32>() {
        (sum, rest) = (add_words(sum, zerocopy::transmute_ref!(chunk) as &[_; 4]), behind);
    }
    if let Some((chunk, behind)) = rest.split_first_chunk::<16>() {
        (sum, rest) = (add_words(sum, zerocopy::transmute_ref!(chunk) as &[_; 2]), behind);
    }
    if let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
        (sum, rest) = (add_words(sum, &[*chunk]), behind);
    }
    if rest.is_empty() {
        return sum;
    }
    // The end of the last word: what is before that has been added.
    let last = match bytes.last_chunk() {
        Some(word) => u64::from_le_bytes(*word) >> (64 - 8 * rest.len()),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    add_words(sum, &[last.to_le_bytes()])
}

/// Adds with end-around carry. Where there is a carry, the sum is less than the greatest number, so that one more fits.
#[inline(always)]
fn add_words<const COUNT: usize>(mut sum: u64, words: &[[u8; 8]; COUNT]) -> u64 {
    let mut carry = false;
    for word in words {
        (sum, carry) = sum.carrying_add(u64::from_le_bytes(*word), carry);
    }
    sum + u64::from(carry)
}

/// Bytes that are added at once where there are many.
const BLOCK: usize = 128;

/// Half words in many lanes, which the compiler makes vectors of; fewer bytes are added up sooner by carries. Cold, so that the
/// others keep their registers: what a call costs is little beside so many bytes.
#[cold]
#[inline(never)]
fn add_many(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut lanes = [0; BLOCK / 8];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks().0) {
            *lane += halves(u64::from_le_bytes(*word));
        }
    }
    add_few(lanes.iter().sum(), rest)
}

#[inline(always)]
fn halves(word: u64) -> u64 {
    (word & 0xffff_ffff) + (word >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 section 1, word by word.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn equals_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(sum(&bytes), naive(&bytes));
        }

        #[test]
        fn what_was_computed_verifies(mut bytes in prop::collection::vec(any::<u8>(), 8..200), flip in 0..64usize) {
            let (a, b) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 7));
            bytes[6..8].fill(0);
            let checksum = compute_udp_v4(a, b, &bytes);
            bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
            prop_assert!(checksum != 0 && verify_udp_v4(a, b, &bytes));
            bytes[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(!verify_udp_v4(a, b, &bytes));
        }
    }

    proptest! {
        #[test]
        fn pieces_add_up_to_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cuts: (usize, usize),
        ) {
            let first = cuts.0 % (bytes.len() + 1);
            let second = first + cuts.1 % (bytes.len() - first + 1);
            let mut pieces = Pieces::default();
            for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                pieces.add(piece);
            }
            prop_assert_eq!(pieces.sum().fold(), sum(&bytes));
        }
    }

    #[test]
    fn a_udp_checksum_over_ipv6_covers_its_pseudo_header() {
        let (source, destination) =
            ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let mut segment = *b"\x00\x01\x00\x02\x00\x09\x00\x00\x55";
        // RFC 8200 section 8.1, laid out.
        let mut whole = [Ipv6Addr::octets(&source), Ipv6Addr::octets(&destination)].concat();
        whole.extend([0, 0, 0, 9, 0, 0, 0, 17]);
        whole.extend(segment);
        segment[6..8].copy_from_slice(&(!naive(&whole)).to_be_bytes());
        assert!(verify_udp_v6(source, destination, &segment));
        for at in 0..segment.len() {
            let mut bad = segment;
            bad[at] ^= 4;
            assert!(!verify_udp_v6(source, destination, &bad));
        }
    }

    proptest! {
        #[test]
        fn numbers_count_as_their_bytes(bytes in prop::collection::vec(any::<[u8; 2]>(), 0..99), short: u16, long: u32) {
            let bytes = bytes.as_flattened();
            let all = [bytes, &short.to_be_bytes(), &long.to_be_bytes()].concat();
            prop_assert_eq!((Sum::of(bytes) + short + long).fold(), naive(&all));
        }
    }

    #[test]
    fn sums_of_ones() {
        assert_eq!(sum(&[0xff; 1500]), 0xffff);
        assert_eq!(sum(&[]), 0);
    }
}
