//! A table: 64-byte buckets of four keys and four values, and the life of a slot in them.
//!
//! A slot is *free* (key 0, value 0), then *live* (the MAC, its entry), then *emptied* (neither), and free again when every reader has been quiescent since. The grace period has to
//! begin when the key goes, not when the value goes: a reader that has just seen the key may read
//! the value much later, and must not find another MAC's there.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::ptr::NonNull;

use super::entry::{Entry, MacKey};
use super::memory;
use super::sync::{AtomicU64, Ordering};

/// Entries in a bucket.
pub(super) const WAYS: usize = 4;
/// The longest way from an entry's home, in buckets. At three quarters full, random keys get as far
/// as 60 in a million; one that gets here in spite of its seed has been aimed.
pub(super) const MAX_DISTANCE: usize = 128;
/// What a key word has beside the MAC when its slot is live: no other word looks like that.
pub(super) const LIVE: u64 = 1 << 63;
/// The key word of an emptied slot.
const EMPTIED: u64 = 1;
/// Where the first key word of a bucket counts overflows.
pub(super) const OVERFLOW: u64 = 0x7fff << 48;
const ONE_OVERFLOW: u64 = 1 << 48;

/// Keys first, then values: a lookup compares all keys at once and reads one value.
///
/// A key word is the MAC and [`LIVE`]. In the first one, fifteen bits between count the entries that found
/// this bucket full on their way from their home, so that a miss ends at the first bucket that
/// nothing overflowed. A count that has reached the top stays there, being no longer exact.
#[repr(C, align(64))]
#[derive(Default)]
pub(super) struct Bucket {
    pub keys: [AtomicU64; WAYS],
    pub values: [AtomicU64; WAYS],
}

/// A random function from MACs to buckets, so that nobody can choose MACs that collide.
///
/// Real MACs come in sequences, which one multiplication and a shift (Dietzfelbinger et al. 1997)
/// spreads evenly, or with an unlucky multiplier in heaps; folding the full product makes them as good as random.
#[derive(Clone, Copy)]
pub(super) struct Seed(u64);

impl Seed {
    const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;

    pub fn random() -> Self {
        Self::from_bits(RandomState::new().build_hasher().finish() | 1)
    }

    /// Better odd: as a factor it then loses nothing.
    #[inline(always)]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    /// The home of a key among `2^log2` buckets. Twice the buckets keep the order of homes, so that growing
    /// walks through both tables from front to back.
    #[inline(always)]
    pub fn home(self, key: MacKey, log2: u32) -> usize {
        let product = u128::from(key.bits() ^ self.0) * Self::FACTOR;
        let folded = product as u64 ^ (product >> 64) as u64;
        (folded.wrapping_mul(self.0) >> (64 - log2)) as usize
    }
}

/// Owned buckets; their number is a power of two. Slots are numbered through all buckets.
pub(super) struct Table {
    base: NonNull<Bucket>,
    log2: u32,
    seed: Seed,
}

