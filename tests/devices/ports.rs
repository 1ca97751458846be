//! Ports that come and go while others forward.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::frames::{
    BROADCAST, PEER1, ethernet, is_vxlan_to, mac, open_vxlan, pcap, tagged, vxlan,
};
use crate::support::lab::NETWORKS;
use crate::support::{Ferry, Lab, Namespace, RawPort, eventually};
use serde_json::json;
use tempfile::TempDir;

/// The lab's file with one more access port, and its networks with one more member.
fn with_port(lab: &Lab, device: &str, networks: &str) -> String {
    let text = std::fs::read_to_string(lab.ferry.file()).unwrap();
    let (head, _) = text.split_once("\nnetworks:").unwrap();
    format!("{head}\n    - {{name: vm9, device: \"{device}\"}}\nnetworks:{networks}")
}

/// The lab's file.
fn without(lab: &Lab) -> String {
    std::fs::read_to_string(lab.ferry.file()).unwrap()
}

fn more() -> String {
    NETWORKS.replace("[vm1, vm2, ", "[vm1, vm2, vm9, ")
}

fn names(ferry: &Ferry) -> Vec<String> {
    let ports = ferry.show("ports");
    let name = |port: &serde_json::Value| port["name"].as_str().unwrap().to_owned();
    ports.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_port_is_plugged_in_forwards_and_goes() {
    let lab = Lab::new();
    let ferry = &lab.ferry;
    let usual = ["up0", "vm1", "vm2", "trunk0"];
    let from = |station| ethernet(BROADCAST, mac(station), 60);
    for round in 0..4 {
        lab.host.veth("eth9", &lab.wires, "nine");
        let nine = RawPort::open(&lab.wires, "nine");
        let config = with_port(&lab, "net_af_packet9,iface=eth9", &more());
        assert_eq!(
            ferry.expect_change("apply -", &config),
            "+ access port vm9\n~ network 1000\n    ports: +vm9\n"
        );
        assert_eq!(names(ferry), [&usual[..], &["vm9"]].concat());
        nine.send(&from(9));
        for port in [&lab.vm1, &lab.vm2] {
            port.expect_frame(&from(9));
        }
        lab.trunk.expect_frame(&tagged(&from(9), 10));
        let packet = lab.underlay.expect("the flood", is_vxlan_to(PEER1));
        assert_eq!(open_vxlan(&packet), (1000, from(9)));
        ferry.expect_place(1000, mac(9), "vm9");
        let reply = ethernet(mac(9), mac(1), 70);
        lab.vm1.send(&reply);
        nine.expect_frame(&reply);
        lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &reply));
        nine.expect_frame(&reply);
        let statistics = ferry.show("ports");
        let of_nine = |key: &str| statistics[4][key].as_u64().unwrap();
        assert_eq!(
            (of_nine("rx_packets"), of_nine("tx_packets")),
            (1, 2),
            "none of the one before"
        );
        ferry.expect_balance();

        if round == 3 {
            // The rest is a whole start's business.
            lab.underlay.drain();
            break;
        }
        assert_eq!(
            ferry.expect_change("apply -", &without(&lab)),
            "- access port vm9\n~ network 1000\n    ports: -vm9\n"
        );
        assert_eq!(
            (names(ferry), ferry.place(1000, mac(9))),
            (usual.map(str::to_owned).into(), None)
        );
        // What it has counted is not lost.
        ferry.expect_balance();
        lab.vm1.send(&from(1));
        lab.vm2.expect_frame(&from(1));
        nine.send(&from(9));
        for port in [&lab.underlay, &lab.trunk] {
            port.drain();
        }
        nine.expect_silence();
        lab.expect_silence(&[]);
        lab.host.exec("ip link del eth9");
    }
    lab.finish();
}

