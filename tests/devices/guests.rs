//! Guests on vhost-user ports come and go, and so does Ferry, while other ports forward without a gap.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::support::frames::{PEER1, ethernet, is_vxlan_to, mac, open_vxlan, vxlan};
use crate::support::{Ferry, Namespace, RawPort, Testpmd, eventually};
use tempfile::TempDir;

/// The guest's station; it sends every frame back.
const GUEST: u8 = 1;
/// On the port beside the guest's.
const NEIGHBOUR: u8 = 2;
/// Behind the peer.
const REMOTE: u8 = 9;

/// How long a port says nothing before it is asked again, and how often that may be while frames are missing.
const SILENCE: Duration = Duration::from_millis(200);
const PATIENCE: u32 = 15;
/// Frames.
const UNDER_WAY: u32 = 100;

/// A Ferry with a guest's port `vm1`, a port `vm2` on a raw wire, and the underlay.
struct Host {
    underlay: RawPort,
    vm2: RawPort,
    mac: [u8; 6],
    config: String,
    folder: TempDir,
    host: Namespace,
    wires: Namespace,
}

impl Host {
    /// `device` are more devargs of the guest's port, `keys` more of its keys.
    fn new(workers: &str, device: &str, keys: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
        host.veth("eth1", &wires, "under");
        host.veth("eth2", &wires, "two");
        let socket = folder.path().join("vm1.sock");
        let config = format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: {workers}, idle: sleep}}
underlay:
  ports: [{{name: up0, device: "net_af_packet0,iface=eth1"}}]
  vtep: {{ipv4: 192.0.2.1}}
  neighbours: [{{ip: 192.0.2.2, mac: "02:00:00:00:11:01", port: up0}}]
access:
  ports:
    - {{name: vm1, device: "net_vhost0,iface={}{device}"{keys}}}
    - {{name: vm2, device: "net_af_packet1,iface=eth2"}}
networks:
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    macs:
      - {{mac: "02:00:00:00:aa:01", port: vm1}}
      - {{mac: "02:00:00:00:aa:02", port: vm2}}
      - {{mac: "02:00:00:00:aa:09", peer: 192.0.2.2}}
