//! How packets to a peer find their next hop by the kernel twin, byte by byte: cases E10–E12 and E16 of a VTEP's
//! wire-level behaviour.

use crate::support::frames::{BROADCAST, PEER1, PEER1_MAC, VTEP, ethernet, mac, open_vxlan, udp};
use crate::support::neighbours::{REPLY, REQUEST, arp};
use crate::support::{Ferry, Namespace, RawPort, eventually};

/// A Ferry whose underlay port has a twin and ends in a raw port: whoever answers there is this test.
struct Lab {
    ferry: Ferry,
    host: Namespace,
    underlay: RawPort,
    vm1: RawPort,
    mac: [u8; 6],
    _wires: Namespace,
}

impl Lab {
    fn new(addresses: &str, vtep: &str, peer: &str) -> Self {
        let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
        host.veth("eth1", &wires, "under");
        host.veth("eth2", &wires, "one");
        let config = format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports:
    - {{name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: [{addresses}]}}
  vtep: {{ipv4: {vtep}}}
access:
  ports: [{{name: vm1, device: "net_af_packet1,iface=eth2"}}]
networks:
  - {{vni: 1000, name: a, ports: [vm1], flood: {{peers: [{peer}]}}}}
"#
        );
        let ferry = Ferry::start(&host, &config);
        let [underlay, vm1] = ["under", "one"].map(|name| RawPort::open(&wires, name));
        let mac = host.mac("eth1");
        Self { ferry, host, underlay, vm1, mac, _wires: wires }
    }

    /// Answers the next question for an address.
    fn answer(&self, address: [u8; 4], from: [u8; 6]) {
        let asked = self.underlay.expect("who-has", |frame| asks_for(frame, address));
        assert_eq!((&asked[..6], &asked[6..12]), (&BROADCAST[..], &self.mac[..]));
        let asker = (self.mac, asked[28..32].try_into().unwrap());
        self.underlay.send(&arp(self.mac, REPLY, (from, address), asker));
        eventually("the next hop is known", || self.ferry.show("peers")[0]["state"] == "resolved");
    }
}

fn asks_for(frame: &[u8], address: [u8; 4]) -> bool {
    frame.len() >= 42
        && frame[12..14] == [8, 6]
        && frame[20..22] == [0, REQUEST]
        && frame[38..42] == address
}

fn is_ipv4_to(address: [u8; 4]) -> impl Fn(&[u8]) -> bool {
    move |packet| packet.len() >= 50 && packet[12..14] == [8, 0] && packet[30..34] == address
}

#[test]
fn e10_a_burst_without_a_next_hop_is_no_burst_of_questions_and_passes_after_the_answer() {
    let lab = Lab::new("192.0.2.1/24", "192.0.2.1", "192.0.2.2");
    lab.underlay.drain();
    let frame = ethernet(BROADCAST, mac(1), 100);
    for _ in 0..50 {
        lab.vm1.send(&frame);
    }
    lab.ferry.expect_dropped("vm1", "next_hop_unresolved", 50);
    let seen = lab.underlay.drain();
    // The kernel repeats a question once a second, whoever asked it first.
    let questions = seen.iter().filter(|frame| asks_for(frame, PEER1)).count();
    assert!(questions <= 2, "{questions} questions for a burst");
    assert!(!seen.iter().any(|packet| is_ipv4_to(PEER1)(packet)), "nothing leaves unresolved");

    eventually("it is asked for again", || {
        lab.vm1.send(&frame);
        lab.underlay.drain().iter().any(|frame| asks_for(frame, PEER1))
    });
    lab.underlay.send(&arp(lab.mac, REPLY, (PEER1_MAC, PEER1), (lab.mac, VTEP)));
    eventually("the next hop is known", || lab.ferry.show("peers")[0]["state"] == "resolved");
    lab.underlay.drain();
    lab.vm1.send(&frame);
    let packet = lab.underlay.expect("a VXLAN packet", is_ipv4_to(PEER1));
    assert_eq!(packet[..6], PEER1_MAC);
    assert_eq!(open_vxlan(&packet), (1000, frame));
    lab.ferry.expect_balance();
    lab.ferry.stop();
}

#[test]
fn e11_a_peer_behind_a_router_has_the_routers_mac_and_its_own_address() {
    let (peer, router) = ([198, 51, 100, 7], [192, 0, 2, 254]);
    let router_mac = [2, 0, 0, 0, 0x11, 0xfe];
    let lab = Lab::new("192.0.2.1/24", "192.0.2.1", "198.51.100.7");
    lab.host.exec("ip route add 198.51.100.0/24 via 192.0.2.254 dev ferry-up0");
    lab.answer(router, router_mac);
    let frame = ethernet(BROADCAST, mac(1), 100);
    lab.vm1.send(&frame);
    let packet = lab.underlay.expect("a VXLAN packet", is_ipv4_to(peer));
    assert_eq!(packet[..6], router_mac);
    assert_eq!(open_vxlan(&packet), (1000, frame));
    assert_eq!(lab.ferry.show("peers")[0]["next_hop"], "192.0.2.254");
    lab.ferry.expect_balance();
    lab.ferry.stop();
}

