//! What the stations behind one port or peer want of one group: the tables of RFC 3376 section 6.4, which RFC 3810 section 7.4
//! has too.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::wire::membership::{RecordKind, Version};

/// Sources that are kept of one member: what a station can make a VTEP remember by one group.
pub const SOURCES: usize = 64;

/// The state of a group at one port or peer.
#[derive(Debug)]
pub struct Member {
    /// In EXCLUDE mode until then; `None`: in INCLUDE mode.
    exclude_until: Option<Instant>,
    /// Sources with a time are wanted until then; those without are not, which only EXCLUDE mode has.
    sources: BTreeMap<IpAddr, Option<Instant>>,
    /// Until when there may be stations that speak IGMPv1, and IGMPv2 or MLDv1.
    older: [Option<Instant>; 2],
    /// What was spoken last.
    pub version: Version,
}

/// What a querier asks before it believes that nobody else wants it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Does anybody listen to the group in EXCLUDE mode?
    pub group: bool,
    /// Does anybody listen to these sources?
    pub sources: Vec<IpAddr>,
}

/// What a word changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether frames go to other places now.
    pub changed: bool,
    /// What to ask.
    pub asks: Asks,
    /// Sources that were too many.
    pub refused: usize,
}

impl Member {
    /// Wants nothing yet.
    pub fn new(version: Version) -> Self {
        Self { exclude_until: None, sources: BTreeMap::new(), older: [None; 2], version }
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.exclude_until.is_none() && self.sources.is_empty()
    }

    /// Whether it is in EXCLUDE mode, that is, sources that nobody named are wanted; until when.
    pub fn exclude_until(&self) -> Option<Instant> {
        self.exclude_until
    }

    /// The sources that were named: until when they are wanted, or that they are not.
    pub fn sources(&self) -> impl Iterator<Item = (IpAddr, Option<Instant>)> {
        self.sources.iter().map(|(source, until)| (*source, *until))
    }

    /// Until when a source that was named is wanted, if it is.
    pub fn wanted_until(&self, source: IpAddr) -> Option<Instant> {
        self.sources.get(&source).copied().flatten()
    }

    /// Whether a source's frames are wanted.
    pub fn wants(&self, source: IpAddr) -> bool {
        match self.sources.get(&source) {
            Some(until) => until.is_some(),
            None => self.exclude_until.is_some(),
        }
    }

    /// Takes a word on the group; reports and leaves of older versions are records with no sources (RFC 3376 section 7.3.2).
    /// `membership` is how long it holds.
    pub fn hear(
        &mut self,
        version: Version,
        kind: RecordKind,
        sources: impl Iterator<Item = IpAddr>,
        now: Instant,
        membership: Duration,
    ) -> Outcome {
        let until = now + membership;
        self.version = version;
        match (version, kind) {
            (Version::Igmp1, _) => self.older[0] = Some(until),
            (Version::Igmp2 | Version::Mld1, RecordKind::IsExclude) => self.older[1] = Some(until),
            _ => {}
        }
        let heard = |until: Option<Instant>| until.is_some_and(|until| until > now);
        let [one, two] = self.older.map(heard);
        let mut named: Vec<IpAddr> = sources.collect();
        match kind {
            RecordKind::Block if one || two => return Outcome::default(),
            RecordKind::ToInclude if one => return Outcome::default(),
            RecordKind::ToExclude if one || two => named.clear(),
            _ => {}
        }
        named.sort_unstable();
        named.dedup();
        match kind {
            RecordKind::IsInclude | RecordKind::Allow => self.want(&named, until),
            RecordKind::ToInclude => {
                let others = self.wanted().filter(|source| named.binary_search(source).is_err());
                let asks = Asks { group: self.exclude_until.is_some(), sources: others.collect() };
                Outcome { asks, ..self.want(&named, until) }
            }
            RecordKind::IsExclude => self.exclude(&named, until, until),
            RecordKind::ToExclude => {
                let unsure = self.exclude_until.unwrap_or(until);
                let outcome = self.exclude(&named, until, unsure);
                let asks = Asks { group: false, sources: self.wanted().collect() };
                Outcome { asks, ..outcome }
            }
            RecordKind::Block => self.block(named),
        }
    }

