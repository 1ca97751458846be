//! Port mirroring: copies of what comes in by a port, or leaves by it, go to another port or through a tunnel.
//!
//! Copies have bytes of their own, since a frame is rewritten where it lies. They wait in one list until the burst, or the
//! round, they are of has gone its way: so a copy never delays or drops its frame, whatever becomes of it. Only ports that
//! are mirrored, or captured, look for this at all, once a burst.

use std::sync::Arc;

use crossbeam::utils::CachePadded;

use super::context::Context;
use super::counters::{Counter, WorkerCounters};
use super::event::Event;
use super::offload;
use super::output;
use super::replicate::Origin;
use super::snapshot::{AdjacencyIndex, Kind, Snapshot};
use super::target::Target;
use crate::dpdk::{Mbuf, Mempool};
use crate::drop_reason::DropReason;
use crate::wire::flow::Flow;

/// Copies that may wait.
const WAITING: usize = 1024;

/// All mirrors.
pub struct Mirrors {
    /// In the order of the configuration.
    pub mirrors: Box<[Mirror]>,
    /// Those of each port, by port index.
    pub ports: Box<[PortMirrors]>,
}

/// The mirrors of a port, as indices.
#[derive(Clone, Default)]
pub struct PortMirrors {
    /// Of what comes in by it.
    pub incoming: Vec<u16>,
    /// Of what leaves by it.
    pub outgoing: Vec<u16>,
}

/// Where copies go.
pub struct Mirror {
    /// To a port, or a peer.
    pub to: MirrorTarget,
    /// Each worker's.
    pub counters: Arc<[CachePadded<MirrorCounters>]>,
}

/// The end of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorTarget {
    /// A port, by its index.
    Port(u16),
    /// A peer, by its adjacency, and the ID that copies have there.
    Peer(AdjacencyIndex, u32),
}

/// One worker's counters of one mirror.
#[derive(Default)]
pub struct MirrorCounters {
    /// Copies that were given to the port or the tunnel.
    pub packets: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Copies that were not; a drop of the mirrored port says why.
    pub lost: Counter,
}

/// Copies of one worker that are not sent yet.
pub(super) struct Copies {
    waiting: Vec<Copy>,
    /// Takes the place of the others while they are sent.
    spare: Vec<Copy>,
    pool: Option<Mempool>,
}

struct Copy {
    mirror: u16,
    /// The index of the mirrored port.
    port: u16,
    /// Its frame's number in the burst.
    number: u16,
    /// `None`: there was no packet buffer for it.
    frame: Option<Mbuf>,
}

impl Copies {
    /// None yet; nothing is allocated later.
    pub fn new() -> Self {
        let (waiting, spare) = (Vec::with_capacity(WAITING), Vec::with_capacity(WAITING));
        Self { waiting, spare, pool: None }
    }

    /// Has copies come from a pool.
    pub fn take_from(&mut self, pool: &Mempool) {
        self.pool = Some(pool.clone());
    }

    /// Whether none waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Copies frames for some of a port's mirrors.
    fn add(&mut self, port: u16, mirrors: &[u16], frames: &[Mbuf], worker: &WorkerCounters) {
        for (number, frame) in (0..).zip(frames) {
            for &mirror in mirrors {
                if self.waiting.len() < self.waiting.capacity() {
                    let frame = self.pool.as_ref().and_then(|pool| frame.copy(pool));
                    self.waiting.push(Copy { mirror, port, number, frame });
                } else {
                    worker.copies.add(1);
                    worker.ports[usize::from(port)].count_drops(DropReason::MirrorFull, 1);
                }
            }
        }
    }
}

impl Mirrors {
    /// Whether it copies what comes in by a port.
    pub(super) fn looks_at_incoming(&self, port: u16) -> bool {
        self.ports.get(usize::from(port)).is_some_and(|of| !of.incoming.is_empty())
    }

    /// Whether it copies what leaves by one.
    pub(super) fn looks_at_outgoing(&self, port: u16) -> bool {
        self.ports.get(usize::from(port)).is_some_and(|of| !of.outgoing.is_empty())
    }

    /// Whether copies go to a port.
    pub(super) fn end_at(&self, port: u16) -> bool {
        self.mirrors.iter().any(|mirror| mirror.to == MirrorTarget::Port(port))
    }

