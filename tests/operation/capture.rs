//! `ferry capture`: what passes a port, as tshark reads it.

use std::path::Path;
use std::process::{Child, Command};

use crate::support::frames::{BROADCAST, PEER1, ethernet, is_vxlan_to, mac, tagged, udp, vxlan};
use crate::support::{self, Lab, eventually};
use tempfile::TempDir;

/// A capture under way.
struct Running {
    child: Child,
    folder: TempDir,
}

impl Running {
    fn start(lab: &Lab, arguments: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("of.pcapng");
        let mut words = vec!["capture", "-w", file.to_str().unwrap()];
        // Filters have blanks, which are written so.
        let arguments: Vec<_> = arguments.split(' ').map(|of| of.replace('_', " ")).collect();
        words.extend(arguments.iter().map(String::as_str));
        let child = lab.ferry.spawn(&words);
        let begun = || std::fs::metadata(&file).is_ok_and(|of| of.len() > 0);
        eventually("the capture begins", begun);
        Self { child, folder }
    }

    /// Waits for its end. What it said, and the frames: direction, comment and bytes.
    fn end(self) -> (String, Vec<(String, String, Vec<u8>)>) {
        let output = self.child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        (said, read(&self.folder.path().join("of.pcapng")))
    }

    fn interrupt(self) -> (String, Vec<(String, String, Vec<u8>)>) {
        support::namespace::run("kill", &["-s", "INT", &self.child.id().to_string()]);
        self.end()
    }
}

fn read(file: &Path) -> Vec<(String, String, Vec<u8>)> {
    let tshark = |arguments: &[&str]| {
        let output = Command::new("tshark").arg("-r").arg(file).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let fields = ["frame.interface_name", "frame.packet_flags_direction", "frame.comment"];
    let mut arguments = vec!["-T", "fields", "-E", "separator=|"];
    fields.iter().for_each(|field| arguments.extend(["-e", field]));
    let rows = tshark(&arguments);
    let bytes: serde_json::Value = serde_json::from_str(&tshark(&["-T", "json", "-x"])).unwrap();
    let frames = bytes.as_array().unwrap().iter();
    let frames = frames.map(|of| of["_source"]["layers"]["frame_raw"][0].as_str().unwrap());
    rows.lines()
        .zip(frames)
        .map(|(row, digits)| {
            let cells: Vec<_> = row.split('|').collect();
            assert!(cells[0].starts_with("vm") || cells[0].starts_with("up"), "{row}");
            let direction = if cells[1].ends_with('1') { "in" } else { "out" };
            let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let bytes = (0..digits.len()).step_by(2).map(byte).collect();
            (direction.to_owned(), cells[2].to_owned(), bytes)
        })
        .collect()
}

#[test]
fn what_comes_what_leaves_and_what_is_dropped() {
    let lab = Lab::new();
    let running = Running::start(&lab, "--port vm1 --count 4");
    let broadcast = ethernet(BROADCAST, mac(1), 300);
    lab.vm1.send(&broadcast);
    lab.vm2.expect_frame(&broadcast);
    let back = ethernet(mac(1), mac(2), 1514);
    lab.vm2.send(&back);
    lab.vm1.expect_frame(&back);
    let lost = tagged(&broadcast, 99);
    lab.vm1.send(&lost);
    let (said, frames) = running.end();
    assert_eq!(said, "4 frames, and 0 lost by the capture\n");
    let reason =
        "dropped: vlan_unmapped: No network uses this VLAN of the port, or untagged frames on it.";
    let expected =
        [("in", "", &broadcast), ("out", "", &back), ("in", "", &lost), ("in", reason, &lost)];
    let expected = expected.map(|(way, why, of)| (way.to_owned(), why.to_owned(), of.clone()));
    assert_eq!(frames, expected);
    lab.finish();
}

#[test]
fn a_filter_sees_copies_whole_and_a_direction_the_other_not() {
    let lab = Lab::new();
    let running =
        Running::start(&lab, "--port up0 --filter udp_port_4789_and_dst_host_192.0.2.3 -d out");
    let again = lab.ferry.change("capture --port up0 -w /dev/null", "");
    let busy = "ferry: port up0 is being captured already; one at a time\n";
    assert_eq!((again.0, &*again.2), (1, busy));
    let flooded: Vec<_> = (0..20).map(|number| ethernet(BROADCAST, mac(1), 60 + number)).collect();
    for frame in &flooded {
        lab.vm1.send(frame);
        lab.underlay.expect("a copy", is_vxlan_to(PEER1));
    }
    // What came in by the underlay matches no direction, and a peer's packet no filter.
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(BROADCAST, mac(9), 60)));
    lab.vm1.expect("its frame", |frame| frame[6..12] == mac(9));
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (said, frames) = running.interrupt();
    assert_eq!(said, "20 frames, and 0 lost by the capture\n");
    for ((way, why, packet), inner) in frames.iter().zip(&flooded) {
        assert_eq!((&**way, &**why, &packet[50..]), ("out", "", &inner[..]));
    }
    // Its end is seen, and another one may begin.
    eventually("it can be captured again", || {
        lab.ferry
            .change("capture --port up0 -c 1 -f arp -w /nowhere/x", "")
            .2
            .contains("cannot be written")
    });
    let next = Running::start(&lab, "--port up0 --count 1");
    lab.vm1.send(&flooded[0]);
    assert_eq!(next.end().1.len(), 1);
    lab.finish();
}

