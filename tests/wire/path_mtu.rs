//! What routers of the underlay say of packets that were too big, byte by byte: it is learned by peer, and forgotten.

use crate::support::frames::{PEER1, fix_ip_checksum, is_vxlan_to, mac};
use crate::support::neighbours::fd;
use crate::support::too_big::{datagram, echo6, is_too_big, open_too_big, router_says};
use crate::support::{Lab, eventually};

/// Station 9 is behind a VXLAN peer, 10 behind one over IPv6, 11 behind an NVGRE peer.
const NETWORKS: &str = r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    flood: {peers: [192.0.2.2, "2001:db8::2", {address: 192.0.2.3, encap: nvgre}]}
    macs:
      - {mac: "02:00:00:00:aa:09", peer: 192.0.2.2}
      - {mac: "02:00:00:00:aa:0a", peer: "2001:db8::2"}
      - {mac: "02:00:00:00:aa:0b", peer: 192.0.2.3}
"#;

const NEIGHBOUR: &str = "    - {ip: \"2001:db8::2\", mac: \"02:00:00:00:11:01\", port: up0}\n";

/// With this value of `underlay.vtep.path_mtu`.
fn lab(path_mtu: &str) -> Lab {
    let vtep = format!("ipv4: 192.0.2.1, ipv6: \"2001:db8::1\", path_mtu: {path_mtu}");
    Lab::with_vtep(&vtep, NETWORKS, NEIGHBOUR)
}

fn v4(to: u8, length: usize) -> Vec<u8> {
    datagram(mac(to), mac(1), ([10, 0, 0, 1], [10, 0, 0, to]), length)
}

/// The tunnel packet of a frame to a station.
fn packet(lab: &Lab, to: u8, length: usize) -> Vec<u8> {
    let frame = v4(to, length);
    lab.vm1.send(&frame);
    lab.underlay.expect("a tunnel packet", |packet| packet.ends_with(&frame))
}

/// The path's and the overlay's MTU to a peer.
fn mtus(lab: &Lab, peer: &str) -> (Option<u64>, u64) {
    let peers = lab.ferry.show("peers");
    let found = peers.as_array().unwrap().iter().find(|row| row["address"] == peer).unwrap();
    (found["path_mtu"]["mtu"].as_u64(), found["mtu"].as_u64().unwrap())
}

/// What a station is told of a packet that is too long.
fn told(lab: &Lab, frame: &[u8]) -> u32 {
    lab.vm1.send(frame);
    open_too_big(&lab.vm1.expect("an answer", is_too_big)).mtu
}

#[test]
fn a_routers_word_narrows_the_way_to_its_peer_only() {
    let lab = lab("learn");
    for (station, peer, path, overlay) in [
        (9, "192.0.2.2", 1400, 1350),
        (10, "2001:db8::2", 1300, 1230),
        (11, "192.0.2.3", 1440, 1398),
    ] {
        let packet = packet(&lab, station, 1430);
        assert_eq!(mtus(&lab, peer).0, None);
        lab.underlay.send(&router_says(lab.mac, &packet, path));
        eventually("it is believed", || mtus(&lab, peer) == (Some(path.into()), overlay));
        assert_eq!(told(&lab, &v4(station, overlay as usize + 1)), overlay as u32);
        self::packet(&lab, station, overlay as usize);
    }
    // A tenant's IPv6 packets of 1280 bytes do not fit 1230, and no answer would help.
    lab.vm1.send(&echo6(mac(10), mac(1), (fd(1), fd(10)), 1280));
    assert_eq!(told(&lab, &echo6(mac(10), mac(1), (fd(1), fd(10)), 1281)), 1280);
    lab.ferry.expect_dropped("vm1", "oversize", 5);
    assert_eq!(lab.ferry.show("networks")[0]["mtu"], 1230);
    // A further router of the path has less; a word of more is none.
    let packet = packet(&lab, 9, 1350);
    for (said, path) in [(1390, 1390), (1399, 1390), (1300, 1300)] {
        lab.underlay.send(&router_says(lab.mac, &packet, said));
        eventually("the least counts", || mtus(&lab, "192.0.2.2").0 == Some(path));
    }
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn forged_words_are_not_believed_and_no_path_gets_too_narrow() {
    let lab = lab("learn");
    let (packet4, packet6) = (packet(&lab, 9, 1430), packet(&lab, 10, 1430));
    let changed = |at: usize, bytes: &[u8]| {
        let mut packet = packet4.clone();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        fix_ip_checksum(&mut packet);
        router_says(lab.mac, &packet, 1300)
    };
    let mut damaged = changed(14, &[]);
    damaged[50] ^= 1;
    let forged = [
        changed(26, &[192, 0, 2, 7]),
        changed(30, &[192, 0, 2, 9]),
        changed(30, &[192, 0, 2, 3]),
        changed(36, &[0x21, 0x18]),
        changed(34, &[0x10, 0]),
        changed(16, &[0, 200]),
        changed(20, &[0, 0]),
        damaged,
        router_says(lab.mac, &packet6, 1279),
        router_says(lab.mac, &packet4, 1500),
    ];
    for frame in &forged {
        lab.underlay.send(frame);
    }
    lab.ferry.expect_dropped("up0", "no_twin", forged.len() as u64);
    lab.underlay.send(&router_says(lab.mac, &packet4, 100));
    eventually("not less than 552", || mtus(&lab, "192.0.2.2") == (Some(552), 502));
    assert_eq!(mtus(&lab, "2001:db8::2"), (None, 1430));
    assert_eq!(mtus(&lab, "192.0.2.3"), (None, 1458));
    lab.finish();
}

#[test]
fn what_was_said_is_forgotten_in_time_and_may_be_ignored() {
    let lab = lab("{ageing: 2s}");
    let long = packet(&lab, 9, 1450);
    lab.underlay.send(&router_says(lab.mac, &long, 1400));
    eventually("it is believed", || mtus(&lab, "192.0.2.2") == (Some(1400), 1350));
    eventually("and forgotten", || mtus(&lab, "192.0.2.2") == (None, 1450));
    lab.vm1.send(&v4(9, 1450));
    lab.underlay.expect("as before", is_vxlan_to(PEER1));
    lab.finish();

    let lab = self::lab("ignore");
    let long = packet(&lab, 9, 1450);
    lab.underlay.send(&router_says(lab.mac, &long, 1400));
    lab.ferry.expect_dropped("up0", "no_twin", 1);
    packet(&lab, 9, 1450);
    assert_eq!(mtus(&lab, "192.0.2.2"), (None, 1450));
    lab.finish();
}
