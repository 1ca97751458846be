//! Flooding: copies that share the frame's bytes, the original to the last target.
//!
//! A long list must not hold up unicast traffic, so a flood makes at most [`SLICE`] copies at once; what is
//! left waits as a job, and each round of the poll loop serves one slice in all.

use std::collections::VecDeque;

use super::context::Context;
use super::forward::Lane;
use super::multicast::Audience;
use super::output;
use super::snapshot::{AdjacencyIndex, FloodList, Kind, Network, Served, Snapshot};
use super::target::Target;
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::fib::Reader;
use crate::wire::flow::Flow;

/// Copies made in one go.
const SLICE: usize = 64;
/// Floods that may wait.
const JOBS: usize = 512;

/// A flood that is not finished; the queue of them is one worker's, and so are its cache lines.
#[repr(align(128))]
struct Job {
    frame: Mbuf,
    origin: Origin,
    network: u32,
    /// A slice later it is still the same: who is no member never sees the frame.
    audience: Audience,
    /// The network's, so that a later network with the same index never sees the frame.
    identity: u64,
    flow: Flow,
    served: Served,
}

/// Where a flooded frame came from.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    /// Ingress port.
    pub port: u16,
    /// Ingress adjacency: never a target.
    pub adjacency: AdjacencyIndex,
    /// Whether it came in by a tunnel.
    pub from_tunnel: bool,
}

/// The floods of one worker that wait for their next slice.
pub(super) struct Replication {
    jobs: VecDeque<Job>,
}

impl Replication {
    pub fn new() -> Self {
        Self { jobs: VecDeque::with_capacity(JOBS) }
    }
}

/// Floods a frame of a network to those that it is for, whom the list names.
#[inline(never)]
pub(super) fn flood(
    context: &mut Context,
    snapshot: &Snapshot,
    lane: &Lane,
    (audience, list): (Audience, &FloodList),
    origin: Origin,
    mut frame: Mbuf,
) {
    let of = lane.network;
    let flow = Flow::of(frame.data());
    let targets = list.targets(origin.from_tunnel);
    match serve(context, snapshot, of, origin, &mut frame, flow, targets) {
        Progress::Done(last) => finish(context, snapshot, origin, audience, frame, last),
        Progress::Stopped(_) if context.replication.jobs.len() == JOBS => {
            context.drop(origin.port, frame, DropReason::ReplicationBacklog);
        }
        Progress::Stopped(served) => {
            let (network, identity) = (lane.ingress.network(), of.identity);
            context.replication.jobs.push_back(Job {
                frame,
                origin,
                network,
                audience,
                identity,
                flow,
                served,
            });
            context.counters.held.set(context.replication.jobs.len() as u64);
        }
    }
}

/// Serves one slice of the flood that waited longest. Returns whether there was one.
#[inline]
pub(super) fn advance(context: &mut Context, reader: &Reader, snapshot: &Snapshot) -> bool {
    let Some(mut job) = context.replication.jobs.pop_front() else { return false };
    let network = snapshot.networks.get(job.network as usize);
    let network = network.filter(|network| network.identity == job.identity);
    match network.map(|of| (of, job.audience.list(of, reader))) {
        None => context.drop(job.origin.port, job.frame, DropReason::NetworkRemoved),
        Some((_, None)) => {
            context.drop(job.origin.port, job.frame, DropReason::UnregisteredMulticast);
        }
        Some((of, Some(list))) => {
            let targets = list.targets_after(job.served, job.origin.from_tunnel);
            match serve(context, snapshot, of, job.origin, &mut job.frame, job.flow, targets) {
                Progress::Done(last) => {
                    finish(context, snapshot, job.origin, job.audience, job.frame, last);
                }
                Progress::Stopped(served) => {
                    job.served = served;
                    context.replication.jobs.push_back(job);
                }
            }
        }
    }
    context.counters.held.set(context.replication.jobs.len() as u64);
    true
}

/// Gives up the floods that wait, of frames that came in by a port.
pub(super) fn forget(context: &mut Context, port: u16) {
    let jobs = &mut context.replication.jobs;
    let before = jobs.len();
    jobs.retain(|job| job.origin.port != port);
    let (given_up, left) = (before - jobs.len(), jobs.len());
    let counters = &context.counters;
    counters.ports[usize::from(port)].count_drops(DropReason::PortRemoved, given_up as u64);
    counters.held.set(left as u64);
}

enum Progress<'r> {
    /// All but this last target got a copy.
    Done(Option<Target<'r>>),
    /// The slice is used up.
    Stopped(Served),
}

/// Sends copies to all targets but the last, one slice at most.
fn serve<'r>(
    context: &mut Context,
    snapshot: &'r Snapshot,
    network: &Network,
    origin: Origin,
    frame: &mut Mbuf,
    flow: Flow,
    targets: &[AdjacencyIndex],
) -> Progress<'r> {
    let mut last: Option<Target<'r>> = None;
    let mut budget = SLICE;
    for &index in targets {
        let Some(adjacency) = snapshot.adjacencies.get(index as usize) else { continue };
        if index == origin.adjacency || adjacency.kind == Kind::Silent {
            continue;
        }
        if let Some(target) = last {
            output::send_copy(context, snapshot, origin, frame, flow, target);
            budget -= 1;
            if budget == 0 {
                return Progress::Stopped(target.served());
            }
        }
        last = Some(Target::new(index, adjacency, network.vni));
    }
    Progress::Done(last)
}

fn finish(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    audience: Audience,
    frame: Mbuf,
    last: Option<Target>,
) {
    match last {
        Some(target) => {
            output::count_sent(context, snapshot, &frame, target);
            output::send(context, snapshot, || origin, frame, target);
        }
        None => context.drop(origin.port, frame, audience.nobody()),
    }
}

impl Target<'_> {
    fn served(&self) -> Served {
        if self.adjacency.is_local() {
            Served::Local(self.index())
        } else {
            Served::Peer(self.index())
        }
    }
}