#[test]
fn what_a_capture_loses_is_counted_and_forwarding_goes_on() {
    let lab = Lab::new();
    lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
    lab.ferry.expect_place(1000, mac(2), "vm2");
    lab.vm1.drain();
    let running = Running::start(&lab, "--port vm1 -d in");
    // Whoever reads is held up, and there are more frames than slots.
    let reader = running.child.id().to_string();
    support::namespace::run("kill", &["-s", "STOP", &reader]);
    let flow = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let frame = udp(mac(2), mac(1), flow, (5, 6), &[0; 1400]);
    let came = || {
        let ports = lab.ferry.show("ports");
        let port = ports.as_array().unwrap().iter().find(|of| of["name"] == "vm1").unwrap();
        port["rx_packets"].as_u64().unwrap()
    };
    while came() < 12_000 {
        for _ in 0..1000 {
            lab.vm1.send(&frame);
        }
    }
    lab.ferry.expect_balance();
    support::namespace::run("kill", &["-s", "CONT", &reader]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (said, frames) = running.interrupt();
    let numbers: Vec<u64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers[0], frames.len() as u64);
    assert_eq!(numbers[0] + numbers[1], came(), "{said}");
    assert!(numbers[1] > 0, "{said}");
    lab.finish();
}

#[test]
fn it_ends_with_its_port() {
    let lab = Lab::new();
    let running = Running::start(&lab, "--port vm2");
    let text = std::fs::read_to_string(lab.ferry.file()).unwrap();
    let text: Vec<_> = text.lines().filter(|line| !line.contains("name: vm2")).collect();
    let file = running.folder.path().join("without.yaml");
    std::fs::write(&file, text.join("\n").replace("[vm1, vm2,", "[vm1,")).unwrap();
    lab.ferry.expect_change(&format!("apply {}", file.display()), "");
    let (said, frames) = running.end();
    assert_eq!((&*said, frames.len()), ("0 frames, and 0 lost by the capture\n", 0));
    lab.finish();
}

#[test]
fn errors_are_told() {
    let lab = Lab::new();
    let error = |line: &str| lab.ferry.change(line, "").2;
    let unknown = "ferry: there is no port 'vm9'; there is up0, vm1, vm2, trunk0\n";
    assert_eq!(error("capture --port vm9 -w /dev/null"), unknown);
    let wrong = error("capture --port vm1 --filter udq -w /dev/null");
    assert!(wrong.starts_with("ferry: filter 'udq': "), "{wrong}");
    lab.finish();
}
