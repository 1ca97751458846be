//! Configurations written, compared and edited.

use std::net::IpAddr;

use super::*;
use crate::wire::{MacAddr, Vni};

#[test]
fn what_is_written_reads_the_same() {
    let group = "    flood: {group: 239.1.1.1, ttl: 5, allow: [192.0.2.0/24], peers: [192.0.2.7]}\n\
                 \x20   ageing: off\n";
    let learned =
        BASE.to_owned() + "    flood: {peers: [192.0.2.7, learn], allow: [192.0.2.0/24]}\n";
    let huge = example().replace("hugepages: false, memory: 1GiB", "hugepages: true");
    let snooping =
        |value| BASE.replace("inner_vlan: drop", &format!("multicast: {{snooping: {value}}}"));
    let keys = |keys: &str| BASE.replace("inner_vlan: drop", keys);
    let moves =
        ["freeze", "{policy: local-wins, moves: off}", "{moves: 3, within: 2m, frozen_for: 1h}"];
    let moves = moves.map(|value| keys(&format!("mac_move: {value}")));
    let all = "{router_ports: [{port: trunk0, vlan: 10}], router_peers: [192.0.2.2], fast_leave: true, \
               querier: 10.0.0.250, query_interval: 2m, response_interval: 2500ms}";
    let marked = BASE.replace("vxlan_port: 4789", "dscp: priority\n    ttl: inherit");
    let marked = marked.replace("port: 4790", "dscp: 46, ttl: 9");
    let marked = marked.replace("inner_vlan: drop", "vlan_priority: dscp");
    let pairs = BASE.replace(
        "vlan: 10}]",
        "vlan: 10}, {port: trunk0, vlan: 10, inner_vlan: 7}, {port: trunk0, vlan: 10, inner_vlan: 7, tpid: 0x8100}]",
    );
    let pairs = pairs.replace("port: vm1}", "port: trunk0, vlan: 10, inner_vlan: 7, tpid: 0x8100}");
    let texts = [pairs, BASE.to_owned(), BASE.to_owned() + group, example(), huge, learned, marked];
    for text in texts.into_iter().chain(moves).chain(["true", "{querier: true}", all].map(snooping))
    {
        let config = right(&text);
        let again = right(&config.render().to_string());
        assert_eq!(Config { warnings: config.warnings.clone(), ..again }, config);
    }
}

fn told(old: &str, new: &str) -> String {
    let list = right(old).difference(&right(new));
    let text = list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // A program reads what a person does.
    let again: Vec<Difference> =
        serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
    assert_eq!(again, list);
    text
}

#[test]
fn differences_are_told_by_part_and_key() {
    assert_eq!(told(BASE, BASE), "");
    let marked = BASE.replace("vxlan_port: 4789", "dscp: 46");
    assert_eq!(told(BASE, &marked), "~ vtep\n    dscp: 0 -> 46");
    let prioritised = BASE.replace("inner_vlan: drop", "vlan_priority: dscp");
    assert_eq!(told(BASE, &prioritised), "~ network 101\n    vlan_priority: none -> dscp");
    // Neither comments nor defaults nor the order of ports make a difference.
    let same = BASE
        .replace("    learning: true\n", "    # as usual\n")
        .replace("    - name: trunk0\n      device: net_tap1\n", "")
        .replace(
            "access:\n  ports:\n",
            "access:\n  ports:\n    - name: trunk0\n      device: net_tap1\n",
        );
    assert_eq!(told(BASE, &same), "");
    let new = BASE
        .replace("workers: [1]", "workers: [1, 2]")
        .replace("vxlan_port: 4789", "vxlan_port: 8472")
        .replace("\"02:00:00:00:00:09\"", "\"02:00:00:00:00:0a\"")
        .replace("    - name: vm1\n", "    - name: vm0\n      device: net_tap9\n    - name: vm1\n")
        .replace("queues: 1", "mtu: 1400")
        .replace("name: tenant-a", "name: tenant-z")
        .replace("300s", "off")
        .replace("{port: trunk0, vlan: 10}]", "{port: trunk0, vlan: 11}]")
        .replace("{peers: [192.0.2.2, {address: 192.0.2.3, port: 4790}]}", "{peers: [192.0.2.3]}")
        .replace("inner_vlan: drop", "arp_suppression: {limit: 5}")
        .replace("02\", peer: 192.0.2.3}", "03\", peer: 192.0.2.3, ips: [10.0.0.3]}")
        .replace("vni: 102", "vni: 103");
    assert_eq!(
        told(BASE, &new),
        "~ cores  (needs a restart)\n    workers: +2\n\
         ~ vtep  (needs a restart)\n    vxlan_port: 4789 -> 8472\n\
         ~ neighbour 192.0.2.9\n    mac: 02:00:00:00:00:09 -> 02:00:00:00:00:0a\n\
         + access port vm0\n\
         ~ access port vm1\n    mtu: 1500 -> 1400\n\
         - network 102\n\
         ~ network 101\n    name: tenant-a -> tenant-z\n\
         \x20   ports: -{\"port\":\"trunk0\",\"vlan\":10}, +{\"port\":\"trunk0\",\"vlan\":11}\n\
         \x20   flood.peers: -192.0.2.2, -{\"address\":\"192.0.2.3\",\"encap\":\"vxlan\",\"port\":4790,\"checksum\":\"auto\"}, +192.0.2.3\n\
         \x20   ageing: 300s -> off\n    arp_suppression: false -> {\"unknown\":\"flood\",\"limit\":5}\n\
         \x20   macs: MACs: 1 added, 0 changed, 1 removed, 1 kept; addresses: 1 added, 0 changed, 0 removed, 0 kept\n\
         + network 103"
    );
}

