//! `ferry trace` says what Ferry then does, to the byte, and leaves no trace itself.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::support::frames::{
    BROADCAST, Gre, PEER1, PEER1_MAC, PEER2, VTEP, ethernet, gre_from, mac, tagged, udp, vxlan,
    vxlan6,
};
use crate::support::membership;
use crate::support::neighbours::{REPLY, REQUEST, arp, solicitation, who_has};
use crate::support::{Ferry, Lab, Namespace, RawPort};
use serde_json::Value;

const PEER3: [u8; 4] = [192, 0, 2, 4];
/// Nobody knows where it is.
const LOST: [u8; 4] = [192, 0, 2, 77];

/// Network 1000 with a peer of each kind; others on VLANs of the trunk.
const NETWORKS: &str = r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2, {port: trunk0, vlan: 10}]
    flood:
      peers:
        - 192.0.2.2
        - {address: 192.0.2.3, encap: nvgre}
        - {address: 192.0.2.4, encap: gre, key: true, sequence: strict}
        - {address: "2001:db8::2"}
    arp_suppression: true
    gateway: 10.0.0.254
    macs: [{mac: "02:00:00:00:aa:33", port: vm2, ips: [10.0.0.51, "fd00::51"]}]
  - {vni: 2000, name: b, ports: [{port: trunk0, vlan: 20}], flood: {peers: [192.0.2.2]}, storm_control: {broadcast: 3, burst: 3, multicast: 0}}
  - {vni: 4000, name: d, ports: [{port: trunk0, vlan: 40}, {port: trunk0, vlan: 41}], multicast: {snooping: true}, flood: {peers: [192.0.2.2]}}
  - {vni: 5000, name: e, ports: [{port: trunk0, vlan: 50}], flood: {peers: learn}}
"#;

const NEIGHBOURS: &str = r#"    - {ip: "2001:db8::2", mac: "02:00:00:00:11:01", port: up0}
    - {ip: 192.0.2.4, mac: "02:00:00:00:11:03", port: up0}"#;

fn lab() -> Lab {
    Lab::with_vtep("ipv4: 192.0.2.1, ipv6: \"2001:db8::1\"", NETWORKS, NEIGHBOURS)
}

/// What left, by port, in order.
type Sent = Vec<(String, Vec<u8>)>;
type Drops = HashMap<(String, String), u64>;

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn foretold(trace: &Value) -> (Sent, Drops) {
    let bytes = |text: &str| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        digits
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    };
    let sent = trace["sent"].as_array().unwrap().iter();
    let mut sent: Sent =
        sent.map(|of| (text(of, "port").to_owned(), bytes(text(of, "packet")))).collect();
    sent.sort();
    let drops = trace["drops"].as_array().unwrap().iter();
    let drop = |of: &Value| {
        let place = (text(of, "port").to_owned(), text(of, "reason").to_owned());
        (place, of["packets"].as_u64().unwrap())
    };
    (sent, drops.map(drop).collect())
}

/// Sends a frame, and returns what comes of it.
fn done(lab: &Lab, port: &str, frame: &[u8]) -> (Sent, Drops) {
    let before = lab.ferry.drops();
    let ports =
        [("up0", &lab.underlay), ("vm1", &lab.vm1), ("vm2", &lab.vm2), ("trunk0", &lab.trunk)];
    ports.iter().find(|(name, _)| *name == port).unwrap().1.send(frame);
    let mut sent = Sent::new();
    for (name, port) in ports {
        sent.extend(port.drain().into_iter().map(|packet| (name.to_owned(), packet)));
    }
    sent.sort();
    let mut drops = lab.ferry.drops();
    drops.retain(|place, count| {
        *count -= before.get(place).copied().unwrap_or(0);
        *count > 0
    });
    (sent, drops)
}

/// Traces a frame, twice; sends it, and compares. Returns the trace.
fn check(lab: &Lab, what: &str, port: &str, frame: &[u8]) -> Value {
    let trace = lab.ferry.trace(port, frame);
    let again = lab.ferry.trace(port, frame);
    assert_eq!(foretold(&trace), foretold(&again), "{what}: a trace changes what comes");
    let done = done(lab, port, frame);
    assert_eq!(foretold(&trace), done, "{what}: {trace:#}");
    trace
}

