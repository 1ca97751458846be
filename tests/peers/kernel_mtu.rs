//! Stations and routers of the Linux kernel find out what fits: path MTU discovery in the overlay and in the underlay.

use std::time::Duration;

use crate::support::namespace::Background;
use crate::support::{Ferry, Namespace, eventually};

/// A station with 10.0.0.1 and fd00::1 behind Ferry, and two kernel VTEPs behind a router, each with a station: 10.0.0.2 and fd00::2 over
/// IPv4 (198.51.100.2), 10.0.0.3 and fd00::3 over IPv6 (2001:db8:6::2). All links have an MTU of 1500, and no station knows
/// that less fits.
struct Fabric {
    ferry: Ferry,
    vm: Namespace,
    far: [Namespace; 2],
    router: Namespace,
    _host: Namespace,
}

impl Fabric {
    fn new() -> Self {
        let with_ipv6 = |role: &str| {
            let namespace = Namespace::new(role);
            for scope in ["all", "default"] {
                namespace.exec(&format!("sysctl -qw net.ipv6.conf.{scope}.disable_ipv6=0"));
            }
            namespace
        };
        let (host, vm, router) = (with_ipv6("host"), with_ipv6("vm"), with_ipv6("router"));
        host.veth("eth1", &router, "near");
        host.veth("eth2", &vm, "eth0");
        for raw in ["eth1", "eth2"] {
            host.exec(&format!("sysctl -qw net.ipv6.conf.{raw}.disable_ipv6=1"));
        }
        router.exec("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        router.exec("ip address add 192.0.2.254/24 dev near");
        router.exec("ip address add 2001:db8::fe/64 dev near nodad");
        let far = [("4", "198.51.100.", "24", 2), ("6", "2001:db8:6::", "64", 3)].map(
            |(family, prefix, length, number)| {
                let far = with_ipv6(&format!("far{family}"));
                router.veth(&format!("far{family}"), &far, "eth0");
                let nodad = if family == "6" { "nodad" } else { "" };
                let own = format!("{prefix}2/{length}");
                router.exec(&format!("ip address add {prefix}1/{length} dev far{family} {nodad}"));
                far.exec(&format!("ip address add {own} dev eth0 {nodad}"));
                far.exec(&format!("ip -{family} route add default via {prefix}1"));
                let vtep = if family == "4" { "192.0.2.1" } else { "2001:db8::1" };
                far.exec(&format!(
                    "ip link add vx0 mtu 1500 type vxlan id 1000 dstport 4789 local {prefix}2 remote {vtep}"
                ));
                far.exec(&format!("ip address add 10.0.0.{number}/24 dev vx0"));
                far.exec(&format!("ip address add fd00::{number}/64 dev vx0 nodad"));
                far.exec("ip link set vx0 up");
                far
            },
        );
        vm.exec("ip address add 10.0.0.1/24 dev eth0");
        vm.exec("ip address add fd00::1/64 dev eth0 nodad");
        let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports:
    - {name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: [192.0.2.1/24, "2001:db8::1/64"]}
  vtep: {ipv4: 192.0.2.1, ipv6: "2001:db8::1"}
access:
  ports: [{name: vm1, device: "net_af_packet1,iface=eth2"}]
networks:
  - {vni: 1000, name: a, ports: [vm1], flood: {peers: [198.51.100.2, "2001:db8:6::2"]}}
"#;
        let ferry = Ferry::start(&host, config);
        host.exec("ip route add default via 192.0.2.254 dev ferry-up0");
        host.exec("ip -6 route add default via 2001:db8::fe dev ferry-up0");
        let fabric = Self { ferry, vm, far, router, _host: host };
        eventually("both next hops are known", || {
            let peers = fabric.ferry.show("peers");
            peers.as_array().unwrap().iter().all(|peer| peer["state"] == "resolved")
        });
        for station in STATIONS {
            fabric.vm.exec(&format!("ping -c 1 -W 3 {station}"));
        }
        fabric
    }

    /// What ping says of a packet of `length` bytes that must stay whole.
    fn ping_whole(&self, station: &str, length: usize) -> String {
        let headers = if station.contains(':') { 48 } else { 28 };
        let size = length - headers;
        let line = format!("ping -c 2 -i 0.2 -W 1 -M do -s {size} {station}");
        let output = self.vm.try_exec(&line);
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8(both).unwrap()
    }

    /// Sends a second's worth of TCP to a station; returns bytes that arrived.
    fn tcp(&self, station: &str) -> f64 {
        for _ in 0..10 {
            let output = self.vm.try_exec(&format!("iperf3 -J -t 1 -c {station}"));
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            if report["error"].is_null() {
                return report["end"]["sum_received"]["bytes"].as_f64().unwrap();
            }
            eprintln!("{}", report["error"]);
            std::thread::sleep(Duration::from_millis(300));
        }
        panic!("iperf3 gets no report")
    }

    fn servers(&self) -> [Background; 2] {
        std::array::from_fn(|index| self.far[index].spawn("iperf3 -s"))
    }
}

/// Over IPv4, then over IPv6.
const STATIONS: [&str; 4] = ["10.0.0.2", "fd00::2", "10.0.0.3", "fd00::3"];

#[test]
fn e8_stations_learn_what_fits_and_tcp_gets_through() {
    let fabric = Fabric::new();
    for (station, mtu) in STATIONS.into_iter().zip([1450, 1450, 1430, 1430]) {
        let said = fabric.ping_whole(station, 1500);
        assert!(
            said.contains(&format!("mtu = {mtu}")) || said.contains(&format!("mtu={mtu}")),
            "{said}"
        );
        let said = fabric.ping_whole(station, 1500);
        assert!(said.contains("essage too long, mtu"), "the kernel remembers: {said}");
        let said = fabric.ping_whole(station, mtu);
        assert!(said.contains(" 0% packet loss"), "{said}");
    }
    // Forgotten again, for TCP to find out by itself.
    for family in ["-4", "-6"] {
        fabric.vm.exec(&format!("ip {family} route flush cache"));
    }
    let _servers = fabric.servers();
    for station in STATIONS {
        let bytes = fabric.tcp(station);
        assert!(bytes > 2e6, "{station}: only {bytes} bytes in a second");
    }
    fabric.ferry.expect_balance();
    fabric.ferry.stop();
}

#[test]
fn a_narrow_path_of_the_underlay_is_found_out_by_peer() {
    let fabric = Fabric::new();
    // The last link of each path carries less than the first.
    for (far, port, mtu) in [(0, "far4", 1400), (1, "far6", 1360)] {
        fabric.router.exec(&format!("ip link set {port} mtu {mtu}"));
        fabric.far[far].exec(&format!("ip link set eth0 mtu {mtu}"));
    }
    let _servers = fabric.servers();
    let rows = [("198.51.100.2", 1400, 1350), ("2001:db8:6::2", 1360, 1290)];
    for (stations, (peer, path, overlay)) in STATIONS.chunks(2).zip(rows) {
        for station in stations {
            let bytes = fabric.tcp(station);
            assert!(bytes > 1e6, "{station}: only {bytes} bytes in a second");
        }
        let peers = fabric.ferry.show("peers");
        let found = peers.as_array().unwrap().iter().find(|row| row["address"] == peer).unwrap();
        assert_eq!((&found["path_mtu"]["mtu"], &found["mtu"]), (&path.into(), &overlay.into()));
        let said = fabric.ping_whole(stations[0], overlay + 1);
        assert!(
            said.contains(&format!("mtu={overlay}")) || said.contains(&format!("mtu = {overlay}")),
            "{said}"
        );
        let said = fabric.ping_whole(stations[0], overlay);
        assert!(said.contains(" 0% packet loss"), "{said}");
    }
    fabric.ferry.expect_balance();
    fabric.ferry.stop();
}
