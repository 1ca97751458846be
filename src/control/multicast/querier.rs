//! Who asks for members in a network, and where its multicast routers are, for one address family.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::wire::MacAddr;
use crate::wire::membership::{Heard, Query, Version};
use crate::worker::AdjacencyIndex;

/// The robustness variable where no querier says another (RFC 3376 section 8.1).
pub const ROBUSTNESS: u8 = 2;

/// Intervals, where no querier says others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Between general queries.
    pub query: Duration,
    /// By when stations answer them.
    pub response: Duration,
    /// By when they answer questions for one group.
    pub last_member: Duration,
}

impl Intervals {
    /// How long it takes until it is certain that nobody listens to a group (RFC 3376 section 8.8).
    pub fn patience(&self) -> Duration {
        self.last_member * u32::from(ROBUSTNESS)
    }
}

/// What asks, and since when.
#[derive(Default)]
pub struct Querier {
    /// Ourselves, where the operator wants us to ask if nobody else does.
    own: Option<Own>,
    other: Option<Other>,
    /// When all stations have been asked and have had the time to answer.
    answered: Option<Instant>,
    /// Whether that is over, and hence all members known.
    is_ready: bool,
    routers: BTreeMap<AdjacencyIndex, Router>,
    /// Whether it has become ready, or no longer is, or routers have come or gone.
    changed: bool,
}

/// Ourselves.
struct Own {
    address: IpAddr,
    mac: MacAddr,
    /// When the next general query is due; `None`: another one asks.
    next: Option<Instant>,
    /// Queries that come sooner than the others, as not all stations may have heard the first.
    eager: u8,
}

/// Another querier in the network.
pub struct Other {
    /// Its address; all zero for a switch without one.
    pub address: IpAddr,
    /// The adjacency it is behind.
    pub way: AdjacencyIndex,
    /// What it speaks.
    pub version: Version,
    /// Until when it is believed to ask on.
    pub until: Instant,
    mac: MacAddr,
    robustness: u8,
    intervals: Intervals,
}

/// A multicast router.
pub struct Router {
    /// By what it is known.
    pub version: Version,
    /// `None`: for ever.
    pub until: Option<Instant>,
}

impl Querier {
    /// Asks where nobody else does, from now on, with this address and MAC; `None`: asks no more.
    pub fn set_own(&mut self, own: Option<(IpAddr, MacAddr)>, now: Instant) {
        let goes_on =
            |other: &Other| own.is_none_or(|own| precedes((other.address, other.mac), own));
        self.other = self.other.take().filter(goes_on);
        let next = self.other.is_none().then_some(now);
        self.own = own.map(|(address, mac)| Own { address, mac, next, eager: ROBUSTNESS });
        if self.own.is_none() && self.other.is_none() {
            self.answered = None;
        }
    }

    /// Another one that asks.
    pub fn other(&self) -> Option<&Other> {
        self.other.as_ref()
    }

    /// Our own address, if it is us who ask.
    pub fn asks_as(&self) -> Option<IpAddr> {
        self.own.as_ref().filter(|own| own.next.is_some()).map(|own| own.address)
    }

    /// Whether a general query is due; it is taken for sent then.
    pub fn take_due(&mut self, usual: &Intervals, now: Instant) -> bool {
        let Some(own) = &mut self.own else { return false };
        let is_due = own.next.is_some_and(|next| next <= now);
        if is_due {
            own.eager = own.eager.saturating_sub(1);
            // RFC 3376 section 8.6.
            let wait = if own.eager > 0 { usual.query / 4 } else { usual.query };
            own.next = Some(now + wait);
            self.answered.get_or_insert(now + usual.response);
        }
        is_due
    }

    /// Where routers are.
    pub fn routers(&self) -> impl Iterator<Item = (AdjacencyIndex, &Router)> {
        self.routers.iter().map(|(way, router)| (*way, router))
    }

    /// Whether the members that are known are all there are.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether workers must be told of something that was not told before.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// How long a membership holds that is not renewed (RFC 3376 section 8.4).
    pub fn membership(&self, usual: &Intervals) -> Duration {
        let (robustness, intervals) = match &self.other {
            Some(other) => (other.robustness, &other.intervals),
            None => (ROBUSTNESS, usual),
        };
        intervals.query * u32::from(robustness) + intervals.response
    }

