//! A multicast underlay: cases B10–B13, B16 and D26 of a VTEP's wire-level behaviour.

use crate::support::frames::{
    BROADCAST, PEER1, PEER1_MAC, PEER2, PEER2_MAC, VTEP, ethernet, fix_ip_checksum, is_vxlan_to,
    mac, open_vxlan, tagged, vxlan,
};
use crate::support::{self, Ferry, Lab, Namespace, RawPort, eventually};

const GROUP: [u8; 4] = [239, 129, 1, 1];
const GROUP_MAC: [u8; 6] = [0x01, 0x00, 0x5e, 1, 1, 1];
/// No neighbour of Ferry's.
const STRANGER: [u8; 4] = [192, 0, 2, 77];

/// A packet as [`vxlan`] builds it, to a group.
fn to_group(group: [u8; 4], peer: [u8; 4], vni: u32, inner: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = group;
    let mut packet = vxlan([0x01, 0x00, 0x5e, high & 0x7f, middle, low], peer, vni, inner);
    packet[30..34].copy_from_slice(&group);
    fix_ip_checksum(&mut packet);
    packet
}

/// Checks a packet to a group, and returns VNI and inner frame.
fn open_group(mut packet: Vec<u8>, ttl: u8) -> (u32, Vec<u8>) {
    assert_eq!(packet[22], ttl);
    packet[22] = 64;
    fix_ip_checksum(&mut packet);
    open_vxlan(&packet)
}