/// The same of a frame that is dropped.
fn check_dropped(lab: &Lab, port: &str, frame: &[u8], reason: &str) -> Value {
    let trace = check(lab, reason, port, frame);
    let drop = &trace["drops"][0];
    assert_eq!((&drop["reason"], &drop["port"]), (&reason.into(), &port.into()), "{trace:#}");
    assert!(text(drop, "remedy").len() > 3);
    trace
}

/// Has each peer send, so that stations 9, 19, 29 and 39 are known behind them, and stations 1 and 2 here.
fn learn(lab: &Lab) {
    let from = |station| ethernet(BROADCAST, mac(station), 60);
    let nvgre = Gre { key: Some(1000 << 8 | 5), ..Gre::default() };
    let gre = Gre { key: Some(1000), sequence: Some(7), ..Gre::default() };
    let peers = [
        (9, "192.0.2.2", vxlan(lab.mac, PEER1, 1000, &from(9))),
        (19, "192.0.2.3", gre_from(lab.mac, PEER2, nvgre, &from(19))),
        (29, "2001:db8::2", vxlan6(lab.mac, 1000, &from(29), true)),
        (39, "192.0.2.4", gre_from(lab.mac, PEER3, gre, &from(39))),
    ];
    for (station, peer, packet) in peers {
        let trace = check(lab, peer, "up0", &packet);
        assert_eq!(
            (&trace["ingress"]["vni"], text(&trace["ingress"], "peer")),
            (&1000.into(), peer)
        );
        let effect = &trace["effects"][0];
        assert_eq!((text(effect, "effect"), text(effect, "peer")), ("learn", peer));
        assert_eq!(trace["sent"].as_array().unwrap().len(), 3, "{trace:#}");
        lab.ferry.expect_place(1000, mac(station), peer);
    }
    for (station, port) in [(1, "vm1"), (2, "vm2")] {
        let trace = check(lab, "a broadcast", port, &from(station));
        assert_eq!(text(&trace["decision"], "kind"), "broadcast");
        assert_eq!(trace["sent"].as_array().unwrap().len(), 6, "{trace:#}");
        lab.ferry.expect_place(1000, mac(station), port);
    }
}

#[test]
fn what_is_forwarded_leaves_as_it_was_traced() {
    let lab = lab();
    learn(&lab);
    let to = |station| udp(mac(station), mac(1), ([10, 0, 0, 1], [10, 0, 0, 9]), (5, 6), &[0; 40]);
    for (station, peer, encap) in [
        (9, "192.0.2.2", "vxlan"),
        (19, "192.0.2.3", "nvgre"),
        (29, "2001:db8::2", "vxlan"),
        // The trace takes no number that the packet would then not have.
        (39, "192.0.2.4", "gre"),
        (39, "192.0.2.4", "gre"),
    ] {
        let trace = check(&lab, peer, "vm1", &to(station));
        assert_eq!(
            (text(&trace["decision"], "verdict"), text(&trace["decision"], "peer")),
            ("send", peer)
        );
        let outer = &trace["sent"][0]["outer"];
        assert_eq!((text(outer, "destination"), text(outer, "encap")), (peer, encap), "{outer}");
        assert_eq!((text(outer, "next_hop"), &outer["id"]), (peer, &1000.into()));
        assert_eq!(text(&trace["source"]["known"], "port"), "vm1");
        assert_eq!(text(&trace["destination"]["known"], "peer"), peer);
    }
    let trace = check(&lab, "local", "vm1", &to(2));
    assert_eq!(text(&trace["decision"], "port"), "vm2");
    let trace = check(&lab, "from a trunk", "trunk0", &tagged(&ethernet(mac(2), mac(3), 80), 10));
    assert_eq!(
        (text(&trace["ingress"], "port"), &trace["ingress"]["vlan"]),
        ("trunk0", &10.into())
    );
    lab.ferry.expect_place(1000, mac(3), "trunk0.10");
    check(&lab, "to a trunk", "vm1", &to(3));
    let trace = check(&lab, "unknown", "vm1", &to(77));
    assert_eq!(text(&trace["decision"], "kind"), "unknown_unicast");
    let back = vxlan(lab.mac, PEER1, 1000, &ethernet(mac(1), mac(9), 80));
    let trace = check(&lab, "from a tunnel", "up0", &back);
    assert_eq!(text(&trace["decision"], "port"), "vm1");
    check(&lab, "another network", "trunk0", &tagged(&ethernet(BROADCAST, mac(1), 60), 20));
    let flow = ([10, 0, 0, 2], [10, 0, 0, 9]);
    check(&lab, "a source that has moved", "vm2", &udp(mac(9), mac(1), flow, (5, 6), &[0; 40]));
    let learned = vxlan(lab.mac, PEER1, 5000, &ethernet(BROADCAST, mac(9), 60));
    check(&lab, "a network that learns its peers", "up0", &learned);
    lab.finish();
}

