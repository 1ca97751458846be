//! The model checker's run: the same source files as in the module above, over loom's atomics and its
//! watch on memory, so that all interleavings and all reorderings that the memory model allows are tried.
//!
//! Compiled beside the real thing rather than instead of it (`--cfg loom`), because tokio drops
//! what Ferry needs of it under that flag, and so that `cargo test` runs it like any test.
#![allow(dead_code, clippy::duplicate_mod)]

#[path = "qsbr.rs"]
mod qsbr;
#[path = "read.rs"]
mod read;
#[path = "table.rs"]
mod table;
#[path = "write.rs"]
mod write;

use super::entry;

mod sync {
    pub use loom::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};
}

mod compare {
    use super::sync::{AtomicU64, Ordering};

    pub fn equal(keys: &[AtomicU64; 4], word: u64, ignored: u64) -> u32 {
        let kept = [!ignored, u64::MAX, u64::MAX, u64::MAX];
        let equal = |way: usize| keys[way].load(Ordering::Relaxed) & kept[way] == word;
        (0..4).map(|way| u32::from(equal(way)) << way).sum()
    }
}

mod memory {
    use std::ptr::NonNull;

    pub fn allocate<T: Default>(count: usize) -> Option<NonNull<T>> {
        let memory: Box<[T]> = (0..count).map(|_| T::default()).collect();
        NonNull::new(Box::into_raw(memory).cast())
    }

    /// # Safety
    /// As for the real one.
    pub unsafe fn release<T>(base: NonNull<T>, count: usize) {
        let memory = std::ptr::slice_from_raw_parts_mut(base.as_ptr(), count);
        // SAFETY: from `allocate` with this count.
        drop(unsafe { Box::from_raw(memory) });
    }
}

use entry::{Entry, MacKey};
use loom::cell::UnsafeCell;
use loom::thread;
use qsbr::{Domain, Published, Reader, Reclaimer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use table::{Seed, Table};
use write::FibWriter;

/// A value whose end loom takes for a write: a read that may come after it, or at the same time, is
/// reported.
struct Watched(UnsafeCell<u64>);

// SAFETY: loom reports every unsynchronised access.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Watched {
    fn new(number: u64) -> Box<Self> {
        Box::new(Self(UnsafeCell::new(number)))
    }

    fn read(&self) -> u64 {
        // SAFETY: loom checks that no write happens meanwhile.
        self.0.with(|value| unsafe { *value })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // SAFETY: loom checks that no read happens meanwhile.
        self.0.with_mut(|value| unsafe { *value = 0 });
    }
}

/// Runs a model with a bounded number of preemptions, which keeps it to seconds.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// The writer replaces a value and frees the old one when it may; the reader looks twice, with
/// `between` in the middle.
fn replace_under_a_reader(between: fn(&mut Reader)) {
    explore(3, move || {
        let domain = Domain::new(1);
        let mut reader = domain.register().unwrap();
        let mut reclaimer = Reclaimer::new(domain);
        let published = Arc::new(Published::new(Watched::new(1)));
        let shared = published.clone();
        let thread = thread::spawn(move || {
            assert_ne!(shared.load(&reader).read(), 0, "read after free");
            between(&mut reader);
            assert_ne!(shared.load(&reader).read(), 0, "read after free");
        });
        published.publish(Watched::new(2), &mut reclaimer);
        reclaimer.reclaim();
        thread::yield_now();
        reclaimer.reclaim();
        thread.join().unwrap();
        assert_eq!(reclaimer.reclaim(), 0, "the reader is gone: nothing may be left");
    });
}

#[test]
fn loom_nothing_is_freed_under_a_quiescent_reader() {
    replace_under_a_reader(Reader::quiescent);
}

#[test]
fn loom_nothing_is_freed_under_a_reader_that_slept() {
    replace_under_a_reader(|reader| {
        reader.offline();
        reader.online();
    });
}

#[test]
fn loom_nothing_is_freed_under_a_reader_that_comes_late() {
    explore(3, || {
        let domain = Domain::new(1);
        let mut reclaimer = Reclaimer::new(domain.clone());
        let published = Arc::new(Published::new(Watched::new(1)));
        let shared = published.clone();
        let thread = thread::spawn(move || {
            let reader = domain.register().unwrap();
            assert_ne!(shared.load(&reader).read(), 0, "read after free");
        });
        published.publish(Watched::new(2), &mut reclaimer);
        reclaimer.reclaim();
        thread.join().unwrap();
    });
}

/// Two keys with the same home, and the entry of each.
fn neighbours(seed: Seed) -> [(MacKey, Entry); 2] {
    let mut keys = (0..=255u8).map(|last| MacKey::from([2, 0, 0, 0, 0, last]));
    let home = |key| seed.home(key, Table::SMALLEST);
    let first = keys.next().unwrap();
    let second = keys.find(|key| home(*key) == home(first)).unwrap();
    [(first, Entry::new(1, 1, 1)), (second, Entry::new(2, 2, 2))]
}

/// Loom's own atomics live for one run only.
static REUSED: AtomicBool = AtomicBool::new(false);

#[test]
fn loom_a_slot_passes_to_another_key_unseen() {
    explore(3, || {
        let domain = Domain::new(1);
        let mut reader = domain.register().unwrap();
        let mut reclaimer = Reclaimer::new(domain);
        let seed = Seed::from_bits(0x0123_4567_89ab_cdef);
        let [(first, entry), (second, other)] = neighbours(seed);
        let mut writer = FibWriter::with_seed(10, seed);
        writer.insert(first, entry, &mut reclaimer).unwrap();
        let slot = writer.slot(first);
        let fib = writer.shared();
        let thread = thread::spawn(move || {
            reader.quiescent();
            let seen = fib.lookup(first, &reader);
            assert!(seen.is_none_or(|seen| seen == entry), "another key's entry");
            reader.offline();
        });
        writer.remove(first).unwrap();
        writer.reclaim(&mut reclaimer);
        thread::yield_now();
        writer.reclaim(&mut reclaimer);
        writer.insert(second, other, &mut reclaimer).unwrap();
        thread.join().unwrap();
        REUSED.fetch_or(writer.slot(second) == slot, Relaxed);
    });
    assert!(REUSED.load(Relaxed), "in some run the second key gets the first one's slot");
}

#[test]
fn loom_a_key_is_found_while_its_table_is_replaced() {
    explore(3, || {
        let domain = Domain::new(1);
        let mut reader = domain.register().unwrap();
        let mut reclaimer = Reclaimer::new(domain);
        let seed = Seed::from_bits(0x0123_4567_89ab_cdef);
        let [(key, entry), _] = neighbours(seed);
        let mut writer = FibWriter::with_seed(10, seed);
        writer.insert(key, entry, &mut reclaimer).unwrap();
        let fib = writer.shared();
        let thread = thread::spawn(move || {
            assert_eq!(fib.lookup(key, &reader), Some(entry));
            reader.quiescent();
            assert_eq!(fib.lookup(key, &reader), Some(entry));
        });
        writer.rebuild(|_, _| true, &mut reclaimer);
        reclaimer.reclaim();
        thread.join().unwrap();
        assert_eq!(reclaimer.reclaim(), 0);
    });
}
