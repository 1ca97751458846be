//! UDP checksums that the underlay port's device computes: DPDK's `net_tap` does.

use crate::support::frames::{
    BROADCAST, PEER1, PEER2, ethernet, is_vxlan_to, mac, open_summed_vxlan, open_vxlan,
    udp6_adds_up, vxlan,
};
use crate::support::{Ferry, Namespace, RawPort};

const CONFIG: &str = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports: [{name: up0, device: "net_tap0,iface=wire"}]
  vtep: {ipv4: 192.0.2.1, ipv6: "2001:db8::1"}
  neighbours:
    - {ip: 192.0.2.2, mac: "02:00:00:00:11:01", port: up0}
    - {ip: 192.0.2.3, mac: "02:00:00:00:11:02", port: up0}
    - {ip: "2001:db8::2", mac: "02:00:00:00:11:01", port: up0}
access:
  ports: [{name: vm1, device: "net_af_packet1,iface=eth2"}]
networks:
  - vni: 1000
    name: a
    ports: [vm1]
    flood: {peers: [192.0.2.2, {address: 192.0.2.3, checksum: off}, "2001:db8::2"]}
"#;

#[test]
fn e3_the_device_completes_udp_checksums_of_single_packets_and_of_copies() {
    let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
    host.veth("eth2", &wires, "one");
    let ferry = Ferry::start(&host, CONFIG);
    let (wire, vm1) = (RawPort::open(&host, "wire"), RawPort::open(&wires, "one"));
    let is_over_ipv6 = |packet: &[u8]| packet[12..14] == [0x86, 0xdd] && packet[20] == 17;
    for length in [60, 61, 1000, 1399] {
        let flood = ethernet(BROADCAST, mac(1), length);
        vm1.send(&flood);
        let packet = wire.expect("a copy with a checksum", is_vxlan_to(PEER1));
        assert_eq!(open_summed_vxlan(&packet), (1000, flood.clone()));
        let packet = wire.expect("a copy without one", is_vxlan_to(PEER2));
        assert_eq!(open_vxlan(&packet), (1000, flood.clone()));
        let packet = wire.expect("a copy over IPv6", is_over_ipv6);
        assert!(packet[60..62] != [0, 0] && udp6_adds_up(&packet), "{packet:02x?}");
        assert_eq!(packet[70..], flood);
    }
    let hello = ethernet(BROADCAST, mac(9), 60);
    wire.send(&vxlan(host.mac("wire"), PEER1, 1000, &hello));
    vm1.expect_frame(&hello);
    ferry.expect_place(1000, mac(9), "192.0.2.2");
    for length in [14, 63, 1399] {
        let unicast = ethernet(mac(9), mac(1), length);
        vm1.send(&unicast);
        let packet = wire.expect("unicast", is_vxlan_to(PEER1));
        assert_eq!(open_summed_vxlan(&packet), (1000, unicast));
    }
    let peers = ferry.show("peers");
    let by = |peer: usize| peers[peer]["udp_checksum"].as_str();
    assert_eq!([by(0), by(1), by(2)], [Some("device"), Some("zero"), Some("device")]);
    ferry.expect_balance();
    ferry.stop();
}

/// The last copy of a flood is the frame itself, whose bytes the other copies share.
#[test]
fn e3_the_device_completes_the_udp_checksum_of_what_is_flooded_to_a_port_too() {
    let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
    host.veth("eth2", &wires, "one");
    host.veth("eth3", &wires, "two");
    let config = CONFIG
        .replace(
            "iface=eth2\"}",
            "iface=eth2\"}, {name: vm2, device: \"net_af_packet2,iface=eth3\"}",
        )
        .replace("ports: [vm1]", "ports: [vm1, vm2]")
        .replace(", {address: 192.0.2.3, checksum: off}, \"2001:db8::2\"", "");
    let ferry = Ferry::start(&host, &config);
    let wire = RawPort::open(&host, "wire");
    let [vm1, vm2] = ["one", "two"].map(|interface| RawPort::open(&wires, interface));
    for length in [60, 1399] {
        let flood = ethernet(BROADCAST, mac(1), length);
        vm1.send(&flood);
        vm2.expect_frame(&flood);
        let packet = wire.expect("the peer's", is_vxlan_to(PEER1));
        assert_eq!(open_summed_vxlan(&packet), (1000, flood));
    }
    ferry.expect_balance();
    ferry.stop();
}