fn with_network(vni: u64, text: &str) -> Result<Config, String> {
    let vni = Vni::try_from(vni).unwrap();
    right(BASE).with_network(vni, "body", text).map_err(|errors| errors.to_string())
}

#[test]
fn a_network_is_added_or_takes_the_place_of_the_one_with_its_id() {
    let vnis = |config: &Config| {
        config.networks.iter().map(|network| network.vni.get()).collect::<Vec<_>>()
    };
    let text = "{name: tenant-c, ports: [{port: trunk0, vlan: 30}], flood: {peers: [192.0.2.2]}}";
    let base = right(BASE);
    let added = base.with_network(Vni::try_from(103).unwrap(), "body", text).unwrap();
    assert_eq!(vnis(&added), [101, 102, 103]);
    assert_eq!(added.networks[2].members[0].vlan, Some(Vlan::Single(30)));
    for (old, new) in base.networks.iter().zip(&added.networks) {
        assert!(Arc::ptr_eq(old, new), "others stay the same");
    }
    // It may keep what is its own.
    let text = "{vni: 101, name: tenant-a, ports: [vm1], ageing: 60s}";
    let replaced = with_network(101, text).unwrap();
    assert_eq!((vnis(&replaced), replaced.networks[0].peers.len()), (vec![101, 102], 0));
    assert_eq!(vnis(&replaced.without_network(101)), [102]);
    assert_eq!(vnis(&base.without_network(999)), [101, 102]);
    // And be written as it is read.
    let written = base.render()["networks"][0].to_string();
    assert_eq!(with_network(101, &written).unwrap().networks, base.networks);
}