#[test]
fn what_is_dropped_is_dropped_for_the_reason_of_the_trace() {
    let lab = lab();
    learn(&lab);
    let frame = ethernet(BROADCAST, mac(1), 60);
    check_dropped(&lab, "trunk0", &tagged(&frame, 99), "vlan_unmapped");
    check_dropped(&lab, "trunk0", &frame, "vlan_unmapped");
    check_dropped(&lab, "trunk0", &tagged(&tagged(&frame, 5), 10), "inner_vlan");
    check_dropped(&lab, "vm1", &ethernet(BROADCAST, [3; 6], 60), "invalid_source");
    check_dropped(
        &lab,
        "vm1",
        &ethernet([1, 0x80, 0xc2, 0, 0, 0], mac(1), 60),
        "reserved_multicast",
    );
    let trace = check_dropped(&lab, "vm1", &ethernet(mac(1), mac(1), 60), "same_port");
    assert_eq!(text(&trace["decision"], "reason"), "same_port");
    check_dropped(&lab, "vm1", &ethernet(mac(9), mac(1), 1480), "oversize");
    let flow = ([10, 0, 0, 1], [10, 0, 0, 9]);
    let long = udp(mac(9), mac(1), flow, (5, 6), &[0; 1440]);
    let trace = check_dropped(&lab, "vm1", &long, "oversize");
    assert_eq!(text(&trace["effects"][0], "effect"), "tell_size");
    assert_eq!(text(&trace["sent"][0], "port"), "vm1", "the answer");
    // Storms: the multicast is one too many, and no trace takes a broadcast's token.
    check_dropped(
        &lab,
        "trunk0",
        &tagged(&ethernet([1, 0, 0x5e, 1, 1, 1], mac(1), 60), 20),
        "storm_multicast",
    );
    for _ in 0..20 {
        lab.ferry.trace("trunk0", &tagged(&frame, 20));
    }
    let (sent, drops) = done(&lab, "trunk0", &tagged(&frame, 20));
    assert_eq!((sent.len(), drops.len()), (1, 0), "{drops:?}");

    let tunnel = |frame: &[u8]| vxlan(lab.mac, PEER1, 1000, frame);
    let inner = ethernet(mac(1), mac(9), 60);
    let changed = |at: usize, byte: u8| {
        let mut packet = tunnel(&inner);
        packet[at] = byte;
        packet
    };
    check_dropped(&lab, "up0", &changed(5, 0x77), "not_our_mac");
    check_dropped(&lab, "up0", &changed(24, 0x77), "ipv4_checksum");
    check_dropped(&lab, "up0", &changed(42, 0), "vxlan_flags");
    check_dropped(&lab, "up0", &tunnel(&ethernet(mac(19), mac(9), 60)), "split_horizon");
    check_dropped(&lab, "up0", &vxlan(lab.mac, PEER1, 1001, &inner), "unknown_vni");
    check_dropped(&lab, "up0", &vxlan(lab.mac, LOST, 1000, &inner), "unknown_peer");
    check_dropped(&lab, "up0", &vxlan6(lab.mac, 1000, &inner, false), "udp_zero_checksum");
    // After three seconds without a newer number the peer would have begun anew.
    let newer = Gre { key: Some(1000), sequence: Some(9), ..Gre::default() };
    let newer = gre_from(lab.mac, PEER3, newer, &ethernet(mac(1), mac(39), 60));
    lab.underlay.send(&newer);
    lab.vm1.expect_frame(&ethernet(mac(1), mac(39), 60));
    check_dropped(&lab, "up0", &newer, "gre_sequence");
    check_dropped(
        &lab,
        "up0",
        &arp(lab.mac, REPLY, (PEER1_MAC, PEER1), (lab.mac, VTEP)),
        "no_twin",
    );
    lab.finish();
}

