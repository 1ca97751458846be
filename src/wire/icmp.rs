//! ICMP and ICMPv6 (RFC 792, RFC 4443), as far as they say that a packet was too big.

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Malformed, Protocol, view};

/// Bytes of a message before the packet that it quotes.
pub const LENGTH: usize = size_of::<Header>();
/// IPv4 protocol number.
pub const PROTOCOL: u8 = 1;

/// Destination unreachable, and its code for a packet that may not be fragmented (RFC 1191 section 4).
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
/// Packet too big (RFC 4443 section 3.2).
const PACKET_TOO_BIG: (u8, u8) = (2, 0);
/// ICMPv6 redirect (RFC 4861), which is treated as an error though it is none.
const REDIRECT_V6: u8 = 137;

/// What all messages begin with: 8 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    kind: u8,
    code: u8,
    /// Of the message; over IPv6 of a pseudo-header too.
    pub checksum: U16,
    /// In messages on packets that are too big: over IPv4 16 bits that are not used and the MTU, over IPv6 the MTU.
    mtu: U32,
}

impl Header {
    /// The header and what lies behind it.
    ///
    /// # Errors
    /// Cut off.
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        view(bytes, Protocol::Icmp)
    }

    /// To the sender of an IPv4 packet that may not be fragmented, without its checksum.
    pub fn fragmentation_needed(mtu: u16) -> Self {
        let (kind, code) = FRAGMENTATION_NEEDED;
        Self { kind, code, checksum: 0.into(), mtu: u32::from(mtu).into() }
    }

    /// To the sender of an IPv6 packet, without its checksum.
    pub fn packet_too_big(mtu: u16) -> Self {
        let (kind, code) = PACKET_TOO_BIG;
        Self { kind, code, checksum: 0.into(), mtu: u32::from(mtu).into() }
    }

    /// The MTU that ICMP says a packet has to fit, if it says that.
    pub fn mtu_v4(&self) -> Option<u16> {
        let mtu = self.mtu.get() as u16;
        ((self.kind, self.code) == FRAGMENTATION_NEEDED).then_some(mtu)
    }

    /// The MTU that ICMPv6 says a packet has to fit, if it says that. Receivers ignore the code.
    pub fn mtu_v6(&self) -> Option<u32> {
        (self.kind == PACKET_TOO_BIG.0).then(|| self.mtu.get())
    }
}

/// Whether a message of ICMP is about an error: to such a one none may be the answer (RFC 1122 section 3.2.2).
pub fn is_error_v4(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 5 | 11 | 12)
}

/// Whether a message of ICMPv6 is about an error, or a redirect (RFC 4443 section 2.4, e).
pub fn is_error_v6(kind: u8) -> bool {
    kind < 128 || kind == REDIRECT_V6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_both_families() {
        let needed = Header::fragmentation_needed(1450);
        assert_eq!(needed.as_bytes(), [3, 4, 0, 0, 0, 0, 5, 170]);
        let too_big = Header::packet_too_big(1430);
        assert_eq!(too_big.as_bytes(), [2, 0, 0, 0, 0, 0, 5, 150]);
        assert_eq!((needed.mtu_v4(), needed.mtu_v6()), (Some(1450), None));
        assert_eq!((too_big.mtu_v4(), too_big.mtu_v6()), (None, Some(1430)));
        let parse = |bytes: &'static [u8]| *Header::parse(bytes).unwrap().0;
        // RFC 4884 gives a length to a byte that was not used before.
        assert_eq!(parse(&[3, 4, 0, 0, 0, 17, 5, 170]).mtu_v4(), Some(1450));
        assert_eq!(parse(&[3, 3, 0, 0, 0, 0, 5, 170]).mtu_v4(), None, "port unreachable");
        assert_eq!(parse(&[2, 9, 0, 0, 0, 1, 0, 0]).mtu_v6(), Some(65536));
        assert_eq!(
            Header::parse(&[3, 4, 0, 0, 0, 0, 5]).unwrap_err(),
            Malformed::Truncated(Protocol::Icmp)
        );
    }

    #[test]
    fn what_is_an_error() {
        assert_eq!((0..=255).filter(|kind| is_error_v4(*kind)).count(), 5);
        assert!(!is_error_v4(8) && !is_error_v6(128) && !is_error_v6(135));
        assert!(is_error_v6(1) && is_error_v6(127) && is_error_v6(137));
    }
}