#[test]
fn a_network_is_checked_against_all_others() {
    let told = |text: &str| with_network(103, text).unwrap_err();
    let text = "{name: tenant-a, ports: [vm1, {port: trunk0, vlan: 20}, vm2]}";
    assert_eq!(
        told(text),
        "body:1: name: 'tenant-a' is already given by network 'tenant-a'; give each network its own name\n\
         body:1: ports[0]: this port's untagged frames are already used by network 'tenant-a'; \
         use another port or a VLAN of it, such as {port: trunk0, vlan: 10}\n\
         body:1: ports[1]: VLAN 20 of this port is already used by network 'tenant-b'; give each VLAN of a port to one network\n\
         body:1: ports[2]: no access port is called 'vm2'; did you mean 'vm1'?"
    );
    assert_eq!(
        told("vni: 104\nname: c"),
        "body:1: vni: this is network 103; give the same number, or none"
    );
    assert_eq!(
        told("[]"),
        format!(
            "body:1: expected a mapping with the keys {}, found an empty list",
            crate::config::keys::network::NETWORK.names().join(", ")
        )
    );
    // IDs of other networks at a common peer.
    let base = BASE.replace("port: 4790}", "id: 103}");
    let vni = Vni::try_from(103).unwrap();
    let same = right(&base).with_network(vni, "body", "{name: c, flood: {peers: [192.0.2.3]}}");
    assert_eq!(
        same.unwrap_err().to_string(),
        "body:1: ID 103 at 192.0.2.3 is already network 'c'; give each network its own ID there"
    );
    let text = "{name: c, flood: {peers: [{address: 192.0.2.3, id: 103}]}}";
    let vni = Vni::try_from(105).unwrap();
    let same = right(&base).with_network(vni, "body", text);
    assert_eq!(
        same.unwrap_err().to_string(),
        "body:1: flood.peers[0]: ID 103 at 192.0.2.3 is already network 'tenant-a'; give each network its own ID there"
    );
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_mac_is_checked_beside_the_others_of_its_network() {
    let base = right(&BASE.replace("port: vm1}", "port: vm1, ips: [10.0.0.1]}"));
    let network = base.network(101).unwrap();
    let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
    let with = |last, text: &str| {
        let edited = base.with_mac(network, mac(last), "body", text);
        edited.map(|new| list(&base.difference(&new))).map_err(|errors| errors.to_string())
    };
    let told = |macs: &str, addresses: &str| {
        Ok(format!("~ network 101\n    macs: MACs: {macs}; addresses: {addresses}"))
    };
    let kept = "0 added, 0 changed, 0 removed, 1 kept";
    assert_eq!(
        with(7, "{port: trunk0, vlan: 10, ips: [10.0.0.7]}"),
        told("1 added, 0 changed, 0 removed, 2 kept", "1 added, 0 changed, 0 removed, 1 kept")
    );
    assert_eq!(with(1, "{port: vm1, ips: [10.0.0.1]}"), Ok(String::new()), "what it is already");
    assert_eq!(
        with(2, "{mac: \"02:00:00:00:00:02\", peer: 192.0.2.2}"),
        told("0 added, 1 changed, 0 removed, 1 kept", kept)
    );
    let error = |last, text: &str| with(last, text).unwrap_err();
    assert_eq!(
        error(7, "{mac: \"02:00:00:00:00:08\", port: vm1}"),
        "body:1: mac: this is 02:00:00:00:00:07; give the same, or none"
    );
    assert_eq!(
        error(7, "{port: vm1, ips: [10.0.0.1]}"),
        "body:1: ips[0]: 10.0.0.1 is already given by 02:00:00:00:00:01; give each address of a network to one MAC"
    );
    assert_eq!(
        error(7, "port: vm2"),
        "body:1: port: no access port is called 'vm2'; did you mean 'vm1'?"
    );
    assert_eq!(base.without_mac(network, mac(7)).networks, base.networks);
    assert_eq!(base.without_mac(network, mac(1)).network(101).unwrap().macs.len(), 1);
}

#[test]
fn a_peer_takes_what_depends_on_it_along() {
    let text = BASE.replace(
        "inner_vlan: drop",
        "multicast: {groups: [{group: 239.1.1.1, peers: [192.0.2.2]}]}",
    );
    let base = right(&text);
    let network = base.network(101).unwrap();
    let address = |last| IpAddr::from([192, 0, 2, last]);
    let with = |last, text: &str| {
        let edited = base.with_peer(network, address(last), "body", text);
        edited.map_err(|errors| errors.to_string())
    };
    let added = with(9, "").unwrap();
    assert_eq!(list(&base.difference(&added)), "~ network 101\n    flood.peers: +192.0.2.9");
    assert_eq!(with(9, "{}").unwrap(), added);
    assert_eq!(with(2, "").unwrap(), base, "what it is already");
    // A static MAC behind it is reached as it is.
    let changed = with(3, "{encap: gre, id: 7}").unwrap();
    let of = changed.network(101).unwrap();
    assert_eq!((of.macs[0].place, of.peers.len()), (MacPlace::Peer(of.peers[1]), 2));
    assert_eq!(of.peers[1].id, Some(7));

    assert_eq!(
        with(9, "address: 192.0.2.8").unwrap_err(),
        "body:1: address: this is 192.0.2.9; give the same, or none"
    );
    let error = with(9, "{encap: nvgre, port: 1}").unwrap_err();
    assert!(
        error.starts_with("body:1: flood.peers[2].port: a UDP port belongs to VXLAN"),
        "{error}"
    );
    let error = base.without_peer(network, address(2), "body").unwrap_err().to_string();
    assert!(error.starts_with("body:1: multicast.groups[0].peers[0]: "), "{error}");
    let without = base.without_peer(network, address(3), "body").unwrap();
    assert_eq!(without.network(101).unwrap().peers.len(), 1);
    assert_eq!(base.without_peer(network, address(9), "body").unwrap(), base);
}

#[test]
fn a_port_has_what_no_other_has_and_workers_keep_theirs() {
    let base = right(&BASE.replace("workers: [1]", "workers: [1, 2, 3, 4]"));
    let with = |name: &str, text: &str| {
        base.with_port(name, "body", text).map_err(|errors| errors.to_string())
    };
    let added = with("vm2", "{device: \"net_tap2,iface=vm2\", mtu: 1400}").unwrap();
    assert_eq!(list(&base.difference(&added)), "+ access port vm2");
    assert_eq!(added.access_port("vm2").unwrap().mtu, 1400);
    assert_eq!(with("vm1", "{device: \"net_tap0,iface=vm1\"}").unwrap().access, base.access);
    for (name, text, told) in [
        ("vm2", "{name: vm3, device: net_tap2}", "name: this is 'vm2'; give the same, or none"),
        (
            "vm2",
            "device: net_tap1",
            "device: device 'net_tap1' is already used by port 'trunk0'; give each port its own device",
        ),
        (
            "vm2",
            "device: 3b:00.0",
            "device: device '0000:3b:00.0' is already used by port 'up1'; give each port its own device",
        ),
        (
            "vm2",
            "device: \"net_tap2,iface=ferry-up0\"",
            "device: interface 'ferry-up0' is already used by port 'up0'; give each port and each twin its own",
        ),
        (
            "ferry-up0",
            "device: net_tap2",
            "name: 'ferry-up0' is already the name of port 'up0'; give each port and each twin its own name",
        ),
        (
            "up0",
            "device: net_tap2",
            "name: 'up0' is already the name of port 'up0'; give each port and each twin its own name",
        ),
    ] {
        assert_eq!(with(name, text).unwrap_err(), format!("body:1: {told}"), "{text}");
    }
    let bonded = right(&BASE.replace(
        "device: 0000:3b:00.0",
        "bond: {mode: lacp, members: [\"0000:3b:00.0\", \"net_tap8,iface=wire8\"]}",
    ));
    for (device, told) in [
        (
            "3b:00.0",
            "device '0000:3b:00.0' is already used by port 'up1'; give each port its own device",
        ),
        (
            "\"net_tap9,iface=wire8\"",
            "interface 'wire8' is already used by port 'up1'; give each port and each twin its own",
        ),
    ] {
        let error = bonded.with_port("vm2", "body", &format!("device: {device}")).unwrap_err();
        assert_eq!(error.to_string(), format!("body:1: device: {told}"));
    }
    let told = |name: &str| base.without_port(name).unwrap_err().to_string();
    assert_eq!(
        told("vm1"),
        "port 'vm1' is in network 101 'tenant-a'; take it out of that network first"
    );
    assert_eq!(told("up0"), "'up0' is an underlay port, which stays as long as Ferry runs");
    assert_eq!(base.without_port("vm9").unwrap(), base);
    let text = BASE.replace("ports: [{port: trunk0, vlan: 20}]", "ports: []");
    let text = text.replace(", {port: trunk0, vlan: 10}]", "]");
    let mirror = "{name: ids, of: [vm1], to: {port: trunk0}}";
    let far = "{name: far, of: [vm1], to: {peer: {address: 192.0.2.2, id: 4000}}}";
    let mirrored = right(&format!("{text}mirrors: [{mirror}, {far}]\n"));
    let error = mirrored.without_port("trunk0").unwrap_err().to_string();
    assert_eq!(error, "port 'trunk0' is in mirror 'ids'; take it out of that mirror first");
    let network = |vni: u64, text: &str| {
        let edited = mirrored.with_network(Vni::try_from(vni).unwrap(), "body", text);
        edited.unwrap_err().to_string()
    };
    assert_eq!(
        network(103, "{name: c, ports: [trunk0]}"),
        "body:1: port 'trunk0' is for the copies of mirror 'ids' only; take it out of the network"
    );
    assert_eq!(network(4000, "name: c"), "body:1: the copies of mirror 'far' have this ID");
    let free = base.with_network(Vni::try_from(101).unwrap(), "body", "name: tenant-a").unwrap();
    let error = free.without_port("vm1").unwrap_err().to_string();
    assert!(error.starts_with("4 workers, but the ports have 3 RX queue(s) in all"), "{error}");
    assert_eq!(
        base.access_port("vn1").unwrap_err(),
        "no access port is called 'vn1'; did you mean 'vm1'?"
    );
    assert_eq!(
        base.access_port("up0").unwrap_err(),
        "'up0' is an underlay port; name an access port"
    );
}
