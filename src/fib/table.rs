//! The memory of a table: 64-byte buckets of four keys and four values.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;

/// Entries in a bucket.
pub(super) const WAYS: usize = 4;

/// Keys first, then values: a lookup compares all keys at once and reads one value.
///
/// A key word holds the MAC in its low 48 bits. In the first one, the high 16 bits count the entries that
/// found this bucket full on their way from their home, so that a miss ends at the first bucket
/// that nothing overflowed.
#[repr(C, align(64))]
pub(super) struct Bucket {
    pub keys: [AtomicU64; WAYS],
    pub values: [AtomicU64; WAYS],
}

/// From this size on, tables lie in transparent huge pages: a lookup then costs fewer page walks.
const HUGE: usize = 2 << 20;

/// Owned, zeroed buckets; their number is a power of two.
pub(super) struct Table {
    base: NonNull<Bucket>,
    log2: u32,
}

// SAFETY: a table is atomics in memory that it owns.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// log2 of the buckets of the smallest table: 256 bytes.
    pub const SMALLEST: u32 = 2;
    /// The low bits of a table's word: buckets are 64-byte aligned.
    pub const LOG2_MASK: usize = 63;

    /// A zeroed table of `2^log2` buckets.
    pub fn new(log2: u32) -> Self {
        let layout = layout(log2);
        let memory = if layout.size() >= HUGE {
            map_pages(layout.size())
        } else {
            // SAFETY: the layout is not empty.
            unsafe { alloc_zeroed(layout) }
        };
        let Some(base) = NonNull::new(memory.cast()) else { handle_alloc_error(layout) };
        Self { base, log2 }
    }

    /// The table in one word: its address, and in the low bits log2 of its buckets.
    pub fn word(&self) -> *mut Bucket {
        self.base.as_ptr().map_addr(|address| address | self.log2 as usize)
    }

    /// The table that a word stands for.
    ///
    /// # Safety
    /// The word is from [`Table::word`], and no other owner drops that table.
    pub unsafe fn from_word(word: *mut Bucket) -> Option<Self> {
        let base = NonNull::new(word.map_addr(|address| address & !Self::LOG2_MASK))?;
        Some(Self { base, log2: (word.addr() & Self::LOG2_MASK) as u32 })
    }

    /// log2 of the number of buckets.
    pub fn log2(&self) -> u32 {
        self.log2
    }

    pub fn buckets(&self) -> &[Bucket] {
        // SAFETY: `2^log2` zeroed buckets, which are valid, and `&self` keeps them.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), 1 << self.log2) }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let layout = layout(self.log2);
        // SAFETY: allocated in `new` with this size, and by the same choice.
        unsafe {
            if layout.size() >= HUGE {
                libc::munmap(self.base.as_ptr().cast(), layout.size());
            } else {
                dealloc(self.base.as_ptr().cast(), layout);
            }
        }
    }
}

fn layout(log2: u32) -> Layout {
    Layout::array::<Bucket>(1 << log2).unwrap_or(Layout::new::<Bucket>())
}

/// Fresh pages, zero until touched, aligned so that huge pages fit; null when there are none.
fn map_pages(size: usize) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: an anonymous mapping at an address of the kernel's choice; what is cut off before and
    // behind the aligned part lies within it. The advice is only that.
    unsafe {
        let start = libc::mmap(null_mut(), size + HUGE, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return null_mut();
        }
        let before = start.align_offset(HUGE);
        let base = start.byte_add(before);
        if before > 0 {
            libc::munmap(start, before);
        }
        libc::munmap(base.byte_add(size), HUGE - before);
        libc::madvise(base, size, libc::MADV_HUGEPAGE);
        base.cast()
    }
}
