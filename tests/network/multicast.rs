//! Who gets which multicast group, byte by byte: cases M3, M5 and B15 of a VTEP's wire-level behaviour.

use crate::support::Lab;
use crate::support::frames::{
    self, BROADCAST, PEER1, PEER2, ethernet, is_vxlan_to, mac, open_vxlan, tagged, udp, vxlan,
};
use serde_json::json;

fn lab(unregistered: &str) -> Lab {
    Lab::with(&format!(
        r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2, {{port: trunk0, vlan: 10}}]
    flood: {{peers: [192.0.2.2, 192.0.2.3]}}
    multicast:
      unregistered: {unregistered}
      groups:
        - {{group: 239.1.1.1, ports: [vm2], peers: [192.0.2.3]}}
        - {{group: 239.1.1.2, ports: [{{port: trunk0, vlan: 10}}]}}
        - {{group: 239.1.1.3, ports: [vm1]}}
        - {{group: "ff05::1:3", peers: [192.0.2.2]}}
"#
    ))
}

/// UDP from vm1 to an IPv4 group, and the MAC that the group has.
fn to_v4(group: [u8; 4]) -> Vec<u8> {
    let address = [1, 0, 0x5e, group[1] & 0x7f, group[2], group[3]];
    udp(address, mac(1), ([10, 0, 0, 1], group), (5000, 5000), b"a stream's payload, long enough")
}

/// IPv6 to a group with this next header.
fn to_v6(group: &str, next_header: u8) -> Vec<u8> {
    let group = group.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut frame = frames::ipv6([0x33, 0x33, 0, 0, 0, 0], next_header, &[0; 24]);
    frame[2..6].copy_from_slice(&group[12..]);
    frame[6..12].copy_from_slice(&mac(1));
    frame[38..54].copy_from_slice(&group);
    frame
}

fn expect_at_peer(lab: &Lab, peer: [u8; 4], frame: &[u8]) {
    let packet = lab.underlay.expect("a copy for the peer", is_vxlan_to(peer));
    assert_eq!(open_vxlan(&packet), (1000, frame.to_vec()));
}

/// All but vm1, the sender.
fn expect_everywhere(lab: &Lab, frame: &[u8]) {
    expect_at_peer(lab, PEER1, frame);
    expect_at_peer(lab, PEER2, frame);
    lab.vm2.expect_frame(frame);
    lab.trunk.expect_frame(&tagged(frame, 10));
    lab.expect_silence(&[]);
}

#[test]
fn m3_a_listed_group_goes_to_its_members_only_and_others_are_dropped() {
    let lab = lab("drop");
    let frame = to_v4([239, 1, 1, 1]);
    lab.vm1.send(&frame);
    lab.vm2.expect_frame(&frame);
    expect_at_peer(&lab, PEER2, &frame);
    lab.expect_silence(&[]);

    let frame = to_v4([239, 1, 1, 2]);
    lab.vm1.send(&frame);
    lab.trunk.expect_frame(&tagged(&frame, 10));
    lab.expect_silence(&[]);

    let frame = to_v6("ff05::1:3", 17);
    lab.vm1.send(&frame);
    expect_at_peer(&lab, PEER1, &frame);
    lab.expect_silence(&[]);

    for unlisted in [to_v4([239, 9, 9, 9]), to_v4([238, 129, 1, 1]), to_v6("ff05::9", 17)] {
        lab.vm1.send(&unlisted);
    }
    lab.ferry.expect_dropped("vm1", "unregistered_multicast", 3);
    lab.vm1.send(&to_v4([239, 1, 1, 3]));
    lab.ferry.expect_dropped("vm1", "no_destination", 1);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn m3_split_horizon_holds_for_groups() {
    let lab = lab("drop");
    let frame = to_v4([239, 1, 1, 1]);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &frame));
    lab.vm2.expect_frame(&frame);
    lab.expect_silence(&[]);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &to_v4([239, 9, 9, 9])));
    lab.ferry.expect_dropped("up0", "unregistered_multicast", 1);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn m5_b15_broadcast_link_local_igmp_mld_and_other_protocols_are_flooded() {
    let lab = lab("drop");
    let mut igmp = to_v4([239, 1, 1, 1]);
    igmp[23] = 2;
    frames::fix_ip_checksum(&mut igmp);
    for frame in [
        ethernet(BROADCAST, mac(1), 60),
        ethernet([1, 0, 0x5e, 1, 1, 1], mac(1), 60),
        to_v4([224, 0, 0, 251]),
        igmp,
        to_v6("ff02::1:ff00:1", 58),
        to_v6("ff05::1:3", 0),
        ethernet(mac(77), mac(1), 60),
    ] {
        lab.vm1.send(&frame);
        expect_everywhere(&lab, &frame);
    }
    assert!(lab.ferry.drops().is_empty(), "{:?}", lab.ferry.drops());
    lab.finish();
}

#[test]
fn m3_unlisted_groups_are_flooded_unless_told_otherwise_though_they_share_a_mac() {
    let lab = lab("flood");
    let frame = to_v4([238, 129, 1, 1]);
    assert_eq!(frame[..6], to_v4([239, 1, 1, 1])[..6]);
    lab.vm1.send(&frame);
    expect_everywhere(&lab, &frame);
    let groups = lab.ferry.show("groups");
    let a = |group: &str| json!({"vni": 1000, "network": "a", "group": group, "kind": "static", "expires_seconds": null});
    let with = |group, key: &str, value: &str| {
        let mut row = a(group);
        row[key] = json!(value);
        row
    };
    let mut trunk = with("239.1.1.2", "port", "trunk0");
    trunk["vlan"] = json!(10);
    assert_eq!(
        groups,
        json!([
            with("239.1.1.1", "port", "vm2"),
            with("239.1.1.1", "peer", "192.0.2.3"),
            trunk,
            with("239.1.1.3", "port", "vm1"),
            with("ff05::1:3", "peer", "192.0.2.2"),
        ])
    );
    lab.finish();
}
