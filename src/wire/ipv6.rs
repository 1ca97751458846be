//! IPv6 (RFC 8200).

use std::net::Ipv6Addr;

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Malformed, Protocol, view};

/// Bytes of the fixed header.
pub const LENGTH: usize = size_of::<Header>();
/// Next header: hop-by-hop options (section 4.3).
pub const HOP_BY_HOP: u8 = 0;
/// Next header: a fragment header of 8 bytes.
pub const FRAGMENT: u8 = 44;
/// Bytes of a fragment header.
const FRAGMENT_LENGTH: usize = size_of::<Fragment>();
/// Next header: ICMPv6 (RFC 4443).
pub const ICMPV6: u8 = 58;

/// Next headers of further extension headers (RFC 8200 section 4, RFC 4302).
const ROUTING: u8 = 43;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// The fixed IPv6 header: 40 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Version (4 bits), traffic class (8), flow label (20).
    version_class_flow: U32,
    payload_length: U16,
    /// What follows: an extension header or an upper protocol.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

impl Header {
    /// DSCP (6 bits) and ECN (2).
    pub fn traffic_class(&self) -> u8 {
        (self.version_class_flow.get() >> 20) as u8
    }

    /// The header and what lies behind it.
    ///
    /// # Errors
    /// Cut off, or another version.
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        let (header, rest) = view::<Self>(bytes, Protocol::Ipv6)?;
        if header.version_class_flow.get() >> 28 != 6 {
            return Err(Malformed::Version(Protocol::Ipv6));
        }
        Ok((header, rest))
    }

    /// The upper protocol's number and what lies behind all extension headers; `rest` is what lies behind the fixed header.
    /// `None` where that is cut off, or in another fragment.
    pub fn upper_layer<'p>(&self, mut rest: &'p [u8]) -> Option<(u8, &'p [u8])> {
        let mut protocol = self.next_header;
        loop {
            let length = match (protocol, rest) {
                (HOP_BY_HOP | ROUTING | DESTINATION, [_, units, ..]) => usize::from(*units) * 8 + 8,
                (AUTHENTICATION, [_, units, ..]) => usize::from(*units) * 4 + 8,
                // The offset has the high 13 bits of 16.
                (FRAGMENT, [_, _, high, low, ..]) if *high == 0 && *low < 8 => 8,
                (HOP_BY_HOP | ROUTING | DESTINATION | AUTHENTICATION | FRAGMENT, _) => return None,
                _ => return Some((protocol, rest)),
            };
            protocol = rest[0];
            rest = rest.get(length..)?;
        }
    }

    /// Gives the fragment header that follows the fixed one an identification (RFC 8200 section 4.5). Nothing happens to
    /// fewer bytes than both have.
    pub fn identify_fragment(packet: &mut [u8], identification: u32) {
        let of_fragment = packet.get_mut(LENGTH..LENGTH + FRAGMENT_LENGTH);
        if let Some(field) = of_fragment.and_then(<[u8]>::last_chunk_mut) {
            *field = identification.to_be_bytes();
        }
    }

    /// A header of traffic class and flow label 0.
    pub fn new(next_header: u8, hop_limit: u8, payload_length: u16) -> Self {
        Self {
            version_class_flow: (6 << 28).into(),
            payload_length: payload_length.into(),
            next_header,
            hop_limit,
            source: [0; 16],
            destination: [0; 16],
        }
    }

    /// The same, from one address to another.
    pub fn between(self, source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self { source: source.octets(), destination: destination.octets(), ..self }
    }

    /// The same, with a traffic class.
    pub fn of_class(self, traffic_class: u8) -> Self {
        let class = u32::from(traffic_class) << 20;
        Self { version_class_flow: (self.version_class_flow.get() | class).into(), ..self }
    }

    /// Bytes behind the fixed header.
    pub fn payload_length(&self) -> usize {
        usize::from(self.payload_length.get())
    }

    /// The flow label (RFC 6437).
    #[inline]
    pub fn flow_label(&self) -> u32 {
        self.version_class_flow.get() & 0x000f_ffff
    }

    /// From.
    pub fn source(&self) -> Ipv6Addr {
        self.source.into()
    }

    /// To.
    pub fn destination(&self) -> Ipv6Addr {
        self.destination.into()
    }
}

