//! From the underlay to the tenants, byte by byte: cases D1–D31 of a VTEP's wire-level behaviour.

use crate::support::frames::{self, BROADCAST, PEER1, PEER2, ethernet, mac, tagged, vxlan};
use crate::support::{self, Lab};

/// A frame to a station behind vm1, which has spoken before.
fn lab_with_vm1() -> Lab {
    let lab = Lab::new();
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    for port in [&lab.underlay, &lab.vm2, &lab.trunk] {
        port.drain();
    }
    lab
}

#[test]
fn an_inner_frame_arrives_as_it_was_sent_and_once() {
    let lab = lab_with_vm1();
    for length in [14, 42, 60, 64, 1000, 1400, 1464] {
        let inner = ethernet(mac(1), mac(9), length);
        lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
        lab.vm1.expect_frame(&inner);
    }
    lab.expect_silence(&[]);
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");
    lab.finish();
}

#[test]
fn every_payload_family_passes_unchanged() {
    let lab = lab_with_vm1();
    for ethertype in [0x0800u16, 0x86dd, 0x0806, 0x8847, 0x88cc, 0x0005] {
        let mut inner = ethernet(mac(1), mac(9), 100);
        inner[12..14].copy_from_slice(&ethertype.to_be_bytes());
        lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
        lab.vm1.expect_frame(&inner);
    }
    lab.finish();
}

/// One change to a good packet, and the reason for which it must be dropped; `None`: it must pass.
fn judge(lab: &Lab, name: &str, reason: Option<&str>, change: impl Fn(&mut Vec<u8>)) {
    let inner = ethernet(mac(1), mac(9), 80);
    let mut packet = vxlan(lab.mac, PEER1, 1000, &inner);
    change(&mut packet);
    let before = reason.map(|reason| lab.ferry.dropped("up0", reason));
    lab.underlay.send(&packet);
    match (reason, before) {
        (Some(reason), Some(before)) => {
            lab.ferry.expect_dropped("up0", reason, before + 1);
            lab.vm1.expect_silence();
        }
        _ => {
            lab.vm1.expect(name, |frame| frame == inner);
        }
    }
}

fn with_checksum(change: impl Fn(&mut Vec<u8>)) -> impl Fn(&mut Vec<u8>) {
    move |packet| {
        change(packet);
        frames::fix_ip_checksum(packet);
    }
}

#[test]
fn faults_are_dropped_for_their_reason_and_oddities_pass() {
    let lab = lab_with_vm1();
    let set = |at: usize, byte: u8| with_checksum(move |packet: &mut Vec<u8>| packet[at] = byte);
    judge(&lab, "D2: no I flag", Some("vxlan_flags"), set(42, 0));
    for bit in (0..32).chain(56..64).filter(|bit| *bit != 4) {
        judge(&lab, "D3: a reserved bit", None, |packet| packet[42 + bit / 8] |= 0x80 >> (bit % 8));
    }
    judge(&lab, "D5: unknown VNI", Some("unknown_vni"), set(48, 77));
    judge(&lab, "D7: port 8472 is not ours", Some("no_twin"), |packet| {
        packet[36..38].copy_from_slice(&8472u16.to_be_bytes());
    });
    for port in [1u16, 4789, 32768, 65535] {
        judge(&lab, "D9: any source port", None, |packet| {
            packet[34..36].copy_from_slice(&port.to_be_bytes())
        });
    }
    judge(&lab, "D11: a right UDP checksum", None, |packet| set_udp_checksum(packet, 0));
    judge(&lab, "a wrong UDP checksum", Some("udp_checksum"), |packet| set_udp_checksum(packet, 1));
    judge(&lab, "D15: wrong IP checksum", Some("ipv4_checksum"), |packet| packet[24] ^= 1);
    judge(&lab, "D20: IP options", None, |packet| {
        packet.splice(34..34, [1, 1, 1, 0]);
        packet[14] = 0x46;
        packet[17] += 4;
        frames::fix_ip_checksum(packet);
    });
    judge(&lab, "D22: another station's MAC", Some("not_our_mac"), |packet| packet[5] ^= 1);
    judge(&lab, "D24: TTL 1", None, set(22, 1));
    judge(&lab, "an unknown peer", Some("unknown_peer"), set(29, 99));
    judge(&lab, "IP version 6 in IPv4's place", Some("ipv4_header"), |packet| packet[14] = 0x65);
    judge(&lab, "a header length of 16", Some("ipv4_header"), |packet| packet[14] = 0x44);
    judge(&lab, "a total length beyond the frame", Some("ipv4_header"), set(16, 0x40));
    // No fragments here: net_af_packet has the kernel reassemble them. The unit tests of src/tunnel have them.
    judge(&lab, "a UDP length of 7", Some("udp_length"), |packet| {
        packet[38..40].copy_from_slice(&[0, 7])
    });
    judge(&lab, "a UDP length beyond IP", Some("udp_length"), |packet| packet[38] = 0x40);
    judge(&lab, "D16: a UDP length within VXLAN", Some("truncated_vxlan"), |packet| {
        packet[38..40].copy_from_slice(&[0, 15]);
    });
    judge(&lab, "D17: no inner frame", Some("inner_truncated"), |packet| {
        packet[38..40].copy_from_slice(&[0, 29])
    });
    judge(&lab, "an inner VLAN tag", Some("inner_vlan"), |packet| {
        packet[62..64].copy_from_slice(&[0x81, 0])
    });
    judge(&lab, "an inner multicast source", Some("invalid_source"), |packet| packet[56] |= 1);
    judge(&lab, "padding behind the packet", None, |packet| packet.extend([0; 7]));
    lab.finish();
}

