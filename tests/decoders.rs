//! What decodes packets, with arbitrary bytes and with damaged packets: the same checks as those of the fuzz targets.
#![allow(clippy::unwrap_used)]

#[path = "fuzz/decoders.rs"]
mod decoders;
mod support;

use ferry::neighbours::hear;
use ferry::tunnel::{Outer, Received, Vtep, decapsulate};
use proptest::prelude::*;
use support::frames::{
    BROADCAST, Gre, VTEP, VTEP6, ethernet, gre, gre_from, ipv6, mac, vxlan, vxlan6,
};
use support::neighbours::{
    ALL_NODES, OVERRIDE, REPLY, REQUEST, advertisement, arp, dhcp, duplicate_detection, fd,
    solicitation, who_has,
};

fn vtep() -> Vtep {
    let (ipv6, gre, knows_groups) = (Some(VTEP6.into()), true, true);
    Vtep { ipv6, gre, knows_groups, ..Vtep::vxlan(VTEP.into(), 4789) }
}

fn tunnel_packets() -> Vec<Vec<u8>> {
    let (ours, peer) = (mac(1), [192, 0, 2, 2]);
    let inner = ethernet(mac(2), mac(3), 60);
    let all = Gre { key: Some(0x0003_e800), checksum: true, sequence: Some(1) };
    vec![
        vxlan(ours, peer, 1000, &inner),
        gre_from(ours, peer, Gre { key: all.key, ..Gre::default() }, &inner),
        gre_from(ours, peer, all, &inner),
        vxlan6(ours, 1000, &inner, true),
        ipv6(ours, 47, &gre(all, &inner)),
    ]
}

fn questions_and_answers() -> Vec<Vec<u8>> {
    let (one, one_v6) = ((mac(1), [10, 0, 0, 1]), (mac(1), fd(1)));
    let two = (mac(2), [10, 0, 0, 2]);
    vec![
        who_has([10, 0, 0, 2], one),
        arp(mac(1), REPLY, two, one),
        arp(BROADCAST, REQUEST, two, two),
        solicitation(fd(2), one_v6),
        duplicate_detection(fd(2), mac(1)),
        advertisement(ALL_NODES, OVERRIDE, one_v6),
        dhcp(mac(7), mac(1), [10, 0, 0, 9], 5),
    ]
}

/// One of these with some bytes changed, and perhaps cut off.
fn damaged(packets: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5);
    let length = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (prop::sample::select(packets), changes, length).prop_map(|(mut packet, changes, length)| {
        for (at, byte) in changes {
            *at.get_mut(&mut packet) = byte;
        }
        packet.truncate(length.map_or(usize::MAX, |length| length.index(packet.len())));
        packet
    })
}

fn arbitrary() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn to_vtep() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), any::<bool>(), arbitrary()).prop_map(|(over_ipv6, by_udp, payload)| {
        decoders::to_vtep(vtep(), over_ipv6, by_udp, &payload)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn views_of_anything(bytes in prop_oneof![arbitrary(), damaged(questions_and_answers())]) {
        decoders::views(&bytes);
    }

    #[test]
    fn tunnel_packets_of_any_kind(
        packet in prop_oneof![1 => arbitrary(), 1 => to_vtep(), 4 => damaged(tunnel_packets())],
        verified: (bool, bool),
    ) {
        decoders::tunnel(&packet, vtep(), verified);
    }

    #[test]
    fn questions_and_answers_of_any_kind(
        mut frame in prop_oneof![1 => arbitrary(), 4 => damaged(questions_and_answers())],
        mend: bool,
    ) {
        if mend {
            decoders::mend(&mut frame);
        }
        decoders::neighbours(&frame);
    }
}

/// Without damage all of them mean something: else the tests above would see nothing but errors.
#[test]
fn what_is_damaged_here_is_right_before() {
    for packet in tunnel_packets() {
        let received = Received { length: packet.len(), ipv4_verified: false, udp_verified: false };
        let outer = decapsulate(&packet, &vtep(), received);
        assert!(matches!(outer, Ok(Outer::Tunnel(_))), "{packet:02x?}");
    }
    for frame in questions_and_answers() {
        let heard = hear(&frame);
        let is_probe = frame == duplicate_detection(fd(2), mac(1));
        assert!(heard.claim.is_some() || is_probe, "{frame:02x?}");
    }
}
