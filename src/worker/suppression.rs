//! ARP and neighbour discovery: heard, and answered where they come in.

use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam::utils::CachePadded;

use super::context::Context;
use super::counters::Counter;
use super::event::Event;
use super::forward::Lane;
use super::output;
use super::replicate::Origin;
use super::snapshot::Snapshot;
use super::target::Target;
use crate::dpdk::{BURST, Mbuf};
use crate::drop_reason::DropReason;
use crate::fib::Reader;
use crate::neighbours::{
    self, Address, Begun, Binding, Claim, Heard, Kind, Listed, Neighbours, Reached,
};
use crate::wire::MacAddr;

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
    fn hears(&self, claim: &Claim, listed: Option<Listed>, tick: u16) -> bool {
        let Some(listed) = listed else { return true };
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
    said: Option<Begun<'r>>,
    asked: Option<Begun<'r>>,
    /// Whether what it says may be new.
    is_news: bool,
    /// Of what it asks.
    found: Option<Reached<'r>>,
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
    if !neighbours::concerns(frame.data()) {
        return;
    }
    if let Some(claim) = neighbours::hear(frame.data()).claim {
        let neighbours = &suppression.neighbours;
        let listed = neighbours.begin(claim.address, reader).look(neighbours, reader);
        if suppression.hears(&claim, listed, context.tick) {
            note(context, reader, lane, suppression, &claim);
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
            settle(context, reader, snapshot, lookups, waiting, frame, &mut flood);
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
        heard.asked = heard.asked.filter(|_| !origin.from_tunnel);
        let begin = |address| neighbours.begin(address, reader);
        let said = heard.claim.map(|claim| begin(claim.address));
        Self { heard, said, asked: heard.asked.map(begin), is_news: false, found: None }
    }

    #[inline(always)]
    fn reach(&mut self, suppression: &'r Suppression, reader: &'r Reader, tick: u16) {
        let neighbours = &*suppression.neighbours;
        let look = |begun: Begun<'r>| begun.look(neighbours, reader);
        if let Some(claim) = &self.heard.claim {
            self.is_news = suppression.hears(claim, self.said.and_then(look), tick);
        }
        let reach = |listed: Listed<'r>| listed.reach(neighbours, reader);
        self.found = self.asked.and_then(look).and_then(reach);
    }
}

/// Deals with one frame by what was found.
#[inline(always)]
fn settle<'l, 'r>(
    context: &mut Context,
    reader: &Reader,
    snapshot: &Snapshot,
    lookups: &Lookups,
    waiting: &Waiting<'l, 'r>,
    mut frame: Mbuf,
    mut flood: impl FnMut(&mut Context, &'l Lane<'r>, Origin, Mbuf),
) {
    let Waiting { lane, suppression, origin, .. } = *waiting;
    let Lookups { heard: Heard { claim, asked }, is_news, found, .. } = lookups;
    let Some(claim) = claim else { return flood(context, lane, origin, frame) };
    if *is_news {
        note(context, reader, lane, suppression, claim);
    }
    let Some(asked) = *asked else { return flood(context, lane, origin, frame) };
    let counters = suppression.counters.get(context.number);
    match found.and_then(|found| found.finish(asked)) {
        // Its own address: somebody else may have it too.
        Some(binding) if binding.mac == claim.mac => flood(context, lane, origin, frame),
        Some(binding) if rewrite(&mut frame, claim.mac, asked, binding) => {
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

fn rewrite(frame: &mut Mbuf, asker: MacAddr, asked: Address, binding: Binding) -> bool {
    if frame.segments() != 1 {
        return false;
    }
    let answer = |data: &mut [u8]| neighbours::answer(data, asker, asked, binding);
    frame.data_mut().and_then(answer).is_some_and(|length| frame.truncate(length))
}

/// Sends a frame back to where it came in.
fn reply(context: &mut Context, snapshot: &Snapshot, lane: &Lane, origin: Origin, frame: Mbuf) {
    let index = origin.adjacency;
    match snapshot.adjacencies.get(index as usize) {
        Some(adjacency) => {
            let target = Target::new(index, adjacency, lane.network.vni).past_guard(snapshot);
            output::send(context, snapshot, || origin, frame, target);
        }
        None => context.drop(origin.port, frame, DropReason::PortRemoved),
    }
}

/// Marks a binding as heard of, or reports a new or changed one.
#[inline(never)]
fn note(
    context: &mut Context,
    reader: &Reader,
    lane: &Lane,
    suppression: &Suppression,
    claim: &Claim,
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
    context.report(Event::Bind { network: lane.ingress.network(), claim: *claim });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fib::{Domain, Reclaimer};
    use crate::neighbours::NeighbourWriter;

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
            suppression.hears(&claim, listed, tick)
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