#[test]
fn d5_a_frame_of_an_unknown_vni_teaches_nothing() {
    let lab = lab_with_vm1();
    lab.underlay.send(&vxlan(lab.mac, PEER1, 77, &ethernet(mac(1), mac(5), 80)));
    lab.ferry.expect_dropped("up0", "unknown_vni", 1);
    // What came later is learned, so the first never will be.
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(mac(1), mac(6), 80)));
    lab.ferry.expect_place(1000, mac(6), "192.0.2.2");
    for vni in [77, 1000, 2000] {
        assert_eq!(lab.ferry.place(vni, mac(5)), None);
    }
    lab.finish();
}

#[test]
fn d8_another_udp_port_is_used_both_ways_and_the_usual_one_is_not_ours() {
    let lab = Lab::with_vtep("ipv4: 192.0.2.1, vxlan_port: 8472", support::lab::NETWORKS, "");
    let inner = ethernet(BROADCAST, mac(9), 80);
    let usual = vxlan(lab.mac, PEER1, 1000, &inner);
    lab.underlay.send(&usual);
    lab.ferry.expect_dropped("up0", "no_twin", 1);
    lab.vm1.expect_silence();
    let mut other = usual;
    other[36..38].copy_from_slice(&8472u16.to_be_bytes());
    lab.underlay.send(&other);
    lab.vm1.expect_frame(&inner);
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");

    let back = ethernet(mac(9), mac(1), 80);
    lab.vm1.send(&back);
    let mut packet = lab.underlay.expect("the way back", frames::is_vxlan_to(PEER1));
    assert_eq!(packet[36..38], 8472u16.to_be_bytes());
    packet[36..38].copy_from_slice(&4789u16.to_be_bytes());
    assert_eq!(frames::open_vxlan(&packet), (1000, back));
    lab.finish();
}

#[test]
fn d27_a_family_that_the_vtep_or_the_network_lacks_is_not_taken() {
    let inner = ethernet(BROADCAST, mac(9), 80);
    let lab = Lab::new();
    lab.underlay.send(&frames::vxlan6(lab.mac, 1000, &inner, true));
    lab.ferry.expect_dropped("up0", "no_twin", 1);
    lab.expect_silence(&["under"]);
    lab.finish();

    let networks = r#"
  - {vni: 1000, name: a, ports: [vm1], flood: {peers: ["2001:db8::2"]}}
  - {vni: 2000, name: b, ports: [vm2], flood: {peers: [192.0.2.3]}}
"#;
    let neighbour = "    - {ip: \"2001:db8::2\", mac: \"02:00:00:00:11:01\", port: up0}";
    let vtep = "ipv4: 192.0.2.1, ipv6: \"2001:db8::1\"";
    let lab = Lab::with_vtep(vtep, networks, neighbour);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
    lab.ferry.expect_dropped("up0", "unknown_peer", 1);
    lab.vm1.expect_silence();
    lab.underlay.send(&frames::vxlan6(lab.mac, 1000, &inner, true));
    lab.vm1.expect_frame(&inner);
    lab.finish();
}

fn set_udp_checksum(packet: &mut [u8], error: u16) {
    let mut sum = packet[26..34].to_vec();
    sum.extend([0, 17]);
    sum.extend(&packet[38..40]);
    sum.extend(&packet[34..]);
    let checksum = !frames::internet_sum(&sum) ^ error;
    packet[40..42].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn cut_off_anywhere_nothing_arrives_and_nothing_breaks() {
    let lab = lab_with_vm1();
    let packet = vxlan(lab.mac, PEER1, 1000, &ethernet(mac(1), mac(9), 80));
    for length in 14..packet.len() {
        lab.underlay.send(&packet[..length]);
    }
    lab.vm1.expect_silence();
    let inner = ethernet(mac(1), mac(9), 80);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
    lab.vm1.expect_frame(&inner);
    lab.finish();
}

#[test]
fn inner_tags_pass_where_the_network_keeps_them() {
    let lab = Lab::with(
        "\n  - {vni: 1000, name: a, ports: [vm1], inner_vlan: keep, flood: {peers: [192.0.2.2]}}\n",
    );
    let inner = tagged(&ethernet(BROADCAST, mac(9), 80), 77);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
    lab.vm1.expect_frame(&inner);
    let back = tagged(&ethernet(mac(9), mac(1), 80), 78);
    lab.vm1.send(&back);
    let packet = lab.underlay.expect("the way back", frames::is_vxlan_to(PEER1));
    assert_eq!(frames::open_vxlan(&packet), (1000, back));
    lab.finish();
}

#[test]
fn a_tunnel_never_leads_into_a_tunnel() {
    let lab = Lab::new();
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(BROADCAST, mac(8), 60)));
    lab.underlay.send(&vxlan(lab.mac, PEER2, 1000, &ethernet(BROADCAST, mac(9), 60)));
    lab.ferry.expect_place(1000, mac(8), "192.0.2.2");
    lab.ferry.expect_place(1000, mac(9), "192.0.2.3");
    // Known behind the other peer, unknown, and broadcast: nothing goes back to the underlay.
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(mac(9), mac(8), 60)));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(mac(77), mac(8), 60)));
    lab.ferry.expect_dropped("up0", "split_horizon", 1);
    lab.underlay.expect_silence();
    lab.finish();
}

#[test]
fn a_vni_reaches_its_own_ports_only() {
    let lab = Lab::new();
    let inner = ethernet(BROADCAST, mac(9), 60);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 2000, &inner));
    lab.trunk.expect_frame(&tagged(&inner, 20));
    lab.expect_silence(&[]);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
    lab.trunk.expect_frame(&tagged(&inner, 10));
    for port in [&lab.vm1, &lab.vm2] {
        port.expect_frame(&inner);
    }
    lab.expect_silence(&[]);
    lab.finish();
}
