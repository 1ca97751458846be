mod gre;
mod ipv6;
mod vxlan;

use super::*;
use crate::tunnel::any_template::tests::{encaps, outer, packet as packet_of, packet_of_class};
use crate::tunnel::{Dscp, Encap, Marking, OuterHeader, Sequence, UdpChecksum};
use proptest::prelude::*;

const VTEP: Vtep = Vtep {
    address: Ipv4Addr::new(192, 0, 2, 1),
    udp_port: 4789,
    ipv6: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    gre: true,
    zero_checksum: false,
    drops_reserved_bits: false,
    knows_groups: false,
    noted: NotedBits::new(false),
};
const VNI: u32 = 0x01_0203;
const IP: usize = 14;

/// What [`packet_of`] makes, for each family and encapsulation.
fn all() -> impl Iterator<Item = OuterHeader> {
    let both = |encap| [outer(false, encap, None), outer(true, encap, None)];
    encaps().into_iter().flat_map(both)
}

/// The verdict of the long way, which the short ways must share or leave to it.
fn decide_as(packet: &[u8], vtep: &Vtep, verified: bool) -> Result<Outer, DropReason> {
    let received =
        Received { length: packet.len(), ipv4_verified: verified, udp_verified: verified };
    let verdict = ip::decapsulate(packet, vtep, received);
    // The short ways know nothing of the traffic class, and so leave to others what has any noted bits.
    let noted = Mark::BIT | if vtep.noted == NotedBits::new(true) { PRIORITY } else { 0 };
    let short = match verdict {
        Ok(Outer::Tunnel(inner)) if inner.class & noted == 0 => Some(Inner { class: 0, ..inner }),
        _ => None,
    };
    if let Some(inner) = shape::other(packet, vtep, received) {
        assert_eq!(Ok(Outer::Tunnel(inner)), verdict);
    }
    if let Some((inner, policy)) =
        shape::grouped(packet, vtep, received).filter(|_| vtep.knows_groups)
    {
        assert_eq!(Ok(Outer::Grouped(inner, policy)), verdict);
    }
    if let Some(packet) = PlainIpv6::recognise(packet, vtep, received) {
        let (source, label) = (packet.address().into(), Label::Vxlan(packet.vni));
        let inner = Inner::new(source, label, PlainIpv6::OFFSET, packet.end);
        assert_eq!(Some(inner), short);
    }
    if let Some(packet) = Keyed::recognise(packet, vtep, received) {
        let inner = Inner::new(packet.source.into(), packet.label(), Keyed::OFFSET, packet.end);
        assert_eq!(Some(inner), short);
    }
    if let Some(Plain { vni, source, end }) = Plain::recognise(packet, vtep, received) {
        let inner = Inner::new(source.into(), Label::Vxlan(vni), Plain::OFFSET, end);
        assert_eq!(Some(inner), short);
    }
    verdict
}

fn decide(packet: &[u8]) -> Result<Outer, DropReason> {
    decide_as(packet, &VTEP, false)
}

#[test]
fn every_encapsulation_over_both_families_is_taken_apart() {
    let vtep = Vtep { zero_checksum: true, ..VTEP };
    for outer in all() {
        let mut packet = packet_of(&outer, VNI, &[7; 60]);
        packet.extend([0; 5]);
        let label = match outer.encap {
            Encap::Vxlan { .. } => Label::Vxlan(VNI),
            Encap::Nvgre { flow_id } => Label::Gre {
                key: Some(if flow_id { VNI << 8 | 0x50 } else { VNI << 8 }),
                extended: false,
            },
            Encap::Gre { key, checksum, sequence } => {
                Label::Gre { key: key.then_some(VNI), extended: checksum || sequence.is_sent() }
            }
        };
        let sequence = match outer.encap {
            Encap::Gre { sequence, .. } => sequence.is_sent().then_some(0),
            _ => None,
        };
        let offset = outer.length();
        let inner = Inner { sequence, ..Inner::new(outer.source, label, offset, offset + 60) };
        assert_eq!((inner.source(), inner.label()), (outer.source, label));
        assert_eq!(decide_as(&packet, &vtep, false), Ok(Outer::Tunnel(inner)), "{outer:?}");
    }
}

#[test]
fn the_frequent_shapes_are_recognised() {
    let vtep = Vtep { zero_checksum: true, drops_reserved_bits: true, ..VTEP };
    for outer in all() {
        let packet = packet_of(&outer, VNI, &[7; 61]);
        let received = Received { length: packet.len(), ipv4_verified: false, udp_verified: false };
        let (over_ipv4, checksum) = match outer.encap {
            Encap::Vxlan { checksum, .. } => (outer.source.is_ipv4(), checksum == UdpChecksum::On),
            Encap::Nvgre { .. }
            | Encap::Gre { key: true, checksum: false, sequence: Sequence::Off }
                if outer.source.is_ipv4() =>
            {
                (false, false)
            }
            _ => continue,
        };
        let ways = [
            Keyed::recognise(&packet, &vtep, received).is_some(),
            PlainIpv6::recognise(&packet, &vtep, received).is_some(),
            shape::other(&packet, &vtep, received).is_some(),
        ];
        assert_eq!(ways.into_iter().filter(|way| *way).count(), 1, "{outer:?}");
        let is_plain = over_ipv4 && !checksum;
        assert_eq!(Plain::recognise(&packet, &vtep, received).is_some(), is_plain, "{outer:?}");
    }
}

#[test]
fn marks_and_priorities_are_seen_in_every_encapsulation_and_have_no_short_way_that_forgets_them() {
    for (outer, noted) in all().flat_map(|outer| [false, true].map(|noted| (outer, noted))) {
        for class in 0..=0xff {
            let marking = Marking { dscp: Dscp::Copy, ..outer.marking };
            let outer = OuterHeader { marking, ..outer };
            let packet = packet_of_class(&outer, VNI, &[7; 60], class);
            let vtep = Vtep { zero_checksum: true, noted: NotedBits::new(noted), ..VTEP };
            let Ok(Outer::Tunnel(inner)) = decide_as(&packet, &vtep, false) else {
                panic!("{outer:?} {class}");
            };
            assert_eq!(inner.class, class, "{outer:?}");
        }
    }
}

#[test]
fn cut_anywhere_no_encapsulation_is_delivered() {
    for outer in all() {
        let packet = packet_of(&outer, VNI, &[7; 60]);
        for length in 0..packet.len() {
            assert!(decide(&packet[..length]).is_err(), "{outer:?} {length}");
        }
    }
}

proptest! {
    #[test]
    fn no_change_makes_ways_differ_or_reach_beyond_the_packet(
        changes in prop::collection::vec((0..110usize, any::<u8>()), 0..6),
        outer in prop::sample::select(all().collect::<Vec<_>>()),
        verified: bool,
        knows_groups: bool,
    ) {
        let mut packet = packet_of(&outer, VNI, &[7; 60]);
        for (at, byte) in changes {
            if let Some(place) = packet.get_mut(at) {
                *place = byte;
            }
        }
        let vtep = Vtep { knows_groups, ..VTEP };
        if let Ok(Outer::Tunnel(inner) | Outer::Grouped(inner, _)) =
            decide_as(&packet, &vtep, verified)
        {
            prop_assert!(inner.offset + 14 <= inner.end && inner.end <= packet.len());
        }
    }
}
