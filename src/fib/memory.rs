//! Memory for what readers look into, zeroed and in huge pages, so that a lookup costs fewer page walks
//! (perf/README.md has the figures). `model.rs` replaces it.
//!
//! Large tables are mappings of their own. All else, a network's small table and its line, is cut from
//! mappings that many share: a thousand small tables on the heap are a thousand pages for the TLB.

use std::alloc::Layout;
use std::ptr::{NonNull, null_mut};
use std::sync::{Mutex, PoisonError};

/// A huge page. From this size on, an allocation has pages of its own.
const HUGE: usize = 2 << 20;
/// log2 of the smallest block.
const SMALLEST: u32 = 5;
/// Block sizes: the powers of two below [`HUGE`].
const SIZES: usize = (HUGE.trailing_zeros() - SMALLEST) as usize;

/// Zeroed memory for so many `T`, which must be valid when all zero; `None` where there is no
/// more. It is aligned to its size. Large memory is zero pages until it is touched.
pub(super) fn allocate<T>(count: usize) -> Option<NonNull<T>> {
    let layout = Layout::array::<T>(count).ok().filter(|layout| layout.size() > 0)?;
    if layout.size() >= HUGE {
        return map_pages(layout.size()).map(NonNull::cast);
    }
    let size = block_size(layout);
    let block = blocks(|blocks| blocks.take(size))?;
    // SAFETY: a block of `size` bytes that nobody else has.
    unsafe { block.write_bytes(0, size) };
    Some(block.cast())
}

/// Gives memory back.
///
/// # Safety
/// `base` is from [`allocate`] with the same `T` and `count`, is given back once, and nobody looks
/// at it any more.
pub(super) unsafe fn release<T>(base: NonNull<T>, count: usize) {
    // SAFETY: allocated with this layout, so it is one.
    let layout = unsafe { Layout::array::<T>(count).unwrap_unchecked() };
    if layout.size() >= HUGE {
        // SAFETY: mapped with this size.
        unsafe { libc::munmap(base.as_ptr().cast(), layout.size()) };
    } else {
        blocks(|blocks| blocks.give(base.cast(), block_size(layout)));
    }
}

fn block_size(layout: Layout) -> usize {
    layout.size().max(layout.align()).next_power_of_two().max(1 << SMALLEST)
}

/// Free blocks by log2 of their size, and what is left of the newest mapping. Blocks stay as small as they were
/// cut: tables grow by doubling, so what one network leaves the next one takes.
struct Blocks {
    free: [Vec<NonNull<u8>>; SIZES],
    rest: Option<NonNull<u8>>,
}

// SAFETY: it owns the blocks in it.
unsafe impl Send for Blocks {}

fn blocks<T>(work: impl FnOnce(&mut Blocks) -> T) -> T {
    static BLOCKS: Mutex<Blocks> =
        Mutex::new(Blocks { free: [const { Vec::new() }; SIZES], rest: None });
    work(&mut BLOCKS.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Blocks {
    fn take(&mut self, size: usize) -> Option<NonNull<u8>> {
        if let Some(block) = self.list(size).pop() {
            return Some(block);
        }
        loop {
            let rest = match self.rest {
                Some(rest) => rest,
                None => map_pages(HUGE)?,
            };
            // A block is aligned to its size: what lies before it becomes smaller blocks.
            let cut = (1 << rest.addr().trailing_zeros()).min(HUGE >> 1).min(size);
            // SAFETY: within the mapping, or its end: `cut` divides both the address and the mapping's size.
            let behind = unsafe { rest.add(cut) };
            self.rest = Some(behind).filter(|behind| !behind.addr().get().is_multiple_of(HUGE));
            if cut == size {
                return Some(rest);
            }
            self.give(rest, cut);
        }
    }

    fn give(&mut self, block: NonNull<u8>, size: usize) {
        self.list(size).push(block);
    }

    fn list(&mut self, size: usize) -> &mut Vec<NonNull<u8>> {
        &mut self.free[(size.trailing_zeros() - SMALLEST) as usize]
    }
}

/// Fresh pages, aligned so that huge pages fit.
fn map_pages(size: usize) -> Option<NonNull<u8>> {
    let room = size.checked_add(HUGE)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: an anonymous mapping at an address of the kernel's choice; what is cut off before and
    // behind the aligned part lies within it. The advice is only that.
    unsafe {
        let start = libc::mmap(null_mut(), room, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return None;
        }
        let before = start.align_offset(HUGE);
        let base = start.byte_add(before);
        if before > 0 {
            libc::munmap(start, before);
        }
        libc::munmap(base.byte_add(size), HUGE - before);
        libc::madvise(base, size, libc::MADV_HUGEPAGE);
        NonNull::new(base.cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn memory_is_zero_aligned_and_nobody_elses(
            steps in prop::collection::vec((any::<bool>(), 0..17u32), 1..200),
        ) {
            let mut held: Vec<(NonNull<u64>, usize)> = Vec::new();
            for (number, (give, log2)) in steps.into_iter().enumerate() {
                if give && !held.is_empty() {
                    let (base, count) = held.swap_remove(number % held.len());
                    // SAFETY: allocated below with this count, and held no more.
                    unsafe { release(base, count) };
                    continue;
                }
                let count = 1usize << log2;
                let base = allocate::<u64>(count).unwrap();
                prop_assert!(base.addr().get().is_multiple_of(count * 8));
                // SAFETY: `count` words that are ours.
                let words = unsafe { std::slice::from_raw_parts_mut(base.as_ptr(), count) };
                prop_assert!(words.iter().all(|word| *word == 0));
                words.fill(u64::MAX);
                held.push((base, count));
            }
            held.sort_by_key(|(base, _)| base.addr());
            let end = |(base, count): (NonNull<u64>, usize)| base.addr().get() + count * 8;
            prop_assert!(held.windows(2).all(|pair| end(pair[0]) <= pair[1].0.addr().get()));
            for (base, count) in held {
                // SAFETY: as above.
                unsafe { release(base, count) };
            }
        }
    }
}
