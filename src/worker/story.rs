//! What becomes of one frame, told by the stages that it passes while it passes them: for [dry runs](super::dry_run) and
//! for [samples](super::sampler) of real traffic.
//!
//! The packet path knows next to nothing of it. The frame passes in a burst of its own, with nothing of other frames in the
//! transmit buffers, so what is in them then is what came of it, and what counters say more than before are its drops.

use std::ops::Range;

use super::context::Context;
use super::counters::{PortCounters, WorkerCounters};
use super::event::Event;
use super::forward::{Decision, Lanes, decide};
use super::mirror::Copies;
use super::poll::dispatch;
use super::replicate;
use super::snapshot::{AdjacencyIndex, Attachment, PortEntry, Snapshot};
use super::storm::Kind;
use super::transmit::{TxPort, flush};
use crate::dpdk::{Burst, Mbuf};
use crate::drop_reason::DropReason;
use crate::fib::{Entry, MacKey, Probe, Reader};

/// What became of a frame. All room is made beforehand, as a worker may fill it.
pub struct Story {
    /// When it came, in [`crate::dpdk::cycles`].
    pub at: u64,
    /// The index of the port that it came in by.
    pub port: u16,
    /// Bytes of the frame.
    pub length: usize,
    /// The frame as it came in, or its first bytes.
    pub frame: Vec<u8>,
    /// What was looked up; `None` where nothing was: the frame was dropped before, or is none of a network.
    pub sighting: Option<Sighting>,
    /// Packets that left besides those in [`Story::sent`].
    pub more: usize,
    /// Drops, with the index of the port that they count at.
    pub drops: Vec<(u16, DropReason, u64)>,
    /// What the control core is told.
    pub events: Vec<Event>,
    /// What was done besides.
    pub notes: Notes,
    sent: Vec<(u16, Range<usize>)>,
    /// Of all packets in `sent`, one after another.
    bytes: Vec<u8>,
}

/// What was done with a frame besides forwarding it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The control core is shown an IGMP or MLD message.
    pub is_heard: bool,
    /// A question was answered here, in place of its flood.
    pub is_suppressed: bool,
    /// The sender was told that the frame does not fit.
    pub is_told_of_size: bool,
    /// It left in fragments of the outer packet.
    pub is_fragmented: bool,
    /// It waits for other fragments of its packet.
    pub is_held: bool,
    /// The flood goes on later, to more targets.
    pub is_unfinished: bool,
}

/// How much a story has room for.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Bytes of the frame.
    pub frame: usize,
    /// Packets that leave.
    pub packets: usize,
    /// Bytes of these together.
    pub bytes: usize,
    /// Drops by port and reason, and events.
    pub others: usize,
}

/// What was looked up of a frame, and decided.
pub struct Sighting {
    /// Its network, and where it came in.
    pub ingress: Attachment,
    /// The source.
    pub source: Found,
    /// The destination.
    pub destination: Found,
    /// What was decided.
    pub verdict: Verdict,
}

/// A MAC, and what the FIB has of it.
pub struct Found {
    /// The MAC.
    pub mac: MacKey,
    /// Its entry.
    pub entry: Option<Entry>,
}

/// The decision on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes one way.
    Send(AdjacencyIndex),
    /// It goes to all of its network, or of its group.
    Flood(Kind),
    /// It is dropped.
    Drop(DropReason),
}

impl Story {
    pub(super) fn new(room: Room) -> Box<Self> {
        let Room { frame, packets, bytes, others } = room;
        Box::new(Self {
            at: 0,
            port: 0,
            length: 0,
            frame: Vec::with_capacity(frame),
            sighting: None,
            more: 0,
            drops: Vec::with_capacity(others),
            events: Vec::with_capacity(others),
            notes: Notes::default(),
            sent: Vec::with_capacity(packets),
            bytes: Vec::with_capacity(bytes),
        })
    }

    /// What left, with the index of the port.
    pub fn sent(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let packet = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.sent.iter().map(move |(port, range)| (*port, packet(range)))
    }

    /// Begins anew, with a frame that came in by a port.
    pub(super) fn begin(&mut self, at: u64, port: u16, frame: &Mbuf) {
        (self.at, self.port, self.length) = (at, port, frame.len());
        (self.sighting, self.more, self.notes) = (None, 0, Notes::default());
        self.frame.clear();
        self.drops.clear();
        self.events.clear();
        self.sent.clear();
        self.bytes.clear();
        for chunk in frame.chunks() {
            let room = self.frame.capacity() - self.frame.len();
            self.frame.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        }
    }

    /// Notes what the control core is told.
    pub(super) fn report(&mut self, event: Event) {
        if self.events.len() < self.events.capacity() {
            self.events.push(event);
        }
    }

