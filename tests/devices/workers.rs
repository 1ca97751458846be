//! Several workers: who receives is not always who may send.
//!
//! `net_af_packet` and `net_pcap` ports have a single transmit queue, so one worker owns it and the other hands over.
//! The control core shares its CPU with a worker, which `idle: yield` and `sleep` allow.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::support::frames::{
    BROADCAST, PEER1, PEER1_MAC, PEER2, ethernet, is_vxlan_to, mac, open_pcap, open_vxlan, pcap,
    tagged, vxlan,
};
use crate::support::lab::NETWORKS;
use crate::support::{Ferry, Lab, Namespace, RawPort, eventually};
use tempfile::TempDir;

/// What a handoff ring holds.
const RING: usize = 1023;

#[test]
fn two_workers_forward_as_one() {
    let lab = Lab::with_workers("[0, 1]", NETWORKS, "");
    let workers = lab.ferry.show("workers");
    let queues = |worker: usize| workers[worker]["queues"].clone();
    assert_eq!((queues(0), queues(1)), (["up0:0", "vm2:0"].into(), ["vm1:0", "trunk0:0"].into()));

    // Station 1 is at a port of worker 1, station 2 and the underlay are worker 0's, and so are the sending ends.
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(BROADCAST, mac(9), 60)));
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
    for (station, place) in [(1, "vm1"), (2, "vm2"), (9, "192.0.2.2")] {
        lab.ferry.expect_place(1000, mac(station), place);
    }
    for port in [&lab.vm1, &lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    let from = |station| ethernet(mac(9), mac(station), 100);
    for port in [&lab.vm1, &lab.vm2] {
        let frame = from(if port.name == "one" { 1 } else { 2 });
        port.send(&frame);
        let packet = lab.underlay.expect("a VXLAN packet", is_vxlan_to(PEER1));
        assert_eq!(packet[..6], PEER1_MAC);
        assert_eq!(open_vxlan(&packet), (1000, frame));
    }
    for (station, port) in [(1, &lab.vm1), (2, &lab.vm2)] {
        let frame = ethernet(mac(station), mac(9), 100);
        lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &frame));
        port.expect_frame(&frame);
    }
    for (sender, receiver, to, by) in
        [(&lab.vm1, &lab.vm2, mac(2), mac(1)), (&lab.vm2, &lab.vm1, mac(1), mac(2))]
    {
        let frame = ethernet(to, by, 100);
        sender.send(&frame);
        receiver.expect_frame(&frame);
    }
    // Copies share the frame's bytes, and two workers free them.
    let flood = ethernet(BROADCAST, mac(1), 300);
    lab.vm1.send(&flood);
    lab.vm2.expect_frame(&flood);
    lab.trunk.expect_frame(&tagged(&flood, 10));
    for peer in [PEER1, PEER2] {
        let packet = lab.underlay.expect("a copy for each peer", is_vxlan_to(peer));
        assert_eq!(open_vxlan(&packet), (1000, flood.clone()));
    }
    lab.expect_silence(&[]);
    let workers = lab.ferry.show("workers");
    for worker in workers.as_array().unwrap() {
        assert!(worker["rx_packets"].as_u64().unwrap() > 0, "{worker}");
        assert!(worker["tx_packets"].as_u64().unwrap() > 0, "{worker}");
    }
    lab.finish();
}

#[test]
fn a_storm_through_the_rings_adds_up() {
    const FRAMES: usize = 200_000;
    let lab = Lab::with_workers("[0, 1]", NETWORKS, "");
    lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
    lab.ferry.expect_place(1000, mac(2), "vm2");
    for number in 0..FRAMES {
        let to = if number % 16 == 0 { BROADCAST } else { mac(2) };
        lab.vm1.try_send(&ethernet(to, mac(1), 100));
        lab.trunk.try_send(&tagged(&ethernet(mac(2), mac(3), 100), 10));
    }
    let totals = lab.ferry.expect_balance();
    // How many the wires take depends on what else the machine does.
    assert!(totals["rx"].as_u64().unwrap() > FRAMES as u64 / 20, "{totals}");
    assert!(totals["copies"].as_u64().unwrap() > 0, "{totals}");
    lab.finish();
}

/// Two workers, the second held up for as long as its port vm1 waits for bytes of a capture that is a pipe. Worker 1
/// owns vm3's transmit queue, worker 0 receives the capture on vm2 and sends to the underlay: a capture too, of a driver
/// that takes no chains of segments.
struct Jam {
    ferry: Ferry,
    vm3: RawPort,
    pipe: File,
    folder: TempDir,
    _namespaces: [Namespace; 2],
}