#[test]
fn a_device_that_fails_leaves_all_as_it_was() {
    let lab = Lab::new();
    let ferry = &lab.ferry;
    let before = (ferry.show("config"), names(ferry));
    let refused = |config: &str, words: &[&str]| {
        let (code, output, errors) = ferry.change("apply -", config);
        assert_eq!((code, output.as_str()), (1, ""), "{errors}");
        for word in words.iter().chain(&["nothing was changed"]) {
            assert!(errors.contains(word), "'{word}' in: {errors}");
        }
        assert_eq!((ferry.show("config"), names(ferry)), before);
        // Also what the failed change had taken away forwards again.
        for (port, other) in [(&lab.vm1, &lab.vm2), (&lab.vm2, &lab.vm1)] {
            let frame = ethernet(BROADCAST, mac(1), 60);
            port.send(&frame);
            other.expect_frame(&frame);
        }
    };
    let missing = "net_af_packet9,iface=nosuch0";
    refused(&with_port(&lab, missing, &more()), &["port vm9", "nosuch0"]);
    refused(&with_port(&lab, "net_nosuch9", &more()), &["port vm9", "net_nosuch9"]);
    refused(&with_port(&lab, "0000:ff:1f.7", &more()), &["port vm9", "0000:ff:1f.7"]);
    let queues = "net_tap9,iface=ferry9\", queues: 60, mtu: \"1500";
    refused(&with_port(&lab, queues, &more()).replace("\"1500\"", "1500"), &["60 receive queues"]);
    // One that is there already, with another device.
    let other = without(&lab).replace("net_af_packet1,iface=eth2", missing);
    refused(&other, &["port vm1", "nosuch0"]);
    // Two at once, of which the first can be had.
    let both = with_port(&lab, "net_tap9,iface=ferry9", &more());
    refused(&both.replace("net_af_packet1,iface=eth2", missing), &["port vm1", "nosuch0"]);
    assert!(!lab.host.exec("ls /sys/class/net").contains("ferry9"), "left behind");
    lab.finish();
}

