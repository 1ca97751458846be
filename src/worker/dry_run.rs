//! What workers would do with a frame, found out by doing it: the stages run as they are, on the control core, and nothing
//! but a record comes of it.
//!
//! A dry run has counters, queues and transmit buffers of its own. Of what workers take from together, such as tokens and
//! sequence numbers, its snapshot holds copies ([`Snapshot::detach`]), so whatever a stage takes or marks, no worker
//! misses it. The packet path has nothing to ask: it is the same code.

use std::sync::Arc;

use super::context::{Context, Pools};
use super::counters::WorkerCounters;
use super::event::EventQueue;
use super::snapshot::{PortEntry, Snapshot};
use super::snooping::HeardQueue;
use super::story::{Room, Story, follow};
use super::transmit::{Transmitter, TxPort};
use crate::dpdk::{Mbuf, PortState, cycles};
use crate::fib::Reader;

/// Packets that are kept; of a flood to more, the others are counted.
const MOST: usize = 512;
/// Bytes of these together.
const BYTES: usize = 8 << 20;

/// Has a frame pass all stages, as if it had come in by a port. `snapshot` is [detached](Snapshot::detach); `ports` are the
/// other sides of all ports, by index; `tick` is the coarse clock.
pub fn dry_run(
    snapshot: &Snapshot,
    reader: &Reader,
    pools: Pools,
    ports: impl Iterator<Item = (u16, Arc<PortState>)>,
    tick: u16,
    (port, frame): (u16, Mbuf),
) -> Option<Box<Story>> {
    let counters = Arc::new(WorkerCounters::new(snapshot.ports.len()));
    let (events, heard) = (Arc::new(EventQueue::new(1)), Arc::new(HeardQueue::new(1)));
    let mut transmitter = Transmitter::new(counters.clone());
    ports.for_each(|(index, state)| transmitter.attach(index, TxPort::nowhere(state)));
    let mut context = Context::new(0, transmitter, counters, pools, events, heard);
    (context.tick, context.now) = (tick, cycles());
    let room = Room { frame: frame.len(), packets: MOST, bytes: BYTES, others: 1024 };
    let mut story = Story::new(room);
    story.begin(cycles(), port, &frame);
    let mut story = Some(story);
    follow(&mut context, reader, snapshot, (port, frame), &mut story, true);
    story
}

impl Snapshot {
    /// Copies what workers take from and count in, and has them mark no entry as seen: whoever works by this snapshot from
    /// now on disturbs nobody.
    pub fn detach(&mut self, reader: &Reader) {
        let unlearned = self.group_policies.unlearned.values_mut();
        for network in self.networks.iter_mut().chain(unlearned) {
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
        self.traffic = Box::default();
        self.oversize.iter_mut().for_each(|of| *of = Arc::new(of.detached()));
        self.orders.values_mut().for_each(|order| *order = order.detached());
        self.templates.iter_mut().for_each(|template| *template = template.detached());
    }
}