#[test]
fn what_is_answered_or_noted_here_is_told() {
    let lab = lab();
    let asker = (mac(1), [10, 0, 0, 1]);
    let trace = check(&lab, "ARP", "vm1", &who_has([10, 0, 0, 51], asker));
    let effects: Vec<_> = trace["effects"].as_array().unwrap().iter().collect();
    let effect = |name: &str| effects.iter().any(|of| text(of, "effect") == name);
    assert!(effect("learn") && effect("bind") && effect("suppress"), "{trace:#}");
    assert_eq!(text(&trace["sent"][0], "port"), "vm1");
    check(&lab, "nobody's", "vm1", &who_has([10, 0, 0, 77], asker));
    let mut address = [0; 16];
    (address[0], address[15]) = (0xfd, 0x51);
    let mut own = address;
    own[15] = 1;
    let trace = check(&lab, "ND", "vm1", &solicitation(address, (mac(1), own)));
    assert_eq!(trace["sent"].as_array().unwrap().len(), 1, "{trace:#}");
    assert_eq!(lab.ferry.show("networks")[0]["arp_suppression"]["answered"], 2, "of real ones");

    let report = membership::report2((1, [10, 0, 0, 1]), [239, 1, 1, 1]);
    let trace = check(&lab, "IGMP", "trunk0", &tagged(&report, 40));
    let effects = trace["effects"].as_array().unwrap().iter();
    assert!(effects.map(|of| text(of, "effect")).any(|effect| effect == "snoop"), "{trace:#}");
    membership::expect_members(&lab.ferry, &["239.1.1.1 trunk0.40"]);
    let stream = membership::stream((2, [10, 0, 0, 2]), [239, 1, 1, 1]);
    check(&lab, "a group with a member", "trunk0", &tagged(&stream, 41));
    lab.finish();
}

#[test]
fn the_kernels_packets_and_ways_that_are_not_there_are_told() {
    let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
    host.veth("eth1", &wires, "under");
    host.veth("eth2", &wires, "one");
    let folder = tempfile::tempdir().unwrap();
    let guest = folder.path().join("guest.sock");
    let config = format!(
        r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports:
    - {{name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: [192.0.2.1/24]}}
  vtep: {{ipv4: 192.0.2.1}}
access:
  ports:
    - {{name: vm1, device: "net_af_packet1,iface=eth2"}}
    - {{name: guest, device: "net_vhost0,iface={}"}}
networks:
  - {{vni: 1000, name: a, ports: [vm1, guest], flood: {{peers: [192.0.2.2]}}}}
"#,
        guest.display()
    );
    let ferry = Ferry::start(&host, &config);
    let trace = ferry.trace("vm1", &ethernet(BROADCAST, mac(1), 60));
    let (sent, drops) = foretold(&trace);
    let reason = |port: &str, reason: &str| (port.to_owned(), reason.to_owned());
    let lost = [(reason("vm1", "next_hop_unresolved"), 1), (reason("guest", "link_down"), 1)];
    assert_eq!((sent, drops), (Vec::new(), HashMap::from(lost)));
    let effects = trace["effects"].as_array().unwrap();
    let resolve = effects.iter().find(|of| of["effect"] == "resolve").unwrap();
    assert_eq!(text(resolve, "peer"), "192.0.2.2");
    let wire = RawPort::open(&wires, "one");
    let live = Live::start(&ferry, "--port vm1", || wire.send(&ethernet(mac(1), mac(5), 60)));
    wire.send(&ethernet(BROADCAST, mac(1), 60));
    let real = live.expect();
    assert_eq!((foretold(&real), &real["effects"]), (foretold(&trace), &trace["effects"]));
    drop(live);

    let ours = host.mac("eth1");
    let question = arp(BROADCAST, REQUEST, (PEER1_MAC, PEER1), ([0; 6], VTEP));
    let (sent, drops) = foretold(&ferry.trace("up0", &question));
    assert_eq!((sent, drops), (vec![("ferry-up0".to_owned(), question)], Drops::new()));
    let answer = arp(PEER1_MAC, REPLY, (ours, VTEP), (PEER1_MAC, PEER1));
    let trace = ferry.trace("ferry-up0", &answer);
    assert_eq!(foretold(&trace), (vec![("up0".to_owned(), answer)], Drops::new()));
    assert_eq!((text(&trace, "role"), trace.get("ingress")), ("twin", None));
    ferry.stop();
}

