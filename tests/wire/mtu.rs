//! What does not fit the underlay, byte by byte: it is dropped, and its sender told. Cases E8 of a VTEP's wire-level behaviour.

use crate::support::frames::{BROADCAST, ethernet, fix_ip_checksum, ipv4, mac, tagged};
use crate::support::neighbours::{fd, icmpv6};
use crate::support::too_big::{TooBig, datagram, echo6, is_too_big, open_too_big};
use crate::support::{Lab, RawPort};

/// Stations 9 to 12 are behind peers that are reached in four ways; 13 behind none that is known.
const NETWORKS: &str = r#"
  - vni: 1000
    name: a
    ports: [vm1, {port: trunk0, vlan: 10}]
    flood:
      peers:
        - 192.0.2.2
        - {address: "2001:db8::2", encap: vxlan}
        - {address: 192.0.2.3, encap: nvgre}
        - {address: 192.0.2.5, encap: gre, checksum: on}
    macs:
      - {mac: "02:00:00:00:aa:09", peer: 192.0.2.2}
      - {mac: "02:00:00:00:aa:0a", peer: "2001:db8::2"}
      - {mac: "02:00:00:00:aa:0b", peer: 192.0.2.3}
      - {mac: "02:00:00:00:aa:0c", peer: 192.0.2.5}
  - vni: 2000
    name: b
    ports: [vm2, {port: trunk0, vlan: 20}]
    flood: {peers: [192.0.2.2]}
    inner_vlan: keep
    gateway: [10.0.0.254, "fd00::fe"]
    oversize: {answers: 10}
    macs: [{mac: "02:00:00:00:aa:09", peer: 192.0.2.2}]
"#;

const NEIGHBOURS: &str = r#"
    - {ip: "2001:db8::2", mac: "02:00:00:00:11:01", port: up0}
    - {ip: 192.0.2.5, mac: "02:00:00:00:11:02", port: up0}
"#;

fn lab() -> Lab {
    Lab::with_vtep("ipv4: 192.0.2.1, ipv6: \"2001:db8::1\"", NETWORKS, NEIGHBOURS)
}

fn ip(last: u8) -> [u8; 4] {
    [10, 0, 0, last]
}

/// From station 1 to another, IPv4 with don't fragment.
fn v4(to: u8, length: usize) -> Vec<u8> {
    datagram(mac(to), mac(1), (ip(1), ip(to)), length)
}

fn v6(to: u8, length: usize) -> Vec<u8> {
    echo6(mac(to), mac(1), (fd(1), fd(to)), length)
}

/// The next answer at a port.
fn told(port: &RawPort) -> TooBig {
    open_too_big(&port.expect("an answer", is_too_big))
}

fn oversize(lab: &Lab, network: usize, key: &str) -> u64 {
    lab.ferry.show("networks")[network]["oversize"][key].as_u64().unwrap()
}