    fn wanted(&self) -> impl Iterator<Item = IpAddr> {
        self.sources().filter_map(|(source, until)| until.map(|_| source))
    }

    /// INCLUDE (A) becomes INCLUDE (A+B), EXCLUDE (X,Y) becomes EXCLUDE (X+B,Y-B).
    fn want(&mut self, named: &[IpAddr], until: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        named.iter().for_each(|source| self.insert(*source, Some(until), &mut outcome));
        outcome
    }

    /// INCLUDE (A) becomes EXCLUDE (A*B,B-A), EXCLUDE (X,Y) becomes EXCLUDE (B-Y,Y*B), where what is new in B-Y is
    /// wanted while it is `unsure` whether somebody else wants it.
    fn exclude(&mut self, named: &[IpAddr], until: Instant, unsure: Instant) -> Outcome {
        let new = self.exclude_until.is_some().then_some(unsure);
        let before = self.sources.len();
        self.sources.retain(|source, _| named.binary_search(source).is_ok());
        let changed = new.is_none() || self.sources.len() != before;
        let mut outcome = Outcome { changed, ..Outcome::default() };
        for source in named {
            if !self.sources.contains_key(source) {
                self.insert(*source, new, &mut outcome);
            }
        }
        self.exclude_until = Some(until);
        outcome
    }

    /// INCLUDE (A) stays as it is, EXCLUDE (X,Y) becomes EXCLUDE (X+(B-Y),Y), until it is certain that nobody else wants B.
    fn block(&mut self, named: Vec<IpAddr>) -> Outcome {
        let mut outcome = Outcome::default();
        for source in &named {
            if self.exclude_until.is_some() && !self.sources.contains_key(source) {
                self.insert(*source, self.exclude_until, &mut outcome);
            }
        }
        let wanted = |source: &IpAddr| self.sources.get(source).is_some_and(Option::is_some);
        outcome.asks.sources = named.into_iter().filter(wanted).collect();
        outcome
    }

    fn insert(&mut self, source: IpAddr, until: Option<Instant>, outcome: &mut Outcome) {
        let full = self.sources.len() >= SOURCES;
        match self.sources.entry(source) {
            Entry::Occupied(mut known) => {
                let before = known.insert(until);
                outcome.changed |= before.is_some() != until.is_some();
            }
            Entry::Vacant(_) if full => outcome.refused += 1,
            Entry::Vacant(new) => {
                new.insert(until);
                outcome.changed = true;
            }
        }
    }

    /// Believes what was asked for until then at most.
    pub fn lower(&mut self, asks: &Asks, until: Instant) {
        if asks.group {
            self.exclude_until = self.exclude_until.map(|old| old.min(until));
        }
        for source in &asks.sources {
            if let Some(Some(old)) = self.sources.get_mut(source) {
                *old = (*old).min(until);
            }
        }
    }

    /// Lets go of what nobody has asked for in time. Returns whether frames go to other places now.
    pub fn lapse(&mut self, now: Instant) -> bool {
        let is_over = |until: &Option<Instant>| until.is_some_and(|until| until <= now);
        let mut changed = false;
        if is_over(&self.exclude_until) {
            // What is still wanted makes up INCLUDE mode.
            self.exclude_until = None;
            self.sources.retain(|_, until| until.is_some());
            changed = true;
        }
        if self.exclude_until.is_some() {
            for until in self.sources.values_mut().filter(|until| is_over(until)) {
                *until = None;
                changed = true;
            }
        } else {
            let before = self.sources.len();
            self.sources.retain(|_, until| !is_over(until));
            changed |= self.sources.len() != before;
        }
        changed
    }

