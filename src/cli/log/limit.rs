//! No kind of message fills a disk: of each only so many lines are written in a while, and one that says how many were not.
//!
//! A kind is a place in the source. What traffic brings about, such as peers that somebody forges or next hops that flap, is
//! of a few kinds; so their lines are bounded, whoever sends what. Levels debug and trace have no limit: who asks for these
//! wants all of it.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// How long lines of a kind are counted together.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// The target of the line that says how many were withheld.
const TARGET: &str = "ferry::log";

/// How many lines of a kind are written in an interval.
#[derive(Clone)]
pub struct Limit {
    most: u64,
    kinds: Arc<Mutex<Kinds>>,
}

#[derive(Default)]
struct Kinds {
    kinds: HashMap<Identifier, Kind>,
    /// Whether somebody will say what was withheld.
    is_awaited: bool,
}

/// What became of one kind's lines.
struct Kind {
    since: Instant,
    lines: u64,
    /// The first one that was not written.
    withheld: Option<String>,
    target: &'static str,
}

/// What was withheld of one kind.
#[derive(Debug, PartialEq, Eq)]
struct Withheld {
    lines: u64,
    target: &'static str,
    first: String,
}

impl Limit {
    /// Of `most` lines.
    pub fn new(most: u64) -> Self {
        Self { most, kinds: Arc::default() }
    }

    /// Says what was withheld so far, of kinds that are silent from now on, too.
    pub fn finish(&self) {
        self.tell(None);
    }

    fn lock(&self) -> MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line is to be written; `text` is asked for once an interval at most.
    fn admits(
        &self,
        of: &'static Metadata<'static>,
        now: Instant,
        text: impl FnOnce() -> String,
    ) -> bool {
        let mut kinds = self.lock();
        let begin = || Kind { since: now, lines: 0, withheld: None, target: of.target() };
        let kind = kinds.kinds.entry(of.callsite()).or_insert_with(begin);
        if kind.withheld.is_none() && now.duration_since(kind.since) >= INTERVAL {
            (kind.since, kind.lines) = (now, 0);
        }
        kind.lines += 1;
        if kind.lines <= self.most {
            return true;
        }
        if kind.withheld.is_none() {
            kind.withheld = Some(text());
        }
        if !std::mem::replace(&mut kinds.is_awaited, true) {
            let limit = self.clone();
            // It lives no longer than there is something to say, on the CPU of who was withheld.
            thread::spawn(move || while limit.tell_next() {});
        }
        false
    }

    /// Waits for the end of an interval, and says what was withheld. Returns whether there may be more.
    fn tell_next(&self) -> bool {
        thread::sleep(INTERVAL / 10);
        self.tell(Some(Instant::now()));
        let mut kinds = self.lock();
        kinds.is_awaited = kinds.kinds.values().any(|kind| kind.withheld.is_some());
        kinds.is_awaited
    }

    fn tell(&self, now: Option<Instant>) {
        for Withheld { lines, target, first } in self.take(now) {
            tracing::warn!(target: TARGET, withheld = lines, of = target, "too many lines, the first like: {first}");
        }
    }

    /// What was withheld in intervals that are over, or in all.
    fn take(&self, now: Option<Instant>) -> Vec<Withheld> {
        let mut kinds = self.lock();
        let is_over =
            |kind: &Kind| now.is_none_or(|now| now.duration_since(kind.since) >= INTERVAL);
        let over = kinds.kinds.values_mut().filter(|kind| is_over(kind));
        let take = |kind: &mut Kind| {
            let first = kind.withheld.take()?;
            let lines = kind.lines - self.most;
            // The next interval begins with the next line.
            kind.lines = 0;
            kind.since = now.unwrap_or(kind.since);
            Some(Withheld { lines, target: kind.target, first })
        };
        over.filter_map(take).collect()
    }
}

impl<S: Subscriber> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let of = event.metadata();
        // Levels are ordered by how much they say.
        let is_free = self.most == 0 || *of.level() > Level::INFO || of.target() == TARGET;
        is_free || self.admits(of, Instant::now(), || Message::of(event))
    }
}

/// A message's text.
#[derive(Default)]
struct Message(String);

impl Message {
    fn of(event: &Event<'_>) -> String {
        let mut message = Self::default();
        event.record(&mut message);
        message.0
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Callsite;

    fn kinds() -> [&'static Metadata<'static>; 2] {
        [
            tracing::callsite! {name: "a", kind: tracing::metadata::Kind::EVENT, target: "a", level: Level::INFO, fields: x},
            tracing::callsite! {name: "b", kind: tracing::metadata::Kind::EVENT, target: "b", level: Level::INFO, fields: x},
        ]
        .map(|site| site.metadata())
    }

    #[test]
    fn each_kind_has_its_lines_in_an_interval_and_the_rest_is_counted() {
        let [a, b] = kinds();
        let limit = Limit::new(3);
        limit.lock().is_awaited = true;
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let admitted = |of, now, count| {
            (0..count).filter(|number| limit.admits(of, now, || format!("number {number}"))).count()
        };
        assert_eq!(
            (admitted(a, at(0), 10), admitted(a, at(9), 5), admitted(b, at(9), 2)),
            (3, 0, 2)
        );
        assert_eq!(limit.take(Some(at(9))), []);
        let withheld = Withheld { lines: 12, target: "a", first: "number 3".to_owned() };
        assert_eq!(limit.take(Some(at(10))), [withheld]);
        assert_eq!(limit.take(Some(at(30))), []);
        assert_eq!((admitted(a, at(11), 4), admitted(b, at(20), 5)), (3, 3));
        // Each line is written, or counted.
        let mut rest = limit.take(None);
        rest.sort_by_key(|of| of.target);
        assert_eq!(rest.iter().map(|of| of.lines).collect::<Vec<_>>(), [1, 2]);
    }
}
