//! Quiescent-state-based reclamation: when may the single writer free what readers might hold?
//!
//! A reader says once per round of its poll loop that it holds nothing from before (it is *quiescent*). The
//! writer unlinks an object, then advances the epoch, and frees the object when every online
//! reader has been quiescent in the new epoch. A reader pays one load, and a store when the
//! epoch moved (McKenney & Slingwine 1998; DPDK Programmer's Guide, "RCU Library").
//!
//! The rule that makes it safe is checked by the compiler: whatever is read borrows the
//! [`Reader`], and [`Reader::quiescent`] takes it mutably.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use crossbeam::utils::CachePadded;

use super::sync::{AtomicPtr, AtomicU64, Ordering, fence};

/// A slot that no reader has taken.
const FREE: u64 = 0;
/// A registered reader that holds nothing and will hold nothing until it is online again.
const OFFLINE: u64 = 1;
/// The first epoch.
const FIRST: u64 = 2;

/// The epoch, and what each reader has seen of it.
pub struct Domain {
    epoch: CachePadded<AtomicU64>,
    readers: Box<[CachePadded<AtomicU64>]>,
}

// A reader's slot is written by that reader alone, in cache lines (pairs, as CPUs fetch them) of its own.
const _: () = assert!(align_of::<CachePadded<AtomicU64>>() == 128);

/// All reader slots are taken.
#[derive(Debug, thiserror::Error)]
#[error("more readers than the {0} that the domain was made for")]
pub struct TooManyReaders(usize);

impl Domain {
    /// A domain for so many readers.
    pub fn new(readers: usize) -> Arc<Self> {
        let slot = || CachePadded::new(AtomicU64::new(FREE));
        Arc::new(Self {
            epoch: CachePadded::new(AtomicU64::new(FIRST)),
            readers: (0..readers).map(|_| slot()).collect(),
        })
    }

