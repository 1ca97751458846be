//! The readers' side: wait-free lookups in two steps, so that a burst's cache misses overlap.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

use super::compare::equal;
use super::entry::{Entry, MacKey};
use super::memory;
use super::qsbr::Reader;
use super::sync::{AtomicPtr, AtomicU64, Ordering};
use super::table::{Bucket, LIVE, MAX_DISTANCE, OVERFLOW, Seed, Table, WAYS};

/// A network's MAC FIB as workers see it: where its line is, and a share in it.
#[derive(Clone)]
pub struct Fib {
    line: NonNull<Line>,
    /// Apart from the line, so that counting references disturbs no reader.
    _owner: Arc<Owner>,
}

/// What readers load first. The lines of all FIBs lie close together ([`super::memory`]).
#[repr(C, align(32))]
#[derive(Default)]
struct Line {
    /// Address of the buckets; in the low five bits log2 of their number, in the sixth which seed it
    /// is: one load tells all.
    word: AtomicPtr<Bucket>,
    /// The seed of the table, and room for that of the next.
    seeds: [AtomicU64; 2],
}

/// Frees line and table with the last share.
struct Owner(NonNull<Line>);

// SAFETY: a line is atomics, and lives as long as any share in it.
unsafe impl Send for Fib {}
// SAFETY: as above.
unsafe impl Sync for Fib {}
// SAFETY: as above; only the last share drops.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

impl Fib {
    const SIDE: u32 = 5;

    /// Takes a table over; it is freed with the FIB, or by who replaces it. `None` where there is no memory.
    pub(super) fn new(table: &ManuallyDrop<Table>) -> Option<Self> {
        let line = memory::allocate(1)?;
        let fib = Self { line, _owner: Arc::new(Owner(line)) };
        fib.publish(table, 0);
        Some(fib)
    }

    #[inline(always)]
    fn line(&self) -> &Line {
        // SAFETY: the share that we have keeps the line.
        unsafe { self.line.as_ref() }
    }

    /// Shows readers another table, and gives the old one up to the caller. `side` is where the seed
    /// is; a side may get another seed only when no reader uses it any more.
    pub(super) fn publish(&self, table: &ManuallyDrop<Table>, side: usize) {
        self.line().seeds[side & 1].store(table.seed().bits(), Ordering::Relaxed);
        let word = table.word().map_addr(|address| address | (side & 1) << Self::SIDE);
        self.line().word.store(word, Ordering::Release);
    }

    /// The table as it is now, to start lookups in. The reader is one of the domain that the writer's
    /// [`Reclaimer`](super::Reclaimer) waits for: Ferry has one domain.
    #[inline(always)]
    pub fn buckets<'r>(&'r self, reader: &'r Reader) -> Buckets<'r> {
        debug_assert!(reader.is_online());
        let line = self.line();
        let word = line.word.load(Ordering::Acquire);
        Buckets { word, seed: line.seed(word), fib: PhantomData }
    }

    /// Brings what [`Fib::buckets`] reads into the first-level cache, for lookups that begin some packets later.
    #[inline(always)]
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch never faults.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.line.as_ptr().cast());
        }
    }

    /// Looks one MAC up.
    pub fn lookup(&self, key: MacKey, reader: &Reader) -> Option<Entry> {
        self.buckets(reader).probe(key).finish(self, reader).map(|hit| hit.entry())
    }
}

impl Line {
    #[inline(always)]
    fn seed(&self, word: *mut Bucket) -> Seed {
        Seed::from_bits(self.seeds[word.addr() >> Fib::SIDE & 1].load(Ordering::Relaxed))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: the last share is gone, so no reader and no writer sees line or table; the line was allocated as one.
        unsafe {
            let line = self.0.as_ref();
            let word = line.word.load(Ordering::Acquire);
            drop(Table::from_word(word, line.seed(word)));
            memory::release(self.0, 1);
        }
    }
}

