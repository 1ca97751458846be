//! Ethernet (IEEE 802.3) and VLAN tags (IEEE 802.1Q).

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{MacAddr, Malformed, Protocol, view};

/// EtherTypes.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// A customer VLAN tag follows.
    pub const VLAN: u16 = 0x8100;
    /// A service VLAN tag follows (802.1ad).
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
}

/// Bytes of an Ethernet header.
pub const LENGTH: usize = size_of::<Header>();
/// Bytes of an Ethernet header with as many VLAN tags as are looked behind.
pub const LONGEST: usize = LENGTH + 2 * size_of::<Tag>();
/// Bytes of the shortest frame, without its FCS.
pub const LEAST: usize = 60;

/// An Ethernet header: 14 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// To.
    pub destination: MacAddr,
    /// From.
    pub source: MacAddr,
    /// What follows.
    pub ethertype: U16,
}

/// What follows the EtherType [`ethertype::VLAN`] or [`ethertype::SERVICE_VLAN`]: 4 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Tag {
    /// Priority (3 bits), drop eligibility (1), VLAN ID (12).
    pub control: U16,
    /// What follows.
    pub ethertype: U16,
}

impl Header {
    /// The header and what lies behind it.
    ///
    /// # Errors
    /// Fewer than 14 bytes.
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        view(bytes, Protocol::Ethernet)
    }
}

impl Tag {
    /// The tag and what lies behind it.
    ///
    /// # Errors
    /// Fewer than 4 bytes.
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        view(bytes, Protocol::Vlan)
    }

    /// The VLAN ID: 0 means a priority only.
    #[inline(always)]
    pub fn id(&self) -> u16 {
        self.control.get() & 0x0fff
    }

    /// The priority code point.
    #[inline]
    pub fn priority(&self) -> u8 {
        (self.control.get() >> 13) as u8
    }

    /// Whether it may be dropped first.
    #[inline]
    pub fn drop_eligible(&self) -> bool {
        self.control.get() & 0x1000 != 0
    }
}

/// The EtherType behind up to two VLAN tags, and what follows it.
///
/// # Errors
/// Cut off before.
pub fn behind_tags(frame: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (header, mut rest) = Header::parse(frame)?;
    let mut ethertype = header.ethertype.get();
    for _ in 0..2 {
        if is_tag(ethertype) {
            let (tag, behind) = Tag::parse(rest)?;
            (ethertype, rest) = (tag.ethertype.get(), behind);
        }
    }
    Ok((ethertype, rest))
}

/// Whether a VLAN tag follows an EtherType.
#[inline(always)]
pub fn is_tag(ethertype: u16) -> bool {
    // Of IPv4, one comparison tells.
    ethertype >= ethertype::VLAN && matches!(ethertype, ethertype::VLAN | ethertype::SERVICE_VLAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGGED: [u8; 20] = *b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x81\x00\x70\x0a\x08\x00\xaa\xbb";

    #[test]
    fn header_and_tag() {
        let (header, rest) = Header::parse(&TAGGED).unwrap();
        assert_eq!(header.destination.to_string(), "02:00:00:00:00:02");
        assert_eq!(header.source.to_string(), "02:00:00:00:00:01");
        assert!(is_tag(header.ethertype.get()));
        let (tag, rest) = Tag::parse(rest).unwrap();
        assert_eq!((tag.id(), tag.priority(), tag.drop_eligible()), (10, 3, true));
        assert_eq!((tag.ethertype.get(), rest), (ethertype::IPV4, &[0xaa, 0xbb][..]));
    }

    #[test]
    fn behind_two_tags_at_most() {
        let mut frame = [0; LENGTH].to_vec();
        for (tags, ethertype) in [(0, ethertype::IPV4), (1, ethertype::IPV6), (2, ethertype::ARP)] {
            frame.truncate(LENGTH - 2);
            for _ in 0..tags {
                frame.extend([0x81, 0, 0, 7]);
            }
            frame.extend(ethertype.to_be_bytes());
            assert_eq!(behind_tags(&frame).unwrap(), (ethertype, &[][..]));
            frame.push(9);
            assert_eq!(behind_tags(&frame).unwrap(), (ethertype, &[9][..]));
        }
        frame[20..22].copy_from_slice(&ethertype::VLAN.to_be_bytes());
        assert_eq!(behind_tags(&frame).unwrap().0, ethertype::VLAN, "a third");
        assert_eq!(behind_tags(&frame[..21]), Err(Malformed::Truncated(Protocol::Vlan)));
    }

    #[test]
    fn cut_off_anywhere() {
        for length in 0..LENGTH {
            let error = Header::parse(&TAGGED[..length]).unwrap_err();
            assert_eq!(error, Malformed::Truncated(Protocol::Ethernet));
        }
        assert_eq!(Tag::parse(&TAGGED[..3]).unwrap_err(), Malformed::Truncated(Protocol::Vlan));
    }
}
