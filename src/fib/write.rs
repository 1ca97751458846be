//! The writer's side: one owner on the control core, who changes the table under the readers.

use std::alloc::{Layout, handle_alloc_error};
use std::mem::ManuallyDrop;

use super::entry::{Entry, MacKey};
use super::qsbr::Reclaimer;
use super::read::{Fib, prefetch};
use super::sync::Ordering;
use super::table::{Seed, Table, WAYS};

/// Seeds tried for a table that some key finds no place in.
const TRIES: usize = 4;

/// What an insertion changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The MAC was not there.
    New,
    /// It was there, with this entry.
    Updated(Entry),
}

/// Why an insertion failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// The network has as many learned MACs as it may.
    #[error("the limit of {0} learned MACs is reached")]
    LimitReached(usize),
    /// No memory for a larger table, or no place near the key's home in any that was tried, though the limit is
    /// not reached ([`FibWriter::crowded`] counts these).
    #[error("no place for one more beside {0} MACs, though the limit is not reached")]
    NoPlace(usize),
    /// The address is all zero or a group address, which no station has.
    #[error("not a station's MAC address")]
    NotAStation,
}

/// The one who writes a [`Fib`].
pub struct FibWriter {
    fib: Fib,
    /// The FIB's own table.
    table: ManuallyDrop<Table>,
    /// Where the FIB has the table's seed.
    side: usize,
    /// When the readers have passed this mark, the other side may get a new seed.
    reseeded: Option<u64>,
    learned: usize,
    fixed: usize,
    limit: usize,
    crowded: u64,
    /// New keys since the last attempt to rebuild the table. They pay for the next: it costs each of
    /// them O(1), whether it helps or not.
    paid: usize,
    /// Slots emptied since the mark below.
    emptied: Vec<u32>,
    /// Slots emptied before it: free when the readers have passed it.
    waiting: Vec<u32>,
    mark: Option<u64>,
}

impl FibWriter {
    /// Buckets of one [`Self::page`] at most: a nearly empty table must not hold the control core up.
    const PAGE: usize = 1 << 14;

    /// An empty table that holds at most `limit` learned entries.
    pub fn new(limit: usize) -> Self {
        Self::with_seed(limit, Seed::random())
    }

    pub(super) fn with_seed(limit: usize, seed: Seed) -> Self {
        let table = Table::new(Table::SMALLEST, seed);
        let table = ManuallyDrop::new(table.unwrap_or_else(|| no_memory()));
        Self {
            fib: Fib::new(&table).unwrap_or_else(|| no_memory()),
            table,
            side: 0,
            reseeded: None,
            learned: 0,
            fixed: 0,
            limit,
            crowded: 0,
            paid: 0,
            emptied: Vec::new(),
            waiting: Vec::new(),
            mark: None,
        }
    }

    /// The readers' side.
    pub fn shared(&self) -> Fib {
        self.fib.clone()
    }

    /// Learned entries.
    pub fn learned(&self) -> usize {
        self.learned
    }

    /// Static entries.
    pub fn fixed(&self) -> usize {
        self.fixed
    }

    /// The most learned entries that it takes. A lower limit than what is there refuses new MACs and removes
    /// none.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The most learned entries that it takes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Insertions refused though the limit was not reached: no memory, or no place near the key's home.
    pub fn crowded(&self) -> u64 {
        self.crowded
    }

    /// Buckets of the table.
    pub fn buckets(&self) -> usize {
        self.table.buckets().len()
    }

    /// Bytes of the table.
    pub fn memory(&self) -> usize {
        size_of_val(self.table.buckets())
    }

    /// Fetches the bucket that a MAC begins at, for a [`Self::get`] or [`Self::insert`] soon after.
    pub fn prefetch(&self, key: MacKey) {
        prefetch(self.table.home(key));
    }

    /// The entry of a MAC.
    pub fn get(&self, key: MacKey) -> Option<Entry> {
        Entry::from_word(self.table.value(self.table.find(key)?).load(Ordering::Relaxed))
    }

