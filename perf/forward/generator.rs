//! A paced generator for latencies: it stamps each frame with the time, sends it as a VM does, by one `net_virtio_user`, and looks at
//! the stamp of what comes back by another. A process of its own, as EAL starts but once in each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use arrayvec::ArrayVec;
use clap::Args;
use ferry::dpdk::{
    BURST, Burst, Eal, EalOptions, Mbuf, Mempool, Offloads, Port, PortOptions, RxQueue, TxQueue,
    cycles, cycles_per_second,
};
use serde::{Deserialize, Serialize};

use super::bulk::{self, Bulk};
use super::capture;
use super::case::Pages;
use super::config::{Host, PEER};
use super::stacks;

/// Cycles of one step of the histogram.
const STEP: usize = 8;
/// Steps; what takes longer counts as the last.
const STEPS: usize = 1 << 17;
/// Cycles that are told apart from more.
pub const LONGEST: f64 = ((STEPS - 1) * STEP) as f64;
const STAMP: usize = size_of::<u64>();
const PATIENCE: Duration = Duration::from_secs(20);
/// A round of its loop that takes longer says that it was held up itself, and where nothing comes back for longer, the other
/// side was: by whoever else uses the cores. Frames that were on their way then say nothing.
const HELD_UP: Duration = Duration::from_micros(15);
/// In the pace of the sample, before it.
const WARM_UP: Duration = Duration::from_millis(300);
const FLOWS: usize = 256;
/// Descriptors of each ring.
pub const QUEUE: u16 = 1024;

/// What it is told.
#[derive(Args, Clone)]
pub struct Order {
    /// Sockets of the interface that frames leave by, and of the one that they come back by.
    #[arg(long, hide = true, num_args = 2, value_names = ["OUT", "BACK"])]
    pub generate: Vec<PathBuf>,
    /// Frames a second; as many as go, where there is none.
    #[arg(long, hide = true)]
    pub pace: Option<f64>,
    /// Length of the sample, in milliseconds.
    #[arg(long, hide = true, default_value_t = 1000)]
    pub milliseconds: u64,
    /// TCP in bulk instead of short frames.
    #[arg(long, hide = true)]
    pub bulk: Option<Bulk>,
    /// The kernel's file on the thread whose time counts.
    #[arg(long, hide = true, requires = "bulk")]
    pub worker: Option<PathBuf>,
    /// Namespaces whose kernels send and receive the TCP: the VM's, and the other host's.
    #[arg(long, hide = true, num_args = 2, value_names = ["VM", "HOST"], requires = "bulk")]
    pub stacks: Vec<String>,
    /// The other host sends to the VM.
    #[arg(long, hide = true, requires = "stacks")]
    pub incoming: bool,
    /// Where the other host sends its tunnel packets.
    #[arg(long, hide = true, requires = "stacks")]
    pub vtep_mac: Option<String>,
}

/// What came of it. Latencies in time-stamp cycles.
#[derive(Serialize, Deserialize)]
pub struct Sample {
    /// Frames that came back, a second.
    pub rate: f64,
    /// Frames that the other side had no room for.
    pub refused: u64,
    /// Share of the time in which the other side was held up.
    pub held_up: f64,
    /// Half of the frames took at most so long.
    pub median: f64,
    /// 99 of a hundred did.
    pub p99: f64,
    /// 999 of a thousand did.
    pub p999: f64,
}

/// The device at the other end of one of the generator's.
pub fn device(number: usize, socket: &Path) -> String {
    format!("net_vhost{number},iface={}", socket.display())
}

/// Sockets of the interface that frames leave by, and of the one that they come back by.
pub fn sockets(folder: &Path) -> [PathBuf; 2] {
    ["in.sock", "out.sock"].map(|name| folder.join(name))
}

/// Of a Ferry that brings frames from one to the other by a tunnel.
pub fn config(pages: Pages, sockets: &[PathBuf; 2], socket: &Path) -> String {
    let [access, underlay] = [0, 1].map(|end| device(end, &sockets[end]));
    let destination = ferry::wire::MacAddr(capture::destination(0));
    let host = Host { pages, mbufs: 65_535, ..Host::new() };
    let mut text = host.preamble(&underlay, &access, socket);
    let _ = write!(
        text,
        "networks:\n  - vni: 1000\n    name: bench\n    ports: [vm1]\n    flood: {{peers: [{PEER}]}}\n    \
         ageing: 1h\n    macs:\n      - {{mac: \"{destination}\", peer: {PEER}}}\n",
    );
    text
}

/// An interface.
pub struct End {
    /// What comes by it.
    pub rx: RxQueue,
    /// What leaves by it.
    pub tx: TxQueue,
}

/// Its two interfaces, both of which have a link.
pub struct Ends {
    /// Where frames leave.
    pub out: End,
    /// Where they come back.
    pub back: End,
    /// Of 2,048 bytes.
    pub pool: Mempool,
    // Last to go, as the queues are theirs.
    _ports: Vec<Port>,
    _eal: Eal,
}

