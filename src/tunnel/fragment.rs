//! Fragments of what may be a tunnel packet, and the header of the packet that they were.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use zerocopy::IntoBytes;

use super::Vtep;
use crate::wire::traffic_class::{ECN, ecn};
use crate::wire::{ethernet, gre, ipv4, ipv6, udp};

/// The headers of a packet that was put together.
pub type Headers = ArrayVec<u8, { ethernet::LENGTH + ipv6::LENGTH }>;

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Datagram {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// What IP carries.
    pub protocol: u8,
    /// The sender's number for it.
    pub identification: u32,
}

/// The traffic classes of one packet's fragments, of which routers may have marked some.
#[derive(Clone, Copy, Debug, Default)]
pub struct Classes {
    first: u8,
    /// A bit for each value that ECN bits had.
    ecn: u8,
}

/// A fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'p> {
    /// The packet that it is of.
    pub of: Datagram,
    /// What its own header says; routers may have marked it alone.
    pub traffic_class: u8,
    /// Where its bytes begin in that packet's payload.
    pub start: u16,
    /// Whether none follows.
    pub is_last: bool,
    /// Its bytes.
    pub payload: &'p [u8],
}

impl<'p> Fragment<'p> {
    /// What an Ethernet frame is a fragment of; `None` for what is no fragment of UDP or GRE. Over IPv6 the fragment header
    /// comes first, as no VTEP sends others.
    pub fn parse(frame: &'p [u8]) -> Option<Self> {
        let (header, packet) = ethernet::Header::parse(frame).ok()?;
        let fragment = match header.ethertype.get() {
            ethernet::ethertype::IPV4 => Self::over_ipv4(packet)?,
            ethernet::ethertype::IPV6 => Self::over_ipv6(packet)?,
            _ => return None,
        };
        matches!(fragment.of.protocol, ipv4::UDP | gre::PROTOCOL).then_some(fragment)
    }

    fn over_ipv4(packet: &'p [u8]) -> Option<Self> {
        let (ip, _) = ipv4::Header::parse(packet).ok().filter(|(ip, _)| ip.is_fragment())?;
        Some(Self {
            of: Datagram {
                source: ip.source().into(),
                destination: ip.destination().into(),
                protocol: ip.protocol,
                identification: ip.identification.get().into(),
            },
            traffic_class: ip.traffic_class,
            start: ip.fragment_offset(),
            is_last: !ip.more_fragments(),
            payload: packet.get(ip.header_length()..ip.total_length())?,
        })
    }

    fn over_ipv6(packet: &'p [u8]) -> Option<Self> {
        let (ip, rest) = ipv6::Header::parse(packet).ok()?;
        let rest = rest.get(..ip.payload_length())?;
        let (fragment, payload) =
            ipv6::Fragment::parse(rest).ok().filter(|_| ip.next_header == ipv6::FRAGMENT)?;
        Some(Self {
            of: Datagram {
                source: ip.source().into(),
                destination: ip.destination().into(),
                protocol: fragment.next_header,
                identification: fragment.identification.get(),
            },
            traffic_class: ip.traffic_class(),
            start: fragment.offset(),
            is_last: !fragment.more_fragments(),
            payload,
        })
    }

    /// Where its bytes end in the packet's payload; `None` for more than any packet has.
    pub fn end(&self) -> Option<u16> {
        let longest = match self.of.source {
            IpAddr::V4(_) => usize::from(u16::MAX) - ipv4::LENGTH,
            IpAddr::V6(_) => u16::MAX.into(),
        };
        let end = usize::from(self.start) + self.payload.len();
        (end <= longest).then_some(end as u16)
    }

    /// Whether a first fragment is of a packet that is for the tunnel end.
    pub fn begins_tunnel(&self, vtep: &Vtep) -> bool {
        if self.of.protocol == ipv4::UDP {
            return udp::Header::parse(self.payload)
                .is_ok_and(|(udp, _)| udp.destination_port.get() == vtep.udp_port);
        }
        let gre = gre::Header::parse(self.payload);
        vtep.gre && gre.is_ok_and(|(header, _)| header.protocol.get() == gre::ETHERNET)
    }
}

