//! A generator of TCP in bulk, as a VM sends it by its virtio device: it leaves the cutting of long packets and their checksums to the
//! device, or does both itself. Like TCP, it has only so much under way at once.

use std::num::NonZeroU16;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use arrayvec::ArrayVec;
use clap::ValueEnum;
use ferry::dpdk::{BURST, Burst, Mbuf, Mempool, Offloads, Work, cycles, cycles_per_second};
use serde::{Deserialize, Serialize};

use super::capture::{self, BEFORE_TCP_PAYLOAD};
use super::generator::{Ends, Order, QUEUE};
use super::process::time_on_core;

/// What a VM with an MTU of 1,450 puts into a segment.
const SEGMENT: usize = 1450 + 14 - BEFORE_TCP_PAYLOAD;
/// Segments of a long packet.
const SEGMENTS: usize = 43;
const FLOWS: usize = 64;
/// Bytes of payload under way.
const WINDOW: usize = 512 << 10;
/// What is not there after so long is lost.
const PATIENCE: Duration = Duration::from_millis(20);
const WARM_UP: Duration = Duration::from_millis(300);
/// Outer headers of VXLAN over IPv4.
const OUTER: usize = 50;
/// One packet in so many has its checksum looked at.
const LOOKED_AT: u64 = 16;

/// What the VM leaves to its device.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bulk {
    /// Segments and checksums.
    Tso,
    /// Checksums.
    Checksums,
    /// Nothing.
    Plain,
}

impl Bulk {
    /// The same for a device.
    pub fn offloads(self) -> Offloads {
        match self {
            Self::Tso => Offloads::CHECKSUMS.and(Offloads::TCP4_SEGMENTS),
            Self::Checksums => Offloads::CHECKSUMS,
            Self::Plain => Offloads::NONE,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Sample {
    /// Payload bits that came, for each second of the worker's time on its core.
    pub rate: f64,
    /// Bytes of payload that did not come.
    pub lost: u64,
}

/// Sends, receives and prints a [`Sample`] as JSON.
///
/// # Errors
/// The other ends do not come up, or what comes is wrong.
pub fn run(order: &Order, kind: Bulk) -> Result<()> {
    let worker = order.worker.as_deref().context("no worker was named")?;
    let ends = Ends::start(&order.generate, kind.offloads(), false, [QUEUE; 2])?;
    // The same bytes in both kinds, so that no cache holds more of one.
    let (count, room) = match kind {
        Bulk::Tso => (FLOWS, 65_000),
        Bulk::Checksums | Bulk::Plain => (FLOWS * SEGMENTS, 2048),
    };
    let pool = Mempool::new("packets", count as u32, room, 0)?;
    let packets = (0..count).map(|number| packet(&pool, number % FLOWS, kind));
    let packets = packets.collect::<Result<Vec<_>>>()?;
    let shared = Mempool::new("shared", 4095, 0, 0)?;
    let mut generator = Generator { ends, packets, shared, looked: 0 };
    generator.measure(WARM_UP)?;
    let before = time_on_core(worker)?;
    let (received, lost) = generator.measure(Duration::from_millis(order.milliseconds))?;
    let seconds = (time_on_core(worker)? - before).as_secs_f64();
    let sample = Sample { rate: received as f64 * 8.0 / seconds, lost };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

/// A packet to be sent again and again.
fn packet(pool: &Mempool, flow: usize, kind: Bulk) -> Result<Mbuf> {
    let segments = if kind == Bulk::Tso { SEGMENTS } else { 1 };
    let mut packet = pool.allocate().context("no mbuf")?;
    ensure!(packet.append(&capture::tcp_frame(flow, segments * SEGMENT)), "it is too long");
    if kind != Bulk::Plain {
        let size = NonZeroU16::new(SEGMENT as u16).filter(|_| kind == Bulk::Tso);
        packet.leave(&Work {
            before_ip: 14,
            ip: 20,
            transport: 32,
            over_ipv6: false,
            is_tcp: true,
            segments: size,
            outer: None,
        });
    }
    Ok(packet)
}

struct Generator {
    packets: Vec<Mbuf>,
    shared: Mempool,
    looked: u64,
    // Last to go, as EAL ends with it.
    ends: Ends,
}

impl Generator {
    /// Bytes of payload that came, and that did not.
    fn measure(&mut self, length: Duration) -> Result<(u64, u64)> {
        let hertz = cycles_per_second() as f64;
        let in_cycles = |time: Duration| (time.as_secs_f64() * hertz) as u64;
        let (length, patience) = (in_cycles(length), in_cycles(PATIENCE));
        let (count, payload) = (self.packets.len(), self.packets[0].len() - BEFORE_TCP_PAYLOAD);
        let start = cycles();
        let (mut under_way, mut received, mut lost, mut next) = (0, 0u64, 0u64, 0);
        let mut burst = Burst::new();
        let mut last = start;
        loop {
            let now = cycles();
            if now.wrapping_sub(start) >= length {
                return Ok((received, lost));
            }
            let due = (WINDOW.saturating_sub(under_way) / payload).min(BURST);
            let mut frames: ArrayVec<Mbuf, BURST> = ArrayVec::new();
            for number in next..next + due {
                let packet = &mut self.packets[number % count];
                frames.extend(packet.share(&self.shared));
            }
            let sent = self.ends.out.tx.send(&mut frames);
            (next, under_way) = (next + sent, under_way + sent * payload);
            self.ends.back.rx.receive(&mut burst);
            if !burst.is_empty() {
                last = now;
            } else if now.wrapping_sub(last) > patience {
                lost += under_way as u64;
                (under_way, last) = (0, now);
            }
            for packet in burst.drain(..) {
                let Some(payload) = self.payload(&packet)? else { continue };
                received += payload as u64;
                under_way = under_way.saturating_sub(payload);
            }
        }
    }

    /// Of a tunnel packet, which must be right. A host says other things besides, such as ARP.
    fn payload(&mut self, packet: &Mbuf) -> Result<Option<usize>> {
        let Some((outer, inner)) = packet.data().split_at_checked(OUTER) else { return Ok(None) };
        if outer[12..14] != [8, 0] || outer[36..38] != 4789u16.to_be_bytes() {
            return Ok(None);
        }
        let length = inner.len().saturating_sub(BEFORE_TCP_PAYLOAD);
        ensure!(length == SEGMENT, "a packet with {length} bytes of payload comes");
        self.looked += 1;
        let right = !self.looked.is_multiple_of(LOOKED_AT) || capture::tcp_sum(inner) == 0xffff;
        ensure!(right, "a packet with a wrong checksum comes");
        Ok(Some(length))
    }
}
