//! Neighbour discovery for IPv6 (RFC 4861), as far as it says which address has which MAC.

use std::net::Ipv6Addr;

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{MacAddr, Malformed, Protocol, checksum, ipv6, view};

const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Bytes of a router advertisement before its options.
const ROUTER_LENGTH: usize = 16;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// Options have their length in units of eight bytes.
const UNIT: usize = 8;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

const PROTOCOL: Protocol = Protocol::NeighbourDiscovery;

/// What solicitations and advertisements begin with: 24 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    kind: u8,
    code: u8,
    checksum: U16,
    flags: u8,
    reserved: [u8; 3],
    target: [u8; 16],
}

/// A link-layer address option for Ethernet: 8 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct LinkLayer {
    kind: u8,
    /// 1.
    units: u8,
    mac: MacAddr,
}

/// An advertisement as Ferry sends it, IPv6 header included: 72 bytes.
#[derive(Clone, Copy, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Advertisement {
    ip: ipv6::Header,
    header: Header,
    option: LinkLayer,
}

/// A message that says something of addresses and MACs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who has the target? From `::` it asks whether somebody else has it (RFC 4862 section 5.4).
    Solicitation {
        /// The address in question.
        target: Ipv6Addr,
        /// The asker's MAC.
        source: Option<MacAddr>,
    },
    /// The target is here.
    Advertisement {
        /// The address in question.
        target: Ipv6Addr,
        /// Its MAC.
        mac: Option<MacAddr>,
        /// Whether it is a router's.
        router: bool,
        /// Whether it replaces what was known.
        overrides: bool,
    },
    /// The packet's source is a router.
    Router {
        /// Its MAC.
        source: Option<MacAddr>,
    },
}

impl Message {
    /// What lies behind an IPv6 header whose next header is ICMPv6; `None` for other messages of ICMPv6. `packet` may go on behind the
    /// IPv6 payload.
    ///
    /// # Errors
    /// What makes receivers discard it (RFC 4861 sections 6.1.2, 7.1.1 and 7.1.2).
    pub fn parse(ip: &ipv6::Header, packet: &[u8]) -> Result<Option<Self>, Malformed> {
        let message = packet.get(..ip.payload_length()).ok_or(Malformed::Truncated(PROTOCOL))?;
        let &[kind @ (ROUTER_ADVERTISEMENT | SOLICITATION | ADVERTISEMENT), code, ..] = message
        else {
            return Ok(None);
        };
        if ip.hop_limit != 255 {
            return Err(Malformed::HopLimit(PROTOCOL));
        }
        if code != 0 {
            return Err(Malformed::Flags(PROTOCOL));
        }
        if !checksum::verify_icmpv6(ip.source(), ip.destination(), message) {
            return Err(Malformed::Checksum(PROTOCOL));
        }
        if kind == ROUTER_ADVERTISEMENT {
            let options = message.get(ROUTER_LENGTH..).ok_or(Malformed::Truncated(PROTOCOL))?;
            return Ok(Some(Self::Router { source: link_layer(options, SOURCE_LINK_LAYER)? }));
        }
        let (header, options) = view::<Header>(message, PROTOCOL)?;
        let target = Ipv6Addr::from(header.target);
        if target.is_multicast() {
            return Err(Malformed::Address(PROTOCOL));
        }
        Ok(Some(if kind == SOLICITATION {
            Self::Solicitation { target, source: link_layer(options, SOURCE_LINK_LAYER)? }
        } else {
            Self::Advertisement {
                target,
                mac: link_layer(options, TARGET_LINK_LAYER)?,
                router: header.flags & ROUTER != 0,
                overrides: header.flags & OVERRIDE != 0,
            }
        }))
    }
}

impl Advertisement {
    /// The answer to a solicitation (RFC 4861 section 7.2.4): `target` is at `mac`.
    pub fn answer(target: Ipv6Addr, mac: MacAddr, router: bool, to: Ipv6Addr) -> Self {
        let length = size_of::<Header>() + size_of::<LinkLayer>();
        let ip = ipv6::Header::new(ipv6::ICMPV6, 255, length as u16).between(target, to);
        let mut answer = Self {
            ip,
            header: Header {
                kind: ADVERTISEMENT,
                code: 0,
                checksum: 0.into(),
                flags: SOLICITED | OVERRIDE | if router { ROUTER } else { 0 },
                reserved: [0; 3],
                target: target.octets(),
            },
            option: LinkLayer { kind: TARGET_LINK_LAYER, units: 1, mac },
        };
        let message = answer.as_bytes().get(ipv6::LENGTH..).unwrap_or_default();
        answer.header.checksum = checksum::compute_icmpv6(target, to, message).into();
        answer
    }
}

