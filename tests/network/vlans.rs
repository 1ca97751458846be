//! VLANs of access ports: one tag or two, translated, and their priority.

use crate::support::frames::{
    self, BROADCAST, PEER1, ethernet, is_vxlan_to, mac, open_vxlan, tagged, vxlan,
};
use crate::support::{Ferry, Lab, Namespace, RawPort};

/// Two pairs of tags and a VLAN of the trunk are one network, a VLAN with the pairs' outer ID another one.
const NETWORKS: &str = r#"
  - vni: 1000
    name: a
    ports:
      - vm1
      - {port: trunk0, vlan: 10, inner_vlan: 20, tpid: 0x8100}
      - {port: trunk0, vlan: 10, inner_vlan: 21, tpid: 0x8100}
      - {port: trunk0, vlan: 30}
    flood: {peers: [192.0.2.2]}
  - {vni: 2000, name: b, ports: [vm2, {port: trunk0, vlan: 10}], inner_vlan: keep, flood: {peers: [192.0.2.2]}}
"#;

/// With one more tag, the outermost.
fn with_tag(frame: &[u8], tpid: u16, control: u16) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame.splice(12..12, [tpid.to_be_bytes(), control.to_be_bytes()].concat());
    frame
}

/// With two tags of the same priority.
fn pair(frame: &[u8], tpid: u16, (outer, inner): (u16, u16), priority: u16) -> Vec<u8> {
    with_tag(&with_tag(frame, 0x8100, priority | inner), tpid, priority | outer)
}

fn pair_of(frame: &[u8], outer: u16, inner: u16) -> Vec<u8> {
    pair(frame, 0x8100, (outer, inner), 0)
}

/// All of these, in any order, and no more.
fn expect_all(port: &RawPort, frames: &[Vec<u8>]) {
    let mut found = port.drain();
    let mut frames = frames.to_vec();
    found.sort();
    frames.sort();
    assert_eq!(found, frames, "{}", port.name);
}

/// A station behind each place of network 1000: 1 at vm1, 2 and 3 at the pairs, 4 at VLAN 30, 9 behind the peer.
fn lab_with_stations(networks: &str) -> Lab {
    let lab = Lab::with(networks);
    let say = |number| ethernet(BROADCAST, mac(number), 60);
    lab.vm1.send(&say(1));
    lab.trunk.send(&pair_of(&say(2), 10, 20));
    lab.trunk.send(&pair_of(&say(3), 10, 21));
    lab.trunk.send(&tagged(&say(4), 30));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &say(9)));
    let places = ["vm1", "trunk0.10.20", "trunk0.10.21", "trunk0.30"];
    for (number, place) in (1..).zip(places).chain([(9, "192.0.2.2")]) {
        lab.ferry.expect_place(1000, mac(number), place);
    }
    for port in [&lab.underlay, &lab.vm1, &lab.vm2, &lab.trunk] {
        port.drain();
    }
    lab
}

#[test]
fn two_tags_tell_a_network_and_are_put_back() {
    let lab = lab_with_stations(NETWORKS);
    let known = ethernet(mac(9), mac(2), 80);
    lab.trunk.send(&pair_of(&known, 10, 20));
    let packet = lab.underlay.expect("without tags", is_vxlan_to(PEER1));
    assert_eq!(open_vxlan(&packet), (1000, known));
    let back = ethernet(mac(2), mac(9), 80);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &back));
    lab.trunk.expect_frame(&pair_of(&back, 10, 20));
    lab.expect_silence(&[]);

    // A flood gets to all other places, one on the same port too.
    let all = ethernet(BROADCAST, mac(2), 80);
    lab.trunk.send(&pair_of(&all, 10, 20));
    lab.vm1.expect_frame(&all);
    expect_all(&lab.trunk, &[pair_of(&all, 10, 21), tagged(&all, 30)]);
    let packet = lab.underlay.expect("a copy", is_vxlan_to(PEER1));
    assert_eq!(open_vxlan(&packet), (1000, all));
    let all = ethernet(BROADCAST, mac(9), 80);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &all));
    lab.vm1.expect_frame(&all);
    let places = [pair_of(&all, 10, 20), pair_of(&all, 10, 21), tagged(&all, 30)];
    expect_all(&lab.trunk, &places);

    // Of pairs that nobody has, the outer VLAN decides, and the inner tag is its network's.
    lab.trunk.send(&pair_of(&all, 11, 20));
    lab.ferry.expect_dropped("trunk0", "vlan_unmapped", 1);
    lab.trunk.send(&pair_of(&ethernet(BROADCAST, mac(5), 80), 10, 99));
    lab.vm2.expect_frame(&tagged(&ethernet(BROADCAST, mac(5), 80), 99));
    lab.ferry.expect_place(2000, mac(5), "trunk0.10");
    // A third tag is the tenants', which this network has drop.
    lab.trunk.send(&pair_of(&tagged(&known_from(2), 7), 10, 20));
    lab.ferry.expect_dropped("trunk0", "inner_vlan", 1);
    lab.finish();
}

fn known_from(number: u8) -> Vec<u8> {
    ethernet(mac(9), mac(number), 80)
}

