//! Configurations written, compared and edited.

use super::*;
use crate::wire::Vni;

/// The reference's example has nearly every key.
fn example() -> String {
    reference().split("```yaml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

#[test]
fn what_is_written_reads_the_same() {
    let group = "    flood: {group: 239.1.1.1, ttl: 5, allow: [192.0.2.0/24], peers: [192.0.2.7]}\n\
                 \x20   ageing: off\n";
    let learned =
        BASE.to_owned() + "    flood: {peers: [192.0.2.7, learn], allow: [192.0.2.0/24]}\n";
    let huge = example().replace("hugepages: false, memory: 1GiB", "hugepages: true, mbufs: 4096");
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
            network::NETWORK.known.join(", ")
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
