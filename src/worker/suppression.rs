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
    self, Begun, Binding, Claim, Heard, Kind, Known, Listed, Neighbours, Question, Reached,
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
    /// Whether what is said has to be compared with the record: not whose MAC this is if the operator has said that, nor
    /// what was heard lately. Another MAC that looks the same is noticed when the binding is to be marked as heard of again.
    #[inline(always)]
    fn hears(&self, claim: &Claim, listed: Listed, tick: u16) -> bool {
        let is_old = || tick.wrapping_sub(listed.tick()) >= self.refresh_after;
        claim.router.is_some() || !listed.is_static() && (!listed.may_be(claim.mac) || is_old())
    }

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
        let neighbours = &suppression.neighbours;
        let listed = neighbours.begin(claim.address, reader).look(neighbours, reader);
        if listed.is_none_or(|listed| suppression.hears(&claim, listed, context.tick)) {
            let reached = listed.and_then(|listed| listed.reach(neighbours, reader));
            let known = reached.and_then(|reached| reached.finish(claim.address));
            note(context, lane, suppression, &claim, known);
        }
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
            lookups.reach(waiting.suppression, reader, context.tick);
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
    fn reach(&mut self, suppression: &'r Suppression, reader: &'r Reader, tick: u16) {
        let neighbours = &*suppression.neighbours;
        let [said, asked] =
            self.begun.map(|begun| begun.and_then(|begun| begun.look(neighbours, reader)));
        let hears = |claim: &Claim| said.is_none_or(|said| suppression.hears(claim, said, tick));
        self.heard.claim = self.heard.claim.filter(hears);
        let said = said.filter(|_| self.heard.claim.is_some());
        let reach = |listed: Listed<'r>| listed.reach(neighbours, reader);
        self.reached = [said, asked].map(|listed| listed.and_then(reach));
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
            let target = Target { index, adjacency, vni: lane.network.vni }.past_guard(snapshot);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fib::{Domain, Reclaimer};
    use crate::neighbours::{Address, NeighbourWriter};
    use crate::wire::MacAddr;

    #[test]
    fn what_is_known_and_was_said_lately_is_not_looked_into() {
        const REFRESH: u16 = 30;
        let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
        let address = |last| Address::of_station([10, 0, 0, last].into()).unwrap();
        let domain = Domain::new(1);
        let (reader, mut reclaimer) = (domain.register().unwrap(), Reclaimer::new(domain));
        let mut writer = NeighbourWriter::new(10);
        for (last, kind) in [(1, Kind::Arp), (2, Kind::Static)] {
            let binding = Binding { mac: mac(last), kind, router: false };
            writer.insert(address(last), binding, 100, &mut reclaimer).unwrap();
        }
        let suppression = Suppression {
            neighbours: writer.shared(),
            unknown: Unknown::Flood,
            refresh_after: REFRESH,
            counters: [].into(),
        };
        let hears = |last, said: MacAddr, router, tick| {
            let neighbours = &suppression.neighbours;
            let listed = neighbours.begin(address(last), &reader).look(neighbours, &reader);
            let claim = Claim {
                address: address(last),
                mac: said,
                kind: Kind::Arp,
                router,
                overrides: true,
            };
            suppression.hears(&claim, listed.unwrap(), tick)
        };
        assert!(!hears(1, mac(1), None, 100 + REFRESH - 1), "known, and heard of lately");
        assert!(hears(1, mac(1), None, 100 + REFRESH), "its age is to be noted");
        assert!(hears(1, mac(9), None, 100), "it has another MAC");
        assert!(hears(1, mac(1), Some(true), 100), "it is a router now");
        // The operator's word stands, but it says nothing of routers.
        assert!(!hears(2, mac(9), None, 9999) && hears(2, mac(2), Some(true), 100));
        // A change of the MAC is a change of what the entry alone tells.
        let binding = Binding { mac: mac(9), kind: Kind::Arp, router: false };
        writer.insert(address(1), binding, 100, &mut reclaimer).unwrap();
        assert!(!hears(1, mac(9), None, 100) && hears(1, mac(1), None, 100));
    }
}