    /// Takes a query. Returns how long stations have to answer all that such a querier asks before it believes that
    /// nobody will (RFC 3376 section 8.8); `None` if another one is the network's querier.
    pub fn hear_query(
        &mut self,
        way: AdjacencyIndex,
        heard: &Heard,
        query: &Query,
        usual: &Intervals,
        now: Instant,
    ) -> Option<Duration> {
        let robustness = if query.robustness == 0 { ROBUSTNESS } else { query.robustness };
        let interval = if query.interval.is_zero() { usual.query } else { query.interval };
        let response = if query.group.is_none() { query.max_response } else { usual.response };
        let present = interval * u32::from(robustness) + response / 2;
        if !heard.source.is_unspecified() {
            self.note_router(way, query.version, Some(present), now);
        }
        let asked = (heard.source, heard.mac);
        let own = self.own.as_ref().map(|own| (own.address, own.mac));
        let other = self.other.as_ref().map(|other| (other.address, other.mac));
        if own.is_some_and(|own| !precedes(asked, own))
            || other.is_some_and(|other| precedes(other, asked))
        {
            return None;
        }
        if query.group.is_none() {
            if let Some(own) = &mut self.own {
                own.next = None;
            }
            self.answered.get_or_insert(now + query.max_response);
            self.other = Some(Other {
                address: heard.source,
                way,
                version: query.version,
                mac: heard.mac,
                until: now + present,
                robustness,
                intervals: Intervals { query: interval, response, ..*usual },
            });
        }
        Some(query.max_response * u32::from(robustness))
    }

    /// Takes a router's word: it is there for so long; zero: no longer; `None`: for ever.
    pub fn note_router(
        &mut self,
        way: AdjacencyIndex,
        version: Version,
        hold: Option<Duration>,
        now: Instant,
    ) {
        if hold == Some(Duration::ZERO) {
            self.changed |= self.routers.remove(&way).is_some();
        } else {
            let until = hold.map(|hold| now + hold);
            self.changed |= self.routers.insert(way, Router { version, until }).is_none();
        }
    }

    /// Forgets what is behind ways that are gone; a querier there is one that lapses now.
    pub fn retain(&mut self, stays: impl Fn(AdjacencyIndex) -> bool, now: Instant) {
        if let Some(other) = self.other.as_mut().filter(|other| !stays(other.way)) {
            other.until = now;
        }
        let before = self.routers.len();
        self.routers.retain(|way, _| stays(*way));
        self.changed |= self.routers.len() != before;
    }

    /// Lets go of queriers and routers that have been silent for too long.
    pub fn lapse(&mut self, now: Instant) {
        if self.other.as_ref().is_some_and(|other| other.until <= now) {
            self.other = None;
            match &mut self.own {
                Some(own) => (own.next, own.eager) = (Some(now), ROBUSTNESS),
                None => self.answered = None,
            }
        }
        let is_ready = self.answered.is_some_and(|answered| answered <= now);
        self.changed |= is_ready != self.is_ready;
        self.is_ready = is_ready;
        let before = self.routers.len();
        self.routers.retain(|_, router| router.until.is_none_or(|until| until > now));
        self.changed |= self.routers.len() != before;
    }

    /// When something lapses next.
    pub fn next(&self) -> Option<Instant> {
        let other = self.other.as_ref().map(|other| other.until);
        let answered = self.answered.filter(|_| !self.is_ready);
        let own = self.own.as_ref().and_then(|own| own.next);
        let routers = self.routers.values().map(|router| router.until);
        routers.chain([other, answered, own]).flatten().min()
    }
}

/// Whether the first of two queriers goes on when both ask: the one with the lower address does (RFC 3376 section 6.6.2). One
/// without an address asks only where nobody else does (RFC 4541 section 2.1.1); of two such the MAC decides.
fn precedes(one: (IpAddr, MacAddr), two: (IpAddr, MacAddr)) -> bool {
    let rank = |(address, mac): (IpAddr, MacAddr)| (address.is_unspecified(), address, mac.0);
    rank(one) < rank(two)
}