impl Ends {
    /// Starts EAL, and both with what the other side is to do and so many descriptors a ring. `takes_whole`: TCP packets may
    /// come whole to the first.
    ///
    /// # Errors
    /// The other ends do not come up.
    pub fn start(
        sockets: &[PathBuf],
        offloads: Offloads,
        takes_whole: bool,
        descriptors: [u16; 2],
    ) -> Result<Self> {
        let options = EalOptions {
            control_core: 0,
            worker_cores: Vec::new(),
            hugepages: false,
            memory: Some(256 << 20),
            pci_devices: Vec::new(),
            extra: Vec::new(),
        };
        let eal = Eal::start(&options)?;
        let pool = Mempool::new("generator", 16_383, 2048, 0)?;
        let mut ports = Vec::new();
        let mut queues = Vec::new();
        for (number, (socket, queue)) in sockets.iter().zip(descriptors).enumerate() {
            let options = PortOptions {
                rx_queues: 1,
                tx_queues: 1,
                rx_descriptors: Some(queue),
                tx_descriptors: Some(queue),
                mtu: 1500,
                promiscuous: true,
                offloads,
                takes_whole: takes_whole && number == 0,
            };
            let name = format!("net_virtio_user{number}");
            let device = format!("{name},path={},queue_size={queue}", socket.display());
            let mut port = Port::attach(&name, &device)?;
            queues.push(port.start(&options, &pool)?);
            ports.push(port);
        }
        let begun = Instant::now();
        while !ports.iter().all(|port| port.link().up) {
            ensure!(begun.elapsed() < PATIENCE, "the other ends do not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
        let end = |(mut rx, mut tx): (Vec<_>, Vec<_>)| Some(End { rx: rx.pop()?, tx: tx.pop()? });
        let mut ends = queues.into_iter().filter_map(end);
        let (Some(out), Some(back)) = (ends.next(), ends.next()) else {
            anyhow::bail!("two sockets are needed")
        };
        Ok(Self { out, back, pool, _ports: ports, _eal: eal })
    }
}

/// Sends, receives and prints a [`Sample`] as JSON, or a [`bulk::Sample`] or [`stacks::Sample`].
///
/// # Errors
/// The other ends do not come up, or nothing comes back.
pub fn run(order: &Order) -> Result<()> {
    match order.bulk {
        Some(kind) if order.stacks.is_empty() => return bulk::run(order, kind),
        Some(kind) => return stacks::run(order, kind),
        None => {}
    }
    let mut ends = Ends::start(&order.generate, Offloads::NONE, false, [QUEUE; 2])?;
    let frames: Vec<_> = (0..FLOWS).map(|flow| capture::station_frame(0, 0, None, flow)).collect();
    let mut generator = Generator {
        pool: &ends.pool,
        frames: &frames,
        out: &mut ends.out.tx,
        back: &mut ends.back.rx,
    };
    generator.measure(order.pace, WARM_UP)?;
    let sample = generator.measure(order.pace, Duration::from_millis(order.milliseconds))?;
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

struct Generator<'g> {
    pool: &'g Mempool,
    frames: &'g [Vec<u8>],
    out: &'g mut TxQueue,
    back: &'g mut RxQueue,
}

impl Generator<'_> {
    fn measure(&mut self, pace: Option<f64>, length: Duration) -> Result<Sample> {
        let hertz = cycles_per_second() as f64;
        let mut steps = vec![0u64; STEPS];
        let (mut sent, mut refused, mut received, mut timed) = (0u64, 0u64, 0u64, 0u64);
        let start = cycles();
        let in_cycles = |time: Duration| (time.as_secs_f64() * hertz) as u64;
        let (length, held_up) = (in_cycles(length), in_cycles(HELD_UP));
        let mut burst = Burst::new();
        // When it last looked for frames, when it last got some, from when on frames count, and those that it was too late to
        // send.
        let (mut last, mut last_back, mut resumed, mut missed) = (start, start, start, 0);
        let mut lost_time = 0;
        loop {
            let now = cycles().wrapping_sub(start);
            if now >= length {
                break;
            }
            let due = pace.map_or(BURST as u64, |pace| {
                ((now as f64 / hertz * pace) as u64).saturating_sub(sent + refused + missed)
            });
            missed += due.saturating_sub(BURST as u64);
            let mut frames: ArrayVec<Mbuf, BURST> = ArrayVec::new();
            for number in 0..due.min(BURST as u64) {
                let flow = (sent + refused + number) as usize % self.frames.len();
                let Some(mut frame) = self.pool.allocate() else { break };
                let (template, stamp) = (&self.frames[flow], cycles().to_ne_bytes());
                frame.append(&template[..template.len() - STAMP]);
                frame.append(&stamp);
                frames.push(frame);
            }
            if !frames.is_empty() {
                sent += self.out.send(&mut frames) as u64;
                refused += frames.len() as u64;
            }
            self.back.receive(&mut burst);
            let now = cycles();
            if now.wrapping_sub(last) > held_up {
                (resumed, last_back) = (now, now);
            }
            last = now;
            if !burst.is_empty() {
                let gap = now.wrapping_sub(last_back);
                if gap > held_up && received > 0 {
                    // Up to half load, what has come together meanwhile is worked off in as long again.
                    resumed = now + 2 * gap;
                    lost_time += gap;
                }
                last_back = now;
            }
            for frame in burst.drain(..) {
                let Some(stamp) = frame.data().last_chunk() else { continue };
                received += 1;
                let sent = u64::from_ne_bytes(*stamp);
                if sent >= resumed {
                    let took = now.wrapping_sub(sent) as usize;
                    steps[(took / STEP).min(STEPS - 1)] += 1;
                    timed += 1;
                }
            }
        }
        ensure!(timed > 0, "nothing comes back");
        let quantile = |share: f64| {
            let mut left = (timed as f64 * share) as u64;
            let step = steps.iter().position(|&count| {
                let found = left < count;
                left = left.saturating_sub(count);
                found
            });
            (step.unwrap_or(STEPS) * STEP) as f64
        };
        let rate = received as f64 * hertz / length as f64;
        let (median, p99, p999) = (quantile(0.5), quantile(0.99), quantile(0.999));
        let held_up = lost_time as f64 / length as f64;
        Ok(Sample { rate, refused, held_up, median, p99, p999 })
    }
}
