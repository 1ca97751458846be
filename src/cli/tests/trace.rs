//! `ferry trace`: its arguments, and what it prints, to the letter.

use crate::api::model::{Ingress, Place, Trace};
use crate::api::tests::fake::{Fake, version, world};
use crate::api::tests::trace::{broadcast, live, unicast};
use crate::api::{Live, LiveRequest};
use crate::cli::live::words;
use crate::cli::trace::{trace, write};
use crate::cli::{self, Frames, Plan, parse};

fn plan(line: &str) -> Result<cli::Trace, String> {
    let words = std::iter::once("ferry").chain(line.split_whitespace());
    match parse(words, &version()) {
        Ok((Plan::Trace(plan), _)) => Ok(plan),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

fn written(of: &Trace) -> String {
    let mut output = Vec::new();
    write(of, &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

#[test]
fn a_frame_is_digits_words_or_a_capture() {
    let frames = |line: &str| plan(line).map(|plan| plan.frames);
    assert_eq!(frames("trace vm1 0200 0001"), Ok(Frames::One(vec![2, 0, 0, 1])));
    let words = "trace vm1 02:00:00:00:00:01 to broadcast arp length 42 --json --socket /x";
    let traced = plan(words).unwrap();
    assert!(matches!(traced.frames, Frames::One(frame) if frame.len() == 42));
    assert!(traced.json && traced.socket.as_os_str() == "/x" && traced.port == "vm1");
    assert_eq!(frames("trace vm1 -r f.pcap"), Ok(Frames::Capture("f.pcap".into())));
    assert!(frames("trace vm1").unwrap_err().contains("<FRAME>"));
    assert!(frames("trace vm1 -r f.pcap 00").unwrap_err().contains("cannot be used with"));
    let wrong = frames("trace vm1 02:00:00:00:00:01 at broadcast").unwrap_err();
    assert!(wrong.contains("'at' stands where 'to' is expected"), "{wrong}");
}

#[test]
fn real_frames_are_chosen_by_port_and_filter() {
    let live = |line: &str| match parse(line.split(' ').map(str::to_owned), &version()) {
        Ok((Plan::TraceLive(plan), _)) => Ok((plan.request, plan.json)),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    };
    let all = LiveRequest { port: None, filter: None, rate: 10, count: None };
    assert_eq!(live("ferry trace --live"), Ok((all.clone(), false)));
    let some = LiveRequest {
        port: Some("vm1".to_owned()),
        filter: Some("udp port 53".to_owned()),
        rate: 1000,
        count: Some(5),
    };
    let line = "ferry trace --live udp port 53 --port vm1 --rate 1000 --count 5 --json";
    assert_eq!(live(line), Ok((some, true)));
    for wrong in ["--live --rate 0", "--live --rate 1001", "--live -r f", "vm1 00 --port vm1"] {
        assert!(live(&format!("ferry trace {wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn a_real_frame_is_told_with_its_time_and_headers() {
    let mut output = Vec::new();
    for message in [Live::Trace(Box::new(live())), Live::Lost { samples: 3 }] {
        words(&message, &mut output).unwrap();
    }
    let expected = format!(
        "\
time         00:10:00.000007 UTC
frame        02:00:00:00:00:07 to ff:ff:ff:ff:ff:ff, ARP who-has 10.0.0.2 tell 10.0.0.1
{}
lost         3 samples, as there were too many at once

",
        written(&broadcast())
    );
    assert_eq!(String::from_utf8(output).unwrap(), expected);
}

#[test]
fn a_line_a_stage() {
    let expected = "\
port         trunk0 (access), 64 bytes
network      101 'tenant-101', from port trunk0.10, group 100
source       02:00:00:00:00:02, learned at port vm1.10, seen 2m 2s ago, frozen there
destination  02:00:00:00:00:01, learned at peer 192.0.2.2, seen 1m 1s ago
decision     to peer 192.0.2.2
sent         by up0 (underlay), 110 bytes
             Ethernet 02:00:00:00:00:aa to 02:00:00:00:00:fe, next hop 192.0.2.254
             IPv4 192.0.2.1 to 192.0.2.2, TTL 64
             UDP 50000 to 4789, no checksum
             VXLAN VNI 101, group 100, 60 bytes within
";
    assert_eq!(written(&unicast()), expected);
    let expected = "\
port         vm1 (access), 60 bytes
network      101 'tenant-101', from port vm1
source       02:00:00:00:00:07, not known
destination  ff:ff:ff:ff:ff:ff, not known
decision     flood: broadcast
besides      02:00:00:00:00:07 to be learned at port vm1
besides      the next hop of peer 192.0.2.3 to be looked for
sent         by vm2 (access), 60 bytes
sent         7 more
dropped      next_hop_unresolved x 2 at vm1: No MAC.
             -> look
";
    assert_eq!(written(&broadcast()), expected);
    let place = Place::default();
    let ingress = Ingress { vni: 5, network: "n".to_owned(), place, group: None };
    let text = written(&Trace { ingress: Some(ingress), ..unicast() });
    assert!(text.contains("\nnetwork      5 'n', from a VTEP that is no peer yet\n"), "{text}");
}

#[test]
fn the_running_process_is_asked() {
    let fake = Fake::new(world());
    let asked = |line: &str| {
        let plan = plan(&format!("{line} --socket {}", fake.socket().display())).unwrap();
        let mut output = Vec::new();
        trace(&plan, &mut output).map_err(|error| error.to_string())?;
        Ok::<_, String>(String::from_utf8(output).unwrap())
    };
    let text = asked("trace vm1 02:00:00:00:00:01 to broadcast").unwrap();
    assert!(text.starts_with("port         vm1 (access), 60 bytes\n"), "{text}");
    let one: Trace = serde_json::from_str(&asked("trace vm1 00 --json").unwrap()).unwrap();
    assert_eq!((one.port.as_str(), one.length), ("vm1", 1));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.pcap");
    let words = |words: &[u32]| words.iter().flat_map(|of| of.to_le_bytes()).collect::<Vec<u8>>();
    let mut capture = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1]);
    for length in [60, 61] {
        capture.extend(words(&[0, 0, length, length]));
        capture.extend(vec![0; length as usize]);
    }
    std::fs::write(&file, capture).unwrap();
    let line = format!("trace vm1 -r {}", file.display());
    let list: Vec<Trace> =
        serde_json::from_str(&asked(&format!("{line} --json")).unwrap()).unwrap();
    assert_eq!(list.iter().map(|of| of.length).collect::<Vec<_>>(), [60, 61]);
    assert_eq!(asked(&line).unwrap().matches("port ").count(), 2 * 3);
    let missing = asked("trace vm1 -r /nowhere.pcap").unwrap_err();
    assert!(missing.starts_with("/nowhere.pcap cannot be read: "), "{missing}");
    let unknown = asked("trace vm9 00").unwrap_err();
    assert_eq!(unknown, "there is no port 'vm9'; there is vm1, up0, ferry-up0");
}
