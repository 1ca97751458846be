//! An array for readers, in huge pages where it is large.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use zerocopy::FromZeros;

use super::memory;

/// `2^log2` values, at first all zero.
pub struct Array<T> {
    base: NonNull<T>,
    log2: u32,
}

// SAFETY: it owns its values.
unsafe impl<T: Send> Send for Array<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Array<T> {}

impl<T: FromZeros> Array<T> {
    /// `None` where there is no memory.
    pub fn zeroed(log2: u32) -> Option<Self> {
        const { assert!(size_of::<T>().is_power_of_two() && !std::mem::needs_drop::<T>()) };
        let base = memory::allocate(1usize.checked_shl(log2)?)?;
        Some(Self { base, log2 })
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: so many values, valid since they were zero, and `&self` keeps them.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), 1 << self.log2) }
    }
}

impl<T> DerefMut for Array<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and nobody else looks at them while `&mut self` lasts.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), 1 << self.log2) }
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        // SAFETY: allocated with this count, and owned by nobody else.
        unsafe { memory::release(self.base, 1 << self.log2) };
    }
}
