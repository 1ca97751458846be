//! Several ways through the underlay: flows are spread over next hops, and a way that is lost loses its flows to the others within a
//! second.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use support::frames::{BROADCAST, mac, udp};
use support::{Ferry, Namespace, RawPort, eventually};

/// Routers, each at the end of an underlay port of its own.
const ROUTERS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0x11, 0xf0], [2, 0, 0, 0, 0x11, 0xf1]];
/// Behind both of them: of each family, and one that speaks NVGRE.
const PEERS: [&str; 3] = ["198.51.100.7", "2001:db8:6::7", "198.51.100.8"];

struct Fabric {
    ferry: Ferry,
    host: Namespace,
    wires: [RawPort; 2],
    vm: RawPort,
    _vm: Namespace,
}

impl Fabric {
    /// Underlay ports on taps: their links are lost when the taps are down.
    fn new() -> Self {
        let [host, vm] = ["host", "vm"].map(|role| {
            let namespace = Namespace::new(role);
            for scope in ["all", "default"] {
                namespace.exec(&format!("sysctl -qw net.ipv6.conf.{scope}.disable_ipv6=0"));
            }
            namespace
        });
        host.veth("eth2", &vm, "eth0");
        for (namespace, raw) in [(&host, "eth2"), (&vm, "eth0")] {
            namespace.exec(&format!("sysctl -qw net.ipv6.conf.{raw}.disable_ipv6=1"));
        }
        let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports:
    - {name: up0, device: "net_tap0,iface=tap0", twin: ferry-up0, addresses: [192.0.2.1/24, "2001:db8::1/64"]}
    - {name: up1, device: "net_tap1,iface=tap1", twin: ferry-up1, addresses: [203.0.113.1/24, "2001:db8:1::1/64"]}
  vtep: {ipv4: 192.0.2.1, ipv6: "2001:db8::1"}
access:
  ports: [{name: vm1, device: "net_af_packet0,iface=eth2"}]
networks:
  - vni: 1000
    name: a
    ports: [vm1]
    flood: {peers: [198.51.100.7, "2001:db8:6::7", {address: 198.51.100.8, encap: nvgre}]}
    macs:
      - {mac: "02:00:00:00:aa:09", peer: 198.51.100.7}
      - {mac: "02:00:00:00:aa:0a", peer: "2001:db8:6::7"}
      - {mac: "02:00:00:00:aa:0b", peer: 198.51.100.8}
"#;
        let ferry = Ferry::start(&host, config);
        let wires = ["tap0", "tap1"].map(|tap| {
            host.exec(&format!("sysctl -qw net.ipv6.conf.{tap}.disable_ipv6=1"));
            RawPort::open(&host, tap)
        });
        for (number, (v4, v6)) in
            [("192.0.2.254", "2001:db8::fe"), ("203.0.113.254", "2001:db8:1::fe")]
                .into_iter()
                .enumerate()
        {
            for router in [v4, v6] {
                host.exec(&format!(
                    "ip neigh add {router} lladdr 02:00:00:00:11:f{number} dev ferry-up{number}"
                ));
            }
        }
        let vm1 = RawPort::open(&vm, "eth0");
        Self { ferry, host, wires, vm: vm1, _vm: vm }
    }

    /// Routes with these next hops of each family, `nexthop …`.
    fn route(&self, weights: [Option<u8>; 2]) {
        let hops = |routers: [&str; 2]| {
            let hop = |number: usize| {
                weights[number].map_or(String::new(), |weight| {
                    let router = routers[number];
                    format!(" nexthop via {router} dev ferry-up{number} weight {weight}")
                })
            };
            hop(0) + &hop(1)
        };
        let v4 = hops(["192.0.2.254", "203.0.113.254"]);
        let v6 = hops(["2001:db8::fe", "2001:db8:1::fe"]);
        self.host.exec(&format!("ip route replace 198.51.100.0/24{v4}"));
        // 'replace' adds to what is there, over IPv6.
        self.host.try_exec("ip -6 route del 2001:db8:6::/64");
        self.host.exec(&format!("ip -6 route add 2001:db8:6::/64{v6}"));
    }

