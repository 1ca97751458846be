//! ARP and neighbour discovery answered between Linux hosts behind two Ferries: what their kernels make of it.

use crate::support::neighbours::REQUEST;
use crate::support::{Ferry, Namespace, RawPort, eventually};

/// Stations 10.0.0.N and fd00::N: 1 behind Ferry A (192.0.2.1), 2 behind Ferry B (192.0.2.2), and 3, which has a cable to
/// both, each with its MAC.
struct Fabric {
    ferries: [Ferry; 2],
    stations: [Namespace; 3],
    /// What goes from A to B, and from B to A.
    wires: [RawPort; 2],
    _hosts: [Namespace; 2],
}

impl Fabric {
    fn new() -> Self {
        let hosts = ["a", "b"].map(Namespace::new);
        let stations = ["one", "two", "three"].map(Namespace::new);
        hosts[0].veth("wire", &hosts[1], "wire");
        for (number, host) in hosts.iter().enumerate() {
            host.veth("acc1", &stations[number], "eth0");
            host.veth("acc2", &stations[2], &format!("eth{number}"));
        }
        for station in &stations {
            station.exec("sysctl -qw net.ipv6.conf.all.disable_ipv6=0");
        }
        for number in [1, 2] {
            let station = &stations[number - 1];
            station.exec(&format!("ip address add 10.0.0.{number}/24 dev eth0"));
            station.exec(&format!("ip address add fd00::{number}/64 dev eth0 nodad"));
            station.exec("ip link set eth0 mtu 1400");
        }
        // It announces itself where it gets its MAC.
        for interface in ["eth0", "eth1"] {
            stations[2].exec(&format!(
                "sysctl -qw net.ipv4.conf.{interface}.arp_notify=1 net.ipv6.conf.{interface}.ndisc_notify=1 \
                 net.ipv4.conf.{interface}.arp_ignore=1"
            ));
            stations[2].exec(&format!("ip link set {interface} mtu 1400"));
        }
        let text = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        let wires = [1, 0].map(|number| RawPort::open(&hosts[number], "wire"));
        let start = |number: usize| {
            let (own, other) = (number + 1, 2 - number);
            let config = format!(
                r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports: [{{name: up0, device: "net_af_packet0,iface=wire"}}]
  vtep: {{ipv4: 192.0.2.{own}}}
  neighbours: [{{ip: 192.0.2.{other}, mac: "{}", port: up0}}]
access:
  ports:
    - {{name: vm1, device: "net_af_packet1,iface=acc1"}}
    - {{name: vm2, device: "net_af_packet2,iface=acc2"}}
networks:
  - {{vni: 1000, name: a, ports: [vm1, vm2], arp_suppression: true, flood: {{peers: [192.0.2.{other}]}}}}
"#,
                text(hosts[1 - number].mac("wire"))
            );
            Ferry::start(&hosts[number], &config)
        };
        Self { ferries: [0, 1].map(start), stations, wires, _hosts: hosts }
    }

    fn answered(&self, ferry: usize) -> u64 {
        let networks = self.ferries[ferry].show("networks");
        networks[0]["arp_suppression"]["answered"].as_u64().unwrap()
    }

    /// Station 3 goes on behind another Ferry, with the same addresses and MAC, and announces itself.
    fn roam(&self, to: usize) {
        let station = &self.stations[2];
        let (from, to_interface) = (format!("eth{}", 1 - to), format!("eth{to}"));
        station.exec(&format!("ip address flush dev {from} scope global"));
        station.exec(&format!("ip link set {from} address 02:00:00:00:bb:0{to}"));
        station.exec(&format!("ip address add 10.0.0.3/24 dev {to_interface}"));
        station.exec(&format!("ip address add fd00::3/64 dev {to_interface} nodad"));
        station.exec(&format!("ip link set {to_interface} address 02:00:00:00:aa:03"));
    }

    fn finish(self) {
        for ferry in self.ferries {
            ferry.expect_balance();
            ferry.stop();
        }
    }
}

fn ping(from: &Namespace, number: usize) {
    from.exec(&format!("ping -c 2 -i 0.05 -w 8 10.0.0.{number}"));
    from.exec(&format!("ping -c 2 -i 0.05 -w 8 fd00::{number}"));
}

/// Whether a tunnel packet has an ARP request or a neighbour solicitation to everybody, other than one that looks for
/// duplicates.
fn asks_everybody(packet: &[u8]) -> bool {
    let Some(inner) = packet.get(50..) else { return false };
    let asks = match inner.get(12..14) {
        Some([8, 6]) => inner[20..22] == [0, REQUEST],
        Some([0x86, 0xdd]) => inner[20] == 58 && inner[54] == 135 && inner[22..38] != [0; 16],
        _ => false,
    };
    asks && inner[0] & 1 == 1
}

