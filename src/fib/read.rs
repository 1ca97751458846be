//! The readers' side: wait-free lookups in two steps, so that a burst's cache misses overlap.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use super::entry::{Entry, MAC_MASK, MacKey};
use super::qsbr::Reader;
use super::sync::{AtomicPtr, AtomicU64, Ordering};
use super::table::{Bucket, MAX_DISTANCE, Seed, Table, WAYS};

/// A network's MAC FIB as workers see it. On a cache line of its own: counting references to it
/// disturbs no reader.
#[repr(align(64))]
pub struct Fib {
    /// Address of the buckets; in the low five bits log2 of their number, in the sixth which seed it
    /// is: one load tells all.
    word: AtomicPtr<Bucket>,
    /// The seed of the table, and room for that of the next.
    seeds: [AtomicU64; 2],
}

impl Fib {
    const SIDE: u32 = 5;

    /// Takes a table over; it is freed with the FIB, or by who replaces it.
    pub(super) fn new(table: &ManuallyDrop<Table>) -> Self {
        let seeds = [table.seed().bits(), 0].map(AtomicU64::new);
        Self { word: AtomicPtr::new(table.word()), seeds }
    }

    /// Shows readers another table, and gives the old one up to the caller. `side` is where the seed
    /// is; a side may get another seed only when no reader uses it any more.
    pub(super) fn publish(&self, table: &ManuallyDrop<Table>, side: usize) {
        self.seeds[side & 1].store(table.seed().bits(), Ordering::Relaxed);
        let word = table.word().map_addr(|address| address | (side & 1) << Self::SIDE);
        self.word.store(word, Ordering::Release);
    }

    #[inline(always)]
    fn seed(&self, word: *mut Bucket) -> Seed {
        Seed::from_bits(self.seeds[word.addr() >> Self::SIDE & 1].load(Ordering::Relaxed))
    }

    /// Starts a lookup: finds the bucket and asks the cache for it. The reader is one of the domain that
    /// the writer's [`Reclaimer`](super::Reclaimer) waits for: Ferry has one domain.
    #[inline(always)]
    pub fn probe<'r>(&'r self, key: MacKey, _reader: &'r Reader) -> Probe<'r> {
        let word = self.word.load(Ordering::Acquire);
        let log2 = (word.addr() & Table::LOG2_MASK) as u32;
        let base = word.map_addr(|address| address & !63).cast_const();
        let index = self.seed(word).home(key, log2);
        prefetch(base.wrapping_add(index));
        Probe { base, mask: (1 << log2) - 1, index, key, reader: PhantomData }
    }

    /// Looks one MAC up.
    pub fn lookup(&self, key: MacKey, reader: &Reader) -> Option<Entry> {
        self.probe(key, reader).finish().map(|hit| hit.entry())
    }
}

impl Drop for Fib {
    fn drop(&mut self) {
        let word = self.word.load(Ordering::Acquire);
        // SAFETY: the last holder of the FIB is gone, so no reader and no writer sees the table.
        drop(unsafe { Table::from_word(word, self.seed(word)) });
    }
}

/// A lookup that has been started.
pub struct Probe<'r> {
    base: *const Bucket,
    mask: usize,
    index: usize,
    key: MacKey,
    reader: PhantomData<&'r Reader>,
}

impl<'r> Probe<'r> {
    /// Finishes the lookup.
    #[inline(always)]
    pub fn finish(self) -> Option<Hit<'r>> {
        let key = self.key.bits();
        let mut index = self.index;
        for _ in 0..=MAX_DISTANCE {
            // SAFETY: `index <= mask`, and the table stays until the reader is quiescent, which it cannot
            // be while 'r lasts.
            let bucket: &'r Bucket = unsafe { &*self.base.add(index) };
            let first = bucket.keys[0].load(Ordering::Relaxed);
            let mut found = u32::from(first & MAC_MASK == key);
            for way in 1..WAYS {
                found |= u32::from(bucket.keys[way].load(Ordering::Relaxed) == key) << way;
            }
            if found != 0 {
                let slot = &bucket.values[found.trailing_zeros() as usize & (WAYS - 1)];
                // A slot is reused only after a grace period from when its key went, so key and value
                // belong together. But what is no station's address may be the mark of an unused
                // slot, which can come to life at any time.
                if !self.key.is_station() {
                    return None;
                }
                return Entry::from_word(slot.load(Ordering::Acquire))
                    .map(|entry| Hit { slot, entry });
            }
            if first & !MAC_MASK == 0 {
                return None;
            }
            index = (index + 1) & self.mask;
        }
        None
    }
}

/// An entry that was found.
#[derive(Clone, Copy)]
pub struct Hit<'r> {
    slot: &'r AtomicU64,
    entry: Entry,
}

impl Hit<'_> {
    /// What the FIB says.
    #[inline(always)]
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// Marks the MAC as seen at `tick`. If the entry changed meanwhile, the change wins. Call it only
    /// when the tick is old enough to matter: this is the one write that readers do.
    #[inline]
    pub fn refresh(&self, tick: u16) {
        let (old, new) = (self.entry.word(), self.entry.with_tick(tick).word());
        let _ = self.slot.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[inline(always)]
fn prefetch(bucket: *const Bucket) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(bucket.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bucket;
}