#[test]
fn a_port_with_other_settings_keeps_its_place() {
    let lab = Lab::new();
    let ferry = &lab.ferry;
    lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
    ferry.expect_place(1000, mac(2), "vm2");
    for port in [&lab.vm1, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    let change =
        |from: &str, to: &str| ferry.expect_change("apply -", &without(&lab).replace(from, to));
    let device = "\"net_af_packet2,iface=eth3\"";
    let told = change(device, &format!("{device}, mtu: 1400"));
    assert_eq!(told, "~ access port vm2\n    mtu: 1500 -> 1400\n");
    // Another device at the same interface, and another name for it.
    let frame = ethernet(mac(2), mac(1), 100);
    for device in ["\"net_af_packet2,iface=eth3\"", "\"net_af_packet8,iface=eth3\""] {
        change("\"net_af_packet2,iface=eth3\"", device);
        assert_eq!(ferry.place(1000, mac(2)).as_deref(), Some("vm2"), "its stations stay");
        lab.vm1.send(&frame);
        lab.vm2.expect_frame(&frame);
    }
    let renamed = without(&lab).replace("vm2", "vm3");
    ferry.expect_change("apply -", &renamed);
    assert_eq!(names(ferry), ["up0", "vm1", "trunk0", "vm3"].map(str::to_owned));
    lab.vm1.send(&frame);
    lab.vm2.expect_frame(&frame);
    // Two ports that change places.
    let swapped = renamed.replace("iface=eth3", "iface=x").replace("iface=eth2", "iface=eth3");
    ferry.expect_change("apply -", &swapped.replace("iface=x", "iface=eth2"));
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    ferry.expect_place(1000, mac(1), "vm3");
    for port in [&lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn taps_and_sockets_of_virtual_machines_come_and_go() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("vm9.sock");
    let lab = Lab::new();
    let interfaces = || lab.host.exec("ls /sys/class/net");
    for _ in 0..3 {
        lab.ferry.expect_change("apply -", &with_port(&lab, "net_tap9,iface=tap9", &more()));
        lab.host.exec("ip link set tap9 up");
        let tap = RawPort::open(&lab.host, "tap9");
        let frame = ethernet(BROADCAST, mac(9), 60);
        tap.send(&frame);
        lab.vm1.expect_frame(&frame);
        let vhost = format!("net_vhost9,iface={}", socket.display());
        lab.ferry.expect_change("apply -", &with_port(&lab, &vhost, &more()));
        assert!(!interfaces().contains("tap9"), "left behind");
        assert!(Path::exists(&socket), "no VM can attach");
        lab.ferry.expect_change("apply -", &without(&lab));
        assert!(!Path::exists(&socket), "left behind");
    }
    for port in [&lab.vm1, &lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    lab.finish();
}

/// What a port of this name shows.
fn port(ferry: &Ferry, name: &str, key: &str) -> serde_json::Value {
    let ports = ferry.show("ports");
    let port = ports.as_array().unwrap().iter().find(|port| port["name"] == name);
    port.unwrap()[key].clone()
}

/// Sends frames that are for vm9 among others, which has no link.
fn expect_link_down(lab: &Lab) {
    let counts = || (port(&lab.ferry, "vm9", "tx_packets"), lab.ferry.dropped("vm9", "link_down"));
    let (sent, dropped) = counts();
    for _ in 0..10 {
        lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    }
    lab.ferry.expect_dropped("vm9", "link_down", dropped + 10);
    assert_eq!(counts().0, sent);
}

#[test]
fn a_deleted_interface_is_told_drops_frames_and_is_plugged_in_again() {
    let lab = Lab::new();
    let ferry = &lab.ferry;
    let tap = "net_tap9,iface=eth9";
    let apply = |device: &str| ferry.expect_change("apply -", &with_port(&lab, device, &more()));
    let expect_way = |nine: RawPort| {
        let passes = |from: &RawPort, to: &RawPort, frame: &[u8]| {
            // The kernel has a new interface send when it comes round to it.
            eventually("a way", || {
                from.send(frame);
                to.receive(Duration::from_millis(20)).as_deref() == Some(frame)
            });
        };
        passes(&nine, &lab.vm1, &ethernet(BROADCAST, mac(9), 60));
        passes(&lab.vm1, &nine, &ethernet(mac(9), mac(1), 70));
    };
    let expect_gone = |delete: &dyn Fn()| {
        let mut next = ferry.events();
        delete();
        let event = json!({"event": "link_down", "port": "vm9", "gone": true});
        while next() != event {}
        assert_eq!(port(ferry, "vm9", "link"), "gone");
        expect_link_down(&lab);
        assert!(
            ferry.log().contains("access port vm9: its interface was deleted"),
            "{}",
            ferry.log()
        );
    };
    apply(tap);
    lab.host.exec("ip link set eth9 up");
    expect_way(RawPort::open(&lab.host, "eth9"));
    expect_gone(&|| drop(lab.host.exec("ip link del eth9")));
    let again = |device: &str| format!("~ access port vm9\n    device: none -> {device}\n");
    assert_eq!(apply(tap), again(tap));
    assert_eq!(apply(tap), "nothing differs\n");

    // Where it was moved, it works as before, until it is deleted there.
    lab.host.exec(&format!("ip link set eth9 netns {} name nine", lab.wires.name));
    lab.wires.exec("ip link set nine up");
    expect_way(RawPort::open(&lab.wires, "nine"));
    // Links are looked at ten times a second: one that was down for the move must have been seen up before it is lost again.
    std::thread::sleep(Duration::from_millis(250));
    let mut next = ferry.events();
    lab.wires.exec("ip link set nine down");
    while next() != json!({"event": "link_down", "port": "vm9"}) {}
    expect_link_down(&lab);
    lab.wires.exec("ip link set nine up");
    eventually("it is told", || port(ferry, "vm9", "link") == "up");
    expect_way(RawPort::open(&lab.wires, "nine"));
    expect_gone(&|| drop(lab.wires.exec("ip link del nine")));

    // One that Ferry cannot make itself.
    let socket = "net_af_packet9,iface=link9";
    lab.host.veth("link9", &lab.wires, "nine");
    apply(socket);
    expect_way(RawPort::open(&lab.wires, "nine"));
    expect_gone(&|| drop(lab.wires.exec("ip link del nine")));
    assert_eq!(apply(socket), "nothing differs\n");
    lab.host.veth("link9", &lab.wires, "nine");
    assert_eq!(apply(socket), again(socket));
    expect_way(RawPort::open(&lab.wires, "nine"));
    for port in [&lab.vm1, &lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    lab.finish();
}

#[test]
fn without_a_link_frames_are_dropped_at_once_and_with_one_they_pass_at_once() {
    let lab = Lab::new();
    let socket = "net_af_packet9,iface=eth9";
    lab.host.veth("eth9", &lab.wires, "nine");
    lab.ferry.expect_change("apply -", &with_port(&lab, socket, &more()));
    let mut next = lab.ferry.events();
    for lost in ["eth9", "nine"] {
        let namespace = if lost == "eth9" { &lab.host } else { &lab.wires };
        namespace.exec(&format!("ip link set {lost} down"));
        while next() != json!({"event": "link_down", "port": "vm9"}) {}
        expect_link_down(&lab);
        namespace.exec(&format!("ip link set {lost} up"));
        let (back, nine) = (Instant::now(), RawPort::open(&lab.wires, "nine"));
        let frame = ethernet(mac(9), mac(1), 70);
        while nine.receive(Duration::from_millis(20)).is_none_or(|received| received != frame) {
            lab.vm1.send(&frame);
        }
        // The kernel may take a second to say that a link is back.
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    }
    for port in [&lab.vm1, &lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    lab.finish();
}

#[test]
fn what_a_device_counts_of_its_own_is_shown() {
    let lab = Lab::new();
    let apply = |device: &str| {
        lab.ferry.expect_change("apply -", &with_port(&lab, device, &more()));
    };
    let errors = |key| port(&lab.ferry, "vm9", key).as_u64().unwrap();
    let line = || {
        let output = lab.ferry.command("show ports").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("vm9")).unwrap().to_owned()
    };
    apply("net_tap9,iface=eth9");
    lab.host.exec("ip link set eth9 up mtu 4000");
    assert!(line().contains(" - "), "{}", line());
    RawPort::open(&lab.host, "eth9").send(&ethernet(BROADCAST, mac(9), 3000));
    eventually("it is too long for a buffer", || errors("rx_errors") == 1);
    assert!(line().contains(" rx 1 "), "{}", line());
    // What a tap refuses, it does not send badly: that is a drop.
    lab.host.exec("ip link set eth9 down");
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    eventually("a drop", || errors("drops") > 0);
    assert_eq!(errors("tx_errors"), 0);

    // Until it is found out that a link is lost, the kernel refuses what the driver has taken.
    lab.host.veth("link9", &lab.wires, "nine");
    apply("net_af_packet9,iface=link9");
    eventually("frames that are not sent", || {
        lab.host.exec("ip link set link9 down");
        lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
        std::thread::sleep(Duration::from_millis(5));
        lab.host.exec("ip link set link9 up");
        errors("tx_errors") > 0
    });
    assert!(line().contains(" tx "), "{}", line());
    for port in [&lab.vm1, &lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    lab.finish();
}

/// Two workers, where one hands over to the other what it sends to the port that comes and goes.
#[test]
fn frames_are_counted_while_their_port_comes_and_goes() {
    let lab = Lab::with_workers("[0, 1]", NETWORKS, "");
    lab.host.veth("eth9", &lab.wires, "nine");
    let nine = RawPort::open(&lab.wires, "nine");
    let with = with_port(&lab, "net_af_packet9,iface=eth9", &more());
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for _ in 0..20 {
                lab.ferry.expect_change("apply -", &with);
                lab.ferry.expect_change("apply -", &without(&lab));
            }
        });
        while !changes.is_finished() {
            for number in 0..64 {
                let to = if number % 8 == 0 { BROADCAST } else { mac(9) };
                lab.vm1.try_send(&ethernet(to, mac(1), 100));
                lab.trunk.try_send(&tagged(&ethernet(to, mac(3), 100), 10));
                nine.try_send(&ethernet(BROADCAST, mac(9), 100));
            }
        }
        changes.join().unwrap();
    });
    let totals = lab.ferry.expect_balance();
    assert!(totals["rx"].as_u64().unwrap() > 1000, "{totals}");
    let network = &lab.ferry.show("networks")[0];
    assert_eq!(network["ports"].as_array().unwrap().len(), 3, "{network}");
    lab.ferry.stop();
}

/// All of a worker's time is taken by a port that nobody touches, while others come and go beside it.
#[test]
fn a_port_at_full_load_loses_nothing_while_others_come_and_go() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    let frames: Vec<_> = (0..64).map(|_| ethernet(mac(9), mac(1), 100)).collect();
    std::fs::write(folder.path().join("in.pcap"), pcap(&frames)).unwrap();
    let host = Namespace::new("host");
    let config = |ports: &str, members: &str| {
        format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: yield}}
