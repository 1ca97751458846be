//! What workers would do with a frame, found out by doing it: the stages run as they are, on the control core, and nothing
//! but a record comes of it.
//!
//! A dry run has counters, queues and transmit buffers of its own. Of what workers take from together, such as tokens and
//! sequence numbers, its snapshot holds copies ([`Snapshot::detach`]), so whatever a stage takes or marks, no worker
//! misses it. The packet path has nothing to ask: it is the same code.

use std::sync::Arc;

use super::context::{Context, Pools};
use super::counters::WorkerCounters;
use super::event::{Event, EventQueue};
use super::forward::{Decision, Lanes, decide};
use super::poll::dispatch;
use super::replicate;
use super::snapshot::{AdjacencyIndex, Attachment, PortEntry, Snapshot};
use super::snooping::HeardQueue;
use super::storm::Kind;
use super::transmit::{Transmitter, TxPort};
use crate::dpdk::{Burst, Mbuf, PortState};
use crate::drop_reason::DropReason;
use crate::fib::{Entry, MacKey, Probe, Reader};

/// Events that are kept.
const EVENTS: usize = 1024;
/// Packets that are kept; of a flood to more, the others are counted.
const MOST: usize = 512;

/// What became of a frame.
#[derive(Default)]
pub struct DryRun {
    /// What was looked up; `None` where nothing was: the frame was dropped before, or is none of a network.
    pub sighting: Option<Sighting>,
    /// What would leave, with the index of the port, in the order of ports.
    pub sent: Vec<(u16, Vec<u8>)>,
    /// Packets that would leave besides these.
    pub more: usize,
    /// Drops, with the index of the port that they count at.
    pub drops: Vec<(u16, DropReason, u64)>,
    /// What the control core would be told.
    pub events: Vec<Event>,
    /// Whether it would be shown an IGMP or MLD message.
    pub is_heard: bool,
    /// Whether the frame is a question that was answered here, in place of its flood.
    pub is_suppressed: bool,
    /// Whether the sender was told that the frame does not fit.
    pub is_told_of_size: bool,
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

/// Has a frame pass all stages, as if it had come in by a port. `snapshot` is [detached](Snapshot::detach); `ports` are the
/// other sides of all ports, by index; `tick` is the coarse clock.
pub fn dry_run(
    snapshot: &Snapshot,
    reader: &Reader,
    pools: Pools,
    ports: impl Iterator<Item = (u16, Arc<PortState>)>,
    tick: u16,
    (port, frame): (u16, Mbuf),
) -> DryRun {
    let counters = Arc::new(WorkerCounters::new(snapshot.ports.len()));
    let events = Arc::new(EventQueue::new(EVENTS));
    let heard = Arc::new(HeardQueue::new(1));
    let mut transmitter = Transmitter::new(counters.clone());
    ports.for_each(|(index, state)| transmitter.attach(index, TxPort::keeping(state)));
    let mut context =
        Context::new(0, transmitter, counters.clone(), pools, events.clone(), heard.clone());
    context.tick = tick;
    let is_underlay = matches!(snapshot.ports.get(usize::from(port)), Some(PortEntry::Underlay(_)));
    let mut run = DryRun::default();
    let mut burst = Burst::new();
    burst.push(frame);
    dispatch(&mut context, reader, snapshot, port, &mut burst, |lanes| {
        run.sighting = match is_underlay {
            true => look::<true>(snapshot, reader, lanes),
            false => look::<false>(snapshot, reader, lanes),
        };
    });
    loop {
        context.transmitter.flush();
        for (index, packet) in context.transmitter.kept() {
            if run.sent.len() < MOST {
                run.sent.push((index, packet.chunks().flatten().copied().collect()));
            } else {
                run.more += 1;
            }
        }
        // The rest of a long flood.
        if !replicate::advance(&mut context, reader, snapshot) {
            break;
        }
    }
    run.sent.sort_by_key(|(index, _)| *index);
    for (index, port) in (0..).zip(&counters.ports) {
        let counted = DropReason::ALL.iter().map(|reason| (index, *reason, port.drops(*reason)));
        run.drops.extend(counted.filter(|(_, _, count)| *count > 0));
    }
    run.events.extend(std::iter::from_fn(|| events.pop()));
    run.is_heard = !heard.is_empty();
    run.is_suppressed = snapshot.networks.iter().any(|network| {
        let workers = network.suppression.iter().flat_map(|of| of.counters.iter());
        workers.map(|of| of.answered.get()).sum::<u64>() > 0
    });
    run.is_told_of_size = snapshot.oversize.iter().any(|of| of.report().answered > 0);
    run
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
        Decision::Send(target) => Verdict::Send(target.index),
        Decision::Flood => Verdict::Flood(Kind::of(destination.mac)),
        Decision::Drop(reason) => Verdict::Drop(reason),
    };
    Some(Sighting { ingress: lane.ingress, source, destination, verdict })
}

impl Snapshot {
    /// Copies what workers take from and count in, and has them mark no entry as seen: whoever works by this snapshot from
    /// now on disturbs nobody.
    pub fn detach(&mut self, reader: &Reader) {
        for network in &mut self.networks {
            network.refresh_after = u16::MAX;
            network.storm = network.storm.as_ref().map(|storm| Arc::new(storm.detached()));
            let suppression = network.suppression.as_ref();
            network.suppression = suppression.map(|of| Arc::new(of.detached()));
            let multicast = network.multicast.as_ref();
            network.multicast = multicast.map(|of| Arc::new(of.detached(reader)));
        }
        for port in &mut self.ports {
            if let PortEntry::Access(port) = port {
                port.storm = port.storm.as_ref().map(|storm| Arc::new(storm.detached()));
            }
        }
        self.oversize.iter_mut().for_each(|of| *of = Arc::new(of.detached()));
        self.orders.values_mut().for_each(|order| *order = order.detached());
        self.templates.iter_mut().for_each(|template| *template = template.detached());
    }
}
