//! An underlay of jumbo frames: tenants' packets of up to 8950 bytes cross it, and the kernel behind the twin has all of
//! its 9000. On net_pcap, because net_af_packet ends at 1500.

use crate::support::{Ferry, Namespace, eventually};

/// Station 10.0.0.1 behind Ferry, 10.0.0.2 behind a kernel VTEP, on one link.
struct Fabric {
    ferry: Ferry,
    host: Namespace,
    vm: Namespace,
    far: Namespace,
}

impl Fabric {
    fn new() -> Self {
        let [host, vm, far] = ["host", "vm", "far"].map(Namespace::new);
        host.veth("eth1", &far, "eth0");
        host.veth("eth2", &vm, "eth0");
        for (namespace, interface) in
            [(&host, "eth1"), (&host, "eth2"), (&vm, "eth0"), (&far, "eth0")]
        {
            namespace.exec(&format!("ip link set {interface} mtu 9000"));
        }
        for namespace in [&host, &far] {
            namespace.exec(
                "sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0",
            );
        }
        host.exec("sysctl -qw net.ipv6.conf.eth1.disable_ipv6=1 net.ipv6.conf.eth2.disable_ipv6=1");
        far.exec("ip address add 192.0.2.2/24 dev eth0");
        far.exec("ip address add 2001:db8::2/64 dev eth0 nodad");
        far.exec(
            "ip link add vx0 type vxlan id 1000 dstport 4789 local 192.0.2.2 remote 192.0.2.1",
        );
        far.exec("ip address add 10.0.0.2/24 broadcast + dev vx0");
        far.exec("ip link set vx0 up mtu 8950");
        far.exec("sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0");
        vm.exec("ip address add 10.0.0.1/24 broadcast + dev eth0");
        let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports:
    - {name: up0, device: "net_pcap0,iface=eth1", mtu: 9000, twin: ferry-up0, addresses: [192.0.2.1/24, "2001:db8::1/64"]}
  vtep: {ipv4: 192.0.2.1}
access:
  ports: [{name: vm1, device: "net_pcap1,iface=eth2", mtu: 8950}]
networks:
  - {vni: 1000, name: a, ports: [vm1], flood: {peers: [192.0.2.2]}}
"#;
        let ferry = Ferry::start(&host, config);
        eventually("the next hop is known", || ferry.show("peers")[0]["state"] == "resolved");
        Self { ferry, host, vm, far }
    }

    fn finish(self) {
        self.ferry.expect_balance();
        self.ferry.stop();
    }
}

/// Pings with IP packets of `length` bytes that must stay whole.
fn ping(from: &Namespace, to: &str, length: usize) {
    let headers = if to.contains(':') { 48 } else { 28 };
    let size = length - headers;
    from.exec(&format!("ping -c 3 -i 0.05 -W 2 -M do -s {size} {to}"));
}

#[test]
fn e8_jumbo_packets_of_stations_cross_whole() {
    let fabric = Fabric::new();
    let Fabric { ferry, vm, far, .. } = &fabric;
    for length in [64, 1500, 1501, 4000, 8900, 8950] {
        ping(vm, "10.0.0.2", length);
        ping(far, "10.0.0.1", length);
    }
    // Flooded, and thus sent as a chain.
    vm.exec("ping -b -c 2 -i 0.05 -W 2 -s 8922 10.0.0.255");
    let said = vm.try_exec("ping -c 2 -i 0.05 -W 1 -M do -s 8923 10.0.0.2");
    let said = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
    assert!(said.contains("mtu = 8950") || said.contains("mtu=8950"), "{said}");
    assert_eq!(ferry.show("networks")[0]["mtu"], 8950);
    fabric.finish();
}

#[test]
fn the_kernel_behind_a_twin_has_jumbo_packets_too() {
    let fabric = Fabric::new();
    let Fabric { ferry, host, far, .. } = &fabric;
    let link = host.exec("cat /sys/class/net/ferry-up0/mtu");
    assert_eq!(link.trim(), "9000");
    for length in [64, 1500, 1504, 1505, 1600, 3008, 8999, 9000] {
        ping(far, "192.0.2.1", length);
        ping(far, "2001:db8::1", length);
        ping(host, "192.0.2.2", length);
    }
    assert_eq!(ferry.drops().values().sum::<u64>(), 0, "{:?}", ferry.drops());
    fabric.finish();
}
