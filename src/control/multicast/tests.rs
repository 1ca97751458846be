//! What time does to members, routers and queriers, and what the limits hold.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::querier::{Intervals, Querier};
use super::snooper::{Settings, Snooper, Station, Way};
use crate::wire::MacAddr;
use crate::wire::membership::{Family, Heard, Message, Query, Sources, Version};
use crate::worker::AdjacencyIndex;

const INTERVALS: Intervals = Intervals {
    query: Duration::from_secs(125),
    response: Duration::from_secs(10),
    last_member: Duration::from_secs(1),
};

const PORT: Way = Way { adjacency: 1, is_local: true };
const PEER: Way = Way { adjacency: 9, is_local: false };

/// 10.0.0.N, with a MAC that ends in N; 0: no address.
fn by(last: u8, message: Message<'_>) -> Heard<'_> {
    let source = if last == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 0, last) };
    Heard { mac: MacAddr([2, 0, 0, 0, 0, last]), source: source.into(), message }
}

fn group(number: u32) -> IpAddr {
    Ipv4Addr::from(0xef01_0000 + number).into()
}

fn report(number: u32) -> Heard<'static> {
    by(1, Message::Report(Version::Igmp2, group(number)))
}

fn leave(number: u32) -> Heard<'static> {
    by(1, Message::Leave(Version::Igmp2, group(number)))
}

fn query(version: Version, about: Option<IpAddr>, tenths: u64) -> Query<'static> {
    Query {
        version,
        group: about,
        sources: Sources::none(Family::V4),
        max_response: Duration::from_millis(100 * tenths),
        suppress: false,
        robustness: 0,
        interval: Duration::ZERO,
    }
}

struct Bench {
    start: Instant,
    snooper: Snooper,
}

impl Bench {
    fn new() -> Self {
        let settings = Settings {
            group_limit: 100,
            port_group_limit: 60,
            fast_leave: false,
            routers: vec![7],
            intervals: INTERVALS,
            own: None,
        };
        let start = Instant::now();
        Self { start, snooper: Snooper::new(settings, start) }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn hear(&mut self, second: u64, way: Way, heard: &Heard) {
        let now = self.at(second);
        self.snooper.wake(now);
        self.snooper.hear(way, heard, now);
    }

    fn ask(&mut self, second: u64, way: Way, last: u8, query: Query<'static>) {
        self.hear(second, way, &by(last, Message::Query(query)));
    }

    fn wake(&mut self, second: u64) {
        self.snooper.wake(self.at(second));
    }

    fn members(&self, number: u32) -> Vec<AdjacencyIndex> {
        let members = self.snooper.groups.get(&group(number)).map(|group| group.members.keys());
        members.into_iter().flatten().copied().collect()
    }

    /// The second in which it wants to be woken.
    fn next(&self) -> Option<u64> {
        self.snooper.next().map(|next| (next - self.start).as_secs())
    }
}

#[test]
fn a_member_that_is_silent_is_forgotten() {
    let mut bench = Bench::new();
    bench.hear(0, PORT, &report(1));
    bench.hear(100, PEER, &report(1));
    bench.hear(200, PORT, &report(1));
    bench.wake(359);
    assert_eq!(bench.members(1), [1, 9]);
    bench.snooper.changed = false;
    bench.wake(360);
    assert_eq!((bench.members(1), bench.snooper.changed), (vec![1], true));
    bench.wake(460);
    assert!(bench.snooper.groups.is_empty() && bench.next().is_none());
}

#[test]
fn the_querier_says_how_long_a_membership_holds() {
    let mut bench = Bench::new();
    let said = Query {
        robustness: 3,
        interval: Duration::from_secs(20),
        ..query(Version::Igmp3, None, 50)
    };
    bench.ask(0, PEER, 4, said);
    bench.hear(1, PORT, &report(1));
    bench.wake(65);
    assert_eq!(bench.members(1), [1]);
    bench.wake(66);
    assert_eq!(bench.members(1), [0; 0], "three intervals of 20 s, and 5 s for the answer");
}

#[test]
fn a_leave_waits_for_the_querier_s_question() {
    let mut bench = Bench::new();
    bench.ask(0, PEER, 4, query(Version::Igmp2, None, 100));
    bench.hear(1, PORT, &report(1));
    bench.hear(1, PEER, &report(1));
    bench.hear(2, PORT, &leave(1));
    bench.wake(100);
    assert_eq!(bench.members(1), [1, 9], "nobody asked");
    bench.ask(100, PEER, 4, query(Version::Igmp2, Some(group(1)), 10));
    bench.hear(101, PEER, &report(1));
    bench.wake(102);
    assert_eq!(bench.members(1), [9], "who answers stays");
    let suppressed = Query { suppress: true, ..query(Version::Igmp3, Some(group(1)), 10) };
    bench.ask(103, PEER, 4, suppressed);
    bench.wake(110);
    assert_eq!(bench.members(1), [9], "a query that leaves timers alone");
    // Of two queriers the one with the lower address is it.
    bench.ask(111, PORT, 5, query(Version::Igmp2, Some(group(1)), 10));
    bench.wake(120);
    assert_eq!(bench.members(1), [9], "not the querier's question");
}

#[test]
fn limits_hold_for_a_port_and_for_all() {
    let mut bench = Bench::new();
    for number in 0..70 {
        bench.hear(0, PORT, &report(number));
        bench.hear(0, PORT, &report(number));
    }
    assert_eq!((bench.snooper.groups.len(), bench.snooper.counts.groups_refused), (60, 20));
    for number in 0..60 {
        bench.hear(1, PEER, &report(number + 50));
    }
    assert_eq!((bench.snooper.groups.len(), bench.snooper.counts.groups_refused), (100, 30));
    // What was forgotten makes room.
    bench.wake(260);
    assert_eq!(bench.snooper.groups.len(), 50);
    for number in 200..260 {
        bench.hear(260, PORT, &report(number));
    }
    assert_eq!((bench.snooper.groups.len(), bench.snooper.counts.groups_refused), (100, 40));
}

#[test]
fn coming_and_going_leaves_nothing_behind() {
    let mut bench = Bench::new();
    bench.snooper.settings.fast_leave = true;
    for round in 0..1000 {
        for number in 0..50 {
            bench.hear(round / 10, PORT, &report(number));
            bench.hear(round / 10, PORT, &leave(number));
        }
        bench.ask(round / 10, PEER, 4, query(Version::Igmp2, None, 100));
    }
    assert_eq!(bench.snooper.groups.len(), 0);
    assert_eq!(bench.snooper.alarms(), 1, "the querier's");
    bench.hear(100, PORT, &report(1));
    assert_eq!(bench.snooper.counts.groups_refused, 0);
}

#[test]
fn what_is_behind_ways_that_are_gone_is_forgotten() {
    let mut bench = Bench::new();
    bench.hear(0, PORT, &report(1));
    bench.hear(0, PEER, &report(1));
    bench.hear(0, PORT, &report(2));
    bench.ask(0, PORT, 4, query(Version::Igmp2, None, 100));
    assert_eq!(bench.snooper.routers(Family::V4), [7, 1]);
    bench.snooper.retain(|way| way == 9, bench.start);
    assert_eq!((bench.members(1), bench.members(2)), (vec![9], vec![]));
    assert_eq!(bench.snooper.routers(Family::V4), [7], "the operator's");
    assert!(bench.snooper.queriers[0].other().is_none());
}

/// A querier of IPv4, and what is asked of it.
struct Election {
    start: Instant,
    querier: Querier,
}

impl Election {
    fn ask(&mut self, second: u64, last: u8) -> bool {
        self.ask_as(second, last, last)
    }