    /// Adds or replaces the entry of a MAC. Most calls take a few cache misses; one that makes the
    /// table grow takes milliseconds a million entries.
    ///
    /// # Errors
    /// The limit is reached (static entries do not count), there is no place in the table, or the address is no
    /// station's.
    pub fn insert(
        &mut self,
        key: MacKey,
        entry: Entry,
        reclaimer: &mut Reclaimer,
    ) -> Result<Change, InsertError> {
        if !key.is_station() {
            return Err(InsertError::NotAStation);
        }
        let slot = self.table.find(key);
        let value = slot.map(|slot| self.table.value(slot));
        let old = value.and_then(|value| Entry::from_word(value.load(Ordering::Relaxed)));
        let was_learned = old.is_some_and(|old| !old.is_static());
        if !entry.is_static() && !was_learned && self.learned >= self.limit {
            return Err(InsertError::LimitReached(self.limit));
        }
        if let Some(value) = value {
            value.store(entry.word(), Ordering::Release);
        } else if !self.place(key, entry, reclaimer) {
            self.crowded += 1;
            return Err(InsertError::NoPlace(self.learned + self.fixed));
        }
        if let Some(old) = old {
            *self.count(old) -= 1;
        }
        *self.count(entry) += 1;
        Ok(old.map_or(Change::New, Change::Updated))
    }

    /// Removes a MAC. Returns what its entry was.
    pub fn remove(&mut self, key: MacKey) -> Option<Entry> {
        let slot = self.table.find(key)?;
        let old = Entry::from_word(self.table.value(slot).swap(0, Ordering::AcqRel))?;
        self.empty(slot, old);
        Some(old)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (MacKey, Entry)> + '_ {
        self.table.entries(0..self.table.buckets().len())
    }

    /// The entries from bucket `cursor` on, until at least `wanted` were found or [`Self::PAGE`] buckets looked
    /// at, and where to go on; `None` behind the last.
    pub fn page(&self, cursor: usize, wanted: usize) -> (Vec<(MacKey, Entry)>, Option<usize>) {
        let buckets = self.table.buckets().len();
        let mut found = Vec::new();
        for bucket in cursor..buckets {
            if found.len() >= wanted || bucket - cursor == Self::PAGE {
                return (found, Some(bucket));
            }
            found.extend(self.table.entries(bucket..bucket + 1));
        }
        (found, None)
    }

    /// Looks at the entries from bucket `cursor` on, `budget` buckets at most, and removes those that `keep`
    /// refuses. Returns the next cursor: zero when the table is through, which may also shrink it.
    pub fn sweep(
        &mut self,
        cursor: usize,
        budget: usize,
        reclaimer: &mut Reclaimer,
        mut keep: impl FnMut(MacKey, Entry) -> bool,
    ) -> usize {
        let buckets = self.table.buckets().len();
        let end = cursor.saturating_add(budget).min(buckets);
        for bucket in cursor.min(end)..end {
            for slot in bucket * WAYS..(bucket + 1) * WAYS {
                let Some((key, entry)) = self.table.entry(slot) else { continue };
                // A worker that sees the MAC just now refreshes the entry: then it stays.
                if !keep(key, entry) && self.table.clear(slot, entry) {
                    self.empty(slot, entry);
                }
            }
        }
        if end < buckets {
            return end;
        }
        let live = self.learned + self.fixed;
        if self.table.log2() > Table::SMALLEST && live * 16 < self.table.slots() {
            self.rebuild_to(fitting(live), |_, _| true, reclaimer);
        }
        0
    }

    /// Publishes a fresh table with just the entries that `keep` accepts: readers see all others gone
    /// at once.
    pub fn rebuild(&mut self, keep: impl Fn(MacKey, Entry) -> bool, reclaimer: &mut Reclaimer) {
        let kept = self.iter().filter(|(key, entry)| keep(*key, *entry)).count();
        if !self.rebuild_to(fitting(kept).min(self.table.log2()), &keep, reclaimer) {
            // No memory for a fresh table: then one by one.
            self.sweep(0, usize::MAX, reclaimer, keep);
        }
    }

    /// Frees the slots of removed entries that no reader can be looking at any more; never waits.
    /// Call it often.
    pub fn reclaim(&mut self, reclaimer: &mut Reclaimer) {
        if let Some(mark) = self.mark {
            if !reclaimer.passed(mark) {
                return;
            }
            self.mark = None;
            for slot in std::mem::take(&mut self.waiting) {
                self.table.free(slot as usize);
            }
        }
        if !self.emptied.is_empty() {
            self.waiting = std::mem::take(&mut self.emptied);
            self.mark = Some(reclaimer.mark());
        }
    }

    /// The slot of a MAC, for the model.
    #[cfg(test)]
    #[allow(dead_code)]
    pub(super) fn slot(&self, key: MacKey) -> Option<usize> {
        self.table.find(key)
    }