/// The first link-layer address of a kind among options.
fn link_layer(mut options: &[u8], wanted: u8) -> Result<Option<MacAddr>, Malformed> {
    while let &[kind, units, ..] = options {
        let length = usize::from(units) * UNIT;
        if length == 0 || length > options.len() {
            return Err(Malformed::Length(PROTOCOL));
        }
        let (option, rest) = options.split_at(length);
        if kind == wanted && units == 1 {
            return view::<LinkLayer>(option, PROTOCOL).map(|(option, _)| Some(option.mac));
        }
        options = rest;
    }
    if options.is_empty() { Ok(None) } else { Err(Malformed::Length(PROTOCOL)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: &str = "fe80::ff:fe00:1";
    const TARGET: &str = "fe80::ff:fe00:2";

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// An IPv6 packet around an ICMPv6 message, whose checksum is set.
    fn packet(hops: u8, from: &str, to: &str, message: &[u8]) -> Vec<u8> {
        let mut message = message.to_vec();
        let sum = checksum::compute_icmpv6(ip(from), ip(to), &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let header = ipv6::Header::new(ipv6::ICMPV6, hops, message.len() as u16);
        let mut packet = header.between(ip(from), ip(to)).as_bytes().to_vec();
        packet.extend(message);
        packet
    }

    fn parse(packet: &[u8]) -> Result<Option<Message>, Malformed> {
        let (header, rest) = ipv6::Header::parse(packet).unwrap();
        Message::parse(header, rest)
    }

    fn solicitation(options: &[u8]) -> Vec<u8> {
        let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
        message.extend(ip(TARGET).octets());
        message.extend(options);
        message
    }

    const SOURCE: &[u8] = b"\x01\x01\x02\0\0\0\0\x01";
    /// RFC 3971: a nonce, as kernels send it to find their own solicitations again.
    const NONCE: &[u8] = b"\x0e\x01\xaa\xbb\xcc\xdd\xee\xff";

    #[test]
    fn a_solicitation_with_and_without_its_sender_s_mac() {
        let mac = Some(MacAddr([2, 0, 0, 0, 0, 1]));
        for (options, source) in [
            (SOURCE.to_vec(), mac),
            ([NONCE, SOURCE].concat(), mac),
            (NONCE.to_vec(), None),
            (vec![], None),
        ] {
            let mut packet = packet(255, ASKER, "ff02::1:ff00:2", &solicitation(&options));
            // Ethernet pads short frames.
            packet.extend([0; 6]);
            let expected = Message::Solicitation { target: ip(TARGET), source };
            assert_eq!(parse(&packet), Ok(Some(expected)));
        }
    }

    #[test]
    fn what_receivers_must_discard_is_told() {
        let good = solicitation(SOURCE);
        let whole = packet(255, ASKER, TARGET, &good);
        assert_eq!(parse(&whole[..whole.len() - 1]), Err(Malformed::Truncated(PROTOCOL)));
        let told = |hops, message: &[u8]| parse(&packet(hops, ASKER, TARGET, message));
        assert_eq!(told(64, &good), Err(Malformed::HopLimit(PROTOCOL)));
        let changed = |at: usize, byte| {
            let mut message = good.clone();
            message[at] = byte;
            message
        };
        assert_eq!(told(255, &changed(1, 1)), Err(Malformed::Flags(PROTOCOL)));
        assert_eq!(told(255, &changed(8, 0xff)), Err(Malformed::Address(PROTOCOL)));
        assert_eq!(told(255, &changed(25, 0)), Err(Malformed::Length(PROTOCOL)), "length 0");
        assert_eq!(told(255, &changed(25, 2)), Err(Malformed::Length(PROTOCOL)), "too long");
        assert_eq!(told(255, &good[..23]), Err(Malformed::Truncated(PROTOCOL)));
        let mut damaged = whole;
        damaged[60] ^= 1;
        assert_eq!(parse(&damaged), Err(Malformed::Checksum(PROTOCOL)));
    }

    #[test]
    fn an_answer_is_an_advertisement_with_all_that_it_needs() {
        let mac = MacAddr([2, 0, 0, 0, 0, 2]);
        for router in [false, true] {
            let answer = Advertisement::answer(ip(TARGET), mac, router, ip(ASKER));
            let bytes = answer.as_bytes();
            assert_eq!(bytes.len(), 72);
            assert_eq!(bytes[44], if router { 0xe0 } else { 0x60 });
            let expected = Message::Advertisement {
                target: ip(TARGET),
                mac: Some(mac),
                router,
                overrides: true,
            };
            assert_eq!(parse(bytes), Ok(Some(expected)));
            let (header, _) = ipv6::Header::parse(bytes).unwrap();
            assert_eq!((header.source(), header.destination()), (ip(TARGET), ip(ASKER)));
        }
    }

    #[test]
    fn routers_and_other_messages() {
        let mut advertisement = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        advertisement.extend(SOURCE);
        let source = Some(MacAddr([2, 0, 0, 0, 0, 1]));
        let told = |message: &[u8]| parse(&packet(255, ASKER, "ff02::1", message));
        assert_eq!(told(&advertisement), Ok(Some(Message::Router { source })));
        assert_eq!(told(&advertisement[..15]), Err(Malformed::Truncated(PROTOCOL)));
        assert_eq!(told(&[128, 0, 0, 0, 0, 1, 0, 1]), Ok(None), "an echo request");
        assert_eq!(
            parse(&packet(255, ASKER, TARGET, &[0; 4])[..40]),
            Err(Malformed::Truncated(PROTOCOL))
        );
    }
}
