//! UDP (RFC 768).

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Malformed, Protocol, view};

/// Bytes of a UDP header.
pub const LENGTH: usize = size_of::<Header>();

/// A UDP header: 8 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// From.
    pub source_port: U16,
    /// To.
    pub destination_port: U16,
    length: U16,
    /// Of pseudo-header, header and payload; 0 for none.
    pub checksum: U16,
}

impl Header {
    /// The header and what lies behind it.
    ///
    /// # Errors
    /// Cut off.
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        view(bytes, Protocol::Udp)
    }

    /// Bytes of header and payload.
    #[inline(always)]
    pub fn length(&self) -> usize {
        usize::from(self.length.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_reasons() {
        let bytes = *b"\xc0\x00\x12\xb5\x00\x09\x00\x00\xff";
        let (header, rest) = Header::parse(&bytes).unwrap();
        assert_eq!((header.source_port.get(), header.destination_port.get()), (49152, 4789));
        assert_eq!((header.length(), header.checksum.get(), rest), (9, 0, &[0xff][..]));
        assert_eq!(Header::parse(&bytes[..7]).unwrap_err(), Malformed::Truncated(Protocol::Udp));
    }
}
