//! Frames that do not fit the underlay: their senders are told what would, and they are dropped.

use std::sync::atomic::{AtomicU64, Ordering};

use super::bucket::Bucket;
use super::context::Context;
use super::output::{self, Target};
use super::replicate::Origin;
use super::snapshot::Snapshot;
use crate::dpdk::{Mbuf, cycles};
use crate::too_big::{Excess, Gateways};

/// What one network does with frames that do not fit.
pub struct Oversize {
    gateways: Gateways,
    /// How many senders are told a second.
    answers: Bucket,
    answered: AtomicU64,
}

/// What became of frames that did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OversizeReport {
    /// Senders that were told.
    pub answered: u64,
    /// Senders that were not, as there were too many of them.
    pub unanswered: u64,
}

impl Oversize {
    /// With the addresses that answers come from, and how many there may be a second. `hertz` is the rate of [`cycles`].
    pub fn new(gateways: Gateways, answers: u32, hertz: u64) -> Self {
        let answers = Bucket::new(answers, None, hertz);
        Self { gateways, answers, answered: AtomicU64::new(0) }
    }

    /// Another one with as many answers left, that has told nobody yet.
    pub(super) fn detached(&self) -> Self {
        let (gateways, answers) = (self.gateways, self.answers.detached());
        Self { gateways, answers, answered: AtomicU64::new(0) }
    }

    /// What it did.
    pub fn report(&self) -> OversizeReport {
        OversizeReport {
            answered: self.answered.load(Ordering::Relaxed),
            unanswered: self.answers.refused(),
        }
    }
}

impl Default for Oversize {
    /// Nobody is told.
    fn default() -> Self {
        Self::new(Gateways::default(), 0, 1)
    }
}

/// Tells who sent a frame that does not fit its way out what would, as far as there is anybody to tell.
pub(super) fn answer(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: &Mbuf,
    target: Target,
) -> Option<()> {
    let excess = Excess::of(frame.data(), frame.len(), target.adjacency.vlan_or_limit)?;
    let network = snapshot.vnis.get(target.vni)?;
    let policy = snapshot.oversize.get(network as usize)?;
    let index = origin.adjacency;
    let adjacency = snapshot.adjacencies.get(index as usize)?;
    if !policy.answers.take(cycles()) {
        return None;
    }
    let answer = excess.answer(&policy.gateways)?;
    let mut packet = context.packets.allocate()?;
    if !packet.append(&answer) {
        return None;
    }
    policy.answered.fetch_add(1, Ordering::Relaxed);
    context.counters.copies.add(1);
    let back = Target { index, adjacency, ..target };
    output::send(context, snapshot, || origin, packet, back);
    Some(())
}