impl Jam {
    fn new(frames: &[Vec<u8>], mbufs: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().display();
        std::fs::write(folder.path().join("in.pcap"), pcap(frames)).unwrap();
        let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
        host.veth("eth1", &wires, "three");
        let pipe = pipe(&folder.path().join("pipe"));
        let config = format!(
            r#"
eal: {{memory: 256MiB{mbufs}}}
cores: {{control: 0, workers: [0, 1], idle: yield}}
underlay:
  ports: [{{name: up0, device: "net_pcap0,tx_pcap={path}/out.pcap"}}]
  vtep: {{ipv4: 192.0.2.1}}
  neighbours:
    - {{ip: 192.0.2.2, mac: "02:00:00:00:11:01", port: up0}}
    - {{ip: 192.0.2.3, mac: "02:00:00:00:11:02", port: up0}}
    - {{ip: 192.0.2.4, mac: "02:00:00:00:11:03", port: up0}}
access:
  ports:
    - {{name: vm1, device: "net_pcap1,rx_pcap={path}/pipe"}}
    - {{name: vm2, device: "net_pcap2,rx_pcap={path}/in.pcap"}}
    - {{name: vm3, device: "net_af_packet3,iface=eth1"}}
networks:
  - vni: 1000
    name: a
    ports: [vm2, vm3]
    flood: {{peers: [192.0.2.2, 192.0.2.3, 192.0.2.4]}}
    learning: false
    macs: [{{mac: "02:00:00:00:aa:03", port: vm3}}]
  - {{vni: 2000, name: b, ports: [vm1]}}
"#
        );
        let vm3 = RawPort::open(&wires, "three");
        let ferry = Ferry::start(&host, &config);
        let pipe = pipe.join().unwrap();
        Self { ferry, vm3, pipe, folder, _namespaces: [host, wires] }
    }
}

/// A capture without frames so far; the thread ends when somebody has opened it for reading.
fn pipe(path: &Path) -> std::thread::JoinHandle<File> {
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a plain system call with a C string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let path = path.to_owned();
    std::thread::spawn(move || {
        let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
        pipe.write_all(&pcap(&[])).unwrap();
        pipe
    })
}

#[test]
fn what_a_held_up_worker_has_no_room_for_is_counted() {
    const FRAMES: usize = 3000;
    let frames: Vec<_> = (0..FRAMES).map(|number| numbered(mac(3), number)).collect();
    let jam = Jam::new(&frames, "");
    jam.ferry.expect_dropped("vm3", "handoff_full", (FRAMES - RING) as u64);
    // The rest waits in the ring, and none has left.
    jam.vm3.expect_silence();
    drop(jam.pipe);
    let came = jam.vm3.drain();
    assert!(came == frames[..RING], "{} frames, or in another order", came.len());
    let totals = jam.ferry.expect_balance();
    assert_eq!((totals["rx"].as_u64(), totals["tx"].as_u64()), (Some(3000), Some(1023)));
    jam.ferry.stop();
}

#[test]
fn a_copy_for_which_there_is_no_mbuf_is_counted() {
    // All but two of the mbufs wait in the ring. One gets the broadcast, and one the copy for the first peer, which must
    // be in one piece; the second peer's finds none; the third gets the original.
    const MBUFS: usize = 1024;
    let mut frames: Vec<_> = (0..MBUFS - 2).map(|number| numbered(mac(3), number)).collect();
    frames.push(ethernet(BROADCAST, mac(2), 100));
    let jam = Jam::new(&frames, &format!(", mbufs: {MBUFS}"));
    jam.ferry.expect_dropped("up0", "no_mbuf", 1);
    drop(jam.pipe);
    eventually("all frames at vm3", || jam.ferry.expect_balance()["drops"] == 1);
    assert_eq!(jam.vm3.drain().len(), frames.len());
    jam.ferry.stop();
    let sent = open_pcap(&std::fs::read(jam.folder.path().join("out.pcap")).unwrap());
    let opened: Vec<_> = sent.iter().map(|(_, packet)| (packet[33], open_vxlan(packet))).collect();
    let flood = (1000, frames[MBUFS - 2].clone());
    assert_eq!(opened, [(2, flood.clone()), (4, flood)], "to the first peer and the last");
}

fn numbered(to: [u8; 6], number: usize) -> Vec<u8> {
    let mut frame = ethernet(to, mac(2), 60);
    frame[14..18].copy_from_slice(&(number as u32).to_be_bytes());
    frame
}