    /// The seed of the table, for tests.
    #[cfg(test)]
    #[allow(dead_code)]
    pub(super) fn seed(&self) -> Seed {
        self.table.seed()
    }

    fn count(&mut self, entry: Entry) -> &mut usize {
        if entry.is_static() { &mut self.fixed } else { &mut self.learned }
    }

    /// Hides the slot of an entry that was removed.
    fn empty(&mut self, slot: usize, entry: Entry) {
        *self.count(entry) -= 1;
        self.table.empty(slot);
        self.emptied.push(slot as u32);
    }

    /// Finds room for a new key: in the table, in a larger one, or with another seed.
    fn place(&mut self, key: MacKey, entry: Entry, reclaimer: &mut Reclaimer) -> bool {
        let live = self.learned + self.fixed;
        let used = live + self.emptied.len() + self.waiting.len();
        self.paid += 1;
        let may_rebuild = self.paid * 8 >= live;
        // To grow is paid for by the entries themselves.
        let grows = fitting(live + 1) > self.table.log2();
        if used >= self.table.slots() / 4 * 3 && (grows || may_rebuild) {
            self.rebuild_to(fitting(live + 1), |_, _| true, reclaimer);
        }
        self.table.place(key, entry)
            || may_rebuild && self.reseed(reclaimer) && self.table.place(key, entry)
    }

    /// Rebuilds the table with another seed, in the same size or else twice that.
    pub(super) fn reseed(&mut self, reclaimer: &mut Reclaimer) -> bool {
        let log2 = self.table.log2();
        self.reseed_to(log2, &|_, _| true, reclaimer)
            || self.reseed_to(log2 + 1, &|_, _| true, reclaimer)
    }

    /// Publishes a table of `2^log2` buckets with the entries that `keep` accepts, if there is room.
    fn rebuild_to(
        &mut self,
        log2: u32,
        keep: impl Fn(MacKey, Entry) -> bool,
        reclaimer: &mut Reclaimer,
    ) -> bool {
        let copied = self.copy(log2, self.table.seed(), &keep);
        let Some(copy) = copied else { return self.reseed_to(log2, &keep, reclaimer) };
        self.publish(copy, self.side, reclaimer);
        true
    }

    fn reseed_to(
        &mut self,
        log2: u32,
        keep: &impl Fn(MacKey, Entry) -> bool,
        reclaimer: &mut Reclaimer,
    ) -> bool {
        if self.reseeded.is_some_and(|mark| !reclaimer.passed(mark)) {
            return false;
        }
        let copy = (0..TRIES).find_map(|_| self.copy(log2, Seed::random(), keep));
        let Some(copy) = copy else { return false };
        self.publish(copy, 1 - self.side, reclaimer);
        self.reseeded = Some(reclaimer.mark());
        true
    }

    fn publish(&mut self, copy: Copy, side: usize, reclaimer: &mut Reclaimer) {
        let Copy { table, learned, fixed } = copy;
        let table = ManuallyDrop::new(table);
        self.fib.publish(&table, side);
        let old = std::mem::replace(&mut self.table, table);
        reclaimer.retire(Box::new(ManuallyDrop::into_inner(old)));
        (self.side, self.learned, self.fixed) = (side, learned, fixed);
        (self.emptied, self.waiting, self.mark) = (Vec::new(), Vec::new(), None);
    }

    /// A table with what `keep` accepts; `None` where there is no memory, or no place for a key.
    fn copy(
        &mut self,
        log2: u32,
        seed: Seed,
        keep: &impl Fn(MacKey, Entry) -> bool,
    ) -> Option<Copy> {
        self.paid = 0;
        let mut copy = Copy { table: Table::new(log2, seed)?, learned: 0, fixed: 0 };
        for (key, entry) in self.iter().filter(|(key, entry)| keep(*key, *entry)) {
            if !copy.table.place(key, entry) {
                return None;
            }
            *(if entry.is_static() { &mut copy.fixed } else { &mut copy.learned }) += 1;
        }
        Some(copy)
    }
}

/// A table that readers do not see yet, with its numbers of entries.
struct Copy {
    table: Table,
    learned: usize,
    fixed: usize,
}

/// log2 of the buckets for so many entries at three eighths of the slots.
fn fitting(entries: usize) -> u32 {
    (entries * 8 / 3 / WAYS).next_power_of_two().trailing_zeros().max(Table::SMALLEST)
}

/// For the little that an empty table takes.
pub(crate) fn no_memory() -> ! {
    handle_alloc_error(Layout::new::<Table>())
}