impl Classes {
    /// Adds that of a fragment.
    pub fn add(&mut self, fragment: &Fragment) {
        self.ecn |= 1 << (fragment.traffic_class & ECN);
        if fragment.start == 0 {
            self.first = fragment.traffic_class;
        }
    }

    /// That of the packet: the first fragment's, but congestion that any of them experienced (RFC 3168 section 5.3). `None` where
    /// another's sender knows no ECN, which is of no packet.
    pub fn of_packet(self) -> Option<u8> {
        let has = |value: u8| self.ecn & 1 << value != 0;
        match (has(ecn::CE), has(ecn::NOT_ECT)) {
            (true, true) => None,
            (true, false) => Some(self.first | ecn::CE),
            _ => Some(self.first),
        }
    }
}

impl Datagram {
    /// The headers of the packet that its fragments make, of this traffic class and with a payload of so many bytes: as if it had
    /// come to `mac` in one piece.
    pub fn headers(&self, mac: [u8; 6], traffic_class: u8, payload: u16) -> Headers {
        let mut headers = Headers::new();
        // Nobody asks which MAC it came from.
        headers.extend(mac.into_iter().chain([0; 6]));
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                headers.extend(ethernet::ethertype::IPV4.to_be_bytes());
                let ip = ipv4::Header::between(
                    source,
                    destination,
                    self.protocol,
                    traffic_class,
                    payload,
                );
                headers.extend(ip.as_bytes().iter().copied());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                headers.extend(ethernet::ethertype::IPV6.to_be_bytes());
                let ip = ipv6::Header::new(self.protocol, 64, payload)
                    .between(source, destination)
                    .of_class(traffic_class);
                headers.extend(ip.as_bytes().iter().copied());
            }
            // Of one packet, both are of one family.
            _ => {}
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V4: [u8; 46] = *b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\
        \x45\xb9\0\x1e\x12\x34\x20\x02\x40\x11\0\0\xc0\0\x02\x02\xc0\0\x02\x01payload+10+2";
    const V6: [u8; 70] = *b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x86\xdd\
        \x6b\x90\0\0\0\x10\x2c\x40\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\
        \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
        \x11\0\0\x10\x01\x02\x03\x04payload8";

    #[test]
    fn fields_of_both_families() {
        let v4 = Fragment::parse(&V4).unwrap();
        let of = Datagram {
            source: [192, 0, 2, 2].into(),
            destination: [192, 0, 2, 1].into(),
            protocol: 17,
            identification: 0x1234,
        };
        // The padding is none of it.
        assert_eq!(
            v4,
            Fragment { of, traffic_class: 0xb9, start: 16, is_last: false, payload: b"payload+10" }
        );
        assert_eq!(v4.end(), Some(26));
        let v6 = Fragment::parse(&V6).unwrap();
        let (source, destination) = ("2001:db8::2", "2001:db8::1");
        let of = Datagram {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol: 17,
            identification: 0x0102_0304,
        };
        assert_eq!(
            v6,
            Fragment { of, traffic_class: 0xb9, start: 16, is_last: true, payload: b"payload8" }
        );
    }

    #[test]
    fn what_is_none_of_ours() {
        let with = |frame: &[u8], at: usize, value: u8| {
            let mut frame = frame.to_vec();
            frame[at] = value;
            Fragment::parse(&frame).map(|fragment| fragment.end())
        };
        assert_eq!(with(&V4, 23, 1), None, "ICMP");
        assert_eq!(with(&V4, 17, 33), None, "more than there is");
        let mut whole = V4;
        whole[20..22].fill(0);
        assert_eq!(Fragment::parse(&whole), None);
        assert_eq!(with(&V6, 20, 17), None, "no fragment header");
        assert_eq!(with(&V6, 54, 58), None, "ICMPv6");
        assert_eq!(with(&V6, 19, 7), None, "not even a fragment header");
        let mut far = V4;
        far[20..22].copy_from_slice(&[0x3f, 0xff]);
        assert_eq!(Fragment::parse(&far).unwrap().end(), None);
    }