// SAFETY: a table is atomics in memory that it owns.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// log2 of the buckets of the smallest table: 256 bytes.
    pub const SMALLEST: u32 = 2;
    /// log2 of the buckets of the largest table: its slots can be numbered by `u32`.
    pub const LARGEST: u32 = 30;
    /// The bits of a table's word that say log2 of its buckets; buckets are 64-byte aligned.
    pub const LOG2_MASK: usize = 31;

    /// An empty table of `2^log2` buckets; `None` where that is too many, or more than there is memory.
    pub fn new(log2: u32, seed: Seed) -> Option<Self> {
        if log2 > Self::LARGEST {
            return None;
        }
        memory::allocate(1 << log2).map(|base| Self { base, log2, seed })
    }

    /// The table in one word: its address, and in the low bits log2 of its buckets.
    pub fn word(&self) -> *mut Bucket {
        self.base.as_ptr().map_addr(|address| address | self.log2 as usize)
    }

    /// The table that a word stands for.
    ///
    /// # Safety
    /// The word's address and size are from [`Table::word`], and no other owner drops that table.
    pub unsafe fn from_word(word: *mut Bucket, seed: Seed) -> Option<Self> {
        let base = NonNull::new(word.map_addr(|address| address & !63))?;
        Some(Self { base, log2: (word.addr() & Self::LOG2_MASK) as u32, seed })
    }

    pub fn log2(&self) -> u32 {
        self.log2
    }

    pub fn seed(&self) -> Seed {
        self.seed
    }

    pub fn buckets(&self) -> &[Bucket] {
        // SAFETY: `2^log2` zeroed buckets, which are valid, and `&self` keeps them.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), 1 << self.log2) }
    }

    pub fn slots(&self) -> usize {
        self.buckets().len() * WAYS
    }

    /// The value word of a slot.
    pub fn value(&self, slot: usize) -> &AtomicU64 {
        &self.buckets()[slot / WAYS].values[slot % WAYS]
    }

    /// What is in a slot.
    pub fn entry(&self, slot: usize) -> Option<(MacKey, Entry)> {
        let entry = Entry::from_word(self.value(slot).load(Ordering::Relaxed))?;
        Some((self.key(slot), entry))
    }

    /// What is in some buckets.
    pub fn entries(&self, buckets: Range<usize>) -> impl Iterator<Item = (MacKey, Entry)> + '_ {
        (buckets.start * WAYS..buckets.end * WAYS).filter_map(|slot| self.entry(slot))
    }

    /// The bucket that a key begins at.
    pub fn home(&self, key: MacKey) -> &Bucket {
        &self.buckets()[self.seed.home(key, self.log2)]
    }

    /// The slot of a key.
    pub fn find(&self, key: MacKey) -> Option<usize> {
        for bucket in self.path(key) {
            let slots = bucket * WAYS..(bucket + 1) * WAYS;
            let word = key.bits() | LIVE;
            if let Some(slot) = slots.into_iter().find(|slot| self.key_word(*slot) == word) {
                return Some(slot);
            }
            if self.buckets()[bucket].keys[0].load(Ordering::Relaxed) & OVERFLOW == 0 {
                return None;
            }
        }
        None
    }

    /// Puts a key that is not there into the first free slot from its home on. `false` where that is
    /// too far.
    pub fn place(&self, key: MacKey, entry: Entry) -> bool {
        let free = self.path(key).enumerate().find_map(|(distance, bucket)| {
            let mut slots = bucket * WAYS..(bucket + 1) * WAYS;
            slots.find(|slot| self.key_word(*slot) == 0).map(|slot| (distance, slot))
        });
        let Some((distance, slot)) = free else { return false };
        // First the way there, then the key, then the value: a reader that finds the value finds
        // all of it.
        for bucket in self.path(key).take(distance) {
            self.count_overflow(bucket, u64::wrapping_add);
        }
        self.set_key_word(slot, key.bits() | LIVE);
        self.value(slot).store(entry.word(), Ordering::Release);
        true
    }

    /// Takes the entry out of a slot, unless a reader has refreshed it meanwhile.
    pub fn clear(&self, slot: usize, entry: Entry) -> bool {
        let (old, order) = (entry.word(), Ordering::AcqRel);
        self.value(slot).compare_exchange(old, 0, order, Ordering::Relaxed).is_ok()
    }

    /// Hides a slot from readers whose value word has been set to zero.
    pub fn empty(&self, slot: usize) {
        let key = self.key(slot);
        self.set_key_word(slot, EMPTIED);
        for bucket in self.path(key).take_while(|bucket| *bucket != slot / WAYS) {
            self.count_overflow(bucket, u64::wrapping_sub);
        }
    }

    /// Makes an emptied slot free, after a grace period.
    pub fn free(&self, slot: usize) {
        self.set_key_word(slot, 0);
    }

    /// The buckets where a key may be, in order.
    fn path(&self, key: MacKey) -> impl Iterator<Item = usize> + use<> {
        let mask = (1 << self.log2) - 1;
        let home = self.seed.home(key, self.log2);
        (0..=MAX_DISTANCE.min(mask)).map(move |distance| (home + distance) & mask)
    }

    fn key(&self, slot: usize) -> MacKey {
        MacKey::from_bits(self.key_word(slot))
    }

    fn key_word(&self, slot: usize) -> u64 {
        let word = &self.buckets()[slot / WAYS].keys[slot % WAYS];
        word.load(Ordering::Relaxed) & !OVERFLOW
    }

    fn set_key_word(&self, slot: usize, bits: u64) {
        let word = &self.buckets()[slot / WAYS].keys[slot % WAYS];
        let overflow = word.load(Ordering::Relaxed) & OVERFLOW;
        word.store(overflow | bits, Ordering::Release);
    }

    fn count_overflow(&self, bucket: usize, change: fn(u64, u64) -> u64) {
        let word = &self.buckets()[bucket].keys[0];
        let count = word.load(Ordering::Relaxed);
        if count & OVERFLOW != OVERFLOW {
            word.store(change(count, ONE_OVERFLOW), Ordering::Release);
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this count; the owner drops it once, and after the readers.
        unsafe { memory::release(self.base, 1 << self.log2) };
    }
}