"#,
            socket.display()
        );
        Self {
            underlay: RawPort::open(&wires, "under"),
            vm2: RawPort::open(&wires, "two"),
            mac: host.mac("eth1"),
            config,
            folder,
            host,
            wires,
        }
    }

    fn ferry(&self) -> Ferry {
        Ferry::start(&self.host, &self.config)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("vm1.sock")
    }

    /// A guest that sends back what it gets.
    fn guest(&self, device: &str, arguments: &str) -> Testpmd {
        let device = format!("mac=02:00:00:00:aa:01{device}");
        let arguments = format!("--forward-mode=macswap {arguments}");
        Testpmd::start(&self.host, &self.socket(), 0, &device, &arguments)
    }

    /// A frame from behind the peer to the guest.
    fn call(&self, number: u32) {
        self.underlay.try_send(&vxlan(self.mac, PEER1, 1000, &numbered(GUEST, REMOTE, number)));
    }

    /// Frames reach the guest and come back.
    fn expect_echo(&self, what: &str) {
        let answer = numbered(REMOTE, GUEST, 7);
        self.underlay.drain();
        eventually(what, || {
            self.call(7);
            let frame = self.underlay.receive(Duration::from_millis(50));
            frame.is_some_and(|packet| {
                is_vxlan_to(PEER1)(&packet) && open_vxlan(&packet) == (1000, answer.clone())
            })
        });
    }

    /// Frames of the neighbour, whose port is another worker's than the underlay, reach the guest and come back.
    fn expect_echo_beside(&self, what: &str) {
        let (call, answer) = (numbered(GUEST, NEIGHBOUR, 8), numbered(NEIGHBOUR, GUEST, 8));
        self.vm2.drain();
        eventually(what, || {
            self.vm2.send(&call);
            self.vm2.receive(Duration::from_millis(50)).as_ref() == Some(&answer)
        });
    }

    /// Does something while frames go from `vm2` to the peer and back, each of which must arrive once; and others to
    /// the guest, which need not.
    fn undisturbed(&self, work: impl FnOnce()) {
        let [out, back] = ["under", "two"].map(|wire| RawPort::open(&self.wires, wire));
        let done = AtomicBool::new(false);
        let (sent, left, arrived) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let receive = |port: &RawPort, count: &AtomicU32, wanted: &dyn Fn(&[u8]) -> Option<u32>| {
            let (mut numbers, mut silent) = (HashSet::new(), 0);
            // What is sent last has a while to arrive, and what comes twice, too.
            loop {
                match port.receive(SILENCE) {
                    Some(frame) => {
                        if let Some(number) = wanted(&frame) {
                            assert!(numbers.insert(number), "{number} came twice");
                            count.store(numbers.len() as u32, Ordering::Relaxed);
                            silent = 0;
                        }
                    }
                    None => silent += 1,
                }
                let all = numbers.len() as u32 == sent.load(Ordering::Relaxed);
                if done.load(Ordering::Relaxed) && silent >= if all { 1 } else { PATIENCE } {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            let receivers = [
                scope.spawn(|| {
                    receive(&out, &left, &|packet| {
                        let frame = is_vxlan_to(PEER1)(packet).then(|| open_vxlan(packet).1)?;
                        (frame[..12] == numbered(REMOTE, NEIGHBOUR, 0)[..12])
                            .then(|| number(&frame))
                    })
                }),
                scope.spawn(|| receive(&back, &arrived, &|frame| Some(number(frame)))),
            ];
            let sender = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let next = sent.load(Ordering::Relaxed);
                    let slowest = left.load(Ordering::Relaxed).min(arrived.load(Ordering::Relaxed));
                    // No more under way than fits into the rings of a Ferry that waits for its core.
                    if next - slowest < UNDER_WAY {
                        self.vm2.send(&numbered(REMOTE, NEIGHBOUR, next));
                        let frame = numbered(NEIGHBOUR, REMOTE, next);
                        self.underlay.send(&vxlan(self.mac, PEER1, 1000, &frame));
                        self.call(next);
                        sent.store(next + 1, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_micros(500));
                }
            });
            let worked = catch_unwind(AssertUnwindSafe(work));
            done.store(true, Ordering::Relaxed);
            worked.unwrap_or_else(|panic| resume_unwind(panic));
            sender.join().unwrap();
            receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
        });
        let [sent, left, arrived] = [sent, left, arrived].map(AtomicU32::into_inner);
        assert!(sent > 100, "only {sent} frames");
        assert_eq!((left, arrived), (sent, sent), "to the peer, and from there");
    }
}

/// A frame between two stations that carries a number.
fn numbered(to: u8, from: u8, number: u32) -> Vec<u8> {
    let mut frame = ethernet(mac(to), mac(from), 60);
    frame[14..18].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(*frame[14..].first_chunk().unwrap())
}

fn link(ferry: &Ferry) -> String {
    let ports = ferry.show("ports");
    let port = ports.as_array().unwrap().iter().find(|row| row["name"] == "vm1").unwrap();
    port["link"].as_str().unwrap().to_owned()
}

fn expect_link(ferry: &Ferry, state: &str) {
    eventually(&format!("the link is {state}"), || link(ferry) == state);
}

/// What is sent to nobody is dropped for that reason, and no other.
fn expect_drops(host: &Host, ferry: &Ferry) {
    let (full, down) = (ferry.dropped("vm1", "tx_full"), ferry.dropped("vm1", "link_down"));
    eventually("frames to nobody are counted", || {
        host.call(0);
        ferry.dropped("vm1", "link_down") > down
    });
    assert_eq!(ferry.dropped("vm1", "tx_full"), full);
}

