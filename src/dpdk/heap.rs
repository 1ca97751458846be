//! The C library's heap, which Rust's allocations are in too.

/// Gives the system back what was freed. glibc keeps freed pages below the last block in use: a configuration that has been
/// read from text leaves several times its own size behind.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no address, and locks what it walks through.
    unsafe {
        libc::malloc_trim(0);
    }
}