/// A fragment header (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Fragment {
    /// What follows in the packet's first fragment.
    pub next_header: u8,
    reserved: u8,
    /// Offset (13 bits), reserved (2), more fragments (1).
    offset_and_more: U16,
    /// Tells a packet's fragments from others.
    pub identification: U32,
}

impl Fragment {
    /// The header and what lies behind it.
    ///
    /// # Errors
    /// Cut off.
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        view(bytes, Protocol::Ipv6)
    }

    /// Where its bytes begin in the packet's fragmentable part.
    pub fn offset(&self) -> u16 {
        self.offset_and_more.get() & !7
    }

    /// Whether more fragments of the packet lie behind it.
    pub fn more_fragments(&self) -> bool {
        self.offset_and_more.get() & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_reasons() {
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(b"\x6a\xb1\x23\x45\x00\x08\x11\x40");
        bytes[23] = 1;
        bytes[39] = 2;
        let (header, rest) = Header::parse(&bytes).unwrap();
        assert_eq!((header.payload_length(), header.next_header, header.hop_limit), (8, 17, 64));
        assert_eq!((header.flow_label(), rest.len()), (0x12345, 8));
        assert_eq!(header.source(), "::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(header.destination(), "::2".parse::<Ipv6Addr>().unwrap());
        assert_eq!(Header::parse(&bytes[..39]).unwrap_err(), Malformed::Truncated(Protocol::Ipv6));
        bytes[0] = 0x45;
        assert_eq!(Header::parse(&bytes).unwrap_err(), Malformed::Version(Protocol::Ipv6));
    }

    #[test]
    fn fields_of_a_fragment_header() {
        let (header, rest) = Fragment::parse(b"\x11\0\x05\xb9\x01\x02\x03\x04rest").unwrap();
        assert_eq!((header.next_header, header.identification.get()), (17, 0x0102_0304));
        assert_eq!((header.offset(), header.more_fragments(), rest), (0x5b8, true, &b"rest"[..]));
        let (last, _) = Fragment::parse(b"\x11\0\x05\xb8\0\0\0\0").unwrap();
        assert_eq!((last.offset(), last.more_fragments()), (0x5b8, false));
        assert!(Fragment::parse(&[0; 7]).is_err());
    }

    #[test]
    fn a_fragment_gets_its_identification_and_nothing_else() {
        let mut packet = [0; 50];
        Header::identify_fragment(&mut packet, 0x0102_0304);
        assert_eq!(packet[..48], [&[0; 44][..], &[1, 2, 3, 4]].concat());
        Header::identify_fragment(&mut packet[..47], 0);
        assert_eq!(packet[44..], [1, 2, 3, 4, 0, 0]);
    }

    #[test]
    fn the_upper_layer_is_found_behind_extension_headers() {
        let upper = |next_header, rest: &'static [u8]| {
            Header::new(next_header, 64, 0).upper_layer(rest).map(|(kind, rest)| (kind, rest.len()))
        };
        assert_eq!(upper(17, b"12345"), Some((17, 5)));
        assert_eq!(upper(ICMPV6, b""), Some((ICMPV6, 0)));
        let hop_by_hop = b"\x3c\x00......\x3a\x01..............xyz";
        assert_eq!(upper(0, hop_by_hop), Some((ICMPV6, 3)), "destination options behind them");
        assert_eq!(upper(51, b"\x11\x04......................xyz"), Some((17, 3)), "24 bytes");
        assert_eq!(upper(44, b"\x11\0\0\x01....xyz"), Some((17, 3)), "a first fragment");
        assert_eq!(upper(44, b"\x11\0\0\x08....xyz"), None, "a later one");
        assert_eq!(upper(44, b"\x11\0\x01\0....xyz"), None);
        for length in 0..24 {
            assert_eq!(upper(0, &hop_by_hop[..length]), None, "cut off behind {length}");
        }
    }
}
