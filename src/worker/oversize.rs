//! Frames that do not fit the underlay: their senders are told what would, and they are dropped. Where nobody can be told, the
//! network's policy may have them sent in fragments of the outer packet.

use std::sync::atomic::{AtomicU64, Ordering};

use super::bucket::Bucket;
use super::context::Context;
use super::output;
use super::replicate::Origin;
use super::snapshot::Snapshot;
use super::target::Target;
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::too_big::{Excess, Gateways};
use crate::wire::flow::Flow;

/// What one network does with frames that do not fit.
pub struct Oversize {
    gateways: Gateways,
    /// How many senders are told a second.
    answers: Bucket,
    answered: AtomicU64,
    unanswered: AtomicU64,
    /// Whether others are sent in fragments.
    fragments: bool,
    fragmented: AtomicU64,
}

/// What became of frames that did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OversizeReport {
    /// Senders that were told.
    pub answered: u64,
    /// Senders that were not, as there were too many of them.
    pub unanswered: u64,
    /// Frames that were sent in fragments, a flooded one once for each peer.
    pub fragmented: u64,
}

impl Oversize {
    /// With the addresses that answers come from, how many there may be a second, and whether frames whose senders are not to be
    /// told are sent in fragments. `hertz` is the rate of [`crate::dpdk::cycles`].
    pub fn new(gateways: Gateways, answers: u32, fragments: bool, hertz: u64) -> Self {
        Self::with(gateways, Bucket::new(answers, None, hertz), fragments)
    }

    fn with(gateways: Gateways, answers: Bucket, fragments: bool) -> Self {
        let (answered, unanswered, fragmented) = Default::default();
        Self { gateways, answers, answered, unanswered, fragments, fragmented }
    }

    /// Another one with as many answers left, that has told nobody yet.
    pub(super) fn detached(&self) -> Self {
        Self::with(self.gateways, self.answers.detached(), self.fragments)
    }

    /// What it did.
    pub fn report(&self) -> OversizeReport {
        OversizeReport {
            answered: self.answered.load(Ordering::Relaxed),
            unanswered: self.unanswered.load(Ordering::Relaxed),
            fragmented: self.fragmented.load(Ordering::Relaxed),
        }
    }
}

impl Default for Oversize {
    /// Nobody is told.
    fn default() -> Self {
        Self::new(Gateways::default(), 0, false, 1)
    }
}

/// What becomes of a frame that does not fit its way out.
pub(super) fn handle(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: Mbuf,
    target: Target,
) {
    let excess = Excess::of(frame.data(), frame.len(), target.adjacency.vlan_or_limit);
    let policy = policy(snapshot, target);
    if let Some((excess, policy)) = excess.as_ref().zip(policy) {
        answer(context, snapshot, origin, policy, excess, target);
    } else if let Some(policy) = policy.filter(|policy| policy.fragments) {
        let flow = Flow::of(frame.data());
        return policy.cut(context, snapshot, origin, frame, flow, target);
    }
    context.drop(origin.port, frame, DropReason::Oversize);
}

/// What becomes of a copy of a flooded frame that does not fit: nobody is told.
#[cold]
#[inline(never)]
pub(super) fn handle_copy(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: &mut Mbuf,
    flow: Flow,
    target: Target,
) {
    let limit = target.adjacency.vlan_or_limit;
    let policy = policy(snapshot, target).filter(|policy| policy.fragments);
    match policy.filter(|_| Excess::of(frame.data(), frame.len(), limit).is_none()) {
        None => context.count_drop(origin.port, DropReason::Oversize),
        Some(policy) => match frame.share(&context.headers) {
            Some(copy) => policy.cut(context, snapshot, origin, copy, flow, target),
            None => context.count_drop(origin.port, DropReason::NoMbuf),
        },
    }
}

fn policy<'s>(snapshot: &'s Snapshot, target: Target) -> Option<&'s Oversize> {
    let network = snapshot.vnis.get(target.vni())?;
    snapshot.oversize.get(network as usize).map(|policy| &**policy)
}

impl Oversize {
    fn cut(
        &self,
        context: &mut Context,
        snapshot: &Snapshot,
        origin: Origin,
        frame: Mbuf,
        flow: Flow,
        target: Target,
    ) {
        match output::send_in_fragments(context, snapshot, origin, frame, flow, target) {
            Ok(()) => {
                self.fragmented.fetch_add(1, Ordering::Relaxed);
                context.note(|notes| notes.is_fragmented = true);
            }
            Err(reason) => context.count_drop(origin.port, reason),
        }
    }
}

/// Tells who sent a frame what would fit.
fn answer(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    policy: &Oversize,
    excess: &Excess,
    target: Target,
) -> Option<()> {
    let index = origin.adjacency;
    let adjacency = snapshot.adjacencies.get(index as usize)?;
    if !policy.answers.take(context.now) {
        policy.unanswered.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    let answer = excess.answer(&policy.gateways)?;
    let mut packet = context.packets.allocate()?;
    if !packet.append(&answer) {
        return None;
    }
    policy.answered.fetch_add(1, Ordering::Relaxed);
    context.note(|notes| notes.is_told_of_size = true);
    context.counters.copies.add(1);
    let back = Target::new(index, adjacency, target.vni()).past_guard(snapshot);
    output::send(context, snapshot, || origin, packet, back);
    Some(())
}
