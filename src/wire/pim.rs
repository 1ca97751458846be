//! PIM (RFC 7761), as far as it tells where multicast routers are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::membership::Message;
use super::{checksum, ipv4, ipv6};

/// IPv4 protocol number and IPv6 next header.
pub const PROTOCOL: u8 = 103;

const ALL_ROUTERS_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 13);
const ALL_ROUTERS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xd);

/// Version 2 and the type of a hello.
const HELLO: u8 = 0x20;
/// How long a router is believed to be there that does not say it (section 4.11).
const USUAL: Duration = Duration::from_secs(105);
const HOLD_TIME: [u8; 4] = [0, 1, 0, 2];

/// The hello in an IPv4 packet of this protocol, which begins with its header; `None` for other messages and damaged ones.
pub fn hello_v4<'p>(ip: &ipv4::Header, packet: &[u8]) -> Option<Message<'p>> {
    let message = packet.get(ip.header_length()..ip.total_length())?;
    let whole = !ip.is_fragment() && checksum::verify(message);
    hello(ip.destination().into(), message).filter(|_| whole)
}

/// The hello behind an IPv6 header.
pub fn hello_v6<'p>(ip: &ipv6::Header, packet: &[u8]) -> Option<Message<'p>> {
    let message = packet.get(..ip.payload_length())?;
    let whole = checksum::verify_v6(ip.source(), ip.destination(), PROTOCOL, message);
    hello(ip.destination().into(), message).filter(|_| whole)
}

fn hello<'p>(to: IpAddr, message: &[u8]) -> Option<Message<'p>> {
    let (&[HELLO, _, _, _], mut options) = message.split_first_chunk()? else { return None };
    if to != ALL_ROUTERS_V4 && to != ALL_ROUTERS_V6 {
        return None;
    }
    while let Some((head, rest)) = options.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (value, rest) = rest.split_at_checked(length)?;
        if let (HOLD_TIME, &[high, low]) = (*head, value) {
            let seconds = u16::from_be_bytes([high, low]);
            let hold = (seconds != u16::MAX).then(|| Duration::from_secs(seconds.into()));
            return Some(Message::Router(hold));
        }
        options = rest;
    }
    Some(Message::Router(Some(USUAL)))
}

#[cfg(test)]
mod tests {
    use super::super::membership::hear;
    use super::*;

    fn v4(message: &[u8], to: [u8; 4]) -> Vec<u8> {
        let mut message = message.to_vec();
        let sum = checksum::compute(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = vec![1, 0, 0x5e, 0, 0, 13, 2, 0, 0, 0, 0, 1, 8, 0];
        frame.extend([0x45, 0xc0, 0, 20 + message.len() as u8, 0, 0, 0, 0, 1, PROTOCOL, 0, 0]);
        frame.extend([10, 0, 0, 1]);
        frame.extend(to);
        frame.extend(message);
        frame
    }

    fn told(frame: &[u8]) -> Option<String> {
        hear(frame).unwrap().map(|heard| format!("{:?}", heard.message))
    }

    #[test]
    fn a_hello_says_how_long_a_router_is_there() {
        let hello =
            |options: &[u8]| told(&v4(&[&[0x20, 0, 0, 0], options].concat(), [224, 0, 0, 13]));
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(hello(&[]), is("Router(Some(105s))"));
        assert_eq!(hello(&[0, 20, 0, 4, 1, 2, 3, 4, 0, 1, 0, 2, 0, 30]), is("Router(Some(30s))"));
        assert_eq!(hello(&[0, 1, 0, 2, 0, 0]), is("Router(Some(0ns))"), "it leaves");
        assert_eq!(hello(&[0, 1, 0, 2, 255, 255]), is("Router(None)"));
        assert_eq!(hello(&[0, 1, 0, 9, 0]), None, "cut off");
        assert_eq!(told(&v4(&[0x23, 0, 0, 0], [224, 0, 0, 13])), None, "a join");
        assert_eq!(told(&v4(&[0x20, 0, 0, 0], [10, 0, 0, 2])), None, "to one station");
        let mut damaged = v4(&[0x20, 0, 0, 0], [224, 0, 0, 13]);
        damaged[37] ^= 1;
        assert_eq!(told(&damaged), None);
    }

    #[test]
    fn over_ipv6_the_checksum_covers_the_addresses() {
        let mut message = *b"\x20\0\0\0\0\x01\0\x02\0\x1e";
        let (from, to) = ("fe80::1".parse::<Ipv6Addr>().unwrap(), ALL_ROUTERS_V6);
        // RFC 8200 section 8.1, laid out.
        let mut sum = [from.octets(), to.octets()].concat();
        sum.extend([0, 0, 0, 10, 0, 0, 0, PROTOCOL]);
        sum.extend(message);
        message[2..4].copy_from_slice(&checksum::compute(&sum).to_be_bytes());
        let mut frame = vec![0x33, 0x33, 0, 0, 0, 13, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
        frame.extend([0x60, 0, 0, 0, 0, 10, PROTOCOL, 1]);
        frame.extend(from.octets());
        frame.extend(to.octets());
        frame.extend(message);
        assert_eq!(told(&frame), Some("Router(Some(30s))".to_owned()));
        frame[40] ^= 1;
        assert_eq!(told(&frame), None);
    }
}
