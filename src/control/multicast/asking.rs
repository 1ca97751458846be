//! Questions for one group, asked when somebody leaves it (RFC 3376 section 6.6.3).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use super::member::{Asks, Member, SOURCES};
use super::querier::{Intervals, ROBUSTNESS};
use crate::worker::AdjacencyIndex;

/// What is still to be asked, and how often.
#[derive(Default)]
pub struct Asking {
    group: u8,
    sources: BTreeMap<IpAddr, u8>,
    next: Option<Instant>,
}

/// One query.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// Of which sources; none: of the group.
    pub sources: Vec<IpAddr>,
    /// Whether the answer has come already, so that routers leave their timers alone.
    pub suppress: bool,
}

impl Asking {
    /// Asks for more, beginning now. What there is no room for is taken out of `asks`.
    pub fn add(&mut self, asks: &mut Asks, now: Instant) {
        if asks.group {
            self.group = ROBUSTNESS;
        }
        asks.sources.retain(|source| {
            let room = self.sources.len() < SOURCES || self.sources.contains_key(source);
            if room {
                self.sources.insert(*source, ROBUSTNESS);
            }
            room
        });
        self.next.get_or_insert(now);
    }

    /// When to ask again.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// What to ask now.
    pub fn due(
        &mut self,
        members: &BTreeMap<AdjacencyIndex, Member>,
        intervals: &Intervals,
        now: Instant,
    ) -> Vec<Question> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        let soon = now + intervals.patience();
        let low = |until: Option<Instant>| until.is_some_and(|until| until <= soon);
        let mut questions = Vec::new();
        if self.group > 0 {
            let unsure = || members.values().any(|member| low(member.exclude_until()));
            let suppress = self.group < ROBUSTNESS && !members.is_empty() && !unsure();
            questions.push(Question { sources: Vec::new(), suppress });
            self.group -= 1;
        }
        let (mut answered, mut open) = (Vec::new(), Vec::new());
        for (source, left) in &mut self.sources {
            let unsure = || members.values().any(|member| low(member.wanted_until(*source)));
            let list = if *left < ROBUSTNESS && !unsure() { &mut answered } else { &mut open };
            list.push(*source);
            *left -= 1;
        }
        self.sources.retain(|_, left| *left > 0);
        let lists = [(open, false), (answered, true)].into_iter();
        let lists = lists.filter(|(sources, _)| !sources.is_empty());
        questions.extend(lists.map(|(sources, suppress)| Question { sources, suppress }));
        let over = self.group == 0 && self.sources.is_empty();
        self.next = (!over).then(|| now + intervals.last_member);
        questions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::membership::{RecordKind, Version};
    use std::time::Duration;

    const INTERVALS: Intervals = Intervals {
        query: Duration::from_secs(125),
        response: Duration::from_secs(10),
        last_member: Duration::from_secs(1),
    };

    struct Bench {
        start: Instant,
        asking: Asking,
        members: BTreeMap<AdjacencyIndex, Member>,
    }

    impl Bench {
        fn new() -> Self {
            let (asking, members) = Default::default();
            Self { start: Instant::now(), asking, members }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        /// The member says this, and what it asks for is asked and believed for two seconds.
        fn hear(&mut self, second: u64, kind: RecordKind, sources: &[IpAddr]) {
            let now = self.at(second);
            let member = self.members.entry(1).or_insert_with(|| Member::new(Version::Igmp3));
            let membership = Duration::from_secs(260);
            let sources = sources.iter().copied();
            let mut asks = member.hear(Version::Igmp3, kind, sources, now, membership).asks;
            if asks != Asks::default() {
                self.asking.add(&mut asks, now);
                member.lower(&asks, now + INTERVALS.patience());
            }
        }

        /// What is asked in a second, as `sources suppress`.
        fn asked(&mut self, second: u64) -> Vec<(usize, bool)> {
            let now = self.at(second);
            let questions = self.asking.due(&self.members, &INTERVALS, now);
            questions.iter().map(|question| (question.sources.len(), question.suppress)).collect()
        }
    }

    #[test]
    fn a_leave_is_followed_by_two_questions_a_second_apart() {
        let mut bench = Bench::new();
        bench.hear(0, RecordKind::IsExclude, &[]);
        assert_eq!(bench.asked(0), []);
        bench.hear(5, RecordKind::ToInclude, &[]);
        assert_eq!((bench.asked(5), bench.asked(5)), (vec![(0, false)], vec![]));
        bench.hear(5, RecordKind::ToInclude, &[]);
        assert_eq!(bench.asking.next(), Some(bench.at(6)), "no sooner, however often they leave");
        assert_eq!(
            (bench.asked(6), bench.asked(7), bench.asked(8)),
            (vec![(0, false)], vec![(0, false)], vec![])
        );
        assert_eq!(bench.asking.next(), None);
    }

    #[test]
    fn who_has_answered_is_asked_without_a_hurry() {
        let mut bench = Bench::new();
        bench.hear(0, RecordKind::IsExclude, &[]);
        bench.hear(5, RecordKind::ToInclude, &[]);
        assert_eq!(bench.asked(5), [(0, false)]);
        bench.hear(5, RecordKind::IsExclude, &[]);
        assert_eq!(bench.asked(6), [(0, true)]);
        assert_eq!(bench.asked(7), []);
    }

    #[test]
    fn of_sources_those_that_were_answered_are_asked_apart() {
        let [a, b]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut bench = Bench::new();
        bench.hear(0, RecordKind::IsInclude, &[a, b]);
        bench.hear(1, RecordKind::Block, &[a, b]);
        assert_eq!(bench.asked(1), [(2, false)]);
        bench.hear(1, RecordKind::IsInclude, &[a]);
        assert_eq!(bench.asked(2), [(1, false), (1, true)]);
        assert_eq!(bench.asked(3), []);
    }

    #[test]
    fn what_there_is_no_room_for_is_not_asked() {
        let sources = |from: u32| {
            (from..from + 40).map(|last| IpAddr::from((0x0a00_0000 + last).to_be_bytes()))
        };
        let mut asking = Asking::default();
        let mut lists = [0, 40].map(|from| Asks { group: false, sources: sources(from).collect() });
        lists.iter_mut().for_each(|asks| asking.add(asks, Instant::now()));
        assert_eq!(lists.map(|asks| asks.sources.len()), [40, SOURCES - 40]);
    }
}
