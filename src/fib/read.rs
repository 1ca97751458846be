//! The readers' side: wait-free lookups in two steps, so that a burst's cache misses overlap.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::entry::{Entry, MacKey};
use super::qsbr::Reader;
use super::table::{Bucket, Table, WAYS};

const MAC_MASK: u64 = 0xffff_ffff_ffff;

/// A network's MAC FIB as workers see it.
pub struct Fib {
    /// Address of the buckets, with log2 of their number in the low six bits: one load tells both.
    word: AtomicPtr<Bucket>,
    /// Odd and random: multiply-shift hashing (Dietzfelbinger et al. 1997) keeps tenants from choosing
    /// MACs that collide.
    multiplier: u64,
}

impl Fib {
    /// The longest way from an entry's home, in buckets.
    pub(super) const MAX_DISTANCE: usize = 32;

    /// Takes a table over; it is freed with the FIB, or by who replaces it.
    pub(super) fn new(table: &ManuallyDrop<Table>, multiplier: u64) -> Self {
        Self { word: AtomicPtr::new(table.word()), multiplier: multiplier | 1 }
    }

    /// Shows readers another table, and gives the old one up to the caller.
    pub(super) fn publish(&self, table: &ManuallyDrop<Table>) {
        self.word.store(table.word(), Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn home(&self, key: MacKey, log2: u32) -> usize {
        (key.bits().wrapping_mul(self.multiplier) >> (64 - log2)) as usize
    }

    /// Starts a lookup: finds the bucket and asks the cache for it. The reader is one of the domain that
    /// the writer's [`Reclaimer`](super::Reclaimer) waits for: Ferry has one domain.
    #[inline(always)]
    pub fn probe<'r>(&self, key: MacKey, _reader: &'r Reader) -> Probe<'r> {
        let word = self.word.load(Ordering::Acquire);
        let log2 = (word.addr() & Table::LOG2_MASK) as u32;
        let base = word.map_addr(|address| address & !Table::LOG2_MASK).cast_const();
        let index = self.home(key, log2);
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
        // SAFETY: the last holder of the FIB is gone, so no reader and no writer sees the table.
        drop(unsafe { Table::from_word(self.word.load(Ordering::Acquire)) });
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
        for _ in 0..=Fib::MAX_DISTANCE {
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
                // Acquire: a slot's key is written before its value, and a slot is reused only after a
                // grace period, so key and value belong together.
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