    /// Waits until each peer has so many next hops.
    fn expect_hops(&self, count: usize) {
        eventually(&format!("{count} next hops each"), || {
            let peers = self.ferry.show("peers");
            peers.as_array().unwrap().iter().all(|peer| {
                let several = peer["next_hops"].as_array().map_or(0, Vec::len);
                peer["state"] == "resolved" && several == if count == 1 { 0 } else { count }
            })
        });
    }

    /// The wire that each of these flows to a station takes.
    fn wires_of(&self, station: u8, flows: std::ops::Range<u16>) -> HashMap<u16, usize> {
        for wire in &self.wires {
            wire.drain();
        }
        for flow in flows.clone() {
            self.vm.send(&frame(mac(station), flow));
            if flow % 64 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        let mut found = HashMap::new();
        for (number, wire) in self.wires.iter().enumerate() {
            for packet in wire.drain() {
                if let Some(flow) = flow_of(&packet) {
                    assert_eq!(packet[..6], ROUTERS[number], "the MAC of the router at that port");
                    assert_eq!(found.insert(flow, number), None, "flow {flow} twice");
                }
            }
        }
        assert_eq!(found.len(), flows.len());
        found
    }

    fn finish(self) {
        self.ferry.expect_balance();
        self.ferry.stop();
    }
}

/// A frame of a flow, which is also its payload.
fn frame(to: [u8; 6], flow: u16) -> Vec<u8> {
    let payload = [b"flow", &flow.to_be_bytes()[..]].concat();
    udp(to, mac(1), ([10, 0, 0, 1], [10, 0, 0, 9]), (1000 + flow, 2000), &payload)
}

fn flow_of(packet: &[u8]) -> Option<u16> {
    let (rest, flow) = packet.split_last_chunk::<2>()?;
    (packet.len() > 80 && rest.ends_with(b"flow")).then_some(u16::from_be_bytes(*flow))
}

fn share(found: &HashMap<u16, usize>, wire: usize) -> f64 {
    found.values().filter(|of| **of == wire).count() as f64 / found.len() as f64
}

#[test]
fn flows_are_spread_over_next_hops_by_weight_and_each_keeps_to_its_own() {
    let fabric = Fabric::new();
    fabric.route([Some(1), Some(1)]);
    fabric.expect_hops(2);
    for station in [9, 10, 11] {
        let found = fabric.wires_of(station, 0..400);
        assert!((0.35..0.65).contains(&share(&found, 0)), "{station}: {}", share(&found, 0));
        assert_eq!(found, fabric.wires_of(station, 0..400), "the same again");
    }
    let peers = fabric.ferry.show("peers");
    assert_eq!(peers[0]["next_hops"][1]["port"], "up1");
    assert_eq!(peers[0]["next_hops"][1]["address"], "203.0.113.254");
    // One copy for each peer, by one of its ways.
    fabric.vm.send(&frame(BROADCAST, 7));
    let copies = fabric.wires.iter().flat_map(RawPort::drain);
    assert_eq!(copies.filter(|packet| flow_of(packet) == Some(7)).count(), PEERS.len());

    let before = fabric.wires_of(9, 0..400);
    fabric.route([Some(1), Some(4)]);
    eventually("the weights are known", || {
        fabric.ferry.show("peers")[0]["next_hops"][1]["weight"] == 4
    });
    let after = fabric.wires_of(9, 0..400);
    assert!((0.7..0.9).contains(&share(&after, 1)), "{}", share(&after, 1));
    // Nobody goes to the way whose weight has become less.
    assert!(before.iter().all(|(flow, wire)| *wire == 0 || after[flow] == 1));
    fabric.finish();
}

#[test]
fn a_next_hop_that_goes_takes_only_its_own_flows_along() {
    let fabric = Fabric::new();
    fabric.route([Some(1), Some(1)]);
    fabric.expect_hops(2);
    let before = fabric.wires_of(9, 0..200);
    fabric.route([Some(1), None]);
    fabric.expect_hops(1);
    let alone = fabric.wires_of(9, 0..200);
    assert_eq!(share(&alone, 0), 1.0);
    fabric.route([Some(1), Some(1)]);
    fabric.expect_hops(2);
    assert_eq!(fabric.wires_of(9, 0..200), before, "all are back where they were");
    // A router that does not answer any more is passed over, as are nexthop objects that lead there.
    fabric.host.exec("ip neigh del 203.0.113.254 dev ferry-up1");
    eventually("one is left", || fabric.ferry.show("peers")[0]["next_hops"].is_null());
    fabric.finish();
}

#[test]
fn nexthop_objects_are_followed_as_routing_daemons_make_them() {
    let fabric = Fabric::new();
    fabric.host.exec("ip nexthop add id 1 via 192.0.2.254 dev ferry-up0");
    fabric.host.exec("ip nexthop add id 2 via 203.0.113.254 dev ferry-up1");
    fabric.host.exec("ip nexthop add id 10 group 1,3/2,5");
    fabric.host.exec("ip route add 198.51.100.0/24 nhid 10");
    let hops = || fabric.ferry.show("peers")[0]["next_hops"].as_array().map_or(0, Vec::len);
    eventually("both are known", || hops() == 2);
    let found = fabric.wires_of(9, 0..400);
    assert!((0.5..0.75).contains(&share(&found, 1)), "{}", share(&found, 1));
    fabric.host.exec("ip nexthop replace id 10 group 1");
    eventually("one is left", || hops() == 0);
    assert_eq!(share(&fabric.wires_of(9, 0..50), 0), 1.0);
    fabric.finish();
}

#[test]
fn a_link_that_is_lost_loses_its_flows_to_others_within_a_second() {
    let mut fabric = Fabric::new();
    fabric.route([Some(1), Some(1)]);
    fabric.expect_hops(2);
    let flows: Vec<u16> = fabric
        .wires_of(9, 0..100)
        .into_iter()
        .filter(|(_, wire)| *wire == 1)
        .map(|of| of.0)
        .collect();
    assert!(flows.len() > 20);
    fabric.host.exec("ip link set tap1 down");
    let lost = Instant::now();
    // Until each of its flows has arrived by the other.
    let mut left = flows.clone();
    while !left.is_empty() {
        assert!(lost.elapsed() < Duration::from_secs(5), "{left:?} never move");
        for flow in &left {
            fabric.vm.send(&frame(mac(9), *flow));
        }
        while let Some(packet) = fabric.wires[0].receive(Duration::from_millis(20)) {
            left.retain(|flow| flow_of(&packet) != Some(*flow));
        }
    }
    let took = lost.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let carrier = fabric.host.exec("cat /sys/class/net/ferry-up1/carrier");
    assert_eq!(carrier.trim(), "0", "the twin shows it");
    eventually("it is told", || fabric.ferry.show("ports")[1]["link"] == "down");

    fabric.host.exec("ip link set tap1 up");
    eventually("it is told", || fabric.ferry.show("ports")[1]["link"] == "up");
    fabric.wires[1] = RawPort::open(&fabric.host, "tap1");
    fabric.host.exec("ip neigh replace 203.0.113.254 lladdr 02:00:00:00:11:f1 dev ferry-up1");
    fabric.route([Some(1), Some(1)]);
    fabric.expect_hops(2);
    let back = fabric.wires_of(9, 0..100);
    assert!(flows.iter().all(|flow| back[flow] == 1), "they are back");
    fabric.finish();
}

#[test]
fn a_route_by_a_link_that_is_lost_gives_way_to_the_next_best() {
    let fabric = Fabric::new();
    fabric.host.exec("ip route add 198.51.100.0/24 via 203.0.113.254 dev ferry-up1 metric 10");
    fabric.host.exec("ip route add 198.51.100.0/24 via 192.0.2.254 dev ferry-up0 metric 20");
    let port = || fabric.ferry.show("peers")[0]["port"].as_str().map(str::to_owned);
    eventually("the better one", || port().as_deref() == Some("up1"));
    // By itself the kernel looks at lost links once a second. It has just done so.
    std::thread::sleep(Duration::from_millis(1100));
    fabric.host.exec("ip link set ferry-up0 carrier off");
    fabric.host.exec("ip link set ferry-up0 carrier on");
    fabric.host.exec("ip link set tap1 down");
    let lost = Instant::now();
    eventually("the other one", || port().as_deref() == Some("up0"));
    assert!(lost.elapsed() < Duration::from_secs(1), "{:?}", lost.elapsed());
    fabric.finish();
}
