//! ARP and neighbour discovery: heard, and answered where they come in.

use std::sync::Arc;

use crossbeam::utils::CachePadded;

use super::context::Context;
use super::counters::Counter;
use super::event::Event;
use super::forward::Lane;
use super::output::{self, Target};
use super::replicate::Origin;
use super::snapshot::Snapshot;
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::fib::Reader;
use crate::neighbours::{self, Binding, Claim, Kind, Neighbours, Question};

/// What becomes of a question that cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is flooded like any broadcast.
    Flood,
    /// It is dropped: all stations are known.
    Drop,
}

/// A network's suppression.
pub struct Suppression {
    /// What is known.
    pub neighbours: Arc<Neighbours>,
    /// What becomes of questions that cannot be answered.
    pub unknown: Unknown,
    /// Age in ticks from which a binding is marked as heard of again.
    pub refresh_after: u16,
    /// By number of worker.
    pub counters: Arc<[CachePadded<SuppressionCounters>]>,
}

/// One worker's counters of one network.
#[derive(Default)]
pub struct SuppressionCounters {
    /// Questions that were answered here.
    pub answered: Counter,
    /// Questions that were flooded, as nobody knew the answer.
    pub flooded: Counter,
}

/// Notes what a unicast frame says.
#[inline(never)]
pub(super) fn listen(
    context: &mut Context,
    reader: &Reader,
    lane: &Lane,
    suppression: &Suppression,
    frame: &Mbuf,
) {
    if neighbours::concerns(frame.data())
        && let Some(claim) = neighbours::hear(frame.data()).claim
    {
        note(context, reader, lane, suppression, claim);
    }
}

/// Notes what a frame says that would be flooded, and answers what it asks. Returns it where it is to be flooded.
///
/// Only who asks at an access port is answered: what comes by a tunnel was not answered where it came in, and may be
/// meant for a station here.
#[inline(never)]
pub(super) fn answer(
    context: &mut Context,
    reader: &Reader,
    snapshot: &Snapshot,
    lane: &Lane,
    suppression: &Suppression,
    origin: Origin,
    mut frame: Mbuf,
) -> Option<Mbuf> {
    if !neighbours::concerns(frame.data()) {
        return Some(frame);
    }
    let heard = neighbours::hear(frame.data());
    if let Some(claim) = heard.claim {
        note(context, reader, lane, suppression, claim);
    }
    let Some(question) = heard.question.filter(|_| !origin.from_tunnel) else {
        return Some(frame);
    };
    let known = suppression.neighbours.find(question.asked, reader);
    let counters = suppression.counters.get(context.number);
    match known.map(|known| known.binding) {
        // Its own address: somebody else may have it too.
        Some(binding) if binding.mac == question.asker => Some(frame),
        Some(binding) if rewrite(&mut frame, &question, &binding) => {
            if let Some(counters) = counters {
                counters.answered.add(1);
            }
            reply(context, snapshot, lane, origin, frame);
            None
        }
        None if suppression.unknown == Unknown::Drop => {
            context.drop(origin.port, frame, DropReason::UnknownNeighbour);
            None
        }
        _ => {
            if let Some(counters) = counters {
                counters.flooded.add(1);
            }
            Some(frame)
        }
    }
}

fn rewrite(frame: &mut Mbuf, question: &Question, binding: &Binding) -> bool {
    if frame.segments() != 1 {
        return false;
    }
    let answer = |data: &mut [u8]| neighbours::answer(data, question, binding);
    frame.data_mut().and_then(answer).is_some_and(|length| frame.truncate(length))
}

/// Sends a frame back to where it came in.
fn reply(context: &mut Context, snapshot: &Snapshot, lane: &Lane, origin: Origin, frame: Mbuf) {
    let index = origin.adjacency;
    match snapshot.adjacencies.get(index as usize) {
        Some(adjacency) => {
            let target = Target { index, adjacency, vni: lane.network.vni };
            output::send(context, snapshot, || origin, frame, target);
        }
        None => context.drop(origin.port, frame, DropReason::PortRemoved),
    }
}

/// Marks a binding as heard of, or reports a new or changed one.
fn note(
    context: &mut Context,
    reader: &Reader,
    lane: &Lane,
    suppression: &Suppression,
    claim: Claim,
) {
    if !lane.network.sources.are_learned() {
        return;
    }
    if let Some(known) = suppression.neighbours.find(claim.address, reader) {
        let Binding { mac, kind, router } = known.binding;
        let fixed = kind == Kind::Static;
        if mac != claim.mac && (fixed || !claim.overrides) {
            return;
        }
        if mac == claim.mac && claim.router.is_none_or(|said| said == router) {
            if !fixed && context.tick.wrapping_sub(known.tick()) >= suppression.refresh_after {
                known.refresh(context.tick);
            }
            return;
        }
    }
    context.report(Event::Bind { network: lane.ingress.network(), claim });
}