/// `ferry trace --live` under way.
struct Live {
    child: Child,
    lines: Receiver<String>,
}

impl Live {
    /// Begun when `knock` has been heard, again and again.
    fn start(ferry: &Ferry, arguments: &str, knock: impl Fn()) -> Self {
        let mut command = ferry.command(&format!("trace --live {arguments} --json"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            output.lines().for_each(|line| drop(sender.send(line.unwrap())));
        });
        let mut live = Self { child, lines };
        while live.next(Duration::from_millis(200)).is_none() {
            assert_eq!(live.child.try_wait().unwrap(), None, "it ends before it begins");
            knock();
        }
        while live.next(Duration::from_millis(200)).is_some() {}
        live
    }

    fn next(&self, patience: Duration) -> Option<Value> {
        let line = self.lines.recv_timeout(patience).ok()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    fn expect(&self) -> Value {
        self.next(Duration::from_secs(10)).expect("a frame is traced")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Without what differs from one moment to the other.
fn timeless(mut trace: Value) -> Value {
    for key in ["event", "unix_microseconds", "frame"] {
        trace.as_object_mut().unwrap().remove(key);
    }
    for station in ["source", "destination"] {
        if let Some(known) = trace.pointer_mut(&format!("/{station}/known")) {
            known.as_object_mut().unwrap().remove("age_seconds");
        }
    }
    trace
}

/// Traces a frame, sends it, and compares what is told of it live with what was foretold and with what came of it.
fn check_live(lab: &Lab, live: &Live, port: &str, frame: &[u8]) -> Value {
    let told = lab.ferry.trace(port, frame);
    let done = done(lab, port, frame);
    let real = live.expect();
    let digits: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((text(&real, "event"), text(&real, "frame")), ("trace", &*digits));
    assert_eq!(foretold(&real), done, "{real:#}");
    assert_eq!(timeless(real.clone()), timeless(told));
    real
}

#[test]
fn live_what_really_becomes_of_frames_is_told_as_a_trace_foretells_it() {
    let lab = lab();
    learn(&lab);
    let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let knock = || lab.vm2.send(&ethernet(mac(1), mac(2), 60));
    let live = Live::start(&lab.ferry, "--rate 1000", knock);
    lab.vm1.drain();
    let to = |station| udp(mac(station), mac(1), ([10, 0, 0, 1], [10, 0, 0, 9]), (5, 6), &[0; 40]);
    let real = check_live(&lab, &live, "vm1", &to(9));
    let time = real["unix_microseconds"].as_u64().unwrap() as u128;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(began.as_micros() < time && time < now.as_micros(), "{time}");
    let outer = &real["sent"][0]["outer"];
    assert_eq!((text(outer, "destination"), text(outer, "next_hop")), ("192.0.2.2", "192.0.2.2"));
    for station in [19, 29, 39, 39, 2, 77] {
        check_live(&lab, &live, "vm1", &to(station));
    }
    let real = check_live(&lab, &live, "trunk0", &tagged(&ethernet(BROADCAST, mac(4), 60), 10));
    assert_eq!(text(&real["effects"][0], "effect"), "learn");
    assert_eq!(real["sent"].as_array().unwrap().len(), 6, "{real:#}");
    let inner = ethernet(mac(1), mac(9), 60);
    let real = check_live(&lab, &live, "up0", &vxlan(lab.mac, PEER1, 1000, &inner));
    assert_eq!((text(&real, "role"), text(&real["decision"], "port")), ("underlay", "vm1"));
    check_live(&lab, &live, "up0", &vxlan(lab.mac, PEER1, 1001, &inner));
    let real = check_live(&lab, &live, "trunk0", &tagged(&inner, 99));
    assert_eq!(text(&real["drops"][0], "reason"), "vlan_unmapped");
    let flow = ([10, 0, 0, 1], [10, 0, 0, 9]);
    let real = check_live(&lab, &live, "vm1", &udp(mac(9), mac(1), flow, (5, 6), &[0; 1440]));
    assert_eq!(text(&real["effects"][0], "effect"), "tell_size");
    let asker = (mac(1), [10, 0, 0, 1]);
    let real = check_live(&lab, &live, "vm1", &who_has([10, 0, 0, 51], asker));
    let effects = real["effects"].as_array().unwrap();
    assert!(effects.iter().any(|of| text(of, "effect") == "suppress"), "{real:#}");
    let busy = lab.ferry.change("trace --live", "");
    assert_eq!(busy.2, "ferry: somebody traces live already; one at a time\n");
    drop(live);
    lab.finish();
}

#[test]
fn live_a_filter_a_port_a_count_and_a_rate_bound_what_is_told() {
    let lab = Lab::new();
    let flow = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let query = |port| udp(mac(2), mac(1), flow, (5, port), &[0; 40]);
    let arguments = ["trace", "--live", "udp", "port", "53", "--port", "vm1", "--count", "2"];
    let mut child = lab.ferry.spawn(&arguments);
    while child.try_wait().unwrap().is_none() {
        lab.vm1.send(&query(54));
        lab.vm2.send(&query(53));
        lab.vm1.send(&query(53));
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let stories: Vec<_> = told.split_terminator("\n\n").collect();
    assert_eq!(stories.len(), 2, "{told}");
    for story in stories {
        let lines: Vec<_> = story.lines().collect();
        assert!(lines[0].starts_with("time         "), "{story}");
        let frame =
            "02:00:00:00:aa:01 to 02:00:00:00:aa:02, IPv4 10.0.0.1 to 10.0.0.2, UDP 5 to 53";
        assert_eq!(lines[1], format!("frame        {frame}"));
        assert_eq!(lines[2], "port         vm1 (access), 82 bytes");
    }

    let live = Live::start(&lab.ferry, "arp --rate 5", || {
        lab.vm1.send(&who_has([10, 0, 0, 2], (mac(1), [10, 0, 0, 1])));
        std::thread::sleep(Duration::from_millis(100));
    });
    std::thread::sleep(Duration::from_secs(1));
    let began = std::time::Instant::now();
    for _ in 0..500 {
        lab.vm1.send(&who_has([10, 0, 0, 2], (mac(1), [10, 0, 0, 1])));
    }
    lab.ferry.expect_balance();
    let took = began.elapsed();
    let told = std::iter::from_fn(|| live.next(Duration::from_millis(500))).count();
    let most = 6 + (took.as_secs_f64() * 5.0) as usize;
    assert!((5..=most).contains(&told), "{told} of {most}");
    drop(live);
    lab.finish();
}

#[test]
fn a_trace_marks_nothing_as_seen() {
    let network = "\n  - {vni: 1000, name: a, ports: [vm1, vm2], ageing: 16s}\n";
    let lab = Lab::with(network);
    let frame = ethernet(BROADCAST, mac(1), 60);
    lab.vm1.send(&frame);
    lab.ferry.expect_place(1000, mac(1), "vm1");
    std::thread::sleep(Duration::from_secs(4));
    let balance = lab.ferry.expect_balance();
    let trace = lab.ferry.trace("vm1", &frame);
    assert!(trace["source"]["known"]["age_seconds"].as_u64() >= Some(3), "{trace:#}");
    let macs = lab.ferry.show("macs");
    assert!(macs[0]["age_seconds"].as_u64() >= Some(3), "{macs}");
    lab.ferry.trace("vm1", &ethernet(BROADCAST, mac(2), 60));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(lab.ferry.place(1000, mac(2)), None);
    for key in ["rx", "tx", "drops", "copies", "events_lost"] {
        assert_eq!(lab.ferry.show("totals")[key], balance[key], "{key}");
    }
    lab.finish();
}

#[test]
fn of_a_flood_to_many_the_first_are_told_and_the_others_counted() {
    const PEERS: u16 = 600;
    let address = |number: u16| format!("198.18.{}.{}", number >> 8, number & 0xff);
    let neighbour = |number| {
        format!("    - {{ip: {}, mac: \"02:00:00:00:22:22\", port: up0}}", address(number))
    };
    let neighbours: Vec<_> = (1..=PEERS).map(neighbour).collect();
    let peers: Vec<_> = (1..=PEERS).map(address).collect();
    let networks = format!(
        "\n  - {{vni: 1000, name: a, ports: [vm1, vm2], flood: {{peers: [{}]}}}}\n",
        peers.join(", ")
    );
    let lab = Lab::with_neighbours(&networks, &neighbours.join("\n"));
    let frame = ethernet(BROADCAST, mac(1), 60);
    for _ in 0..50 {
        let trace = lab.ferry.trace("vm1", &frame);
        let told = trace["sent"].as_array().unwrap().len() as u64;
        assert_eq!(told + trace["more"].as_u64().unwrap(), u64::from(PEERS) + 1);
    }
    let live = Live::start(&lab.ferry, "", || lab.vm2.send(&frame));
    lab.vm1.send(&frame);
    let real = live.expect();
    let told = real["sent"].as_array().unwrap().len() as u64;
    assert_eq!(told + real["more"].as_u64().unwrap(), 64, "{real:#}");
    let later = real["effects"].as_array().unwrap().iter();
    assert!(later.map(|of| text(of, "effect")).any(|effect| effect == "flood_on"), "{real:#}");
    drop(live);
    // Fifty such floods are more packet buffers than there are, had any been kept.
    lab.finish();
}

#[test]
fn words_and_errors() {
    let lab = Lab::new();
    let words =
        "trace trunk0 02:00:00:00:00:01 to broadcast vlan 10 arp who-has 10.0.0.2 tell 10.0.0.1";
    let told = lab.ferry.expect_change(words, "");
    for line in [
        "port         trunk0 (access), 60 bytes",
        "network      1000 'a', from port trunk0.10",
        "source       02:00:00:00:00:01, not known",
        "decision     flood: broadcast",
        "besides      02:00:00:00:00:01 to be learned at port trunk0.10",
        "sent         by up0 (underlay), 106 bytes",
        "             IPv4 192.0.2.1 to 192.0.2.3, TTL 64",
    ] {
        assert!(told.lines().any(|of| of == line), "{line}:\n{told}");
    }
    let told = lab.ferry.expect_change("trace trunk0 02:00:00:00:00:01 to broadcast vlan 30", "");
    assert!(told.contains("\ndropped      vlan_unmapped at trunk0: No network uses"), "{told}");
    assert!(told.contains("\n             -> add {port, vlan}"), "{told}");
    let (code, _, errors) = lab.ferry.change("trace vm9 00", "");
    assert_eq!(
        (code, &*errors),
        (1, "ferry: there is no port 'vm9'; there is up0, vm1, vm2, trunk0\n")
    );
    let (code, _, errors) = lab.ferry.change(&format!("trace vm1 {}", "00".repeat(2200)), "");
    assert_eq!(code, 1);
    assert!(
        errors.contains("the frame has 2200 bytes; port vm1 has none of more than 2"),
        "{errors}"
    );
    lab.finish();
}
