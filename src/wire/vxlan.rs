//! VXLAN (RFC 7348 section 5).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Malformed, Protocol, view};

/// Bytes of a VXLAN header.
pub const LENGTH: usize = size_of::<Header>();
/// The port that IANA gave it.
pub const PORT: u16 = 4789;

/// A VXLAN header: 8 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    flags: u8,
    reserved: [u8; 3],
    vni: [u8; 3],
    reserved_last: u8,
}

impl Header {
    const I_FLAG: u8 = 0x08;

    /// The header of a network, all reserved bits zero.
    pub fn new(vni: u32) -> Self {
        let [_, vni @ ..] = vni.to_be_bytes();
        Self { flags: Self::I_FLAG, reserved: [0; 3], vni, reserved_last: 0 }
    }

    /// The header and the inner frame. Reserved bits are ignored, as the RFC says.
    ///
    /// # Errors
    /// Cut off, or the I flag is not set.
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        let (header, rest) = view::<Self>(bytes, Protocol::Vxlan)?;
        if header.flags & Self::I_FLAG == 0 {
            return Err(Malformed::Flags(Protocol::Vxlan));
        }
        Ok((header, rest))
    }

    /// The 24-bit network ID.
    #[inline(always)]
    pub fn vni(&self) -> u32 {
        let [a, b, c] = self.vni;
        u32::from_be_bytes([0, a, b, c])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn build_and_parse(vni in 0..1u32 << 24) {
            let header = Header::new(vni);
            let (parsed, rest) = Header::parse(header.as_bytes()).unwrap();
            prop_assert_eq!((parsed.vni(), rest.len()), (vni, 0));
        }

        #[test]
        fn every_reserved_bit_is_ignored(bit in 0..64usize) {
            let mut bytes = *b"\x08\0\0\0\x01\x02\x03\0";
            bytes[bit / 8] ^= 0x80 >> (bit % 8);
            let parsed = Header::parse(&bytes).map(|(header, _)| header.vni());
            match bit {
                4 => prop_assert_eq!(parsed, Err(Malformed::Flags(Protocol::Vxlan))),
                32..56 => prop_assert_ne!(parsed, Ok(0x010203)),
                _ => prop_assert_eq!(parsed, Ok(0x010203)),
            }
        }
    }

    #[test]
    fn cut_off() {
        let error = Header::parse(&[8; 7]).unwrap_err();
        assert_eq!(error, Malformed::Truncated(Protocol::Vxlan));
    }
}