    fn ask_as(&mut self, second: u64, last: u8, mac: u8) -> bool {
        let query = query(Version::Igmp2, None, 100);
        let now = self.start + Duration::from_secs(second);
        self.querier.lapse(now);
        let heard = Heard { mac: MacAddr([2, 0, 0, 0, 0, mac]), ..by(last, Message::Query(query)) };
        let patience = self.querier.hear_query(3, &heard, &query, &INTERVALS, now);
        self.querier.lapse(now);
        patience.is_some()
    }

    fn elected(&self) -> u8 {
        self.querier.other().map_or(0, |other| match other.address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => panic!(),
        })
    }
}

#[test]
fn the_lowest_address_is_the_querier_until_it_is_silent() {
    let mut election = Election { start: Instant::now(), querier: Querier::default() };
    assert!(election.ask(0, 0) && election.ask(1, 0));
    assert_eq!(election.querier.routers().count(), 0, "without an address, no router");
    for (second, last, accepted, elected) in
        [(2, 9, true, 9), (3, 5, true, 5), (4, 9, false, 5), (5, 0, false, 5), (6, 5, true, 5)]
    {
        assert_eq!((election.ask(second, last), election.elected()), (accepted, elected));
    }
    assert!(!election.ask(260, 9), "silent since second 6, and 255 s are not over");
    assert!(election.ask(261, 9));
    assert_eq!(election.elected(), 9);
}