#[test]
fn e8_the_sender_is_told_what_fits_by_each_way_in_both_families() {
    let lab = lab();
    // VXLAN over IPv4 and IPv6, NVGRE, GRE with key and checksum.
    for (number, (station, mtu)) in (1..).zip([(9, 1450), (10, 1430), (11, 1458), (12, 1454)]) {
        let fits = v4(station, mtu);
        lab.vm1.send(&fits);
        lab.underlay.expect("what just fits", |packet| packet.ends_with(&fits));
        let frame = v4(station, mtu + 1);
        lab.vm1.send(&frame);
        let expected = TooBig {
            to: mac(1),
            from: mac(station),
            source: ip(station).to_vec(),
            destination: ip(1).to_vec(),
            mtu: mtu as u32,
            quoted: frame[14..14 + 548].to_vec(),
        };
        assert_eq!(told(&lab.vm1), expected);
        let frame = v6(station, mtu + 1);
        lab.vm1.send(&frame);
        let expected = TooBig {
            source: fd(station).to_vec(),
            destination: fd(1).to_vec(),
            quoted: frame[14..14 + 1232].to_vec(),
            ..expected
        };
        assert_eq!(told(&lab.vm1), expected);
        lab.ferry.expect_dropped("vm1", "oversize", 2 * number);
    }
    let networks = lab.ferry.show("networks");
    assert_eq!((&networks[0]["mtu"], &networks[1]["mtu"]), (&1430.into(), &1450.into()));
    let peers = lab.ferry.show("peers");
    let mtus: Vec<_> = peers.as_array().unwrap().iter().map(|peer| peer["mtu"].clone()).collect();
    assert_eq!(mtus, [1450, 1458, 1454, 1430]);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn e8_an_answer_goes_to_the_vlan_it_is_for_and_keeps_inner_tags() {
    let lab = lab();
    lab.trunk.send(&tagged(&v4(9, 1500), 10));
    let answer = lab.trunk.expect("a tagged answer", |frame| frame[12..16] == [0x81, 0, 0, 10]);
    let untagged = [&answer[..12], &answer[16..]].concat();
    assert_eq!(open_too_big(&untagged).mtu, 1450);
    // A tag of the tenant's own is there and back, and takes its room.
    lab.trunk.send(&tagged(&tagged(&v6(9, 1447), 7), 20));
    let answer =
        lab.trunk.expect("two tags", |frame| frame[12..20] == [0x81, 0, 0, 20, 0x81, 0, 0, 7]);
    let untagged = [&answer[..12], &answer[20..]].concat();
    assert_eq!(open_too_big(&untagged).mtu, 1446);
    lab.ferry.expect_dropped("trunk0", "oversize", 2);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn e8_answers_come_from_the_gateway_and_at_a_limited_rate() {
    let lab = lab();
    for (frame, gateway) in [(v4(9, 1500), ip(254).to_vec()), (v6(9, 1500), fd(0xfe).to_vec())] {
        // Ten a second, and of those one at once.
        std::thread::sleep(std::time::Duration::from_millis(150));
        lab.vm2.send(&frame);
        let answer = told(&lab.vm2);
        assert_eq!((answer.source, answer.from), (gateway, mac(9)));
    }
    for _ in 0..200 {
        lab.vm2.send(&v4(9, 1500));
    }
    lab.ferry.expect_dropped("vm2", "oversize", 202);
    let (answered, unanswered) = (oversize(&lab, 1, "answered"), oversize(&lab, 1, "unanswered"));
    assert_eq!(answered + unanswered, 202);
    assert!((2..40).contains(&answered), "{answered} in well under four seconds");
    assert_eq!(lab.vm2.drain().len() as u64, answered - 2);
    // The other network has its own.
    lab.vm1.send(&v4(9, 1500));
    assert_eq!(told(&lab.vm1).mtu, 1450);
    lab.finish();
}

#[test]
fn e8_who_must_not_be_told_is_not_and_all_is_counted() {
    let lab = lab();
    let changed = |at: usize, bytes: &[u8]| {
        let mut frame = v4(9, 1500);
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        fix_ip_checksum(&mut frame);
        frame
    };
    let error = |kind| {
        let mut message = vec![kind, 4, 0, 0];
        message.resize(1480, 0);
        ipv4(mac(9), mac(1), (ip(1), ip(9)), 1, &message)
    };
    let error6 = |kind| {
        let mut message = vec![kind, 0, 0, 0];
        message.resize(1460, 0);
        icmpv6((mac(9), mac(1)), (fd(1), fd(9)), &message)
    };
    let mut damaged = v4(9, 1500);
    damaged[24] ^= 1;
    let frames = [
        ethernet(mac(9), mac(1), 1500),
        changed(20, &[0, 0]),
        changed(26, &[0; 4]),
        changed(26, &[224, 0, 0, 5]),
        changed(30, &[255; 4]),
        damaged,
        error(3),
        error(11),
        error6(1),
        error6(3),
        error6(137),
    ];
    for frame in &frames {
        lab.vm1.send(frame);
    }
    lab.ferry.expect_dropped("vm1", "oversize", frames.len() as u64);
    lab.expect_silence(&[]);
    // What goes to many is told to nobody, however many it does not fit.
    lab.vm1.send(&datagram(BROADCAST, mac(1), (ip(1), ip(255)), 1500));
    lab.ferry.expect_dropped("vm1", "oversize", frames.len() as u64 + 4);
    lab.trunk.expect("the local copy", |frame| frame.len() == 1518);
    lab.expect_silence(&[]);
    assert_eq!(oversize(&lab, 0, "answered"), 0);
    lab.finish();
}

#[test]
fn e8_what_is_flooded_to_one_station_is_told_of_once() {
    let lab = lab();
    // Too long for all four peers.
    lab.vm1.send(&v4(13, 1500));
    assert_eq!(told(&lab.vm1).source, ip(13));
    lab.ferry.expect_dropped("vm1", "oversize", 4);
    lab.trunk.expect("the local copy", |frame| frame.len() == 1518);
    lab.expect_silence(&[]);
    lab.finish();
}
