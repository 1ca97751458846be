//! Two TCP stacks of the kernel, each behind a virtio-net device: a VM's, and that of another host with the kernel's VTEP. The stacks, their
//! devices and the programs that send and receive take turns on one thread, so that no scheduler decides what is measured.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use arrayvec::ArrayVec;
use ferry::dpdk::{BURST, Burst, Mbuf, Mempool};
use ferry::wire::MacAddr;
use serde::{Deserialize, Serialize};

use super::bulk::Bulk;
use super::capture;
use super::config::{PEER, VTEP};
use super::generator::{End, Ends, Order};
use super::namespace::{inside, run as execute};
use super::process::time_on_core;
use super::tap::Tap;

const VM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 0);
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 5001);
/// Of the VM's interface and the other host's tunnel: 1,500 without the tunnel's headers.
const MTU: &str = "1450";
/// The longest packet that the VM leaves to its device; with its Ethernet header it lies in one buffer.
const LONGEST: &str = "65000";
/// Who finds nobody to talk to after so long gives up.
const PATIENCE: Duration = Duration::from_secs(3);
/// Descriptors of a ring of the VM, as QEMU has them: what was sent is freed when it is nearly full; and of the other host, as NICs have.
const QUEUES: [u16; 2] = [256, 1024];
/// Bytes that the receiver's socket has room for, of which the kernel makes twice as many: what it lets be under way fits into the rings.
const RECEIVED: usize = 512 << 10;
/// Of a sample.
const SLICE: Duration = Duration::from_millis(100);
/// In which the connection gets up to speed.
const WARM_UP: Duration = Duration::from_millis(500);
/// Bytes that are sent again and again; no power of two, so that bytes in the wrong place are noticed.
const PATTERN: usize = 1_000_003;
/// Bytes that programs write and read at once.
const CHUNK: usize = 128 << 10;

/// What came of it.
#[derive(Default, Serialize, Deserialize)]
pub struct Sample {
    /// Payload bits that the receiving program had, for each second of this thread's time on its core: many short ones, as another
    /// process that takes the forwarder's core meanwhile holds up one or two of them. None where no connection comes about.
    pub rates: Vec<f64>,
    /// Bytes of a frame between the VM and its device, on average.
    pub frame: f64,
    /// Segments that the sending kernel sent again.
    pub again: u64,
}

/// Sends from one to the other and prints a [`Sample`] as JSON.
///
/// # Errors
/// The other ends do not come up, or what arrives is not what was sent.
pub fn run(order: &Order, kind: Bulk) -> Result<()> {
    let [vm, host] = order.stacks.as_slice() else { anyhow::bail!("two namespaces are needed") };
    let vtep = order.vtep_mac.as_deref().context("no MAC of the VTEP was given")?;
    let takes_whole = order.incoming && kind == Bulk::Tso;
    let ends = Ends::start(&order.generate, kind.offloads(), takes_whole, QUEUES)?;
    let (vm_tap, host_tap) = (device(vm, kind)?, device(host, Bulk::Plain)?);
    connect_vm(vm)?;
    connect_host(host, vtep)?;
    // Long buffers only where there are long packets, as others would lie too far apart for the CPU's caches.
    let long = match kind {
        Bulk::Tso => Some(Mempool::new("long", 511, 65_400, 0)?),
        Bulk::Checksums | Bulk::Plain => None,
    };
    let Ends { out, back, pool, .. } = ends;
    let mut link = Link {
        vm: Stack::new(vm_tap, out, long.as_ref().unwrap_or(&pool)),
        host: Stack::new(host_tap, back, &pool),
    };
    let listener = inside(host, || TcpListener::bind(SERVER))??;
    socket2::SockRef::from(&listener).set_recv_buffer_size(RECEIVED)?;
    let Some([mut sender, mut receiver]) = link.connection(vm, &listener)? else {
        println!("{}", serde_json::to_string(&Sample::default())?);
        return Ok(());
    };
    if order.incoming {
        std::mem::swap(&mut sender, &mut receiver);
        socket2::SockRef::from(&receiver).set_recv_buffer_size(RECEIVED)?;
    }
    let from = if order.incoming { host } else { vm };
    let mut programs = Programs::new(sender, receiver)?;
    link.carry(&mut programs, WARM_UP)?;
    let statistics = Path::new("/proc/thread-self/schedstat");
    let (frames, again) = (link.vm.carried, sent_again(from)?);
    let mut rates = Vec::new();
    for _ in 0..order.milliseconds / SLICE.as_millis() as u64 {
        let (before, received) = (time_on_core(statistics)?, programs.received);
        link.carry(&mut programs, SLICE)?;
        let seconds = (time_on_core(statistics)? - before).as_secs_f64();
        rates.push((programs.received - received) as f64 * 8.0 / seconds);
    }
    let carried = link.vm.carried[usize::from(order.incoming)];
    let before = frames[usize::from(order.incoming)];
    let frame = (carried.1 - before.1) as f64 / (carried.0 - before.0) as f64;
    let again = sent_again(from)? - again;
    println!("{}", serde_json::to_string(&Sample { rates, frame, again })?);
    Ok(())
}

/// Without IPv6, whose solicitations are nobody's here, and with a congestion control that every kernel has and none that paces.
fn device(namespace: &str, left: Bulk) -> Result<Tap> {
    inside(namespace, || {
        for (switch, value) in [
            ("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"),
            ("/proc/sys/net/ipv4/tcp_congestion_control", "reno"),
        ] {
            std::fs::write(switch, value).context(switch)?;
        }
        Tap::new("eth0", left)
    })?
}