#[test]
fn members_are_all_known_when_everybody_had_time_to_answer() {
    let mut election = Election { start: Instant::now(), querier: Querier::default() };
    let is_ready = |election: &mut Election, second| {
        election.querier.lapse(election.start + Duration::from_secs(second));
        (election.querier.is_ready(), election.querier.take_changed())
    };
    assert_eq!(is_ready(&mut election, 0), (false, false));
    election.ask(0, 0);
    assert_eq!(is_ready(&mut election, 9), (false, false));
    assert_eq!(is_ready(&mut election, 10), (true, true));
    assert_eq!(is_ready(&mut election, 11), (true, false));
    election.ask(100, 0);
    assert_eq!(is_ready(&mut election, 101), (true, false));
    assert_eq!(is_ready(&mut election, 354), (true, false));
    assert_eq!(is_ready(&mut election, 355), (false, true), "the querier is gone");
}

/// Ourselves, without an address, with a MAC that ends in 3.
fn asking() -> Election {
    let start = Instant::now();
    let mut querier = Querier::default();
    querier.set_own(Some((Ipv4Addr::UNSPECIFIED.into(), MacAddr([2, 0, 0, 0, 0, 3]))), start);
    Election { start, querier }
}

/// The seconds in which we ask, of these.
fn asked(election: &mut Election, seconds: std::ops::Range<u64>) -> Vec<u64> {
    let due = |second: &u64| {
        let now = election.start + Duration::from_secs(*second);
        election.querier.lapse(now);
        election.querier.take_due(&INTERVALS, now)
    };
    seconds.filter(due).collect()
}

#[test]
fn we_ask_twice_at_first_then_at_intervals() {
    let mut election = asking();
    assert_eq!(asked(&mut election, 0..300), [0, 32, 157, 282]);
    assert!(election.querier.is_ready());
    assert_eq!(election.querier.membership(&INTERVALS), Duration::from_secs(260));
}

#[test]
fn we_ask_only_where_no_better_one_does() {
    let mut election = asking();
    assert_eq!(asked(&mut election, 0..40), [0, 32]);
    assert!(!election.ask_as(40, 0, 9), "a higher MAC, and no address either");
    assert!(!election.ask_as(41, 0, 3), "our own query, come back by a loop");
    assert!(election.querier.asks_as().is_some());
    assert!(election.ask_as(50, 0, 2));
    assert_eq!((election.querier.asks_as(), asked(&mut election, 50..305)), (None, vec![]));
    assert!(election.querier.is_ready());
    // Silent for 255 s: we begin anew, and what is known stays known.
    assert_eq!(asked(&mut election, 305..400), [305, 337]);
    assert!(election.querier.is_ready() && election.querier.asks_as().is_some());
    assert!(election.ask_as(400, 9, 9), "any address is better than none");
    assert_eq!(election.elected(), 9);
}

#[test]
fn we_begin_to_ask_and_stop_when_told() {
    let own = |last: u8| Some((Ipv4Addr::new(10, 0, 0, last).into(), MacAddr([2, 0, 0, 0, 0, 3])));
    let mut election = Election { start: Instant::now(), querier: Querier::default() };
    let at = |second| election.start + Duration::from_secs(second);
    let [begin, lower, end] = [10, 20, 40].map(at);
    election.ask(0, 5);
    election.querier.set_own(own(9), begin);
    assert_eq!(asked(&mut election, 10..20), [0; 0], "a better one does");
    election.querier.set_own(own(4), lower);
    assert_eq!((asked(&mut election, 20..40), election.elected()), (vec![20], 0));
    assert!(election.querier.is_ready(), "who is known stays known");
    election.querier.set_own(None, end);
    assert_eq!(asked(&mut election, 40..400), [0; 0]);
    assert!(!election.querier.is_ready(), "nobody asks");
}

#[test]
fn other_settings_forget_nobody_and_restart_the_questions_only_if_those_are_others() {
    let mut bench = Bench::new();
    let mac = MacAddr([2, 0, 0, 0, 0, 3]);
    let own = Some(Station { mac, ipv4: Ipv4Addr::UNSPECIFIED, ipv6: mac.link_local() });
    let settings = |intervals, group_limit| Settings {
        group_limit,
        port_group_limit: 60,
        fast_leave: true,
        routers: Vec::new(),
        intervals,
        own,
    };
    let configure = |bench: &mut Bench, second, settings| {
        bench.snooper.configure(settings, bench.at(second));
        bench.wake(second);
        std::mem::take(&mut bench.snooper.outgoing).len()
    };
    bench.hear(0, PORT, &report(1));
    assert_eq!(configure(&mut bench, 1, settings(INTERVALS, 100)), 2, "one a family");
    assert_eq!(configure(&mut bench, 2, settings(INTERVALS, 1)), 0);
    let often = Intervals { query: Duration::from_secs(60), ..INTERVALS };
    assert_eq!(configure(&mut bench, 3, settings(often, 1)), 2);
    bench.hear(4, PEER, &report(2));
    assert_eq!((bench.members(1), bench.members(2)), (vec![1], vec![]));
    assert_eq!(bench.snooper.counts.groups_refused, 1);
}
