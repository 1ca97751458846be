//! Memory for tables: zeroed, and in huge pages where that pays. `model.rs` replaces it.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::{NonNull, null_mut};

/// From this size on, tables lie in transparent huge pages: a lookup then costs fewer page walks
/// (perf/README.md has the figures).
const HUGE: usize = 2 << 20;

/// Zeroed memory for so many `T`, which must be valid when all zero; `None` where there is no
/// more. Large memory is zero pages until it is touched.
pub(super) fn allocate<T>(count: usize) -> Option<NonNull<T>> {
    let layout = Layout::array::<T>(count).ok().filter(|layout| layout.size() > 0)?;
    if layout.size() >= HUGE {
        return map_pages(layout.size()).map(NonNull::cast);
    }
    // SAFETY: the layout is not empty.
    NonNull::new(unsafe { alloc_zeroed(layout) }).map(NonNull::cast)
}

/// Gives memory back.
///
/// # Safety
/// `base` is from [`allocate`] with the same `T` and `count`, is given back once, and nobody looks
/// at it any more.
pub(super) unsafe fn release<T>(base: NonNull<T>, count: usize) {
    let size = count * size_of::<T>();
    // SAFETY: allocated with this layout, and by the same choice.
    unsafe {
        if size >= HUGE {
            libc::munmap(base.as_ptr().cast(), size);
        } else {
            dealloc(base.as_ptr().cast(), Layout::from_size_align_unchecked(size, align_of::<T>()));
        }
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
