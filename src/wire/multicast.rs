//! IP multicast: which group a frame is for, from which source, and a group's MAC (RFC 1112 section 6.4, RFC 2464 section 7, RFC 4541).

use std::net::IpAddr;

use super::ethernet::{self, ethertype};
use super::{igmp, ipv4, ipv6};

/// What a source sends to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// From.
    pub source: IpAddr,
    /// To.
    pub group: IpAddr,
}

/// The stream that a frame belongs to, where who gets it may depend on that: its MAC and its IP address are
/// multicast, the group is not link-local, and it is neither IGMP nor may be MLD, which routers must see.
/// The address decides and not the MAC, which 32 groups share. `None` also for frames with a VLAN tag.
pub fn stream(frame: &[u8]) -> Option<Stream> {
    let (header, packet) = ethernet::Header::parse(frame).ok()?;
    let stream = match (header.destination.0, header.ethertype.get()) {
        ([0x01, 0x00, 0x5e, ..], ethertype::IPV4) => {
            let (ip, _) = ipv4::Header::parse(packet).ok()?;
            (ip.protocol != igmp::PROTOCOL)
                .then(|| Stream { source: ip.source().into(), group: ip.destination().into() })
        }
        ([0x33, 0x33, ..], ethertype::IPV6) => {
            let (ip, _) = ipv6::Header::parse(packet).ok()?;
            (ip.next_header != ipv6::HOP_BY_HOP)
                .then(|| Stream { source: ip.source().into(), group: ip.destination().into() })
        }
        _ => None,
    }?;
    (stream.group.is_multicast() && !is_link_local(stream.group)).then_some(stream)
}

/// The Ethernet address of an IP multicast group (RFC 1112 section 6.4, RFC 2464 section 7).
pub fn group_mac(group: IpAddr) -> [u8; 6] {
    match group {
        IpAddr::V4(group) => {
            let [_, high, middle, low] = group.octets();
            [0x01, 0x00, 0x5e, high & 0x7f, middle, low]
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

/// Whether a multicast address stays on the link: 224.0.0.0/24, and IPv6 scopes up to 2 (RFC 4291 section 2.7).
pub fn is_link_local(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets().starts_with(&[224, 0, 0]),
        IpAddr::V6(group) => {
            let [first, second, ..] = group.octets();
            first == 0xff && second & 0x0f <= 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4(mac: [u8; 6], group: [u8; 4], protocol: u8) -> Vec<u8> {
        let mut frame = [mac, [2, 0, 0, 0, 0, 1]].concat();
        frame.extend([8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 1, protocol, 0, 0, 10, 0, 0, 1]);
        frame.extend(group);
        frame
    }

    fn v6(group: &str, next_header: u8) -> Vec<u8> {
        let group: std::net::Ipv6Addr = group.parse().unwrap();
        let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60];
        frame.extend([0, 0, 0, 0, 0, next_header, 1]);
        frame.extend([0; 16]);
        frame.extend(group.octets());
        frame
    }

    fn group(frame: &[u8]) -> Option<IpAddr> {
        stream(frame).map(|stream| stream.group)
    }

    #[test]
    fn the_address_tells_the_group_and_what_all_must_see_has_none() {
        let mac = [1, 0, 0x5e, 1, 1, 1];
        let is = |text: &str| Some(text.parse().unwrap());
        assert_eq!(group(&v4(mac, [239, 1, 1, 1], 17)), is("239.1.1.1"));
        assert_eq!(group(&v4(mac, [224, 129, 1, 1], 17)), is("224.129.1.1"), "the same MAC");
        assert_eq!(group(&v4(mac, [239, 1, 1, 1], igmp::PROTOCOL)), None);
        assert_eq!(group(&v4(mac, [224, 0, 0, 251], 17)), None);
        assert_eq!(group(&v4(mac, [10, 1, 1, 1], 17)), None, "unicast IP in a multicast frame");
        assert_eq!(group(&v4([0xff; 6], [239, 1, 1, 1], 17)), None, "broadcast");
        assert_eq!(group(&v6("ff05::1:3", 17)), is("ff05::1:3"));
        for (address, next_header) in [
            ("ff05::1:3", ipv6::HOP_BY_HOP),
            ("ff02::1:ff00:1", 58),
            ("ff01::1", 17),
            ("fe80::1", 17),
        ] {
            assert_eq!(group(&v6(address, next_header)), None, "{address}");
        }
    }

    #[test]
    fn a_groups_mac_has_its_last_bits() {
        let mac = |text: &str| group_mac(text.parse().unwrap());
        assert_eq!(mac("239.1.2.3"), [0x01, 0x00, 0x5e, 1, 2, 3]);
        assert_eq!(mac("239.129.2.3"), [0x01, 0x00, 0x5e, 1, 2, 3], "23 bits");
        assert_eq!(mac("ff0e::1:2"), [0x33, 0x33, 0, 1, 0, 2]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_every_answer_is_a_group(
            v6 in any::<bool>(),
            rest in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60];
            if !v6 {
                frame = vec![1, 0, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 1, 8, 0, 0x45];
            }
            frame.extend(rest);
            prop_assert!(group(&frame).is_none_or(|group| group.is_multicast() && !is_link_local(group)));
        }
    }
}
