//! GRE (RFC 2784, RFC 2890) and NVGRE (RFC 7637), which is GRE with a key of a network ID and a flow ID.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Malformed, Protocol, view};

/// IP protocol number of GRE.
pub const PROTOCOL: u8 = 47;
/// Bytes of a header without options.
pub const LENGTH: usize = size_of::<Header>();
/// Bytes of each option: checksum with reserved bits, key, sequence number.
pub const OPTION: usize = 4;
/// Transparent Ethernet bridging: the EtherType of an inner Ethernet frame.
pub const ETHERNET: u16 = 0x6558;

/// Flag: a checksum is there.
pub const CHECKSUM: u16 = 0x8000;
/// Flag: a key is there.
pub const KEY: u16 = 0x2000;
/// Flag: a sequence number is there.
pub const SEQUENCE: u16 = 0x1000;

/// The fixed part of a GRE header: 4 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    flags_and_version: U16,
    /// What the payload is, as an EtherType.
    pub protocol: U16,
}

/// What the options of a header say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether there is a checksum.
    pub checksum: bool,
    /// The key; in NVGRE the network ID (24 bits) and the flow ID (8).
    pub key: Option<u32>,
    /// The sequence number.
    pub sequence: Option<u32>,
    /// Bytes of the header with its options.
    pub length: usize,
}

impl Header {
    /// The header and what lies behind its fixed part.
    ///
    /// # Errors
    /// Cut off.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        view(bytes, Protocol::Gre)
    }

    /// The options, of which `rest` is what [`Header::parse`] left.
    ///
    /// # Errors
    /// Another version than 0, a flag other than checksum, key and sequence (RFC 2784 section 2.2 has those of
    /// RFC 1701 discarded), or cut off.
    #[inline]
    pub fn options(&self, rest: &[u8]) -> Result<Options, Malformed> {
        let flags = self.flags_and_version.get();
        if flags & 7 != 0 {
            return Err(Malformed::Version(Protocol::Gre));
        }
        if flags & !(CHECKSUM | KEY | SEQUENCE) != 0 {
            return Err(Malformed::Flags(Protocol::Gre));
        }
        let mut length = LENGTH;
        let mut next = |flag| {
            if flags & flag == 0 {
                return Ok(None);
            }
            let word = rest.get(length - LENGTH..).and_then(<[u8]>::first_chunk);
            length += OPTION;
            let word = word.ok_or(Malformed::Truncated(Protocol::Gre))?;
            Ok(Some(u32::from_be_bytes(*word)))
        };
        let checksum = next(CHECKSUM)?.is_some();
        let (key, sequence) = (next(KEY)?, next(SEQUENCE)?);
        Ok(Options { checksum, key, sequence, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(bytes: &[u8]) -> Result<Options, Malformed> {
        let (header, rest) = Header::parse(bytes)?;
        header.options(rest)
    }

    #[test]
    fn options_come_in_the_order_of_the_rfc() {
        let plain = Options { checksum: false, key: None, sequence: None, length: 4 };
        assert_eq!(options(b"\x00\x00\x65\x58"), Ok(plain));
        assert_eq!(
            options(b"\x20\x00\x65\x58\x12\x34\x56\x78"),
            Ok(Options { key: Some(0x1234_5678), length: 8, ..plain })
        );
        assert_eq!(
            options(b"\xb0\x00\x65\x58\xaa\xbb\0\0\0\0\0\x09\0\0\0\x05\xff"),
            Ok(Options { checksum: true, key: Some(9), sequence: Some(5), length: 16 })
        );
        assert_eq!(
            options(b"\x10\x00\x65\x58\0\0\0\x07"),
            Ok(Options { sequence: Some(7), length: 8, ..plain })
        );
    }

    #[test]
    fn reasons() {
        let whole = b"\xb0\x00\x65\x58\xaa\xbb\0\0\0\0\0\x09\0\0\0\x05";
        for length in 0..whole.len() {
            assert_eq!(options(&whole[..length]), Err(Malformed::Truncated(Protocol::Gre)));
        }
        assert_eq!(options(b"\x20\x01\x88\x0b\0\0\0\0"), Err(Malformed::Version(Protocol::Gre)));
        for bit in (3..12).chain([14]) {
            let [high, low] = (1u16 << bit).to_be_bytes();
            let found = options(&[high, low, 0x65, 0x58]);
            assert_eq!(found, Err(Malformed::Flags(Protocol::Gre)), "bit {bit}");
        }
    }
}