#[test]
fn n13_vlans_of_one_network_are_translated() {
    let lab = lab_with_stations(NETWORKS);
    let frame = ethernet(mac(4), mac(2), 80);
    lab.trunk.send(&pair_of(&frame, 10, 20));
    lab.trunk.expect_frame(&tagged(&frame, 30));
    let frame = ethernet(mac(2), mac(4), 80);
    lab.trunk.send(&tagged(&frame, 30));
    lab.trunk.expect_frame(&pair_of(&frame, 10, 20));
    let frame = ethernet(mac(3), mac(2), 80);
    lab.trunk.send(&pair_of(&frame, 10, 20));
    lab.trunk.expect_frame(&pair_of(&frame, 10, 21));
    let frame = ethernet(mac(3), mac(1), 80);
    lab.vm1.send(&frame);
    lab.trunk.expect_frame(&pair_of(&frame, 10, 21));
    // To where it is, nothing goes.
    lab.trunk.send(&pair_of(&ethernet(mac(2), mac(6), 80), 10, 20));
    lab.ferry.expect_dropped("trunk0", "same_port", 1);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn the_priority_of_a_tag_goes_on_with_the_next() {
    let lab = lab_with_stations(NETWORKS);
    // Priority 5, drop eligible; then others in one train.
    for priority in [0xb000, 0, 0xe000, 0x1000, 0x2000] {
        let (there, back) = (ethernet(mac(4), mac(2), 80), ethernet(mac(2), mac(4), 80));
        lab.trunk.send(&pair(&there, 0x8100, (10, 20), priority));
        lab.trunk.expect_frame(&with_tag(&there, 0x8100, priority | 30));
        lab.trunk.send(&with_tag(&back, 0x8100, priority | 30));
        lab.trunk.expect_frame(&pair(&back, 0x8100, (10, 20), priority));
        // To each copy of a flood, and to untagged ports none.
        let all = ethernet(BROADCAST, mac(4), 80);
        lab.trunk.send(&with_tag(&all, 0x8100, priority | 30));
        let copies = [20, 21].map(|inner| pair(&all, 0x8100, (10, inner), priority));
        expect_all(&lab.trunk, &copies);
        lab.vm1.expect_frame(&all);
        // A tag with a priority only is one, too.
        let frame = ethernet(mac(4), mac(1), 80);
        lab.vm1.send(&with_tag(&frame, 0x8100, priority));
        lab.trunk.expect_frame(&with_tag(&frame, 0x8100, priority | 30));
        lab.vm1.send(&frame);
        lab.trunk.expect_frame(&tagged(&frame, 30));
    }
    lab.finish();
}

#[test]
fn the_priority_of_a_tag_becomes_a_dscp_where_that_is_wanted() {
    let peers = "[{address: 192.0.2.2, dscp: priority}, {address: 192.0.2.3, dscp: priority, encap: nvgre}]";
    let lab = lab_with_stations(&NETWORKS.replacen("[192.0.2.2]", peers, 1));
    let ip = |to, from| {
        let mut frame = frames::udp(to, from, ([10, 0, 0, 4], [10, 0, 0, 9]), (7, 8), &[0; 30]);
        frame[15] = 0xfe;
        frames::fix_ip_checksum(&mut frame);
        frame
    };
    for (control, class) in [(0xb01e, 0xa2), (0x001e, 0x02), (0xe01e, 0xe2)] {
        lab.trunk.send(&with_tag(&ip(mac(9), mac(4)), 0x8100, control));
        let packet = lab.underlay.expect("a packet", is_vxlan_to(PEER1));
        assert_eq!(packet[15], class, "ECN besides");
        lab.trunk.send(&with_tag(&ip(BROADCAST, mac(4)), 0x8100, control));
        let copies = lab.underlay.drain();
        assert_eq!(copies.iter().map(|packet| packet[15]).collect::<Vec<_>>(), [class; 2]);
        assert!(copies.iter().all(|packet| frames::internet_sum(&packet[14..34]) == 0xffff));
    }
    lab.vm1.send(&ip(mac(9), mac(1)));
    assert_eq!(lab.underlay.expect("without a tag", is_vxlan_to(PEER1))[15], 0x02);
    let peers = lab.ferry.show("peers");
    assert!(peers.as_array().unwrap().iter().any(|peer| peer["dscp"] == "priority"), "{peers}");
    lab.finish();
}

/// On net_tap ports, because net_af_packet takes service tags for others.
#[test]
fn service_tags_tell_networks_by_themselves() {
    let host = Namespace::new("host");
    let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports: [{name: up0, device: "net_tap0,iface=under"}]
  vtep: {ipv4: 192.0.2.1}
access:
  ports:
    - {name: trunk0, device: "net_tap1,iface=trunk"}
    - {name: vm1, device: "net_tap2,iface=one"}
    - {name: vm2, device: "net_tap3,iface=two"}
networks:
  - {vni: 1000, name: a, ports: [vm1, {port: trunk0, vlan: 10, inner_vlan: 20}]}
  - {vni: 2000, name: b, ports: [vm2, {port: trunk0, vlan: 10, inner_vlan: 20, tpid: 0x8100}]}
"#;
    let ferry = Ferry::start(&host, config);
    for interface in ["trunk", "one", "two"] {
        host.exec(&format!("ip link set {interface} up promisc on"));
    }
    let [trunk, vm1, vm2] = ["trunk", "one", "two"].map(|port| RawPort::open(&host, port));
    for (tpid, vm, other) in [(0x88a8, &vm1, &vm2), (0x8100, &vm2, &vm1)] {
        let there = ethernet(BROADCAST, mac(2), 80);
        trunk.send(&pair(&there, tpid, (10, 20), 0x6000));
        vm.expect_frame(&there);
        other.expect_silence();
        let back = ethernet(mac(2), mac(1), 80);
        vm.send(&back);
        trunk.expect_frame(&pair(&back, tpid, (10, 20), 0));
    }
    // One service tag, and one before another service tag, tell nothing.
    trunk.send(&with_tag(&ethernet(BROADCAST, mac(2), 80), 0x88a8, 10));
    trunk.send(&with_tag(&with_tag(&ethernet(BROADCAST, mac(2), 80), 0x88a8, 20), 0x88a8, 10));
    ferry.expect_dropped("trunk0", "vlan_unmapped", 2);
    ferry.expect_balance();
    ferry.stop();
}