/// The address of a table's buckets, and log2 of their number.
#[inline(always)]
fn split(word: *mut Bucket) -> (*const Bucket, u32) {
    let log2 = (word.addr() & Table::LOG2_MASK) as u32;
    (word.map_addr(|address| address & !63).cast_const(), log2)
}

/// A FIB's table at one moment. It stays until the reader is quiescent.
#[derive(Clone, Copy)]
pub struct Buckets<'r> {
    word: *mut Bucket,
    seed: Seed,
    fib: PhantomData<&'r Fib>,
}

impl<'r> Buckets<'r> {
    /// Starts a lookup: finds the bucket and asks the cache for it.
    #[inline(always)]
    pub fn probe(&self, key: MacKey) -> Probe<'r> {
        let (base, log2) = split(self.word);
        let bucket = base.wrapping_add(self.seed.home(key, log2)).cast_mut();
        prefetch(bucket);
        // SAFETY: tables are allocated, hence not at address zero.
        let bucket = unsafe { NonNull::new_unchecked(bucket) };
        Probe { bucket, key, fib: PhantomData }
    }
}

/// A lookup that has been started.
#[derive(Clone, Copy)]
pub struct Probe<'r> {
    bucket: NonNull<Bucket>,
    key: MacKey,
    fib: PhantomData<&'r Fib>,
}

impl<'r> Probe<'r> {
    /// The MAC that is looked up.
    #[inline(always)]
    pub fn key(&self) -> MacKey {
        self.key
    }

    /// Finishes a lookup in this FIB. A key whose home has overflowed is looked for anew, perhaps in a later
    /// table than the one that the lookup was started in.
    #[inline(always)]
    pub fn finish(self, fib: &'r Fib, reader: &'r Reader) -> Option<Hit<'r>> {
        // SAFETY: the bucket is one of a table that stays until the reader is quiescent, and it
        // cannot be that while 'r lasts.
        match unsafe { look(self.bucket.as_ptr(), self.key) } {
            Look::Hit(hit) => Some(hit),
            Look::Miss => None,
            Look::Further => fib.buckets(reader).search(self.key),
        }
    }
}

impl<'r> Buckets<'r> {
    /// Looks in a key's home and the buckets behind it, round the end of the table.
    #[inline(never)]
    fn search(&self, key: MacKey) -> Option<Hit<'r>> {
        let (base, log2) = split(self.word);
        let home = self.seed.home(key, log2);
        for distance in 0..=MAX_DISTANCE {
            let bucket = base.wrapping_add((home + distance) & ((1 << log2) - 1));
            // SAFETY: as in `finish`.
            match unsafe { look(bucket, key) } {
                Look::Hit(hit) => return Some(hit),
                Look::Miss => return None,
                Look::Further => {}
            }
        }
        None
    }
}

/// Compares all keys of a bucket.
///
/// # Safety
/// It is one of a table that stays for `'r`.
#[inline(always)]
unsafe fn look<'r>(bucket: *const Bucket, key: MacKey) -> Look<'r> {
    // SAFETY: the caller says so.
    let bucket: &'r Bucket = unsafe { &*bucket };
    let found = equal(&bucket.keys, key.bits() | LIVE, OVERFLOW);
    if found != 0 {
        // A slot is reused only after a grace period from when its key went, so key and value
        // belong together.
        let slot = &bucket.values[found.trailing_zeros() as usize & (WAYS - 1)];
        let entry = Entry::from_word(slot.load(Ordering::Acquire));
        entry.map_or(Look::Miss, |entry| Look::Hit(Hit { slot, entry }))
    } else if bucket.keys[0].load(Ordering::Relaxed) & OVERFLOW == 0 {
        Look::Miss
    } else {
        Look::Further
    }
}

/// What a bucket says.
enum Look<'r> {
    Hit(Hit<'r>),
    Miss,
    Further,
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

/// Into the second-level cache: a burst's packets and the two lines of each are more than the first level keeps until
/// they are looked at.
#[inline(always)]
pub fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
