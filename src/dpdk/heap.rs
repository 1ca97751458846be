//! The C library's heap, which Rust's allocations are in too, and DPDK's.

/// Gives the system back what was freed. glibc keeps freed pages below the last block in use: a configuration that has been
/// read from text leaves several times its own size behind.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no address, and locks what it walks through.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of DPDK's own memory on a NUMA node that nothing uses.
pub fn free_memory(node: i32) -> u64 {
    // SAFETY: plain data that the call fills, and zero where there is no such node.
    unsafe {
        let mut statistics: dpdk_sys::rte_malloc_socket_stats = std::mem::zeroed();
        dpdk_sys::rte_malloc_get_socket_stats(node, &mut statistics);
        statistics.heap_freesz_bytes as u64
    }
}
