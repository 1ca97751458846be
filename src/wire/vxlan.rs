//! VXLAN (RFC 7348 section 5), with group policy (draft-smith-vxlan-group-policy section 2.1).

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

/// What a header that has the G bit says of group policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupPolicy {
    /// The group that the frame's sender is of; zero: none.
    pub group: u16,
    /// Whether the frame's source MAC is not to be learned (D).
    pub dont_learn: bool,
    /// Whether policy has been applied, and is not to be applied again (A).
    pub applied: bool,
}

impl Header {
    const I_FLAG: u8 = 0x08;
    /// Of the first byte.
    pub const G_FLAG: u8 = 0x80;
    /// These two of the second byte.
    const D_FLAG: u8 = 0x40;
    const A_FLAG: u8 = 0x08;

    /// The header of a network, all reserved bits zero.
    pub fn new(vni: u32) -> Self {
        let [_, vni @ ..] = vni.to_be_bytes();
        Self { flags: Self::I_FLAG, reserved: [0; 3], vni, reserved_last: 0 }
    }

    /// The same with the G bit and a group.
    pub fn of_group(self, group: u16) -> Self {
        let [high, low] = group.to_be_bytes();
        Self { flags: self.flags | Self::G_FLAG, reserved: [0, high, low], ..self }
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

    /// Whether any bit is set that RFC 7348 reserves. Where group policy is known, its bits are not reserved behind a G bit.
    #[inline]
    pub fn has_reserved_bits(&self, knows_groups: bool) -> bool {
        let (flags, reserved) = match self.group_policy().filter(|_| knows_groups) {
            Some(_) => (Self::G_FLAG, [self.reserved[0] & !(Self::D_FLAG | Self::A_FLAG), 0, 0]),
            None => (0, self.reserved),
        };
        self.flags & !flags != Self::I_FLAG || reserved != [0; 3] || self.reserved_last != 0
    }

    /// What it says of group policy; `None` without the G bit.
    #[inline]
    pub fn group_policy(&self) -> Option<GroupPolicy> {
        let [flags, high, low] = self.reserved;
        (self.flags & Self::G_FLAG != 0).then(|| GroupPolicy {
            group: u16::from_be_bytes([high, low]),
            dont_learn: flags & Self::D_FLAG != 0,
            applied: flags & Self::A_FLAG != 0,
        })
    }

    /// Whether it says to be VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe: the P flag) with a payload other than Ethernet.
    #[inline]
    pub fn carries_no_ethernet(&self) -> bool {
        const P_FLAG: u8 = 0x04;
        const ETHERNET: u8 = 3;
        let next_protocol = self.reserved[2];
        self.flags & P_FLAG != 0 && next_protocol != 0 && next_protocol != ETHERNET
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
    fn reserved_bits_and_other_payloads_are_told() {
        let header = |bytes: &[u8; 8]| *Header::parse(bytes).unwrap().0;
        assert!(!header(b"\x08\0\0\0\x01\x02\x03\0").has_reserved_bits(false));
        assert!(header(b"\x08\0\0\0\x01\x02\x03\x01").has_reserved_bits(false));
        assert!(header(b"\x08\0\x01\0\x01\x02\x03\0").has_reserved_bits(false));
        assert!(header(b"\x0c\0\0\x01\x01\x02\x03\0").carries_no_ethernet(), "GPE with IPv4");
        assert!(!header(b"\x0c\0\0\x03\x01\x02\x03\0").carries_no_ethernet(), "with Ethernet");
        assert!(!header(b"\x08\0\0\x01\x01\x02\x03\0").carries_no_ethernet(), "no GPE");
    }

    #[test]
    fn group_policy_has_a_flag_and_its_bits_are_reserved_without_it() {
        let header = Header::new(0x010203).of_group(0x1234);
        assert_eq!(header.as_bytes(), b"\x88\0\x12\x34\x01\x02\x03\0");
        let policy = GroupPolicy { group: 0x1234, dont_learn: false, applied: false };
        assert_eq!(header.group_policy(), Some(policy));
        assert!(!header.has_reserved_bits(true) && header.has_reserved_bits(false));
        for (bit, expected) in [
            (9, Some(GroupPolicy { dont_learn: true, ..policy })),
            (12, Some(GroupPolicy { applied: true, ..policy })),
        ] {
            let mut bytes = *b"\x88\0\x12\x34\x01\x02\x03\0";
            bytes[bit / 8] |= 0x80 >> (bit % 8);
            let header = Header::parse(&bytes).unwrap().0;
            assert_eq!(header.group_policy(), expected);
            assert!(!header.has_reserved_bits(true), "bit {bit}");
            bytes[0] = 0x08;
            let header = Header::parse(&bytes).unwrap().0;
            assert_eq!(header.group_policy(), None);
            assert!(header.has_reserved_bits(true), "bit {bit} without G");
        }
        for bit in (1..16).chain(56..64).filter(|bit| ![4, 9, 12].contains(bit)) {
            let mut bytes = *b"\x88\0\x12\x34\x01\x02\x03\0";
            bytes[bit / 8] |= 0x80 >> (bit % 8);
            assert!(Header::parse(&bytes).unwrap().0.has_reserved_bits(true), "bit {bit}");
        }
    }

    #[test]
    fn cut_off() {
        let error = Header::parse(&[8; 7]).unwrap_err();
        assert_eq!(error, Malformed::Truncated(Protocol::Vxlan));
    }
}
