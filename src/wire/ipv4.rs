//! IPv4 (RFC 791).

use std::net::Ipv4Addr;

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Malformed, Protocol, checksum, view};

/// Bytes of a header without options.
pub const LENGTH: usize = size_of::<Header>();
/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Protocol number of UDP.
pub const UDP: u8 = 17;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// The fixed part of an IPv4 header: 20 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    version_and_length: u8,
    /// DSCP (6 bits) and ECN (2).
    pub traffic_class: u8,
    total_length: U16,
    /// Tells a datagram's fragments from others.
    pub identification: U16,
    flags_and_offset: U16,
    /// Hops left.
    pub ttl: u8,
    /// What follows.
    pub protocol: u8,
    /// Of the header with its options.
    pub checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}

impl Header {
    /// The header and all that lies behind the fixed part: options, payload, and perhaps padding.
    ///
    /// # Errors
    /// Cut off, another version, or lengths that contradict themselves. The total length may say more than
    /// there is: the caller knows how long the packet is in all.
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        let (header, rest) = view::<Self>(bytes, Protocol::Ipv4)?;
        if header.version_and_length >> 4 != 4 {
            return Err(Malformed::Version(Protocol::Ipv4));
        }
        if header.header_length() < LENGTH || header.total_length() < header.header_length() {
            return Err(Malformed::Length(Protocol::Ipv4));
        }
        Ok((header, rest))
    }

    /// A header without options of a packet that is not to be fragmented and has no identification (RFC 6864 section
    /// 4.1), with its checksum. `payload` is what follows, in bytes.
    pub fn between(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        traffic_class: u8,
        payload: u16,
    ) -> Self {
        let mut header = Self {
            version_and_length: 0x45,
            traffic_class,
            total_length: (LENGTH as u16 + payload).into(),
            identification: 0.into(),
            flags_and_offset: DONT_FRAGMENT.into(),
            ttl: 64,
            protocol,
            checksum: 0.into(),
            source: source.octets(),
            destination: destination.octets(),
        };
        header.checksum = checksum::compute(header.as_bytes()).into();
        header
    }

    /// Bytes of the header with its options.
    #[inline(always)]
    pub fn header_length(&self) -> usize {
        usize::from(self.version_and_length & 0x0f) * 4
    }

    /// Bytes of the packet, header included.
    #[inline(always)]
    pub fn total_length(&self) -> usize {
        usize::from(self.total_length.get())
    }

    /// Lets the packet with this header be fragmented: no 'don't fragment', and an identification unless it is a
    /// fragment already. The checksum is to be renewed. Nothing happens to fewer bytes than a header has.
    pub fn allow_fragments(packet: &mut [u8], identification: u16) {
        let Ok((header, _)) = Self::mut_from_prefix(packet) else { return };
        if !header.is_fragment() {
            header.identification.set(identification);
        }
        header.flags_and_offset.set(header.flags_and_offset.get() & !DONT_FRAGMENT);
    }

    /// Makes a header's checksum right. Nothing happens to fewer bytes than it has.
    pub fn renew_checksum(packet: &mut [u8]) {
        let Ok((header, _)) = Self::mut_from_prefix(packet) else { return };
        header.checksum.set(0);
        let length = header.header_length();
        let Some(checksum) = packet.get(..length).map(checksum::compute) else { return };
        if let Ok((header, _)) = Self::mut_from_prefix(packet) {
            header.checksum.set(checksum);
        }
    }

    /// Whether it is a fragment of a larger datagram.
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        self.flags_and_offset.get() & (MORE_FRAGMENTS | OFFSET) != 0
    }

    /// Whether it is a fragment other than the first: without the headers behind IP.
    #[inline(always)]
    pub fn is_later_fragment(&self) -> bool {
        self.flags_and_offset.get() & OFFSET != 0
    }

    /// Where a fragment's bytes begin in the payload of its datagram.
    pub fn fragment_offset(&self) -> u16 {
        (self.flags_and_offset.get() & OFFSET) * 8
    }

    /// Whether more fragments of its datagram lie behind it.
    pub fn more_fragments(&self) -> bool {
        self.flags_and_offset.get() & MORE_FRAGMENTS != 0
    }

    /// Whether routers may not fragment it.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.flags_and_offset.get() & DONT_FRAGMENT != 0
    }

    /// From.
    #[inline(always)]
    pub fn source(&self) -> Ipv4Addr {
        self.source.into()
    }

    /// To.
    #[inline(always)]
    pub fn destination(&self) -> Ipv4Addr {
        self.destination.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 192.0.2.2 → 192.0.2.1, UDP, don't fragment, 40 bytes.
    const HEADER: [u8; 20] =
        *b"\x45\x00\x00\x28\x12\x34\x40\x00\x40\x11\xa4\x8d\xc0\x00\x02\x02\xc0\x00\x02\x01";

    #[test]
    fn fields() {
        assert!(checksum::verify(&HEADER), "sum {:04x}", checksum::sum(&HEADER));
        let (header, rest) = Header::parse(&HEADER).unwrap();
        assert_eq!((header.header_length(), header.total_length()), (20, 40));
        assert!(header.dont_fragment() && !header.is_fragment() && rest.is_empty());
        assert_eq!((header.ttl, header.protocol, header.identification.get()), (64, UDP, 0x1234));
        assert_eq!(header.source(), Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(header.destination(), Ipv4Addr::new(192, 0, 2, 1));
    }

    #[test]
    fn a_header_that_is_made_is_one_that_is_read() {
        let (source, destination) = (Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 0, 1));
        let header = Header::between(source, destination, UDP, 0xc0, 556);
        assert!(checksum::verify(header.as_bytes()));
        let (header, _) = Header::parse(header.as_bytes()).unwrap();
        assert_eq!((header.source(), header.destination()), (source, destination));
        assert_eq!((header.header_length(), header.total_length()), (20, 576));
        assert!(header.dont_fragment() && !header.is_fragment());
        assert_eq!((header.ttl, header.protocol, header.traffic_class), (64, UDP, 0xc0));
    }

    #[test]
    fn a_header_made_fit_for_fragments() {
        let mut packet = HEADER.to_vec();
        Header::allow_fragments(&mut packet, 0xabcd);
        Header::renew_checksum(&mut packet);
        let (header, _) = Header::parse(&packet).unwrap();
        assert!(checksum::verify(&packet) && !header.dont_fragment() && !header.is_fragment());
        assert_eq!(header.identification.get(), 0xabcd);
        packet[6..8].copy_from_slice(&[0x60, 0xb9]);
        Header::allow_fragments(&mut packet, 0x1234);
        assert_eq!(packet[4..8], [0xab, 0xcd, 0x20, 0xb9], "it is of its own datagram still");
        let mut with_options = [&HEADER[..], &[1, 1, 1, 0]].concat();
        with_options[0] = 0x46;
        Header::renew_checksum(&mut with_options);
        assert!(checksum::verify(&with_options));
        for length in 0..24 {
            Header::allow_fragments(&mut with_options[..length], 7);
            Header::renew_checksum(&mut with_options[..length]);
        }
    }

    #[test]
    fn reasons() {
        let with = |offset: usize, value: u8| {
            let mut bytes = HEADER;
            bytes[offset] = value;
            Header::parse(&bytes).map(|(header, _)| *header)
        };
        for length in 0..20 {
            let error = Header::parse(&HEADER[..length]).unwrap_err();
            assert_eq!(error, Malformed::Truncated(Protocol::Ipv4));
        }
        assert_eq!(with(0, 0x65).unwrap_err(), Malformed::Version(Protocol::Ipv4));
        assert_eq!(with(0, 0x44).unwrap_err(), Malformed::Length(Protocol::Ipv4));
        assert_eq!(with(0, 0x4f).unwrap_err(), Malformed::Length(Protocol::Ipv4));
        assert_eq!(with(3, 19).unwrap_err(), Malformed::Length(Protocol::Ipv4));
        let first = with(6, 0x20).unwrap();
        assert!(first.is_fragment() && !first.is_later_fragment() && first.more_fragments());
        let later = with(7, 2).unwrap();
        assert!(later.is_fragment() && later.is_later_fragment() && !later.more_fragments());
        assert_eq!((first.fragment_offset(), later.fragment_offset()), (0, 16));
    }
}
