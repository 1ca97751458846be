use super::*;

const GOOD: &str = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
api: {socket: /tmp/ferry.sock}
underlay:
  ports:
    - name: up0
      device: "net_af_packet0,iface=eth1"
      twin: ferry-up0
      addresses: [192.0.2.1/24]
  vtep: {ipv4: 192.0.2.1}
access:
  ports:
    - {name: vm1, device: "net_tap0,iface=vm1"}
    - {name: trunk0, device: "net_tap1,iface=trunk0", queues: 2}
networks:
  - vni: 101
    name: tenant-a
    encap: vxlan
    ports: [vm1, {port: trunk0, vlan: 10}]
    flood: {peers: [192.0.2.2, {address: 192.0.2.3}]}
    ageing: 5m
    macs:
      - {mac: "02:00:00:00:00:02", peer: 192.0.2.2}
      - {mac: "02:00:00:00:00:01", port: trunk0, vlan: 10}
"#;

fn errors(text: &str) -> Vec<String> {
    Config::parse("f.yaml", text).expect_err("the file is wrong").0
}

/// The errors of the good file with one text replaced.
fn spoiled(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "'{from}' is in the good file");
    errors(&GOOD.replacen(from, to, 1))
}

#[test]
fn a_good_file() {
    let config = Config::parse("f.yaml", GOOD).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.to_string(), "1 network, 2 access ports, 1 underlay port, 1 worker");
    let network = &config.networks[0];
    assert_eq!((network.vni.get(), network.ageing), (101, Some(Duration::from_secs(300))));
    assert_eq!(network.members[1], Member { port: 1, vlan: Some(10) });
    assert_eq!(network.macs[1].place, Place::Member(1));
    assert_eq!(config.eal.memory, Some(256 << 20));
    assert_eq!((config.cores.idle, config.receive_queues()), (Idle::Sleep, 4));
}