    /// When something lapses next.
    pub fn next(&self) -> Option<Instant> {
        self.sources.values().copied().chain([self.exclude_until]).flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RecordKind::{Allow, Block, IsExclude, IsInclude, ToExclude, ToInclude};

    const MEMBERSHIP: Duration = Duration::from_secs(260);

    fn source(name: char) -> IpAddr {
        [10, 0, 0, name as u8].into()
    }

    fn sources(names: &str) -> Vec<IpAddr> {
        names.chars().map(source).collect()
    }

    struct Bench {
        start: Instant,
        member: Member,
    }

    impl Bench {
        /// After these records, one a second from second 0.
        fn after(records: &[(RecordKind, &str)]) -> Self {
            let member = Member::new(Version::Igmp3);
            let mut bench = Self { start: Instant::now(), member };
            for ((kind, names), second) in records.iter().zip(0..) {
                bench.hear(second, *kind, names);
            }
            bench
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn hear_as(
            &mut self,
            version: Version,
            second: u64,
            kind: RecordKind,
            names: &str,
        ) -> Outcome {
            let now = self.at(second);
            self.member.hear(version, kind, sources(names).into_iter(), now, MEMBERSHIP)
        }

        fn hear(&mut self, second: u64, kind: RecordKind, names: &str) -> Outcome {
            self.hear_as(Version::Igmp3, second, kind, names)
        }

        /// Mode and group timer, sources with their timers: `EX@260 a@260 -b`.
        fn state(&self) -> String {
            let second = |until: Instant| (until - self.start).as_secs();
            let mode = match self.member.exclude_until {
                Some(until) => format!("EX@{}", second(until)),
                None => "IN".to_owned(),
            };
            let sources = self.member.sources().map(|(source, until)| {
                let IpAddr::V4(address) = source else { panic!() };
                let name = char::from(address.octets()[3]);
                match until {
                    Some(until) => format!(" {name}@{}", second(until)),
                    None => format!(" -{name}"),
                }
            });
            mode + &sources.collect::<String>()
        }
    }

    fn asks(group: bool, names: &str) -> Asks {
        Asks { group, sources: sources(names) }
    }

    /// RFC 3376 sections 6.4.1 and 6.4.2, row by row: what was before, what is heard in second 9, what is then, what is asked.
    #[test]
    fn each_row_of_the_tables() {
        let include = [(IsInclude, "ab")].as_slice();
        // X = a at 260, Y = b, group timer 262.
        let exclude = [(IsInclude, "a"), (IsExclude, "ab"), (ToExclude, "ab")].as_slice();
        let rows = [
            (include, IsInclude, "bc", "IN a@260 b@269 c@269", asks(false, "")),
            (include, IsExclude, "bc", "EX@269 b@260 -c", asks(false, "")),
            (exclude, IsInclude, "bc", "EX@262 a@260 b@269 c@269", asks(false, "")),
            (exclude, IsExclude, "bc", "EX@269 -b c@269", asks(false, "")),
            (include, Allow, "bc", "IN a@260 b@269 c@269", asks(false, "")),
            (include, Block, "bc", "IN a@260 b@260", asks(false, "b")),
            (include, ToExclude, "bc", "EX@269 b@260 -c", asks(false, "b")),
            (include, ToInclude, "bc", "IN a@260 b@269 c@269", asks(false, "a")),
            (exclude, Allow, "bc", "EX@262 a@260 b@269 c@269", asks(false, "")),
            (exclude, Block, "abc", "EX@262 a@260 -b c@262", asks(false, "ac")),
            (exclude, ToExclude, "abc", "EX@269 a@260 -b c@262", asks(false, "ac")),
            (exclude, ToInclude, "bc", "EX@262 a@260 b@269 c@269", asks(true, "a")),
        ];
        for (before, kind, names, then, asked) in rows {
            let mut bench = Bench::after(before);
            let what = format!("{} + {kind:?}({names})", bench.state());
            let outcome = bench.hear(9, kind, names);
            assert_eq!((bench.state().as_str(), outcome.asks), (then, asked), "{what}");
            assert_eq!(outcome.refused, 0);
        }
    }

    #[test]
    fn a_word_that_changes_nothing_says_so() {
        for (before, again) in [
            ([(IsInclude, "ab")], (IsInclude, "b")),
            ([(IsExclude, "ab")], (IsExclude, "ab")),
            ([(IsExclude, "")], (ToExclude, "")),
        ] {
            let mut bench = Bench::after(&before);
            assert!(!bench.hear(5, again.0, again.1).changed, "{again:?}");
        }
        assert!(Bench::after(&[]).hear(0, ToExclude, "").changed);
        assert!(Bench::after(&[(IsExclude, "a")]).hear(5, Allow, "a").changed);
        assert!(!Bench::after(&[]).hear(0, ToInclude, "").changed, "leaves what it never was");
    }

    #[test]
    fn what_is_not_repeated_lapses() {
        let mut bench = Bench::after(&[(IsInclude, "a"), (IsInclude, "b")]);
        assert_eq!(bench.member.next(), Some(bench.at(260)));
        assert!(!bench.member.lapse(bench.at(259)));
        assert!(bench.member.lapse(bench.at(260)));
        assert_eq!(bench.state(), "IN b@261");
        assert!(bench.member.lapse(bench.at(300)) && bench.member.is_empty());

        // EXCLUDE's wanted sources become blocked; when its own time is over they make up INCLUDE.
        let mut bench = Bench::after(&[(IsExclude, "a"), (Allow, "b"), (IsExclude, "ab")]);
        assert_eq!(bench.state(), "EX@262 -a b@261");
        assert!(bench.member.lapse(bench.at(261)));
        assert_eq!(bench.state(), "EX@262 -a -b");
        assert!(bench.member.lapse(bench.at(262)) && bench.member.is_empty());
        let mut bench = Bench::after(&[(IsExclude, "a"), (Allow, "b")]);
        assert!(bench.member.lapse(bench.at(260)));
        assert_eq!(bench.state(), "IN b@261");
    }

    #[test]
    fn what_is_asked_for_is_believed_for_a_shorter_time() {
        let mut bench = Bench::after(&[(IsExclude, "a"), (Allow, "b")]);
        bench.member.lower(&asks(true, "a"), bench.at(12));
        assert_eq!(bench.state(), "EX@12 -a b@261");
        bench.member.lower(&asks(true, "b"), bench.at(13));
        assert_eq!(bench.state(), "EX@12 -a b@13", "never longer");
    }

    #[test]
    fn who_is_wanted() {
        let wants = |bench: &Bench| {
            "abc".chars().filter(|of| bench.member.wants(source(*of))).collect::<String>()
        };
        assert_eq!(wants(&Bench::after(&[(IsInclude, "ab")])), "ab");
        assert_eq!(wants(&Bench::after(&[(IsExclude, "ab")])), "c");
        assert_eq!(wants(&Bench::after(&[(IsExclude, "ab"), (Allow, "a")])), "ac");
    }

    #[test]
    fn where_older_stations_are_newer_words_count_for_less() {
        let mut bench = Bench::after(&[]);
        bench.hear_as(Version::Igmp2, 0, IsExclude, "");
        assert_eq!(bench.hear(1, Block, "a"), Outcome::default());
        assert_eq!(bench.hear(2, ToExclude, "a").asks, asks(false, ""));
        assert_eq!(bench.state(), "EX@262", "the list is ignored");
        assert_eq!(bench.hear_as(Version::Igmp2, 3, ToInclude, "").asks, asks(true, ""));

        bench.hear_as(Version::Igmp1, 4, IsExclude, "");
        assert_eq!(bench.hear_as(Version::Igmp2, 5, ToInclude, ""), Outcome::default());
        assert_eq!(bench.hear(6, ToInclude, ""), Outcome::default(), "IGMPv1 cannot leave");

        // Until they have been silent for as long as a membership holds.
        assert_eq!(bench.hear(264, ToInclude, "").asks, asks(true, ""));
        let mut bench = Bench::after(&[]);
        bench.hear_as(Version::Mld1, 0, IsExclude, "");
        assert_eq!(bench.hear(1, Block, "a"), Outcome::default());
    }

    #[test]
    fn sources_are_limited() {
        let many =
            |count| (0..count).map(|last: u32| IpAddr::from((0x0a00_0000 + last).to_be_bytes()));
        let mut member = Member::new(Version::Igmp3);
        let now = Instant::now();
        let outcome = member.hear(Version::Igmp3, Allow, many(100), now, MEMBERSHIP);
        assert_eq!((outcome.refused, member.sources().count()), (100 - SOURCES, SOURCES));
        let outcome = member.hear(Version::Igmp3, Allow, many(10), now, MEMBERSHIP);
        assert_eq!(outcome, Outcome::default(), "known ones are refreshed");
    }
}
