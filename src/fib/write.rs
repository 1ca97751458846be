//! The writer's side: one owner on the control core, who changes the table under the readers.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;

use super::entry::{Entry, MacKey};
use super::qsbr::Reclaimer;
use super::read::Fib;
use super::table::{Bucket, Table, WAYS};

const MAC_MASK: u64 = 0xffff_ffff_ffff;
const ONE_OVERFLOW: u64 = 1 << 48;
/// An overflow count that has reached this stays: it no longer counts exactly.
const STUCK: u64 = 0xffff << 48;

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
    #[error("the network's limit of {0} learned MACs is reached")]
    LimitReached(usize),
    /// The address is all zero or a group address, which no station has.
    #[error("not a station's MAC address")]
    NotAStation,
}

/// The one who writes a [`Fib`].
pub struct FibWriter {
    fib: Arc<Fib>,
    /// The FIB's own table.
    table: ManuallyDrop<Table>,
    learned: usize,
    fixed: usize,
    limit: usize,
    /// Slots whose entry was removed, and the batch of that: their keys stay until a grace period has passed.
    dead: HashMap<usize, u64>,
    batch: u64,
    /// The batches up to this one are free when the readers have passed the mark.
    closing: Option<(u64, u64)>,
}

impl FibWriter {
    /// An empty table that holds at most `limit` learned entries.
    pub fn new(limit: usize) -> Self {
        let table = ManuallyDrop::new(Table::new(Table::SMALLEST));
        let fib = Arc::new(Fib::new(&table, RandomState::new().build_hasher().finish()));
        Self {
            fib,
            table,
            learned: 0,
            fixed: 0,
            limit,
            dead: HashMap::new(),
            batch: 0,
            closing: None,
        }
    }