    #[test]
    fn a_first_fragment_tells_whose_it_is() {
        let vtep = Vtep { gre: true, ..Vtep::vxlan([192, 0, 2, 1].into(), 4789) };
        let begins = |protocol, payload: &[u8], vtep| {
            let of = Datagram { protocol, ..Fragment::parse(&V4).unwrap().of };
            let fragment = Fragment { of, traffic_class: 0, start: 0, is_last: false, payload };
            fragment.begins_tunnel(&vtep)
        };
        assert!(begins(17, b"\xc0\0\x12\xb5\x05\xdc\0\0", vtep));
        assert!(!begins(17, b"\xc0\0\0\x35\x05\xdc\0\0", vtep), "DNS");
        assert!(!begins(17, b"\xc0\0\x12\xb5", vtep), "cut off");
        assert!(begins(47, b"\x20\0\x65\x58\0\0\0\0", vtep));
        assert!(!begins(47, b"\x20\0\x08\0\0\0\0\0", vtep), "IP over GRE");
        assert!(!begins(47, b"\x20\0\x65\x58\0\0\0\0", Vtep { gre: false, ..vtep }));
    }

    proptest! {
        #[test]
        fn no_frame_makes_it_panic(frame in proptest::collection::vec(any::<u8>(), 0..80), kind in 0..3) {
            let mut frame = frame;
            let front: &[u8] = [&V4[..34], &V6[..62], &[]][kind as usize];
            for (to, from) in frame.iter_mut().zip(front.iter().take(16)) {
                *to = *from;
            }
            if let Some(fragment) = Fragment::parse(&frame) {
                let _ = (fragment.end(), fragment.begins_tunnel(&Vtep::vxlan([1, 2, 3, 4].into(), 4789)));
            }
        }
    }

    #[test]
    fn congestion_of_a_fragment_is_the_packets() {
        use ecn::{CE, ECT_0, ECT_1, NOT_ECT};
        let of_packet = |values: &[u8]| {
            let mut classes = Classes::default();
            // The last comes first, and has another DSCP.
            for (number, value) in values.iter().enumerate().rev() {
                let dscp = if number == 0 { 0xb8 } else { 0x28 };
                let mut fragment = Fragment::parse(&V4).unwrap();
                (fragment.traffic_class, fragment.start) = (dscp | value, number as u16 * 8);
                classes.add(&fragment);
            }
            classes.of_packet()
        };
        for value in [NOT_ECT, ECT_0, ECT_1, CE] {
            assert_eq!(of_packet(&[value; 3]), Some(0xb8 | value), "all alike");
        }
        for ect in [ECT_0, ECT_1] {
            assert_eq!(of_packet(&[ect, CE, ect]), Some(0xb8 | CE));
            assert_eq!(of_packet(&[ect, ect, CE]), Some(0xb8 | CE));
            assert_eq!(of_packet(&[CE, ect, ect]), Some(0xb8 | CE));
        }
        assert_eq!(of_packet(&[ECT_0, ECT_1, ECT_1]), Some(0xb8 | ECT_0));
        assert_eq!(of_packet(&[NOT_ECT, CE]), None);
        assert_eq!(of_packet(&[CE, NOT_ECT]), None);
    }

    #[test]
    fn headers_are_those_of_one_packet() {
        for frame in [&V4[..], &V6[..]] {
            let of = Fragment::parse(frame).unwrap().of;
            let mut packet = of.headers([2, 0, 0, 0, 0, 9], 0x2b, 8).to_vec();
            packet.extend(b"\xc0\0\x12\xb5\0\x08\0\0");
            assert_eq!(Fragment::parse(&packet), None);
            let (header, packet) = ethernet::Header::parse(&packet).unwrap();
            assert_eq!(header.destination.0, [2, 0, 0, 0, 0, 9]);
            match of.source {
                IpAddr::V4(source) => {
                    let (ip, _) = ipv4::Header::parse(packet).unwrap();
                    assert!(crate::wire::checksum::verify(&packet[..20]));
                    assert_eq!((ip.source(), ip.protocol, ip.total_length()), (source, 17, 28));
                    assert_eq!(ip.traffic_class, 0x2b);
                }
                IpAddr::V6(source) => {
                    let (ip, _) = ipv6::Header::parse(packet).unwrap();
                    let read = (ip.source(), ip.next_header, ip.payload_length());
                    assert_eq!(read, (source, 17, 8));
                    assert_eq!(ip.traffic_class(), 0x2b);
                }
            }
        }
    }
}