    /// Registers a reader, online.
    ///
    /// # Errors
    /// All slots are taken.
    pub fn register(self: &Arc<Self>) -> Result<Reader, TooManyReaders> {
        for slot in 0..self.readers.len() {
            let taken = self.readers[slot].compare_exchange(
                FREE,
                OFFLINE,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if taken.is_ok() {
                let mut reader =
                    Reader { domain: self.clone(), slot, seen: OFFLINE, not_sync: PhantomData };
                reader.online();
                return Ok(reader);
            }
        }
        Err(TooManyReaders(self.readers.len()))
    }

    /// Starts a grace period: what was unlinked before may be freed once [`Domain::passed`] has
    /// reached the epoch returned.
    fn advance(&self) -> u64 {
        // Release: a reader that sees the new epoch sees the unlinking too.
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The latest epoch in which every online reader has been quiescent.
    fn passed(&self) -> u64 {
        // Pairs with the fence in `online`: either that reader's slot is seen here, or it sees what was
        // unlinked before.
        fence(Ordering::SeqCst);
        let seen = self.readers.iter().map(|slot| slot.load(Ordering::Acquire));
        seen.filter(|seen| *seen >= FIRST).min().unwrap_or(u64::MAX)
    }
}

/// One reader: one thread's right to look. It may move to another thread, but not be shared.
pub struct Reader {
    domain: Arc<Domain>,
    slot: usize,
    seen: u64,
    not_sync: PhantomData<Cell<()>>,
}

impl Reader {
    /// Says that nothing read before is held any more. The compiler sees to it that this is true.
    #[inline(always)]
    pub fn quiescent(&mut self) {
        let epoch = self.domain.epoch.load(Ordering::Acquire);
        if epoch != self.seen {
            // Release: the reads done so far stay before it, so the writer frees after them.
            self.domain.readers[self.slot].store(epoch, Ordering::Release);
            self.seen = epoch;
        }
    }

    /// Stops counting as a reader until [`Reader::online`], so that the writer need not wait. Nothing
    /// may be looked up until then, which debug builds check.
    pub fn offline(&mut self) {
        self.domain.readers[self.slot].store(OFFLINE, Ordering::Release);
        self.seen = OFFLINE;
    }

    /// Counts as a reader again.
    pub fn online(&mut self) {
        let epoch = self.domain.epoch.load(Ordering::Acquire);
        // Release: reads from before `offline` stay before it, even if the writer never sees that state.
        self.domain.readers[self.slot].store(epoch, Ordering::Release);
        self.seen = epoch;
        // The store must be visible before anything is read: without the fence the writer might
        // still see this reader offline, and free what it is about to look at.
        fence(Ordering::SeqCst);
    }

    /// Whether lookups are allowed.
    #[inline(always)]
    pub(super) fn is_online(&self) -> bool {
        self.seen != OFFLINE
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.domain.readers[self.slot].store(FREE, Ordering::Release);
    }
}

/// What the single writer has unlinked and not freed yet. It lives on the control core, and nothing is ever
/// freed anywhere else.
pub struct Reclaimer {
    domain: Arc<Domain>,
    retired: Vec<(u64, Box<dyn Send>)>,
}

impl Reclaimer {
    /// For one domain's readers.
    pub fn new(domain: Arc<Domain>) -> Self {
        Self { domain, retired: Vec::new() }
    }

    /// Takes an unlinked object over, to free it after a grace period.
    pub fn retire<T: Send + 'static>(&mut self, unlinked: Box<T>) {
        let epoch = self.domain.advance();
        self.retired.push((epoch, unlinked));
    }

    /// A mark: what was unlinked before it is unseen when [`Reclaimer::passed`] says so.
    pub fn mark(&mut self) -> u64 {
        self.domain.advance()
    }

    /// Whether all readers have passed a mark.
    pub fn passed(&self, mark: u64) -> bool {
        self.domain.passed() >= mark
    }

    /// Frees what no reader can hold any more; never waits. Returns how many objects are left.
    pub fn reclaim(&mut self) -> usize {
        if !self.retired.is_empty() {
            let passed = self.domain.passed();
            self.retired.retain(|(epoch, _)| *epoch > passed);
        }
        self.retired.len()
    }
}

impl Drop for Reclaimer {
    fn drop(&mut self) {
        // Readers that are still there keep what they might hold: leaking at the end of the
        // process beats freeing under their hands.
        if self.reclaim() > 0 {
            self.retired.drain(..).for_each(std::mem::forget);
        }
    }
}

/// A pointer to an immutable value that the writer replaces whole.
pub struct Published<T> {
    pointer: AtomicPtr<T>,
}

impl<T: Send + Sync + 'static> Published<T> {
    /// With its first value.
    pub fn new(first: Box<T>) -> Self {
        Self { pointer: AtomicPtr::new(Box::into_raw(first)) }
    }

    /// The value now. It stays valid until the reader's next quiescent state, to which the borrow of
    /// the reader holds the caller. The reader is one of the domain that the publishing
    /// [`Reclaimer`] waits for: Ferry has one domain.
    #[inline(always)]
    pub fn load<'r>(&'r self, reader: &'r Reader) -> &'r T {
        debug_assert!(reader.is_online());
        // SAFETY: the pointer comes from Box::into_raw and is freed by the Reclaimer only after every
        // online reader was quiescent, which this reader cannot be while it is borrowed.
        unsafe { &*self.pointer.load(Ordering::Acquire) }
    }

    /// Replaces the value; the old one is freed after a grace period.
    pub fn publish(&self, new: Box<T>, reclaimer: &mut Reclaimer) {
        let old = self.pointer.swap(Box::into_raw(new), Ordering::AcqRel);
        // SAFETY: it came from Box::into_raw, and the swap took it out of reach of new readers.
        reclaimer.retire(unsafe { Box::from_raw(old) });
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        let last = self.pointer.load(Ordering::Acquire);
        // SAFETY: it came from Box::into_raw. `&mut self`: what was loaded borrows `self` and is gone.
        drop(unsafe { Box::from_raw(last) });
    }
}
