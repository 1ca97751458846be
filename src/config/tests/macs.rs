//! Sets of static MACs that come at run time.

use super::*;

fn read(base: &str, text: &str) -> Result<Vec<StaticMac>, String> {
    let config = right(base);
    let edited = config.with_macs(&config.networks[0], "set", text);
    edited.map(|config| config.networks[0].macs.clone()).map_err(|errors| errors.to_string())
}

#[test]
fn a_set_is_read_as_the_file_s_own_is() {
    let yaml = BASE.split("    macs:\n").nth(1).unwrap().split("  - vni").next().unwrap();
    assert_eq!(read(BASE, yaml).unwrap(), right(BASE).networks[0].macs);
    let json = r#"[{"mac": "02:00:00:00:00:02", "peer": "192.0.2.3"},
        {"mac": "02:00:00:00:00:01", "port": "vm1"}]"#;
    assert_eq!(read(BASE, json).unwrap(), right(BASE).networks[0].macs);
    // By JSON's escapes too, and each address in either of its forms.
    let set = r#"[{"mac": "02:00:00:00:00:0a", "port": "tr\u0075nk0", "vlan": 10,
        "ips": ["10.0.0.1", "fd00:0::1"]}]"#;
    let [fixed] = &read(BASE, set).unwrap()[..] else { panic!("one") };
    assert_eq!((fixed.place, fixed.ips.len()), (MacPlace::Member(1), 2));
    assert_eq!(read(BASE, "[]").unwrap(), []);
}

#[test]
fn all_that_is_wrong_with_a_set_is_told_at_once() {
    let set = r#"[
        {"mac": "02:00:00:00:00:01", "port": "vm2"},
        {"mac": "02:00:00:00:00:01", "peer": "192.0.2.1"},
        {"mac": "02:00:00:00:00:03", "peer": "2001:db8::1"},
        {"mac": "02:00:00:00:00:04", "port": "up0"},
        {"mac": "02:00:00:00:00:05", "port": "trunk0", "vlan": 20},
        {"mac": "02:00:00:00:00:06", "port": "vm1", "ip": "10.0.0.1"}
    ]"#;
    assert_eq!(
        read(BASE, set).unwrap_err(),
        "set:2: macs[0].port: no access port is called 'vm2'; did you mean 'vm1'?\n\
         set:3: macs[1].mac: 02:00:00:00:00:01 is already given by macs[0].mac (line 2); list each MAC of a network once\n\
         set:3: macs[1].peer: 192.0.2.1 is this VTEP's own address (underlay.vtep.ipv4); name the other VTEPs only\n\
         set:4: macs[2].peer: 2001:db8::1 cannot be reached: this VTEP has no IPv6 address; add underlay.vtep.ipv6\n\
         set:5: macs[3].port: 'up0' is an underlay port; name an access port\n\
         set:6: macs[4].vlan: of this port, network 'tenant-a' has not VLAN 20 but VLAN 10; name the right one by 'vlan'\n\
         set:7: macs[5].ip: unknown key; did you mean 'ips'? allowed here: mac, peer, port, vlan, inner_vlan, tpid, ips"
    );
    let told = |set: &str| read(BASE, set).unwrap_err();
    assert_eq!(told(""), "set:1: macs: expected a list, found nothing");
    assert_eq!(told("{macs: []}"), "set:1: macs: expected a list, found a mapping");
    assert!(told("[").starts_with("set:"), "{}", told("["));

    let speaks =
        |encap| format!("    flood: {{peers: [{{address: 192.0.2.8, encap: {encap}}}]}}\n");
    let gre = BASE.replace("encap: vxlan", "encap: gre").replace(", port: 4790", "");
    let set = "[{mac: \"02:00:00:00:00:02\", peer: 192.0.2.8}]";
    assert_eq!(read(&(gre.clone() + &speaks("gre")), set).unwrap().len(), 1);
    assert_eq!(
        read(&(gre + &speaks("nvgre")), set).unwrap_err(),
        "set:1: macs[0].peer: 192.0.2.8 speaks nvgre in network 'tenant-b', and both look the same on the wire; \
         let it speak one of nvgre and gre"
    );

    let no_twin = BASE.replace("      twin: ferry-up0\n      addresses: [192.0.2.1/24]\n", "");
    let no_peers =
        no_twin.replace("    flood: {peers: [192.0.2.2, {address: 192.0.2.3, port: 4790}]}\n", "");
    let base = no_peers.replace("peer: 192.0.2.3}", "peer: 192.0.2.9}");
    let set = |peer: &str| read(&base, &format!("[{{mac: \"02:00:00:00:00:02\", peer: {peer}}}]"));
    assert!(set("192.0.2.9").is_ok());
    let error = set("192.0.2.8").unwrap_err();
    assert!(
        error.contains("no underlay port has a twin and no neighbour has this address"),
        "{error}"
    );
}