    /// Copies what came in by a port.
    pub(super) fn come(
        &self,
        copies: &mut Copies,
        worker: &WorkerCounters,
        port: u16,
        frames: &[Mbuf],
    ) {
        if let Some(of) = self.ports.get(usize::from(port)) {
            copies.add(port, &of.incoming, frames, worker);
        }
    }

    /// Copies what is about to leave by a port. Returns what [`Copies::keep`] is to be told.
    pub(super) fn leave(
        &self,
        copies: &mut Copies,
        worker: &WorkerCounters,
        port: u16,
        frames: &[Mbuf],
    ) -> usize {
        let before = copies.waiting.len();
        if let Some(of) = self.ports.get(usize::from(port)) {
            copies.add(port, &of.outgoing, frames, worker);
        }
        before
    }
}

impl Copies {
    /// Keeps, of the copies behind the first `before`, those of the first `sent` frames: the device did not take the others.
    pub(super) fn keep(&mut self, before: usize, sent: usize) {
        let copies = self.waiting.iter().skip(before);
        let kept = copies.take_while(|copy| usize::from(copy.number) < sent).count();
        self.waiting.truncate(before + kept);
    }
}

/// Sends the copies that wait.
#[cold]
#[inline(never)]
pub(super) fn serve(context: &mut Context, snapshot: &Snapshot) {
    let copies = &mut context.transmitter.copies;
    std::mem::swap(&mut copies.waiting, &mut copies.spare);
    let mut sent = std::mem::take(&mut copies.spare);
    let mirrors = context.mirrors.clone();
    for Copy { mirror, port, frame, .. } in sent.drain(..) {
        context.counters.copies.add(1);
        let mirror = mirrors.as_ref().and_then(|all| all.mirrors.get(usize::from(mirror)));
        let Some((mirror, frame)) = mirror.zip(frame) else {
            context.count_drop(port, DropReason::MirrorFull);
            continue;
        };
        // What a guest left to its device is finished first: who looks on gets packets as they are on a wire.
        if frame.may_be_unfinished() {
            offload::finish(context, port, frame, |context, frame| {
                send(context, snapshot, mirror, port, frame);
            });
        } else {
            send(context, snapshot, mirror, port, frame);
        }
    }
    context.transmitter.copies.spare = sent;
}

fn send(context: &mut Context, snapshot: &Snapshot, mirror: &Mirror, port: u16, frame: Mbuf) {
    let (number, bytes) = (context.number, frame.len() as u64);
    let sent = match mirror.to {
        MirrorTarget::Port(to) => {
            context.transmitter.send(to, frame);
            Ok(())
        }
        MirrorTarget::Peer(peer, id) => send_to_peer(context, snapshot, (peer, id), port, frame),
    };
    let Some(counters) = mirror.counters.get(number) else { return };
    match sent {
        Ok(()) => {
            counters.packets.add(1);
            counters.bytes.add(bytes);
        }
        Err(reason) => {
            counters.lost.add(1);
            context.count_drop(port, reason);
        }
    }
}

fn send_to_peer(
    context: &mut Context,
    snapshot: &Snapshot,
    (index, id): (AdjacencyIndex, u32),
    port: u16,
    frame: Mbuf,
) -> Result<(), DropReason> {
    let adjacency = snapshot.adjacencies.get(index as usize);
    let target = adjacency.map(|adjacency| Target::new(index, adjacency, id));
    let target = target.and_then(|of| of.of_flow(snapshot, || Flow::of(frame.data())));
    let target = target.ok_or(DropReason::MirrorUnreachable)?;
    if matches!(target.adjacency.kind, Kind::Unresolved | Kind::Vacant) {
        context.report(Event::Unresolved { adjacency: index });
        return Err(DropReason::MirrorUnreachable);
    }
    if frame.len() > usize::from(target.adjacency.vlan_or_limit) {
        return Err(DropReason::MirrorOversize);
    }
    // As if it had come by a tunnel: nobody is told of anything.
    let origin = Origin { port, adjacency: index, from_tunnel: true };
    output::send(context, snapshot, || origin, frame, target);
    Ok(())
}