#[test]
fn a_guest_comes_and_goes() {
    let host = Host::new("[1]", "", "");
    let ferry = host.ferry();
    assert_eq!(link(&ferry), "down");
    expect_drops(&host, &ferry);
    let mut guest = Some(host.guest("", ""));
    expect_link(&ferry, "up");
    host.expect_echo("the guest answers");
    host.undisturbed(|| {
        for _ in 0..3 {
            drop(guest.take());
            expect_link(&ferry, "down");
            expect_drops(&host, &ferry);
            guest = Some(host.guest("", ""));
            expect_link(&ferry, "up");
        }
    });
    host.expect_echo("the guest answers after it was killed three times");
    ferry.expect_balance();
    ferry.stop();
}

#[test]
fn ferry_connects_to_a_guest_that_comes_and_goes() {
    let host = Host::new("[1]", ",client=1", "");
    let ferry = host.ferry();
    let mut guest = Some(host.guest(",server=1", ""));
    host.expect_echo("the guest answers");
    host.undisturbed(|| {
        drop(guest.take());
        expect_link(&ferry, "down");
        expect_drops(&host, &ferry);
        guest = Some(host.guest(",server=1", ""));
        expect_link(&ferry, "up");
    });
    host.expect_echo("the guest answers after it was killed");
    ferry.expect_balance();
    ferry.stop();
}

#[test]
fn a_guest_outlives_ferry() {
    let host = Host::new("[1]", ",client=1", "");
    let ferry = host.ferry();
    let _guest = host.guest(",server=1", "");
    host.expect_echo("the guest answers");
    ferry.stop();
    let ferry = host.ferry();
    host.expect_echo("the guest answers another Ferry");
    ferry.kill();
    let ferry = host.ferry();
    host.expect_echo("the guest answers after Ferry was killed");
    ferry.stop();
}

#[test]
fn a_socket_that_a_killed_ferry_left_behind_is_no_obstacle() {
    let host = Host::new("[1]", "", "");
    host.ferry().kill();
    assert!(host.socket().exists(), "nobody removed it");
    let ferry = host.ferry();
    let guest = host.guest("", "");
    host.expect_echo("the guest answers");
    drop(guest);
    ferry.stop();
}

#[test]
fn each_worker_has_a_queue_of_the_guest() {
    let host = Host::new("[0, 1]", ",queues=2", ", queues: 2");
    let ferry = host.ferry();
    let workers = ferry.show("workers");
    let queues = |worker: usize| workers[worker]["queues"].clone();
    assert_eq!((queues(0), queues(1)), (["up0:0", "vm1:1"].into(), ["vm1:0", "vm2:0"].into()));
    let guest = host.guest(",queues=2", "--rxq=2 --txq=2");
    host.expect_echo("by the second queue");
    host.expect_echo_beside("by the first queue");
    ferry.expect_balance();
    let counted = guest.finish();
    for counter in
        ["rx_q0_good_packets", "rx_q1_good_packets", "tx_q0_good_packets", "tx_q1_good_packets"]
    {
        assert!(counted.get(counter).is_some_and(|packets| *packets > 0), "{counter}: {counted:?}");
    }
    ferry.stop();
}

#[test]
fn a_guest_that_serves_one_queue_of_two_gets_all_frames() {
    let host = Host::new("[0, 1]", ",queues=2", ", queues: 2");
    let ferry = host.ferry();
    let guest = host.guest("", "");
    host.expect_echo("the owner of the second queue hands over");
    host.expect_echo_beside("by the first queue");
    let lost = ferry.dropped("vm1", "tx_full");
    host.undisturbed(|| std::thread::sleep(Duration::from_secs(1)));
    assert_eq!(ferry.dropped("vm1", "tx_full"), lost);
    drop(guest);
    let _guest = host.guest(",queues=2", "--rxq=2 --txq=2");
    host.expect_echo("another guest serves both");
    host.expect_echo_beside("another guest serves both");
    ferry.expect_balance();
    ferry.stop();
}