    /// Empties a port's buffer, in which only this frame's packets are.
    #[cold]
    #[inline(never)]
    pub(super) fn flush(
        &mut self,
        port: &mut TxPort,
        index: u16,
        counters: &WorkerCounters,
        copies: &mut Copies,
    ) {
        let of = &counters.ports[usize::from(index)];
        let before = drops(of);
        let (total, told, more) = (port.buffered().len(), self.sent.len(), self.more);
        port.buffered().iter().for_each(|packet| self.send(index, packet));
        flush(port, index, counters, copies);
        let lost = self.compare(index, of, &before, index != self.port);
        // Devices take those in front.
        let left = total.saturating_sub(lost as usize);
        self.sent.truncate(told + left);
        self.more = more + left - (self.sent.len() - told);
    }

    fn send(&mut self, port: u16, packet: &Mbuf) {
        let from = self.bytes.len();
        let fits = self.bytes.capacity() - from >= packet.len();
        if !fits || self.sent.len() == self.sent.capacity() {
            self.more += 1;
            return;
        }
        packet.chunks().for_each(|chunk| self.bytes.extend_from_slice(chunk));
        self.sent.push((port, from..self.bytes.len()));
    }

    /// Adds what a port has dropped since, if that is not done elsewhere. Returns how much it is.
    fn compare(
        &mut self,
        port: u16,
        counters: &PortCounters,
        before: &[u64; DropReason::COUNT],
        adds: bool,
    ) -> u64 {
        let mut all = 0;
        for (reason, before) in DropReason::ALL.iter().zip(before) {
            let count = counters.drops(*reason).wrapping_sub(*before);
            all += count;
            if count == 0 || !adds {
                continue;
            }
            let has_room = self.drops.len() < self.drops.capacity();
            let known = self.drops.iter_mut().find(|of| (of.0, of.1) == (port, *reason));
            match known {
                Some(known) => known.2 += count,
                None if has_room => self.drops.push((port, *reason, count)),
                None => {}
            }
        }
        all
    }
}

fn drops(counters: &PortCounters) -> [u64; DropReason::COUNT] {
    let mut drops = [0; DropReason::COUNT];
    for (place, reason) in drops.iter_mut().zip(DropReason::ALL) {
        *place = counters.drops(*reason);
    }
    drops
}

/// Has a frame pass all stages alone, by a port, and fills its story, which has [begun](Story::begin) with it. What comes
/// `later` of a long flood belongs to it, too, where nothing else goes on. Returns the frame's bytes.
pub(super) fn follow<'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    (port, frame): (u16, Mbuf),
    story: &mut Option<Box<Story>>,
    later: bool,
) -> u64 {
    context.transmitter.flush();
    let counters = context.counters.clone();
    let of = &counters.ports[usize::from(port)];
    let (before, fragments, floods) =
        (drops(of), counters.fragments_held.get(), counters.held.get());
    let mut burst = Burst::new();
    burst.push(frame);
    let mut sighting = None;
    std::mem::swap(&mut context.transmitter.story, story);
    let bytes = dispatch(context, reader, snapshot, port, &mut burst, |lanes| {
        sighting = match snapshot.ports.get(usize::from(port)) {
            Some(PortEntry::Underlay(_)) => look::<true>(snapshot, reader, lanes),
            _ => look::<false>(snapshot, reader, lanes),
        };
    });
    context.transmitter.flush_told();
    while later && replicate::advance(context, reader, snapshot) {
        context.transmitter.flush_told();
    }
    std::mem::swap(&mut context.transmitter.story, story);
    if let Some(story) = story {
        story.sighting = sighting;
        story.compare(port, of, &before, true);
        story.notes.is_held = counters.fragments_held.get() > fragments;
        story.notes.is_unfinished = counters.held.get() > floods;
        story.sent.sort_by_key(|(index, _)| *index);
    }
    bytes
}

/// What the stages go by.
fn look<'r, const FROM_TUNNEL: bool>(
    snapshot: &'r Snapshot,
    reader: &'r Reader,
    lanes: &Lanes<'r>,
) -> Option<Sighting> {
    let lane = lanes.first()?;
    let (source, destination) = lane.lookups()?;
    let find = |probe: Probe<'r>| {
        let hit = probe.finish(&lane.network.fib, reader);
        Found { mac: probe.key(), entry: hit.map(|hit| hit.entry()) }
    };
    let (source, destination) = (find(source), find(destination));
    let verdict = match decide::<FROM_TUNNEL>(snapshot, lane, destination.mac, destination.entry) {
        Decision::Send(target) => Verdict::Send(target.index()),
        Decision::Flood => Verdict::Flood(Kind::of(destination.mac)),
        Decision::Drop(reason) => Verdict::Drop(reason),
    };
    Some(Sighting { ingress: lane.ingress, source, destination, verdict })
}
