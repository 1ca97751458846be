//! VXLAN's group policy with the Linux kernel's own device.

use crate::support::{Ferry, Namespace, eventually};

/// Ferry at 192.0.2.1 with a station of group 100 that lets 200 in.
const CONFIG: &str = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports:
    - {name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: [192.0.2.1/24]}
  vtep: {ipv4: 192.0.2.1, reserved_bits: drop}
access:
  ports: [{name: vm1, device: "net_af_packet1,iface=eth2"}]
networks:
  - {vni: 1000, name: a, group_policy: true, ports: [{port: vm1, group: 100, accept_groups: [200]}], flood: {peers: [192.0.2.2]}}
"#;

#[test]
fn linux_has_the_group_for_the_packets_mark() {
    let [host, vm, kernel] = ["host", "vm", "kernel"].map(Namespace::new);
    host.veth("eth1", &kernel, "eth0");
    host.veth("eth2", &vm, "eth0");
    vm.exec("ip address add 10.0.0.1/24 dev eth0");
    vm.exec("ip link set eth0 mtu 1400");
    let ferry = Ferry::start(&host, CONFIG);
    for line in [
        "ip address add 192.0.2.2/24 dev eth0",
        "ip link add vx0 type vxlan id 1000 dstport 4789 local 192.0.2.2 remote 192.0.2.1 gbp",
        "ip address add 10.0.0.2/24 dev vx0",
        "ip link set vx0 up mtu 1400",
        "sysctl -q -w net.ipv4.fwmark_reflect=1",
        // What comes without Ferry's group, for a mark, is refused.
        "ip rule add pref 10 lookup local",
        "ip rule del pref 0",
        "ip rule add pref 4 iif vx0 fwmark 100 lookup local",
        "ip rule add pref 5 iif vx0 prohibit",
    ] {
        kernel.exec(line);
    }
    // ARP has no mark to begin with, so it would not be let in.
    let mac_text = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    let neighbour = |of: &Namespace, ip: &str, mac: [u8; 6], device: &str| {
        let mac = mac_text(mac);
        of.exec(&format!("ip neighbour replace {ip} lladdr {mac} dev {device} nud permanent"));
    };
    neighbour(&vm, "10.0.0.2", kernel.mac("vx0"), "eth0");
    neighbour(&kernel, "10.0.0.1", vm.mac("eth0"), "vx0");
    eventually("the next hop is known", || ferry.show("peers")[0]["state"] == "resolved");
    for size in [56, 57, 576, 1372] {
        kernel.exec(&format!("ping -c 3 -i 0.05 -W 2 -m 200 -s {size} 10.0.0.1"));
    }
    let before = ferry.dropped("up0", "group_policy");
    for mark in ["-m 201", ""] {
        assert!(!kernel.try_exec(&format!("ping -c 1 -W 1 {mark} 10.0.0.1")).status.success());
    }
    assert_eq!(ferry.dropped("up0", "group_policy"), before + 2);
    // The kernel's A and D bits are those of the draft: let in, and not learned.
    let station = kernel.mac("vx0");
    ferry.expect_place(1000, station, "192.0.2.2");
    ferry.expect_change("mac flush", "");
    let (applied, dont_learn) = (1 << 19, 1 << 22);
    let mark = applied | dont_learn | 201;
    kernel.exec(&format!("ping -c 1 -W 2 -m {mark} 10.0.0.1"));
    ferry.expect_place(1000, vm.mac("eth0"), "vm1");
    assert_eq!(ferry.place(1000, station), None, "it was heard before that");
    assert_eq!(ferry.dropped("up0", "vxlan_reserved"), 0);
    ferry.expect_balance();
    ferry.stop();
}