    /// The readers' side.
    pub fn shared(&self) -> Arc<Fib> {
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

    /// Bytes of the table.
    pub fn memory(&self) -> usize {
        size_of_val(self.table.buckets())
    }

    /// The entry of a MAC.
    pub fn get(&self, key: MacKey) -> Option<Entry> {
        let (bucket, way) = self.find(key)?;
        Entry::from_word(self.table.buckets()[bucket].values[way].load(Ordering::Relaxed))
    }

    /// Adds or replaces the entry of a MAC.
    ///
    /// # Errors
    /// The limit is reached (static entries do not count), or the address is no station's.
    pub fn insert(
        &mut self,
        key: MacKey,
        entry: Entry,
        reclaimer: &mut Reclaimer,
    ) -> Result<Change, InsertError> {
        if key.is_zero() || key.is_group() {
            return Err(InsertError::NotAStation);
        }
        let found = self.find(key);
        let old = found.and_then(|(bucket, way)| {
            Entry::from_word(self.table.buckets()[bucket].values[way].load(Ordering::Relaxed))
        });
        let was_learned = old.is_some_and(|old| !old.is_static());
        if !entry.is_static() && !was_learned && self.learned >= self.limit {
            return Err(InsertError::LimitReached(self.limit));
        }
        match found {
            Some((bucket, way)) => {
                // A removed key whose slot was not freed yet comes back to life in place.
                self.dead.remove(&(bucket * WAYS + way));
                self.table.buckets()[bucket].values[way].store(entry.word(), Ordering::Release);
            }
            None => {
                if self.learned + self.fixed + self.dead.len() >= self.capacity() {
                    self.resize(reclaimer);
                }
                while !place(&self.fib, &self.table, key, entry) {
                    // Unlucky homes at a low load: a larger table spreads them.
                    self.replace(self.table.log2() + 1, |_, _| true, reclaimer);
                }
            }
        }
        if let Some(old) = old {
            *self.count(old) -= 1;
        }
        *self.count(entry) += 1;
        Ok(old.map_or(Change::New, Change::Updated))
    }

    /// Removes a MAC. Returns what its entry was.
    pub fn remove(&mut self, key: MacKey) -> Option<Entry> {
        let (bucket, way) = self.find(key)?;
        let word = self.table.buckets()[bucket].values[way].swap(0, Ordering::AcqRel);
        let old = Entry::from_word(word)?;
        self.bury(bucket, way, old);
        Some(old)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (MacKey, Entry)> + '_ {
        self.table.buckets().iter().flat_map(|bucket| {
            (0..WAYS).filter_map(|way| Some((key_of(bucket, way), entry_of(bucket, way)?)))
        })
    }

    /// The entries from bucket `cursor` on, until at least `wanted` were found, and where to go on; `None`
    /// behind the last.
    pub fn page(&self, cursor: usize, wanted: usize) -> (Vec<(MacKey, Entry)>, Option<usize>) {
        let buckets = self.table.buckets();
        let mut found = Vec::new();
        for (index, bucket) in buckets.iter().enumerate().skip(cursor) {
            if found.len() >= wanted {
                return (found, Some(index));
            }
            let entries =
                (0..WAYS).filter_map(|way| Some((key_of(bucket, way), entry_of(bucket, way)?)));
            found.extend(entries);
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
        for index in cursor.min(end)..end {
            for way in 0..WAYS {
                let bucket = &self.table.buckets()[index];
                let Some(entry) = entry_of(bucket, way) else { continue };
                if keep(key_of(bucket, way), entry) {
                    continue;
                }
                // A worker that sees the MAC just now refreshes the entry: then it stays.
                let removed = bucket.values[way].compare_exchange(
                    entry.word(),
                    0,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
                if removed.is_ok() {
                    self.bury(index, way, entry);
                }
            }
        }
        if end < buckets {
            return end;
        }
        let live = self.learned + self.fixed;
        if self.table.log2() > Table::SMALLEST && live * 16 < buckets * WAYS {
            self.replace(fitting(live), |_, _| true, reclaimer);
        }
        0
    }

    /// Publishes a fresh table with just the entries that `keep` accepts: readers see all others gone
    /// at once.
    pub fn rebuild(&mut self, keep: impl Fn(MacKey, Entry) -> bool, reclaimer: &mut Reclaimer) {
        self.replace(self.table.log2(), keep, reclaimer);
    }

    /// Frees the slots of removed entries that no reader can be looking at any more; never waits.
    /// Call it often.
    pub fn reclaim(&mut self, reclaimer: &mut Reclaimer) {
        if let Some((batch, mark)) = self.closing {
            if !reclaimer.passed(mark) {
                return;
            }
            self.closing = None;
            let Self { dead, fib, table, .. } = self;
            dead.retain(|slot, of| {
                let keep = *of > batch;
                if !keep {
                    free(fib, table, *slot);
                }
                keep
            });
        }
        if !self.dead.is_empty() {
            self.closing = Some((self.batch, reclaimer.mark()));
            self.batch += 1;
        }
    }

    fn count(&mut self, entry: Entry) -> &mut usize {
        if entry.is_static() { &mut self.fixed } else { &mut self.learned }
    }

    /// Entries that the table takes before it grows: three quarters of its slots.
    fn capacity(&self) -> usize {
        self.table.buckets().len() * WAYS / 4 * 3
    }

    fn bury(&mut self, bucket: usize, way: usize, entry: Entry) {
        *self.count(entry) -= 1;
        self.dead.insert(bucket * WAYS + way, self.batch);
    }

    fn find(&self, key: MacKey) -> Option<(usize, usize)> {
        let buckets = self.table.buckets();
        let mut index = self.fib.home(key, self.table.log2());
        for _ in 0..=Fib::MAX_DISTANCE {
            let bucket = &buckets[index];
            if let Some(way) = (0..WAYS).find(|way| key_of(bucket, *way) == key) {
                return Some((index, way));
            }
            if bucket.keys[0].load(Ordering::Relaxed) & !MAC_MASK == 0 {
                return None;
            }
            index = (index + 1) & (buckets.len() - 1);
        }
        None
    }

    /// A table of the right size for what is there and as much again.
    fn resize(&mut self, reclaimer: &mut Reclaimer) {
        let live = self.learned + self.fixed + 1;
        self.replace(fitting(live), |_, _| true, reclaimer);
    }

    fn replace(
        &mut self,
        log2: u32,
        keep: impl Fn(MacKey, Entry) -> bool,
        reclaimer: &mut Reclaimer,
    ) {
        let mut log2 = log2.max(Table::SMALLEST);
        let (table, learned, fixed) = loop {
            let table = ManuallyDrop::new(Table::new(log2));
            if let Some((learned, fixed)) = self.copy_to(&table, &keep) {
                break (table, learned, fixed);
            }
            drop(ManuallyDrop::into_inner(table));
            log2 += 1;
        };
        self.fib.publish(&table);
        let old = std::mem::replace(&mut self.table, table);
        reclaimer.retire(Box::new(ManuallyDrop::into_inner(old)));
        (self.learned, self.fixed) = (learned, fixed);
        self.dead.clear();
        self.closing = None;
    }

    /// Copies what `keep` accepts, and counts learned and static entries; `None` where one found no
    /// place.
    fn copy_to(
        &self,
        table: &Table,
        keep: impl Fn(MacKey, Entry) -> bool,
    ) -> Option<(usize, usize)> {
        let (mut learned, mut fixed) = (0, 0);
        for (key, entry) in self.iter().filter(|(key, entry)| keep(*key, *entry)) {
            if !place(&self.fib, table, key, entry) {
                return None;
            }
            *(if entry.is_static() { &mut fixed } else { &mut learned }) += 1;
        }
        Some((learned, fixed))
    }
}

/// log2 of the buckets for so many entries at three eighths of the slots.
fn fitting(entries: usize) -> u32 {
    (entries * 8 / 3 / WAYS).next_power_of_two().trailing_zeros().max(Table::SMALLEST)
}

fn key_of(bucket: &Bucket, way: usize) -> MacKey {
    MacKey::from_bits(bucket.keys[way].load(Ordering::Relaxed))
}

fn entry_of(bucket: &Bucket, way: usize) -> Option<Entry> {
    Entry::from_word(bucket.values[way].load(Ordering::Relaxed))
}

/// Puts a key that is not there into the first free slot from its home on. `false` where that is too far.
fn place(fib: &Fib, table: &Table, key: MacKey, entry: Entry) -> bool {
    let buckets = table.buckets();
    let mask = buckets.len() - 1;
    let home = fib.home(key, table.log2());
    for distance in 0..=Fib::MAX_DISTANCE.min(mask) {
        let bucket = &buckets[(home + distance) & mask];
        let Some(way) = (0..WAYS).find(|way| key_of(bucket, *way).is_zero()) else { continue };
        // First the way there, then the key, then the value: a reader that finds the value finds
        // all of it.
        for passed in 0..distance {
            let word = &buckets[(home + passed) & mask].keys[0];
            let count = word.load(Ordering::Relaxed);
            if count & STUCK != STUCK {
                word.store(count + ONE_OVERFLOW, Ordering::Release);
            }
        }
        let word = &bucket.keys[way];
        let overflow = word.load(Ordering::Relaxed) & !MAC_MASK;
        word.store(overflow | key.bits(), Ordering::Release);
        bucket.values[way].store(entry.word(), Ordering::Release);
        return true;
    }
    false
}

/// Empties a slot whose value is gone and which no reader is looking at.
fn free(fib: &Fib, table: &Table, slot: usize) {
    let buckets = table.buckets();
    let mask = buckets.len() - 1;
    let (index, way) = (slot / WAYS, slot % WAYS);
    let word = &buckets[index].keys[way];
    let bits = word.load(Ordering::Relaxed);
    let home = fib.home(MacKey::from_bits(bits), table.log2());
    word.store(bits & !MAC_MASK, Ordering::Release);
    for passed in 0..(index.wrapping_sub(home) & mask) {
        let word = &buckets[(home + passed) & mask].keys[0];
        let count = word.load(Ordering::Relaxed);
        if count & STUCK != STUCK {
            word.store(count - ONE_OVERFLOW, Ordering::Release);
        }
    }
}