underlay:
  ports: [{{name: up0, device: "net_null0,no-rx=1"}}]
  vtep: {{ipv4: 192.0.2.1}}
  neighbours: [{{ip: 192.0.2.2, mac: "02:00:00:00:11:01", port: up0}}]
access:
  ports:
    - {{name: vm1, device: "net_pcap1,rx_pcap={path}/in.pcap,infinite_rx=1"}}
{ports}
networks:
  - vni: 1000
    name: a
    ports: [vm1]
    macs: [{{mac: "02:00:00:00:aa:09", peer: 192.0.2.2}}]
{members}
"#
        )
    };
    let ferry = Ferry::start(&host, &config("", ""));
    ferry.expect_place(1000, mac(1), "vm1");
    let api = std::fs::read_to_string(ferry.file()).unwrap().lines().next().unwrap().to_owned();
    for round in 0..30 {
        let (mut ports, mut members) = (String::new(), String::new());
        for number in 2..2 + round % 4 {
            ports += &format!("    - {{name: vm{number}, device: \"net_null{number},no-rx=1\"}}\n");
            members += &format!("  - {{vni: {number}, name: n{number}, ports: [vm{number}]}}\n");
        }
        ferry.expect_change("apply -", &format!("{api}{}", config(&ports, &members)));
        assert_eq!(names(&ferry).len(), 2 + round % 4);
    }
    assert_eq!(ferry.place(1000, mac(1)).as_deref(), Some("vm1"), "it is still learned");
    assert_eq!(ferry.drops(), std::collections::HashMap::new());
    ferry.expect_lossless();
}

#[test]
fn no_port_too_many() {
    let lab = Lab::new();
    let text = without(&lab);
    let (head, tail) = text.split_once("\nnetworks:").unwrap();
    let ports = |count: usize| {
        let port = |number| {
            format!(
                "\n    - {{name: p{number}, device: \"net_null{number},no-rx=1\", \
                 rx_descriptors: 128, tx_descriptors: 128}}"
            )
        };
        format!("{head}{}\nnetworks:{tail}", (0..count).map(port).collect::<String>())
    };
    let (code, _, errors) = lab.ferry.change("apply -", &ports(29));
    assert_eq!(code, 1);
    assert!(errors.contains("33 ports (twins included) are more than the 32"), "{errors}");
    for _ in 0..2 {
        lab.ferry.expect_change("apply -", &ports(28));
        assert_eq!(names(&lab.ferry).len(), 32);
        lab.ferry.expect_change("apply -", &text);
    }
    // Packet buffers of the ports that are gone serve those that come.
    let totals = lab.ferry.show("totals");
    let names = totals["mempools"].as_array().unwrap().iter().map(|pool| &pool["name"]);
    assert_eq!(names.filter(|name| *name != "headers-0").count(), 2, "{totals}");
    lab.finish();
}