#[test]
fn each_mistake_has_its_line_key_and_remedy() {
    let cases = [
        (
            "vni: 101",
            "vni: 0",
            "f.yaml:17: networks[0].vni: 0 is out of range; it is a number from 1 to 16777215",
        ),
        (
            "vni: 101",
            "vni: 16777216",
            "f.yaml:17: networks[0].vni: 16777216 is out of range; it is a number from 1 to 16777215",
        ),
        (
            "ageing: 5m",
            "agein: 5m",
            "f.yaml:22: networks[0].agein: unknown key; did you mean 'ageing'? known keys: vni, name, encap, ports, flood, learning, ageing, mac_limit, inner_vlan, macs",
        ),
        (
            "ageing: 5m",
            "ageing: soon",
            "f.yaml:22: networks[0].ageing: 'soon' is not a duration, such as 300s, 5m or off",
        ),
        (
            "encap: vxlan",
            "encap: gre",
            "f.yaml:19: networks[0].encap: gre is not supported yet; use vxlan",
        ),
        (
            "[vm1, {port",
            "[vm2, {port",
            "f.yaml:20: networks[0].ports[0]: 'vm2' is not an access port; did you mean 'vm1'?",
        ),
        (
            "vlan: 10}]",
            "vlan: 4095}]",
            "f.yaml:20: networks[0].ports[1].vlan: 4095 is out of range; it is a number from 1 to 4094",
        ),
        (
            "[192.0.2.2,",
            "[192.0.2.1,",
            "f.yaml:21: networks[0].flood.peers[0]: 192.0.2.1 is this VTEP's own address; name the other side's",
        ),
        (
            "[192.0.2.2,",
            "[239.0.0.1,",
            "f.yaml:21: networks[0].flood.peers[0]: 239.0.0.1 is a multicast address; name a host's address",
        ),
        (
            "address: 192.0.2.3",
            "address: 192.0.2.2",
            "f.yaml:21: networks[0].flood.peers[1].address: 192.0.2.2 is listed twice",
        ),
        (
            "\"02:00:00:00:00:02\"",
            "\"01:00:00:00:00:02\"",
            "f.yaml:24: networks[0].macs[0].mac: 01:00:00:00:00:02 is not a station's address: it is a group address or zero",
        ),
        (
            "\"02:00:00:00:00:01\"",
            "\"02:00:00:00:00:02\"",
            "f.yaml:25: networks[0].macs[1].mac: 02:00:00:00:00:02 is listed twice in this network",
        ),
        (
            "{memory: 256MiB}",
            "{memory: lots}",
            "f.yaml:2: eal.memory: 'lots' is not a size, such as 512MiB or 2GiB",
        ),
        (
            "workers: [1]",
            "workers: [1, 1]",
            "f.yaml:3: cores.workers[1]: core 1 has a worker already; name each core once",
        ),
        (
            "workers: [1]",
            "workers: [0]",
            "f.yaml:3: cores.workers[0]: core 0 is the control core; give workers cores of their own",
        ),
        (
            "idle: sleep",
            "idle: nap",
            "f.yaml:3: cores.idle: 'nap' is not one of spin, yield, sleep",
        ),
        (
            "name: trunk0,",
            "name: vm1,",
            "f.yaml:15: access.ports[1].name: 'vm1' is already a port's name (line 14); give each port its own",
        ),
        (
            "net_tap1",
            "net_tap0",
            "f.yaml:15: access.ports[1].device: the device net_tap0 is already used (line 14); number virtual devices apart, as in net_tap0, net_tap1",
        ),
        (
            "ipv4: 192.0.2.1}",
            "ipv4: 192.0.2.9}",
            "f.yaml:6: underlay: vtep.ipv4 192.0.2.9 is not among the ports' addresses; add it there, or leave addresses out and set them with ip(8)",
        ),
        (
            "twin: ferry-up0",
            "twin: a-name-too-long-for-linux",
            "f.yaml:9: underlay.ports[0].twin: 'a-name-too-long-for-linux' is not an interface name: at most 15 letters, no '/' or ':'",
        ),
        (
            "192.0.2.1/24",
            "192.0.2.1",
            "f.yaml:10: underlay.ports[0].addresses[0]: '192.0.2.1' is not an address with its prefix length, such as 192.0.2.1/24",
        ),
    ];
    for (from, to, message) in cases {
        let lines = spoiled(from, to);
        assert!(
            lines.iter().any(|line| line == message),
            "{from} → {to}: {lines:#?}\nwanted: {message}"
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_lines() {
    let text = GOOD
        .replace("256MiB", "1")
        .replace("idle: sleep", "idle: 3")
        .replace("queues: 2", "queue: 2")
        .replace("vni: 101", "vni: x")
        .replace("ageing: 5m", "ageing: 10h");
    let lines = errors(&text);
    let numbers: Vec<_> = lines.iter().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(numbers, ["2", "3", "15", "17", "22"], "{lines:#?}");
}

#[test]
fn a_duplicate_vni_names_the_first() {
    let text = format!("{GOOD}  - {{vni: 101, name: tenant-b}}\n");
    let wanted = "f.yaml:26: networks[1].vni: 101 is already a network's VNI (line 17); give each network its own";
    assert_eq!(errors(&text), [wanted]);
}

#[test]
fn a_port_used_twice() {
    let text = format!("{GOOD}  - {{vni: 102, name: tenant-b, ports: [vm1]}}\n");
    assert!(errors(&text)[0].contains("port 'vm1' is already in a network (line 20)"));
}

#[test]
fn what_is_not_yaml() {
    let lines = errors("underlay: [1, 2\nx: {");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("not YAML"), "{lines:?}");
    assert_eq!(errors(""), ["f.yaml:1: expected a mapping of keys, found nothing"]);
}

#[test]
fn a_worker_needs_a_queue_and_a_peer_a_way() {
    let lines = spoiled("workers: [1]", "workers: [1, 2, 3, 4, 5]");
    assert!(lines[0].contains("5 workers for 4 receive queues"), "{lines:?}");
    let lines = spoiled("      twin: ferry-up0\n      addresses: [192.0.2.1/24]\n", "");
    assert!(lines[0].contains("nothing tells the next hop of peer 192.0.2.2"), "{lines:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z:{}\\[\\]\\- \n\"0-9]{0,200}") {
        let _ = Config::parse("f.yaml", &text);
    }
}