#[test]
fn s3_s7_kernels_get_their_answers_at_home() {
    let fabric = Fabric::new();
    let [one, two, _] = &fabric.stations;
    // At first nobody knows anything.
    ping(one, 2);
    for (ferry, station) in fabric.ferries.iter().zip([two, one]) {
        let (mac, number) = (station.mac("eth0"), if std::ptr::eq(station, one) { 1 } else { 2 });
        ferry.expect_neighbour(1000, &format!("10.0.0.{number}"), mac, "arp");
        ferry.expect_neighbour(1000, &format!("fd00::{number}"), mac, "nd");
    }
    let heard =
        |to: usize| fabric.wires[to].drain().into_iter().filter(|packet| asks_everybody(packet));
    let (a, b) = (heard(0).count(), heard(1).count());
    assert!(a >= 2 && a + b <= 6, "{a} and {b} questions cross once");

    let answered = [0, 1].map(|ferry| fabric.answered(ferry));
    for station in [one, two] {
        station.exec("ip neighbour flush dev eth0");
    }
    ping(one, 2);
    let text = two.mac("eth0").map(|byte| format!("{byte:02x}")).join(":");
    for address in ["10.0.0.2", "fd00::2"] {
        let neighbour = one.exec(&format!("ip neighbour show {address} dev eth0"));
        assert!(neighbour.contains(&text), "{address}: {neighbour}");
    }
    for (ferry, answered) in answered.into_iter().enumerate() {
        assert!(fabric.answered(ferry) >= answered + 2, "ARP and ND at Ferry {ferry}");
    }
    for to in [0, 1] {
        assert_eq!(heard(to).count(), 0, "no question crosses");
    }
    fabric.finish();
}

#[test]
fn s10_duplicate_addresses_are_found_across_the_tunnel() {
    let fabric = Fabric::new();
    let [one, two, _] = &fabric.stations;
    // Both Ferries know where station 1 is, and yet leave it to station 1 to say so.
    ping(one, 2);
    fabric.ferries[1].expect_neighbour(1000, "10.0.0.1", one.mac("eth0"), "arp");

    let probe = |address: &str| two.try_exec(&format!("arping -D -c 2 -w 3 -I eth0 {address}"));
    let found = probe("10.0.0.1");
    assert_eq!(found.status.code(), Some(1), "{}", String::from_utf8_lossy(&found.stdout));
    let free = probe("10.0.0.77");
    assert_eq!(free.status.code(), Some(0), "{}", String::from_utf8_lossy(&free.stdout));

    two.exec("ip address add fd00::1/64 dev eth0");
    two.exec("ip address add fd00::77/64 dev eth0");
    eventually("the duplicate is found", || {
        two.exec("ip -6 address show dev eth0 dadfailed").contains("fd00::1/64")
    });
    eventually("and what is none may be used", || {
        let usable = two.exec("ip -6 address show dev eth0 -tentative");
        usable.contains("fd00::77/64")
    });
    two.exec("ip address del fd00::1/64 dev eth0");
    two.exec("ip neighbour flush dev eth0");
    ping(two, 1);
    fabric.finish();
}

#[test]
fn a_station_that_moves_to_another_host_is_reached_at_once() {
    let fabric = Fabric::new();
    let [one, two, three] = &fabric.stations;
    let (place, moved) = ([["vm2", "192.0.2.1"], ["192.0.2.2", "vm2"]], [2, 0, 0, 0, 0xaa, 3]);
    for to in [0, 1, 0] {
        fabric.roam(to);
        for (ferry, place) in fabric.ferries.iter().zip(place[to]) {
            ferry.expect_place(1000, moved, place);
            ferry.expect_neighbour(1000, "10.0.0.3", moved, "arp");
            ferry.expect_neighbour(1000, "fd00::3", moved, "nd");
        }
        // They remember its MAC, and nothing else is needed.
        for station in [one, two] {
            station.exec("ping -c 1 -W 1 10.0.0.3");
            station.exec("ping -c 1 -W 1 fd00::3");
        }
    }
    // The same addresses with another MAC, as a replaced NIC has.
    three.exec("ip link set eth0 address 02:00:00:00:aa:33");
    let fresh = [2, 0, 0, 0, 0xaa, 0x33];
    for ferry in &fabric.ferries {
        ferry.expect_neighbour(1000, "10.0.0.3", fresh, "arp");
        ferry.expect_neighbour(1000, "fd00::3", fresh, "nd");
    }
    fabric.wires.iter().for_each(|wire| drop(wire.drain()));
    let before = fabric.answered(1);
    two.exec("ip neighbour flush dev eth0");
    two.exec("ping -c 1 -W 1 10.0.0.3");
    two.exec("ping -c 1 -W 1 fd00::3");
    assert!(fabric.answered(1) >= before + 2, "with the new MAC");
    assert!(!fabric.wires[1].drain().iter().any(|packet| asks_everybody(packet)));
    fabric.finish();
}