fn learned(lab: &Lab) -> Vec<String> {
    let peers = lab.ferry.show("peers");
    let learned = peers.as_array().unwrap().iter().filter(|peer| peer["learned"] == true);
    learned.map(|peer| peer["address"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn b10_one_packet_to_the_group_however_many_peers() {
    let lab = Lab::with(
        "
  - {vni: 1000, name: a, ports: [vm1], flood: {group: 239.129.1.1, ttl: 9}}
  - {vni: 2000, name: b, ports: [vm2], flood: {group: 239.129.1.1, peers: [192.0.2.2]}}
",
    );
    for (to, length) in [(BROADCAST, 60), (mac(9), 200), ([0x01, 0, 0x5e, 0, 0, 9], 1450)] {
        let frame = ethernet(to, mac(1), length);
        lab.vm1.send(&frame);
        let packet = lab.underlay.expect("a packet to the group", is_vxlan_to(GROUP));
        assert_eq!(packet[..12], [GROUP_MAC, lab.mac].concat());
        assert_eq!(open_group(packet, 9), (1000, frame));
        lab.expect_silence(&[]);
    }
    // Beside a group, peers get their copies. What does not fit the MTU is dropped.
    let frame = ethernet(BROADCAST, mac(2), 60);
    lab.vm2.send(&frame);
    let packet = lab.underlay.expect("a packet to the peer", is_vxlan_to(PEER1));
    assert_eq!((&packet[..6], open_vxlan(&packet)), (&PEER1_MAC[..], (2000, frame.clone())));
    let packet = lab.underlay.expect("a packet to the group", is_vxlan_to(GROUP));
    assert_eq!(open_group(packet, 1), (2000, frame));
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 1465));
    lab.ferry.expect_dropped("vm1", "oversize", 1);
    lab.expect_silence(&[]);
    let networks = lab.ferry.show("networks");
    assert_eq!(networks[0]["group"], "239.129.1.1");
    assert_eq!(networks[0]["peers"], serde_json::json!([]));
    lab.finish();
}

#[test]
fn b10_b11_over_ipv6_both_ways() {
    let group: std::net::Ipv6Addr = "ff0e::1:2:3".parse().unwrap();
    let vtep = "ipv4: 192.0.2.1, ipv6: \"2001:db8::1\"";
    let networks = "
  - {vni: 1000, name: a, ports: [vm1], flood: {group: \"ff0e::1:2:3\", ttl: 3}}
";
    let neighbours = "    - {ip: \"2001:db8::2\", mac: \"02:00:00:00:11:01\", port: up0}";
    let lab = Lab::with_vtep(vtep, networks, neighbours);
    let frame = ethernet(BROADCAST, mac(1), 101);
    lab.vm1.send(&frame);
    let packet = lab.underlay.expect("a packet over IPv6", |packet| packet[12..14] == [0x86, 0xdd]);
    assert_eq!(packet[..6], [0x33, 0x33, 0, 2, 0, 3]);
    assert_eq!((packet[21], &packet[38..54]), (3, &group.octets()[..]));
    assert_eq!(packet[70..], frame);

    // The same packet as another VTEP sends it: the UDP checksum is over the source address too.
    let inner = ethernet(mac(1), mac(9), 101);
    let mut back = [&packet[..70], &inner[..]].concat();
    back[6..12].copy_from_slice(&PEER1_MAC);
    back[37] = 2;
    back[60..62].fill(0);
    let mut sum = support::frames::internet_sum(&back[22..]) as u32;
    sum += 17 + (back.len() as u32 - 54);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    back[60..62].copy_from_slice(&sum.to_be_bytes());
    lab.underlay.send(&back);
    lab.vm1.expect_frame(&inner);
    eventually("the peer is learned", || learned(&lab) == ["2001:db8::2"]);
    lab.underlay.send(&back);
    lab.vm1.expect_frame(&inner);
    lab.ferry.expect_place(1000, mac(9), "2001:db8::2");
    lab.vm1.send(&ethernet(mac(9), mac(1), 80));
    let packet = lab.underlay.expect("unicast", |packet| packet[12..14] == [0x86, 0xdd]);
    assert_eq!((packet[..6].to_vec(), packet[21], packet[53]), (PEER1_MAC.to_vec(), 64, 2));
    lab.finish();
}

#[test]
fn b13_one_packet_to_the_group_by_each_underlay_port() {
    let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
    for (inside, outside) in [("eth1", "left"), ("eth2", "right"), ("eth3", "one")] {
        host.veth(inside, &wires, outside);
    }
    let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports:
    - {name: up0, device: "net_af_packet0,iface=eth1"}
    - {name: up1, device: "net_af_packet1,iface=eth2"}
  vtep: {ipv4: 192.0.2.1}
  neighbours:
    - {ip: 192.0.2.2, mac: "02:00:00:00:11:01", port: up0}
    - {ip: 192.0.2.3, mac: "02:00:00:00:11:02", port: up1}
access:
  ports: [{name: vm1, device: "net_af_packet2,iface=eth3"}]
networks:
  - {vni: 1000, name: a, ports: [vm1], flood: {group: 239.129.1.1}}
"#;
    let ferry = Ferry::start(&host, config);
    let [left, right, vm] = ["left", "right", "one"].map(|name| RawPort::open(&wires, name));
    let frame = ethernet(BROADCAST, mac(1), 60);
    vm.send(&frame);
    for (port, inside) in [(&left, "eth1"), (&right, "eth2")] {
        let packets = port.drain();
        assert_eq!(packets.len(), 1, "by {inside}: {packets:02x?}");
        assert_eq!(packets[0][..12], [GROUP_MAC, host.mac(inside)].concat());
        assert_eq!(open_group(packets[0].clone(), 1), (1000, frame.clone()));
    }
    // What comes by either is taken, and goes by neither.
    for (number, port, peer) in [(9, &left, PEER1), (8, &right, PEER2)] {
        let inner = ethernet(BROADCAST, mac(number), 60);
        port.send(&to_group(GROUP, peer, 1000, &inner));
        assert_eq!(vm.drain(), [inner]);
        eventually("the peer is learned", || {
            let peers = ferry.show("peers");
            let address = std::net::Ipv4Addr::from(peer).to_string();
            peers.as_array().unwrap().iter().any(|row| row["address"] == address)
        });
    }
    for port in [&left, &right] {
        port.expect_silence();
    }
    ferry.expect_balance();
    ferry.stop();
}

/// What is left out is no copy, so nothing is lost.
#[test]
fn b13_a_port_without_a_link_gets_no_packet_to_the_group() {
    let host = Namespace::new("host");
    let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports: [{name: up0, device: "net_tap0,iface=left"}, {name: up1, device: "net_tap1,iface=right"}]
  vtep: {ipv4: 192.0.2.1}
access:
  ports: [{name: vm1, device: "net_tap2,iface=one"}]
networks:
  - {vni: 1000, name: a, ports: [vm1], flood: {group: 239.129.1.1}}
"#;
    let ferry = Ferry::start(&host, config);
    for interface in ["left", "right", "one"] {
        host.exec(&format!("sysctl -qw net.ipv6.conf.{interface}.disable_ipv6=1"));
    }
    let vm = RawPort::open(&host, "one");
    let set = |interface: &str, state: &str| {
        host.exec(&format!("ip link set {interface} {state}"));
        let row = if interface == "left" { 0 } else { 1 };
        eventually("the link is seen", || ferry.show("ports")[row]["link"] == state);
    };
    let groups =
        |port: &RawPort| port.drain().iter().filter(|packet| is_vxlan_to(GROUP)(packet)).count();
    let frame = ethernet(BROADCAST, mac(1), 60);
    // After the one is up again, the other; then neither.
    for (lost, other) in [("left", "right"), ("right", "left")] {
        set(lost, "down");
        let other = RawPort::open(&host, other);
        let copies = || ferry.show("totals")["copies"].as_u64().unwrap();
        eventually("one packet for each frame", || {
            let before = copies();
            vm.send(&frame);
            assert_eq!(groups(&other), 1);
            copies() == before
        });
        let before = copies();
        (0..10).for_each(|_| vm.send(&frame));
        assert_eq!((groups(&other), copies()), (10, before));
        set(lost, "up");
        let back = RawPort::open(&host, lost);
        eventually("it gets packets again", || {
            vm.send(&frame);
            groups(&back) == 1
        });
    }
    let lost = || {
        ["up0", "up1"].map(|port| ferry.dropped(port, "link_down") + ferry.dropped(port, "tx_full"))
    };
    set("left", "down");
    set("right", "down");
    let before: u64 = lost().iter().sum();
    eventually("without any link, what is lost is counted", || {
        vm.send(&frame);
        lost().iter().sum::<u64>() > before
    });
    ferry.expect_balance();
    ferry.stop();
}

const TWO_GROUPS: &str = "
  - {vni: 1000, name: a, ports: [vm1], flood: {group: 239.129.1.1}}
  - {vni: 2000, name: b, ports: [vm2], flood: {group: 239.129.1.1}}
  - {vni: 3000, name: c, ports: [{port: trunk0, vlan: 30}], flood: {group: 239.129.1.2}}
  - {vni: 4000, name: d, ports: [{port: trunk0, vlan: 40}], flood: {peers: [192.0.2.2]}}
";

#[test]
fn b11_b12_a_group_brings_frames_to_its_networks_only() {
    let lab = Lab::with(TWO_GROUPS);
    let inner = ethernet(BROADCAST, mac(9), 60);
    let other = [239, 129, 1, 2];
    lab.underlay.send(&to_group(GROUP, PEER1, 1000, &inner));
    lab.vm1.expect_frame(&inner);
    lab.underlay.send(&to_group(GROUP, PEER1, 2000, &inner));
    lab.vm2.expect_frame(&inner);
    lab.underlay.send(&to_group(other, PEER1, 3000, &inner));
    lab.trunk.expect_frame(&tagged(&inner, 30));
    lab.expect_silence(&[]);
    // By a group that another network has; for a network that has none; by one that nobody has.
    lab.underlay.send(&to_group(other, PEER1, 1000, &inner));
    lab.underlay.send(&to_group(GROUP, PEER1, 4000, &inner));
    lab.ferry.expect_dropped("up0", "wrong_group", 2);
    lab.underlay.send(&to_group([239, 129, 1, 3], PEER1, 1000, &inner));
    lab.ferry.expect_dropped("up0", "no_twin", 1);
    lab.underlay.send(&to_group(GROUP, PEER1, 5000, &inner));
    lab.ferry.expect_dropped("up0", "unknown_vni", 1);
    // A loop in the underlay.
    lab.underlay.send(&to_group(GROUP, VTEP, 1000, &inner));
    lab.ferry.expect_dropped("up0", "own_packet", 1);
    // What is wrong with a packet is told as of any other.
    let mut damaged = to_group(GROUP, PEER1, 1000, &inner);
    damaged[42] = 0;
    lab.underlay.send(&damaged);
    lab.ferry.expect_dropped("up0", "vxlan_flags", 1);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn d26_peers_are_learned_where_there_is_a_group_and_nowhere_else() {
    let lab = Lab::with(TWO_GROUPS);
    let (frame, back) = (ethernet(mac(1), mac(9), 90), ethernet(mac(9), mac(1), 90));
    // The first frame of a stranger passes; then it is a peer, and what it sends is learned.
    lab.underlay.send(&to_group(GROUP, PEER2, 1000, &frame));
    lab.vm1.expect_frame(&frame);
    eventually("the peer is learned", || learned(&lab) == ["192.0.2.3"]);
    lab.underlay.send(&vxlan(lab.mac, PEER2, 1000, &frame));
    lab.vm1.expect_frame(&frame);
    lab.ferry.expect_place(1000, mac(9), "192.0.2.3");
    lab.vm1.send(&back);
    let packet = lab.underlay.expect("unicast to the learned peer", is_vxlan_to(PEER2));
    assert_eq!((&packet[..6], open_vxlan(&packet)), (&PEER2_MAC[..], (1000, back.clone())));
    let peers = lab.ferry.show("peers");
    let row = peers.as_array().unwrap().iter().find(|peer| peer["address"] == "192.0.2.3").unwrap();
    assert_eq!((&row["state"], &row["next_hop"]), (&"resolved".into(), &"192.0.2.3".into()));
    assert_eq!(row["networks"], serde_json::json!([1000, 2000, 3000]));
    // The configured peer is none that is learned, and serves networks with a group as well.
    lab.underlay.send(&to_group(GROUP, PEER1, 2000, &frame));
    lab.vm2.expect_frame(&frame);
    lab.ferry.expect_place(2000, mac(9), "192.0.2.2");
    assert_eq!(learned(&lab), ["192.0.2.3"]);
    // A network without a group takes nothing from learned peers and strangers.
    for peer in [PEER2, STRANGER] {
        lab.underlay.send(&vxlan(lab.mac, peer, 4000, &frame));
    }
    lab.ferry.expect_dropped("up0", "unknown_peer", 2);
    // Nobody knows the way to this one: its frames pass, what is sent there goes by the group.
    for _ in 0..3 {
        let from_stranger = ethernet(mac(1), mac(8), 90);
        lab.underlay.send(&vxlan(lab.mac, STRANGER, 1000, &from_stranger));
        lab.vm1.expect_frame(&from_stranger);
    }
    lab.vm1.send(&ethernet(mac(8), mac(1), 90));
    lab.underlay.expect("a flood", is_vxlan_to(GROUP));
    assert_eq!(learned(&lab), ["192.0.2.3"]);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn d26_only_allowed_vteps_are_learned() {
    let lab = Lab::with(
        "
  - {vni: 1000, name: a, ports: [vm1], flood: {group: 239.129.1.1, allow: [192.0.2.3, 10.0.0.0/8]}}
",
    );
    let frame = ethernet(BROADCAST, mac(9), 60);
    for packet in [to_group(GROUP, PEER1, 1000, &frame), vxlan(lab.mac, PEER1, 1000, &frame)] {
        lab.underlay.send(&packet);
    }
    for source in [[0, 0, 0, 0], [127, 0, 0, 1], [255; 4], GROUP] {
        lab.underlay.send(&to_group(GROUP, source, 1000, &frame));
    }
    lab.ferry.expect_dropped("up0", "unknown_peer", 6);
    lab.underlay.send(&to_group(GROUP, PEER2, 1000, &frame));
    lab.vm1.expect_frame(&frame);
    eventually("the peer is learned", || learned(&lab) == ["192.0.2.3"]);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn learned_peers_are_forgotten_when_they_are_silent() {
    let lab = Lab::with(
        "
  - {vni: 1000, name: a, ports: [vm1], ageing: 2s, flood: {group: 239.129.1.1}}
  - {vni: 2000, name: b, ports: [vm2], ageing: 2s, learning: false, flood: {group: 239.129.1.1}}
",
    );
    let frame = ethernet(mac(1), mac(9), 90);
    let age = || {
        let peers = lab.ferry.show("peers");
        let peers = peers.as_array().unwrap();
        peers.iter().find_map(|peer| peer["age_seconds"].as_u64())
    };
    for _ in 0..2 {
        lab.underlay.send(&to_group(GROUP, PEER2, 1000, &frame));
        lab.vm1.expect_frame(&frame);
        eventually("the peer is learned", || learned(&lab) == ["192.0.2.3"]);
        // Longer than MACs are remembered: who sends stays.
        for _ in 0..20 {
            lab.underlay.send(&vxlan(lab.mac, PEER2, 1000, &frame));
            lab.vm1.expect_frame(&frame);
            std::thread::sleep(std::time::Duration::from_millis(200));
            assert!(age().unwrap() < 2);
        }
        lab.ferry.expect_place(1000, mac(9), "192.0.2.3");
        eventually("its age is shown", || age() == Some(1));
        eventually("it is forgotten", || learned(&lab).is_empty());
        assert_eq!(lab.ferry.place(1000, mac(9)), None);
    }
    // Where no MACs are learned there is nothing to make a peer for.
    lab.underlay.send(&to_group(GROUP, PEER2, 2000, &frame));
    lab.vm2.expect_frame(&frame);
    lab.expect_silence(&[]);
    assert_eq!(learned(&lab), [""; 0]);
    lab.finish();
}

#[test]
fn so_many_peers_are_learned_and_further_ones_are_strangers_and_counted() {
    const MOST: usize = 4096;
    let address = |number: usize| [10, 1, (number >> 8) as u8, number as u8];
    let line = |number| {
        let [a, b, c, d] = address(number);
        format!("    - {{ip: {a}.{b}.{c}.{d}, mac: \"02:00:00:00:11:01\", port: up0}}\n")
    };
    let neighbours: String = (0..MOST + 3).map(line).collect();
    let networks = "\n  - {vni: 1000, name: a, ports: [vm1], flood: {group: 239.129.1.1}}\n";
    let lab = Lab::with_neighbours(networks, &neighbours);
    let send = |number, frame: &[u8]| {
        lab.underlay.send(&vxlan(lab.mac, address(number), 1000, frame));
    };
    // Of a burst the control core is told of four strangers only, so each round makes peers of some.
    let frame = ethernet(mac(1), mac(9), 60);
    let mut known = 0;
    while known < MOST {
        eventually("some more are learned", || {
            (0..MOST).for_each(|number| send(number, &frame));
            learned(&lab).len() > known
        });
        known = learned(&lab).len();
    }
    assert_eq!(lab.ferry.show("totals")["peers_refused"], 0);
    // When this has passed, all before it have.
    let last = ethernet(mac(1), mac(8), 60);
    send(0, &last);
    lab.vm1.expect_frame(&last);
    let strangers = (MOST..MOST + 3).zip(20..);
    let strangers = strangers.map(|(number, source)| (number, ethernet(mac(1), mac(source), 60)));
    let strangers: Vec<_> = strangers.collect();
    strangers.iter().for_each(|(number, frame)| send(*number, frame));
    strangers.iter().for_each(|(_, frame)| lab.vm1.expect_frame(frame));
    eventually("three are counted", || lab.ferry.show("totals")["peers_refused"] == 3);
    assert_eq!(learned(&lab).len(), MOST);
    lab.finish();
}

#[test]
fn b16_two_hundred_groups() {
    let network = |number: usize| {
        format!(
            "  - {{vni: {}, name: n{number}, ports: [{{port: trunk0, vlan: {number}}}], flood: {{group: 239.129.7.{number}}}}}\n",
            1000 + number
        )
    };
    let networks: String = (1..=200).map(network).collect();
    let lab = Lab::with(&format!("\n{networks}"));
    for number in 1..=200u8 {
        let (vlan, group) = (u16::from(number), [239, 129, 7, number]);
        let frame = ethernet(BROADCAST, mac(number), 60);
        lab.trunk.send(&tagged(&frame, vlan));
        let packet = lab.underlay.expect("a packet to its group", is_vxlan_to(group));
        assert_eq!(packet[..6], [0x01, 0, 0x5e, 1, 7, number]);
        assert_eq!(open_group(packet, 1), (1000 + u32::from(number), frame.clone()));
        lab.underlay.send(&to_group(group, PEER1, 1000 + u32::from(number), &frame));
        lab.trunk.expect_frame(&tagged(&frame, vlan));
    }
    lab.expect_silence(&[]);
    lab.finish();
}
