//! The Internet checksum (RFC 1071).

use std::net::Ipv4Addr;

/// The one's-complement sum of bytes, not inverted.
#[inline]
pub fn sum(bytes: &[u8]) -> u16 {
    fold(accumulate(bytes))
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

/// Whether a UDP header and payload over IPv4, with a checksum other than zero, add up (RFC 768).
pub fn verify_udp_v4(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> bool {
    fold(pseudo_header_v4(source, destination, segment.len()) + accumulate(segment)) == 0xffff
}

/// The checksum of a UDP header and payload over IPv4 whose checksum field is zero. Never zero, which
/// would mean 'none'.
pub fn compute_udp_v4(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> u16 {
    let sum = pseudo_header_v4(source, destination, segment.len()) + accumulate(segment);
    match !fold(sum) {
        0 => 0xffff,
        checksum => checksum,
    }
}

fn pseudo_header_v4(source: Ipv4Addr, destination: Ipv4Addr, length: usize) -> u64 {
    accumulate(&source.octets())
        + accumulate(&destination.octets())
        + u64::from(super::ipv4::UDP)
        + length as u64
}

/// The sum of big-endian 16-bit words, as wide as it gets: 32-bit words add up the same after folding.
#[inline(always)]
fn accumulate(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_be_bytes(last));
    sum
}

#[inline(always)]
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
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

    #[test]
    fn sums_of_ones() {
        assert_eq!(sum(&[0xff; 1500]), 0xffff);
        assert_eq!(sum(&[]), 0);
    }
}
