#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::too_big::Gateways;
use crate::tunnel::{Dscp, Encap, Marking, Ttl};
use crate::wire::Vlan;
use crate::worker::MovePolicy;

mod edit;
mod keys;
mod macs;
mod messages;

const BASE: &str = include_str!("base.yaml");

#[track_caller]
fn right(text: &str) -> Config {
    Config::parse("f", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn wrong(text: &str) -> String {
    Config::parse("f", text).unwrap_err().to_string()
}

/// The files that are shipped, by path.
fn shipped() -> Vec<std::path::PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/configs");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

/// The file with every key.
fn example() -> String {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

#[test]
fn every_shipped_file_is_right() {
    let files = shipped();
    assert!(files.len() >= 5);
    for path in files {
        assert_eq!(right(&std::fs::read_to_string(&path).unwrap()).warnings, [], "{path:?}");
    }
}

#[test]
fn the_example_is_right() {
    assert_eq!(right(&example()).warnings, []);
}

#[test]
fn a_network_may_be_called_by_its_own_vni() {
    assert_eq!(right(&BASE.replace("tenant-b", "\"102\"")).networks[1].name, "102");
}

#[test]
fn values_and_references_arrive() {
    let config = right(BASE);
    assert_eq!(
        config.eal,
        Eal { hugepages: false, memory: Some(512 << 20), mbufs: None, args: vec![] }
    );
    assert_eq!(
        config.cores,
        Cores { control: 0, workers: vec![1], idle: crate::worker::Idle::Yield }
    );
    let up0 = &config.underlay.ports[0];
    assert_eq!(up0.twin.as_ref().unwrap().addresses, ["192.0.2.1/24".parse().unwrap()]);
    assert_eq!(config.underlay.ports[1].twin, None);
    assert_eq!(config.underlay.neighbours[0].port, "up1");
    assert_eq!(config.access[0].device, "net_tap0,iface=vm1");

    let [a, b] = &config.networks[..] else { panic!("two networks") };
    let member = |port: &str, vlan| Member { port: port.to_owned(), vlan };
    assert_eq!(a.members, [member("vm1", None), member("trunk0", Some(Vlan::Single(10)))]);
    let peer = |last, port| Peer {
        address: Ipv4Addr::new(192, 0, 2, last).into(),
        encap: Encap::vxlan(port),
        id: None,
        dscp: None,
        ttl: None,
    };
    assert_eq!(a.peers, [peer(2, 4789), peer(3, 4790)]);
    // The static MAC goes to the UDP port that the flood list has for its peer.
    let places: Vec<MacPlace> = a.macs.iter().map(|mac| mac.place).collect();
    assert_eq!(places, [MacPlace::Peer(peer(3, 4790)), MacPlace::Member(0)]);
    assert_eq!((b.learning, b.ageing, b.mac_limit), (true, Some(Duration::from_secs(300)), 8192));
    assert_eq!((b.inner_vlan, b.peers.len(), b.macs.len()), (InnerVlan::Drop, 0, 0));
}

#[test]
fn defaults_fill_what_is_left_out() {
    let text = "cores: {workers: [1]}\n\
        underlay: {ports: [{name: up0, device: net_tap0}], vtep: {ipv4: 192.0.2.1}}\n";
    let config = right(text);
    assert_eq!(
        config.eal,
        Eal { hugepages: false, memory: Some(512 << 20), mbufs: None, args: vec![] }
    );
    assert_eq!(
        config.cores,
        Cores { control: 0, workers: vec![1], idle: crate::worker::Idle::Yield }
    );
    let path = Path::new("/run/ferry/ferry.sock").to_owned();
    let socket = Socket { path, group: None };
    let metrics = Metrics { networks: false, peers: false };
    assert_eq!(config.api, Api { socket, read_only: None, listen: None, metrics });
    assert_eq!(config.underlay.vtep.vxlan_port, 4789);
    let Port { queues, mtu, rx_descriptors, tx_descriptors, .. } = config.underlay.ports[0].port;
    assert_eq!((queues, mtu, rx_descriptors, tx_descriptors), (1, 1500, None, None));
    assert_eq!((config.access.len(), config.networks.len()), (0, 0));
    // With hugepages EAL takes what it needs.
    assert_eq!(right(&format!("eal: {{hugepages: true}}\n{text}")).eal.memory, None);
}

#[test]
fn the_listener_is_for_this_machine_or_has_tls_and_a_token() {
    let listen = |value: &str| {
        let text = BASE.replace("  socket: /run/", &format!("  listen: {value}\n  socket: /run/"));
        let config = right(&text);
        let again = right(&config.render().to_string());
        assert_eq!(again.api, config.api);
        config.api.listen.unwrap()
    };
    let plain = listen("127.0.0.1:9472");
    assert_eq!(plain, Listen { address: ([127, 0, 0, 1], 9472).into(), tls: None, token: None });
    assert_eq!(listen("{address: \"[::1]:1\", token: /t}").token.as_deref(), Some(Path::new("/t")));
    let files = "tls: {certificate: /c, key: /k}, token: /t";
    let open = listen(&format!("{{address: \"0.0.0.0:9472\", {files}}}"));
    assert_eq!(open.tls, Some(Tls { certificate: "/c".into(), key: "/k".into() }));
}

#[test]
fn durations_and_sizes_have_units() {
    let ageing = |value| right(&BASE.replace("300s", value)).networks[0].ageing;
    for (value, seconds) in [("1s", 1), ("5m", 300), ("9h", 32400), ("90 s", 90)] {
        assert_eq!(ageing(value), Some(Duration::from_secs(seconds)));
    }
    assert_eq!((ageing("0"), ageing("0s"), ageing("off")), (None, None, None));
    let memory = |value| right(&BASE.replace("512MiB", value)).eal.memory.unwrap();
    assert_eq!((memory("64MiB"), memory("2GiB"), memory("1TiB")), (64 << 20, 2 << 30, 1 << 40));
}

#[test]
fn a_static_mac_finds_its_vlan() {
    let place = |members: &str, mac: &str| {
        let members = BASE.replace("{port: trunk0, vlan: 10}", members);
        let text = members.replace("port: vm1}", mac);
        right(&text).networks[0].macs[1].place
    };
    let two = "{port: trunk0, vlan: 10}, {port: trunk0, vlan: 11}";
    assert_eq!(place(two, "port: trunk0, vlan: 11}"), MacPlace::Member(2));
    assert_eq!(place("{port: trunk0, vlan: 10}", "port: trunk0}"), MacPlace::Member(1));
    // Untagged, as the port's name alone means elsewhere.
    assert_eq!(place("trunk0, {port: trunk0, vlan: 10}", "port: trunk0}"), MacPlace::Member(1));
}

#[test]
fn arp_is_suppressed_as_told() {
    let suppression = |value: &str| {
        let text = BASE.replace("inner_vlan: drop", &format!("arp_suppression: {value}"));
        right(&text).networks[0].arp_suppression
    };
    let usual = ArpSuppression { unknown: crate::worker::Unknown::Flood, limit: 8192 };
    assert_eq!(right(BASE).networks[0].arp_suppression, None);
    assert_eq!((suppression("false"), suppression("true")), (None, Some(usual)));
    assert_eq!(suppression("{unknown: flood}"), Some(usual));
    let strict = ArpSuppression { unknown: crate::worker::Unknown::Drop, limit: 5 };
    assert_eq!(suppression("{unknown: drop, limit: 5}"), Some(strict));

    let text = BASE.replace("port: vm1}", "port: vm1, ips: [10.0.0.1, \"fe80::1\"]}");
    let config = right(&text);
    assert_eq!(config.networks[0].macs[1].ips.len(), 2);
    let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
    assert_eq!((warning.line, warning.path.as_str()), (Some(40), "networks[0].macs"));
    let text = text.replace("inner_vlan: drop", "arp_suppression: true");
    assert_eq!(right(&text).warnings, []);
}

#[test]
fn storms_are_limited_as_told() {
    let text =
        BASE.replace("inner_vlan: drop", "storm_control: {broadcast: 1000, unknown_unicast: 0}");
    let config = right(&text.replace("queues: 1", "storm_control: {multicast: 5, burst: 2}"));
    let network =
        StormControl { broadcast: Some(1000), unknown_unicast: Some(0), ..StormControl::default() };
    let port = StormControl { multicast: Some(5), burst: Some(2), ..StormControl::default() };
    assert_eq!(config.networks[0].storm_control, Some(network));
    assert_eq!(config.access[0].storm_control, Some(port));
    assert_eq!((config.networks[1].storm_control, config.access[1].storm_control), (None, None));
    let config = right(&BASE.replace("inner_vlan: drop", "storm_control: {burst: 7}"));
    assert_eq!(config.warnings[0].path, "networks[0].storm_control");
}

#[test]
fn what_outer_headers_say_is_the_vteps_word_or_the_peers() {
    let with = |vtep: &str, peer: &str| {
        let text = BASE.replace("vxlan_port: 4789", vtep).replace("port: 4790", peer);
        let config = right(&text);
        config.networks[0].peers[1].marking(&config.underlay.vtep)
    };
    let marking = |dscp, ttl| Marking { dscp, ttl };
    assert_eq!(with("", "port: 4790"), marking(Dscp::Fixed(0), Ttl::Fixed(64)));
    let vtep = "dscp: copy\n    ttl: 255";
    assert_eq!(with(vtep, "port: 4790"), marking(Dscp::Copy, Ttl::Fixed(255)));
    assert_eq!(with(vtep, "dscp: 63"), marking(Dscp::Fixed(63), Ttl::Fixed(255)));
    assert_eq!(with("", "ttl: inherit"), marking(Dscp::Fixed(0), Ttl::Inherit));
}

#[test]
fn groups_are_told_by_the_networks_word_or_the_peers() {
    let told = |network: &str, peer: &str| {
        let text = BASE.replace("inner_vlan: drop", network).replace("port: 4790", peer);
        let text = text.replace("peer: 192.0.2.3", "peer: 192.0.2.4");
        let network = right(&text).networks.swap_remove(0);
        (network.all_peers().map(|peer| peer.encap.has_groups()).collect(), network.has_groups())
    };
    assert_eq!(told("", "port: 4790"), (vec![false; 3], false));
    assert_eq!(told("", "group_policy: true"), (vec![false, true, false], true));
    assert_eq!(told("group_policy: true", "port: 4790"), (vec![true; 3], true));
    assert_eq!(told("group_policy: true", "group_policy: false"), (vec![true, false, true], true));
    assert_eq!(told("group_policy: true", "encap: gre"), (vec![true, false, true], true));
}

#[test]
fn places_are_of_groups_and_accept_groups() {
    let places = "[{port: vm1, group: 65535}, {port: trunk0, vlan: 10, accept_groups: [9, 0, 7]}]";
    let text = BASE.replace("[vm1, {port: trunk0, vlan: 10}]", places);
    let network = right(&text).networks.swap_remove(0);
    let accepts = Some(vec![0, 7, 9]);
    let expected =
        [PlacePolicy { group: Some(65535), accepts: None }, PlacePolicy { group: None, accepts }];
    assert_eq!(network.policies, expected);
    // The places are the same as without.
    assert_eq!(network.members, right(BASE).networks[0].members);
}

#[test]
fn igmp_and_mld_are_listened_to_as_told() {
    let snooping = |value: &str| {
        let text = BASE.replace("inner_vlan: drop", &format!("multicast: {{snooping: {value}}}"));
        right(&text).networks[0].multicast.clone().unwrap().snooping
    };
    let usual = Snooping::default();
    assert_eq!((snooping("false"), snooping("true")), (None, Some(usual.clone())));
    assert_eq!(snooping("{group_limit: 1024}"), Some(usual.clone()));
    let all = "{router_ports: [{port: trunk0, vlan: 10}], router_peers: [192.0.2.2], group_limit: 5, \
               port_group_limit: 4, message_limit: 3, fast_leave: true, querier: 10.0.0.250, \
               query_interval: 2m, response_interval: 2500ms, last_member_interval: 200ms}";
    let peer = Peer {
        address: Ipv4Addr::new(192, 0, 2, 2).into(),
        encap: Encap::vxlan(4789),
        id: None,
        dscp: None,
        ttl: None,
    };
    let expected = Snooping {
        router_ports: vec![1],
        router_peers: vec![peer],
        group_limit: 5,
        port_group_limit: 4,
        message_limit: 3,
        fast_leave: true,
        querier: Some(Ipv4Addr::new(10, 0, 0, 250)),
        query_interval: Duration::from_secs(120),
        response_interval: Duration::from_millis(2500),
        last_member_interval: Duration::from_millis(200),
    };
    assert_eq!(snooping(all), Some(expected));
    let querier = |value: &str| snooping(&format!("{{querier: {value}}}")).unwrap().querier;
    assert_eq!((querier("true"), querier("false")), (Some(Ipv4Addr::UNSPECIFIED), None));
}

#[test]
fn nothing_is_flooded_to_peers_when_told() {
    let text = BASE.replace("{peers: [192.0.2.2, {address: 192.0.2.3, port: 4790}]}", "none");
    let config = right(&text);
    assert_eq!(config.networks[0].peers, []);
    assert!(matches!(config.networks[0].macs[0].place, MacPlace::Peer(_)));
}

#[test]
fn a_group_may_stand_beside_peers_and_wants_a_twin() {
    let flood = "{peers: [192.0.2.2, {address: 192.0.2.3, port: 4790}]}";
    let with = |group: &str| right(&BASE.replace(flood, group)).networks[0].group.clone();
    let address = "239.1.1.1".parse().unwrap();
    assert_eq!(with("{group: 239.1.1.1}"), Some(FloodGroup { address, ttl: 1 }));
    let all = with("{group: 239.1.1.1, ttl: 8, peers: [192.0.2.2]}");
    assert_eq!(all, Some(FloodGroup { address, ttl: 8 }));

    let lonely = "cores: {workers: [1]}\n\
        underlay: {ports: [{name: up0, device: net_tap0}], vtep: {ipv6: \"2001:db8::1\"}}\n\
        access: {ports: [{name: vm1, device: net_tap1}]}\n\
        networks: [{vni: 1, name: a, ports: [vm1], flood: {group: \"ff0e::1\"}}]\n";
    let [warning] = &right(lonely).warnings[..] else { panic!("one warning") };
    assert_eq!(warning.path, "networks[0].flood.group");
    assert!(warning.message.starts_with("no underlay port has a twin, so nobody joins"));
}

#[test]
fn peers_are_learned_where_told_and_by_groups() {
    let flood = "{peers: [192.0.2.2, {address: 192.0.2.3, port: 4790}]}";
    let mac = "      - {mac: \"02:00:00:00:00:02\", peer: 192.0.2.3}\n";
    let without_macs = BASE.replace(mac, "");
    let with = |list: &str| {
        let network = right(&without_macs.replace(flood, list)).networks.swap_remove(0);
        (network.peers.len(), network.learned_peers.clone().map(|learned| learned.allow))
    };
    let some = ["192.0.2.0/24", "198.51.100.7/32"].map(|prefix| prefix.parse().unwrap());
    let allowed = "allow: [192.0.2.0/24, 198.51.100.7]";
    assert_eq!(with("{peers: [192.0.2.2]}"), (1, None));
    assert_eq!(with("{peers: learn}"), (0, Some(None)));
    assert_eq!(with("{peers: [192.0.2.2, learn]}"), (1, Some(None)));
    assert_eq!(with(&format!("{{peers: learn, {allowed}}}")), (0, Some(Some(some.to_vec()))));
    assert_eq!(with(&format!("{{group: 239.1.1.1, {allowed}}}")), (0, Some(Some(some.to_vec()))));
    assert_eq!(with("{group: 239.1.1.1, allow: []}"), (0, Some(Some(vec![]))));

    let lonely = "cores: {workers: [1]}\n\
        underlay: {ports: [{name: up0, device: net_tap0}], vtep: {ipv4: 192.0.2.1}}\n\
        access: {ports: [{name: vm1, device: net_tap1}]}\n\
        networks: [{vni: 1, name: a, ports: [vm1], flood: {peers: learn}}]\n";
    let [warning] = &right(lonely).warnings[..] else { panic!("one warning") };
    assert_eq!(warning.path, "networks[0].flood.peers");
    assert!(warning.message.starts_with("no underlay port has a twin, so only VTEPs of"));
}

#[test]
fn macs_move_as_told() {
    let moves = |value: &str| {
        let text = BASE.replace("inner_vlan: drop", &format!("mac_move: {value}"));
        right(&text).networks[0].mac_move
    };
    let usual = MacMove::default();
    let dampening = usual.dampening.unwrap();
    assert_eq!(right(BASE).networks[0].mac_move, usual);
    assert_eq!(usual.policy, MovePolicy::Allow);
    assert_eq!(moves("local-wins"), MacMove { policy: MovePolicy::LocalWins, ..usual });
    assert_eq!(moves("{policy: freeze}"), MacMove { policy: MovePolicy::Freeze, ..usual });
    assert_eq!(moves("{moves: off}"), MacMove { dampening: None, ..usual });
    let (within, frozen_for) = (Duration::from_secs(60), Duration::from_secs(5));
    let strict = Dampening { moves: 2, within, frozen_for };
    assert_eq!(moves("{moves: 2, within: 1m, frozen_for: 5s}").dampening, Some(strict));
    assert_eq!(moves("{moves: 2}").dampening, Some(Dampening { moves: 2, ..dampening }));
}

#[test]
fn static_neighbours_reach_peers_without_a_twin() {
    let text = BASE.replace("      twin: ferry-up0\n      addresses: [192.0.2.1/24]\n", "");
    let peer = |last| format!("{{ip: 192.0.2.{last}, mac: \"02:00:00:00:00:09\", port: up0}}");
    let text =
        text.replace("    - {ip", &format!("    - {}\n    - {}\n    - {{ip", peer(2), peer(3)));
    assert_eq!(right(&text).underlay.neighbours.len(), 3);
}

#[test]
fn anchors_write_a_list_once() {
    let text = BASE.replace("flood: {", "flood: &all {") + "    flood: *all\n";
    let config = right(&text);
    assert_eq!(config.networks[0].peers, config.networks[1].peers);

    // Not just twice: the parser by itself would take this for an attack.
    let network = |n: u32| {
        format!("  - {{vni: {n}, name: t{n}, ports: [{{port: vm1, vlan: {n}}}], flood: *all}}\n")
    };
    let many: String = (200..3000).map(network).collect();
    assert_eq!(right(&(text + &many)).networks.len(), 2802);
}

#[test]
fn access_ports_of_more_than_the_underlay_carries_are_warned_of() {
    let with = |mtu: &str, underlay: &str, peers: &str| {
        let text = BASE
            .replace("      queues: 1\n", &format!("      mtu: {mtu}\n"))
            .replace("device: net_tap7", &format!("device: net_tap7\n      mtu: {underlay}"))
            .replace("vxlan_port: 4789", "vxlan_port: 4789\n    ipv6: \"2001:db8::1\"")
            .replace("addresses: [192.0.2.1/24]", "addresses: []")
            .replace("{peers: [192.0.2.2, {address: 192.0.2.3, port: 4790}]}", peers);
        let warnings = right(&text).warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let v4 = "{peers: [192.0.2.2, 192.0.2.3]}";
    assert_eq!(with("1450", "1500", v4), [""; 0]);
    let told = "f:29: access.ports[0].mtu: network 'tenant-a' carries packets of 1450 bytes at most: the underlay's MTU of \
         1500 less 50 of headers; lower this to that, or give the underlay ports 'mtu: 1551' at least";
    assert_eq!(with("1501", "1600", v4), [told], "up1 has 1500");
    assert_eq!(with("1450", "1500", "{peers: [\"2001:db8::2\"]}").len(), 1);
    assert_eq!(with("1430", "1500", "{group: \"ff0e::1\"}"), [""; 0]);
    assert_eq!(with("1431", "1500", "{group: \"ff0e::1\"}").len(), 1);
    // Peers that are learned are of the families that are let in: here both, and then one.
    let learn = |allow: &str| format!("{{peers: [192.0.2.2, learn]{allow}}}");
    assert_eq!(with("1430", "1500", &learn("")), [""; 0]);
    assert_eq!(with("1431", "1500", &learn("")).len(), 1);
    let (v4_only, v6_only) = (", allow: [192.0.2.0/24]", ", allow: [\"2001:db8::/32\"]");
    assert_eq!(with("1450", "1500", &learn(v4_only)), [""; 0]);
    assert_eq!(with("1451", "1500", &learn(v4_only)).len(), 1);
    assert_eq!(with("1431", "1500", &learn(v6_only)).len(), 1);
    // Static MACs have peers too: 1500 less 20 of IP, 8 of NVGRE and 14 of Ethernet.
    assert_eq!(with("1451", "1500", "none").len(), 1);
}

#[test]
fn a_gateway_is_one_address_of_each_family() {
    let gateways = |value| {
        let text = BASE.replace("    learning: true\n", &format!("    gateway: {value}\n"));
        Config::parse("f", &text).map(|config| config.networks[0].gateways)
    };
    let (v4, v6) = (Some(Ipv4Addr::new(10, 0, 0, 254)), Some("fd00::fe".parse().unwrap()));
    assert_eq!(gateways("10.0.0.254").unwrap(), Gateways { ipv4: v4, ipv6: None });
    assert_eq!(gateways("\"fd00::fe\"").unwrap(), Gateways { ipv4: None, ipv6: v6 });
    let both = Gateways { ipv4: v4, ipv6: v6 };
    assert_eq!(gateways("[10.0.0.254, \"fd00::fe\"]").unwrap(), both);
    assert_eq!(right(BASE).networks[0].gateways, Gateways::default());
}

#[test]
fn idle_ports_and_networks_are_warned_of() {
    let text = BASE.replace("ports: [vm1, ", "ports: [").replace("port: vm1}", "port: trunk0}");
    let text = text.replace("    ports: [{port: trunk0, vlan: 20}]\n", "");
    assert_eq!(
        right(&text).summary().to_string(),
        "f: ok: 2 networks, 2 access ports, 2 underlay ports, 1 worker, 2 warnings\n\
         warning: f:25: access.ports[0]: no network uses port 'vm1', so all that it receives is dropped; \
         list it under the 'ports' of a network\n\
         warning: f:43: networks[1]: this network has no ports, so no frame gets in or out; \
         list its access ports under 'ports'"
    );
    let summary = right(BASE).summary().to_string();
    assert_eq!(summary, "f: ok: 2 networks, 2 access ports, 2 underlay ports, 1 worker");
}

#[test]
fn a_worker_that_leaves_its_core_when_idle_may_share_the_control_cores() {
    for idle in ["yield", "sleep"] {
        let text = BASE.replace("workers: [1]", "workers: [1, 0]");
        let config = right(&text.replace("idle: yield", &format!("idle: {idle}")));
        assert_eq!(config.cores.workers, [1, 0]);
        let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
        assert_eq!((warning.line, warning.path.as_str()), (Some(6), "cores.workers[1]"));
    }
}

#[test]
fn cores_must_be_those_of_the_machine() {
    let errors = |text: &str, cpus: &[usize]| read("f", text, Some(cpus)).unwrap_err().to_string();
    assert!(read("f", BASE, Some(&[0, 1])).is_ok());
    assert_eq!(
        errors(BASE, &[0, 2]),
        "f:6: cores.workers[0]: core 1, which this process cannot use; use one of 0, 2"
    );
    assert_eq!(
        errors(&BASE.replace("  control: 0\n", ""), &[1, 2]),
        "f:4: cores: control is core 0 by default, which this process cannot use; use one of 1, 2"
    );
}

#[test]
fn ten_mistakes_are_told_at_once_and_in_order() {
    let mut text = BASE.to_owned();
    for (from, to) in [
        ("512MiB", "512"),
        ("idle:", "idel:"),
        ("workers: [1]", "workers: [1, 1]"),
        ("ferry-up0", "ferry underlay"),
        ("name: trunk0", "name: vm1"),
        ("vni: 101", "vni: 0"),
        ("[192.0.2.2,", "[192.0.2.1,"),
        ("inner_vlan: drop", "inner_vlan: true"),
        ("00:00:02\"", "00:00:zz\""),
        ("name: tenant-b", "name: tenant-a"),
    ] {
        text = text.replace(from, to);
    }
    let errors = Config::parse("f", &text).unwrap_err().0;
    let places: Vec<String> =
        errors.iter().map(|e| format!("{} {}", e.line.unwrap(), e.path)).collect();
    let expected = [
        "2 eal.memory",
        "6 cores.workers[1]",
        "7 cores.idel",
        "14 underlay.ports[0].twin",
        "28 access.ports[1].name",
        "31 networks[0].vni",
        "34 networks[0].ports[1].port",
        "35 networks[0].flood.peers[0]",
        "39 networks[0].inner_vlan",
        "41 networks[0].macs[0].mac",
        "44 networks[1].name",
        "45 networks[1].ports[0].port",
    ];
    // Two more follow from the trunk's lost name.
    assert_eq!(places, expected);
}

#[test]
fn text_that_is_no_configuration() {
    let root =
        "expected a mapping with the keys eal, cores, api, underlay, access, networks, mirrors";
    assert_eq!(wrong(""), format!("f:1: {root}, found nothing"));
    assert_eq!(wrong("hello"), format!("f:1: {root}, found the text 'hello'"));
    assert_eq!(wrong("a: \"x\n"), "f:1:4: this cannot be read as YAML: unclosed quote");
    // One line, whatever stands in the file.
    assert_eq!(
        wrong("\"a\\nb\\e[0m\""),
        format!("f:1: {root}, found the text 'a\\nb\\u{{1b}}[0m'")
    );
}

#[test]
fn files_that_cannot_be_read() {
    let folder = std::env::temp_dir().join(format!("ferry-config-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("latin1.yaml");
    std::fs::write(&file, b"name: \xe9").unwrap();
    let missing = folder.join("missing.yaml");
    let (latin1, missing) = (Config::load(&file), Config::load(&missing));
    let endless = Config::load("/dev/zero").unwrap_err();
    assert_eq!(endless.to_string(), "/dev/zero: has more than 256 MiB; name a YAML file");
    std::fs::remove_dir_all(&folder).unwrap();
    let folder = folder.display();
    assert_eq!(
        latin1.unwrap_err().to_string(),
        format!("{folder}/latin1.yaml: is not UTF-8 text; name a YAML file")
    );
    assert_eq!(
        missing.unwrap_err().to_string(),
        format!(
            "{folder}/missing.yaml: cannot be read: No such file or directory (os error 2); \
             name a YAML file that this user may read"
        )
    );
}

/// What a text is told never depends on luck, is never empty and stands one to a line.
fn check_any(text: &str) {
    let first = Config::parse("f", text);
    assert_eq!(first, Config::parse("f", text));
    if let Err(errors) = first {
        assert!(!errors.0.is_empty());
        assert_eq!(errors.to_string().lines().count(), errors.0.len());
        assert!(errors.0.is_sorted_by_key(|error| error.line));
        let distinct: HashSet<String> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), errors.0.len(), "told twice: {errors}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        check_any(&text);
    }

    #[test]
    fn no_yaml_panics(text in "([a-z]{1,3}|[0-9]|[-:?,\\[\\]{}&*!|>'\"%@`# \n~.<])*") {
        check_any(&text);
    }

    /// Values and lines of the base in each other's place reach deeper than free text does.
    #[test]
    fn no_damaged_file_panics(swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6)) {
        let mut tokens: Vec<&str> = BASE.split_inclusive([' ', '\n', ',', ':', '}', ']']).collect();
        for (to, from) in swaps {
            let (to, from) = (to.index(tokens.len()), from.index(tokens.len()));
            tokens[to] = tokens[from];
        }
        check_any(&tokens.concat());
    }
}
