//! A million mutated frames on both sides: nothing breaks, every frame is accounted for.

use std::time::{Duration, Instant};

use crate::support::Lab;
use crate::support::frames::{self, BROADCAST, PEER1, PEER2, ethernet, mac, tagged, udp, vxlan};
use crate::support::lab::NETWORKS;

/// Frames to be received, both sides together.
const FRAMES: u64 = 1_000_000;
const SEED: u64 = 0x5eed_0ffe_4477;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Changes some bytes, cuts, inserts or doubles, and often makes the outer checksum right again, so that the change
/// is not found at the first gate.
fn mutate(frame: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let at = random.below(frame.len());
        match random.below(8) {
            0 => frame.truncate(at),
            1 => {
                let bytes: Vec<u8> = (0..random.below(12)).map(|_| random.next() as u8).collect();
                frame.splice(at..at, bytes);
            }
            2 => frame.extend((0..random.below(200)).map(|at| at as u8)),
            _ => {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
        }
    }
    if frame.len() >= 34 && frame[12..14] == [8, 0] && random.below(4) > 0 {
        frames::fix_ip_checksum(frame);
    }
    frame.truncate(1500);
    // The kernel's socket takes nothing that is shorter than an Ethernet header.
    frame.resize(frame.len().max(14), 0);
}

#[test]
fn a_million_mutated_frames_leave_ferry_as_it_was() {
    let lab = Lab::with(&NETWORKS.replace("name: a,", "name: a, mac_limit: 100000,"));
    let ours = lab.mac;
    let inner = || udp(mac(1), mac(9), ([10, 0, 0, 9], [10, 0, 0, 1]), (7, 8), &[1; 40]);
    let below = [
        vxlan(ours, PEER1, 1000, &inner()),
        vxlan(ours, PEER2, 2000, &tagged(&inner(), 20)),
        vxlan(ours, PEER1, 1000, &ethernet(BROADCAST, mac(9), 60)),
        udp(ours, mac(3), (PEER1, frames::VTEP), (53, 53), &[0; 20]),
        ethernet(BROADCAST, mac(3), 60),
    ];
    let above = [
        inner(),
        tagged(&inner(), 10),
        tagged(&tagged(&inner(), 10), 20),
        ethernet(BROADCAST, mac(1), 60),
    ];
    let mut random = Random(SEED);
    let end = Instant::now() + Duration::from_secs(200);
    let received = || lab.ferry.show("totals")["rx"].as_u64().unwrap();
    while received() < FRAMES {
        assert!(Instant::now() < end, "only {} frames in time", received());
        for _ in 0..4000 {
            let mut frame = below[random.below(below.len())].clone();
            mutate(&mut frame, &mut random);
            lab.underlay.try_send(&frame);
            let mut frame = above[random.below(above.len())].clone();
            mutate(&mut frame, &mut random);
            let port = if random.below(2) == 0 { &lab.vm1 } else { &lab.trunk };
            port.try_send(&frame);
        }
    }
    lab.ferry.expect_balance();
    let drops = lab.ferry.drops();
    for reason in [
        "ipv4_header",
        "ipv4_checksum",
        "udp_length",
        "vxlan_flags",
        "unknown_vni",
        "unknown_peer",
        "inner_vlan",
        "invalid_source",
        "not_our_mac",
    ] {
        assert!(
            drops.contains_key(&("up0".to_owned(), reason.to_owned())),
            "no {reason} in {drops:?}"
        );
    }
    assert!(drops.contains_key(&("trunk0".to_owned(), "vlan_unmapped".to_owned())), "{drops:?}");

    // It forwards as before.
    for port in [&lab.underlay, &lab.vm1, &lab.vm2, &lab.trunk] {
        port.drain();
    }
    // By a MAC that no mutation makes: one that was seen here and there may be frozen.
    let fresh = [2, 9, 9, 9, 9, 9];
    lab.vm1.send(&ethernet(BROADCAST, fresh, 60));
    lab.ferry.expect_place(1000, fresh, "vm1");
    let frame = ethernet(fresh, mac(0xed), 100);
    lab.underlay.send(&vxlan(ours, PEER1, 1000, &frame));
    lab.vm1.expect_frame(&frame);
    lab.finish();
}