#[test]
fn e12_announcements_move_a_next_hop_and_what_others_are_told_does_not() {
    let lab = Lab::new("192.0.2.1/24", "192.0.2.1", "192.0.2.2");
    lab.answer(PEER1, PEER1_MAC);
    let station = |last| [2, 0, 0, 0, 0x11, last];
    let next_hop = || lab.ferry.show("peers")[0]["mac"].as_str().unwrap().to_owned();
    let text = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");

    // A reply to another host, and one that says where another host is.
    let other = (station(0x77), [192, 0, 2, 77]);
    lab.underlay.send(&arp(other.0, REPLY, (station(0x66), PEER1), other));
    lab.ferry.expect_dropped("up0", "not_our_mac", 1);
    lab.underlay.send(&arp(lab.mac, REPLY, other, (lab.mac, VTEP)));
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(next_hop(), text(PEER1_MAC));
    // Nor is a host that nobody asked for remembered.
    let known = lab.host.exec("ip neighbour show dev ferry-up0");
    assert!(!known.contains("192.0.2.77"), "{known}");

    // An announcement, as a request and as a reply (RFC 5227 section 3), is believed at once.
    for (operation, last) in [(REQUEST, 0x21), (REPLY, 0x22), (REQUEST, 0x23)] {
        let moved = (station(last), PEER1);
        lab.underlay.send(&arp(BROADCAST, operation, moved, moved));
        eventually("the next hop has moved", || next_hop() == text(moved.0));
    }
    let frame = ethernet(BROADCAST, mac(1), 100);
    lab.underlay.drain();
    lab.vm1.send(&frame);
    let packet = lab.underlay.expect("a VXLAN packet", is_ipv4_to(PEER1));
    assert_eq!(packet[..6], station(0x23));
    lab.ferry.expect_balance();
    lab.ferry.stop();
}

#[test]
fn what_the_kernel_could_not_say_for_lack_of_room_is_asked_for() {
    let numbers = 2..=11;
    let peers: Vec<_> = numbers.clone().map(|last| format!("192.0.2.{last}")).collect();
    let lab = Lab::new("192.0.2.1/24", "192.0.2.1", &peers.join(", "));
    let folder = tempfile::tempdir().unwrap();
    let neighbour = |round: u32, last: u32| {
        let mac = format!("02:00:00:{:02x}:{:02x}:{last:02x}", round >> 8, round & 255);
        (format!("192.0.2.{last}"), mac)
    };
    let mut batch = String::new();
    for (round, last) in (0..).zip(numbers.clone()) {
        for (round, other) in (0..20).flat_map(|round| (50..250).map(move |other| (round, other))) {
            let (address, mac) = neighbour(round, other);
            batch += &format!("neigh replace {address} lladdr {mac} dev ferry-up0 nud reachable\n");
        }
        let (address, mac) = neighbour(round, last);
        batch += &format!("neigh replace {address} lladdr {mac} dev ferry-up0 nud permanent\n");
    }
    std::fs::write(folder.path().join("batch"), batch).unwrap();
    lab.host.exec(&format!("ip -batch {}", folder.path().join("batch").display()));
    let wanted: Vec<_> = (0..).zip(numbers).map(|(round, last)| neighbour(round, last)).collect();
    eventually("all next hops are the last ones", || {
        let peers = lab.ferry.show("peers");
        let text = |peer: &serde_json::Value, key| peer[key].as_str().unwrap_or("").to_owned();
        let found =
            peers.as_array().unwrap().iter().map(|of| (text(of, "address"), text(of, "mac")));
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(address, _)| wanted.iter().position(|(of, _)| of == address));
        found == wanted
    });
    lab.ferry.stop();
}

#[test]
fn e16_of_several_addresses_the_vteps_own_is_used_both_ways() {
    const OURS: [u8; 4] = [192, 0, 2, 11];
    let lab = Lab::new("192.0.2.1/24, 192.0.2.11/24", "192.0.2.11", "192.0.2.2");
    lab.answer(PEER1, PEER1_MAC);
    let frame = ethernet(BROADCAST, mac(1), 100);
    lab.vm1.send(&frame);
    let packet = lab.underlay.expect("a VXLAN packet", is_ipv4_to(PEER1));
    assert_eq!((&packet[26..30], &packet[50..]), (&OURS[..], &frame[..]));

    let to = |address, inner: &[u8]| {
        let header = [8, 0, 0, 0, 0, 0x03, 0xe8, 0];
        udp(lab.mac, PEER1_MAC, (PEER1, address), (50_000, 4789), &[&header[..], inner].concat())
    };
    // The other address is the kernel's, even at the VXLAN port.
    lab.underlay.send(&to(VTEP, &ethernet(BROADCAST, mac(8), 90)));
    let inner = ethernet(BROADCAST, mac(9), 90);
    lab.underlay.send(&to(OURS, &inner));
    let found = lab.vm1.drain();
    assert_eq!(found, [inner]);
    lab.ferry.expect_balance();
    lab.ferry.stop();
}