fn connect_vm(namespace: &str) -> Result<()> {
    let ip = |line: &str| ip(namespace, line);
    ip(&format!("link set eth0 mtu {MTU} gso_max_size {LONGEST} up"))?;
    ip(&format!("address add {}/24 dev eth0", VM.ip()))
}

/// The other host's kernel is the peer.
fn connect_host(namespace: &str, vtep: &str) -> Result<()> {
    let ip = |line: &str| ip(namespace, line);
    let mac = MacAddr(capture::destination(0));
    ip("link set eth0 address 02:00:00:00:02:02 up")?;
    ip(&format!("address add {PEER}/24 dev eth0"))?;
    ip(&format!("neighbour add {VTEP} lladdr {vtep} dev eth0"))?;
    ip(&format!(
        "link add vx0 address {mac} mtu {MTU} type vxlan id 1000 dstport 4789 local {PEER} remote {VTEP}"
    ))?;
    ip(&format!("address add {}/24 dev vx0", SERVER.ip()))?;
    ip("link set vx0 up")
}

fn ip(namespace: &str, line: &str) -> Result<()> {
    let words: Vec<_> = line.split(' ').collect();
    execute("ip", &[&["-n", namespace], words.as_slice()].concat()).map(drop)
}

/// Segments that a kernel has sent again.
fn sent_again(namespace: &str) -> Result<u64> {
    let counters = inside(namespace, || std::fs::read_to_string("/proc/thread-self/net/snmp"))??;
    let mut lines = counters.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().context("no TCP")?, lines.next().context("no TCP")?);
    let mut columns = names.split(' ').zip(values.split(' '));
    let (_, count) = columns.find(|(name, _)| *name == "RetransSegs").context("no RetransSegs")?;
    Ok(count.parse()?)
}

/// A kernel behind a virtio-net device.
struct Stack<'p> {
    tap: Tap,
    device: End,
    pool: &'p Mempool,
    /// What the device had no room for yet.
    waiting: ArrayVec<Mbuf, BURST>,
    /// Frames and bytes that the kernel has handed over, and been given.
    carried: [(u64, u64); 2],
}

impl<'p> Stack<'p> {
    fn new(tap: Tap, device: End, pool: &'p Mempool) -> Self {
        Self { tap, device, pool, waiting: ArrayVec::new(), carried: [(0, 0); 2] }
    }

    /// What the kernel sends goes to its device, and what comes there to the kernel.
    fn turn(&mut self) -> Result<()> {
        while !self.waiting.is_full() {
            let Some(frame) = self.tap.read(self.pool)? else { break };
            count(&mut self.carried[0], &frame);
            self.waiting.push(frame);
        }
        if !self.waiting.is_empty() {
            self.device.tx.send(&mut self.waiting);
        }
        let mut burst = Burst::new();
        loop {
            self.device.rx.receive(&mut burst);
            if burst.is_empty() {
                return Ok(());
            }
            for frame in burst.drain(..) {
                count(&mut self.carried[1], &frame);
                self.tap.write(&frame)?;
            }
        }
    }
}

fn count((frames, bytes): &mut (u64, u64), frame: &Mbuf) {
    *frames += 1;
    *bytes += frame.len() as u64;
}

/// The VM and the other host.
struct Link<'p> {
    vm: Stack<'p>,
    host: Stack<'p>,
}

impl Link<'_> {
    fn turn(&mut self) -> Result<()> {
        self.vm.turn()?;
        self.host.turn()
    }

    /// From the VM to the other host.
    fn connection(&mut self, vm: &str, listener: &TcpListener) -> Result<Option<[TcpStream; 2]>> {
        std::thread::scope(|scope| {
            let connecting =
                scope.spawn(|| inside(vm, || TcpStream::connect_timeout(&SERVER, PATIENCE)));
            while !connecting.is_finished() {
                self.turn()?;
            }
            let Ok(sender) = connecting.join().expect("connecting does not panic")? else {
                return Ok(None);
            };
            listener.set_nonblocking(true)?;
            loop {
                // The last word of the handshake may still be on its way.
                self.turn()?;
                match listener.accept() {
                    Ok((receiver, _)) => return Ok(Some([sender, receiver])),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
        })
    }

    /// Lets programs talk for a while.
    fn carry(&mut self, programs: &mut Programs, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            programs.send()?;
            self.vm.turn()?;
            self.host.turn()?;
            programs.receive()?;
        }
        Ok(())
    }
}

/// One sends without end what the other knows.
struct Programs {
    sender: TcpStream,
    receiver: TcpStream,
    /// Twice, so that a chunk can begin anywhere.
    pattern: Vec<u8>,
    buffer: Vec<u8>,
    sent: u64,
    received: u64,
}

impl Programs {
    fn new(sender: TcpStream, receiver: TcpStream) -> Result<Self> {
        for stream in [&sender, &receiver] {
            stream.set_nonblocking(true)?;
        }
        let pattern = (0..2 * PATTERN)
            .map(|at| ((at % PATTERN) as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        Ok(Self { sender, receiver, pattern, buffer: vec![0; CHUNK], sent: 0, received: 0 })
    }

    fn send(&mut self) -> Result<()> {
        let begin = (self.sent % PATTERN as u64) as usize;
        match self.sender.write(&self.pattern[begin..begin + CHUNK]) {
            Ok(count) => self.sent += count as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        let count = match self.receiver.read(&mut self.buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let begin = (self.received % PATTERN as u64) as usize;
        let right = self.buffer[..count] == self.pattern[begin..begin + count];
        ensure!(
            right,
            "what arrives is not what was sent, {} bytes from its beginning",
            self.received
        );
        self.received += count as u64;
        Ok(())
    }
}
