//! ARP and neighbour discovery: heard, and answered where they come in.

use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam::utils::CachePadded;

use super::context::Context;
use super::counters::Counter;
use super::event::Event;
use super::forward::Lane;
use super::output::{self, Target};
use super::replicate::Origin;
use super::snapshot::Snapshot;
use crate::dpdk::{BURST, Mbuf};
use crate::drop_reason::DropReason;
use crate::fib::Reader;
use crate::neighbours::{
    self, Begun, Binding, Claim, Heard, Kind, Known, Neighbours, Question, Reached,
};

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

impl Suppression {
    /// Another one of the same bindings, which it never marks as heard of, with one counter.
    pub(super) fn detached(&self) -> Self {
        Self {
            neighbours: self.neighbours.clone(),
            unknown: self.unknown,
            refresh_after: u16::MAX,
            counters: [CachePadded::default()].into(),
        }
    }
}

/// Frames of one burst that would be flooded and say or ask something: put aside, so that their lookups overlap.
pub(super) struct Aside<'l, 'r>(ArrayVec<Waiting<'l, 'r>, BURST>);

struct Waiting<'l, 'r> {
    lane: &'l Lane<'r>,
    suppression: &'r Suppression,
    origin: Origin,
    /// Until it is dealt with.
    frame: Option<Mbuf>,
}

impl<'l, 'r> Aside<'l, 'r> {
    /// None.
    #[inline(always)]
    pub fn new() -> Self {
        Self(ArrayVec::new())
    }

    /// Whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a frame aside; gives it back if it says and asks nothing.
    #[inline]
    pub fn put(
        &mut self,
        lane: &'l Lane<'r>,
        suppression: &'r Suppression,
        origin: Origin,
        frame: Mbuf,
    ) -> Option<Mbuf> {
        if !neighbours::concerns(frame.data()) {
            return Some(frame);
        }
        let waiting = Waiting { lane, suppression, origin, frame: Some(frame) };
        self.0.try_push(waiting).err().and_then(|full| full.element().frame)
    }
}

/// What a frame says and asks, and the lookups of both.
struct Lookups<'r> {
    heard: Heard,
    begun: [Option<Begun<'r>>; 2],
    reached: [Option<Reached<'r>>; 2],
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
        let known = suppression.neighbours.find(claim.address, reader);
        note(context, lane, suppression, &claim, known);
    }
}

/// Notes what frames say that would be flooded, answers what they ask, and gives back those that are to be flooded.
///
/// Only who asks at an access port is answered: what comes by a tunnel was not answered where it came in, and may be
/// meant for a station here.
#[inline(never)]
pub(super) fn answer<'l, 'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &Snapshot,
    aside: Aside<'l, 'r>,
    mut flood: impl FnMut(&mut Context, &'l Lane<'r>, Origin, Mbuf),
) {
    let mut aside = aside.0;
    let mut all: ArrayVec<Lookups, BURST> = ArrayVec::new();
    for step in 0..aside.len() + 2 * APART {
        if let Some(Waiting { suppression, origin, frame: Some(frame), .. }) = aside.get(step) {
            all.push(Lookups::begin(frame, *origin, &suppression.neighbours, reader));
        }
        if let Some(index) = step.checked_sub(APART)
            && let (Some(lookups), Some(waiting)) = (all.get_mut(index), aside.get(index))
        {
            lookups.reach(&waiting.suppression.neighbours, reader);
        }
        if let Some(index) = step.checked_sub(2 * APART)
            && let (Some(lookups), Some(waiting)) = (all.get(index), aside.get_mut(index))
            && let Some(frame) = waiting.frame.take()
        {
            settle(context, snapshot, lookups, waiting, frame, &mut flood);
        }
    }
}

/// Frames between the steps of a lookup. The CPU waits for some lines at once, not for those of a whole burst, and they come
/// while other frames are answered.
const APART: usize = 5;

impl<'r> Lookups<'r> {
    #[inline(always)]
    fn begin(frame: &Mbuf, origin: Origin, neighbours: &'r Neighbours, reader: &'r Reader) -> Self {
        let mut heard = neighbours::hear(frame.data());
        heard.question.take_if(|_| origin.from_tunnel);
        let addresses = [heard.claim.map(|said| said.address), heard.question.map(|of| of.asked)];
        let begin = |address| neighbours.begin(address, reader);
        Self { heard, begun: addresses.map(|address| address.map(begin)), reached: [None; 2] }
    }

    #[inline(always)]
    fn reach(&mut self, neighbours: &'r Neighbours, reader: &'r Reader) {
        let reach = |begun: Begun<'r>| begun.reach(neighbours, reader);
        self.reached = self.begun.map(|begun| begun.and_then(reach));
    }
}

/// Deals with one frame by what was found.
#[inline(always)]
fn settle<'l, 'r>(
    context: &mut Context,
    snapshot: &Snapshot,
    lookups: &Lookups,
    waiting: &Waiting<'l, 'r>,
    mut frame: Mbuf,
    mut flood: impl FnMut(&mut Context, &'l Lane<'r>, Origin, Mbuf),
) {
    let Waiting { lane, suppression, origin, .. } = *waiting;
    let [said, asked] = lookups.reached;
    if let Some(claim) = &lookups.heard.claim {
        let known = said.and_then(|reached| reached.finish(claim.address));
        note(context, lane, suppression, claim, known);
    }
    let Some(question) = &lookups.heard.question else {
        return flood(context, lane, origin, frame);
    };
    let counters = suppression.counters.get(context.number);
    let known = asked.and_then(|reached| reached.finish(question.asked));
    match known.map(|known| known.binding) {
        // Its own address: somebody else may have it too.
        Some(binding) if binding.mac == question.asker => flood(context, lane, origin, frame),
        Some(binding) if rewrite(&mut frame, question, &binding) => {
            if let Some(counters) = counters {
                counters.answered.add(1);
            }
            context.note(|notes| notes.is_suppressed = true);
            reply(context, snapshot, lane, origin, frame);
        }
        None if suppression.unknown == Unknown::Drop => {
            context.drop(origin.port, frame, DropReason::UnknownNeighbour);
        }
        _ => {
            if let Some(counters) = counters {
                counters.flooded.add(1);
            }
            flood(context, lane, origin, frame);
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
    lane: &Lane,
    suppression: &Suppression,
    claim: &Claim,
    known: Option<Known>,
) {
    if !lane.network.sources.are_learned() {
        return;
    }
    if let Some(known) = known {
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
    context.report(Event::Bind { network: lane.ingress.network(), claim: *claim });
}
