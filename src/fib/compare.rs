//! Which of a bucket's key words are a given one. `model.rs` replaces it.

use super::sync::AtomicU64;
#[cfg(any(test, not(target_feature = "avx2")))]
use super::sync::Ordering;
use super::table::WAYS;

/// A bit for each key word that is `word` once `ignored` is taken out of the first.
#[inline(always)]
pub(super) fn equal(keys: &[AtomicU64; WAYS], word: u64, ignored: u64) -> u32 {
    #[cfg(all(target_arch = "x86_64", target_feature = "avx2", not(miri)))]
    return equal_avx2(keys, word, ignored);
    #[cfg(not(all(target_arch = "x86_64", target_feature = "avx2", not(miri))))]
    equal_one_by_one(keys, word, ignored)
}

#[cfg_attr(target_feature = "avx2", cfg(test))]
#[inline(always)]
fn equal_one_by_one(keys: &[AtomicU64; WAYS], word: u64, ignored: u64) -> u32 {
    let mut found = u32::from(keys[0].load(Ordering::Relaxed) & !ignored == word);
    for (way, key) in keys.iter().enumerate().skip(1) {
        found |= u32::from(key.load(Ordering::Relaxed) == word) << way;
    }
    found
}

/// All at once.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2", not(miri)))]
#[inline(always)]
fn equal_avx2(keys: &[AtomicU64; WAYS], word: u64, ignored: u64) -> u32 {
    use std::arch::asm;
    use std::arch::x86_64::{__m256i, _mm256_set_epi64x, _mm256_set1_epi64x};

    let found: u32;
    // SAFETY: the instructions read the 32 bytes of `keys` and are what the target features allow. The compiler
    // must not know of a read that races with the writer; what it stands for is a relaxed load of each word,
    // none of which x86 tears, being aligned.
    unsafe {
        let word: __m256i = _mm256_set1_epi64x(word as i64);
        let kept: __m256i = _mm256_set_epi64x(-1, -1, -1, !ignored as i64);
        asm!(
            "vpand {equal}, {kept}, [{keys}]",
            "vpcmpeqq {equal}, {equal}, {word}",
            "vmovmskpd {found:e}, {equal}",
            keys = in(reg) keys.as_ptr(),
            word = in(ymm_reg) word,
            kept = in(ymm_reg) kept,
            equal = out(ymm_reg) _,
            found = lateout(reg) found,
            options(nostack, readonly, preserves_flags),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_at_once_is_one_by_one(
            keys in prop::array::uniform4(0..4u64),
            word in 0..4u64,
            high: u16,
        ) {
            let ignored = 0xffff << 48;
            let mut keys = keys.map(AtomicU64::new);
            *keys[0].get_mut() |= u64::from(high) << 48;
            let one_by_one = equal_one_by_one(&keys, word, ignored);
            prop_assert_eq!(equal(&keys, word, ignored), one_by_one);
        }
    }
}
