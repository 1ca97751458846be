//! DPDK's log goes to `tracing`, and its last error line into our errors.

use std::ffi::c_char;
use std::sync::Mutex;

static LAST_ERROR: Mutex<Option<String>> = Mutex::new(None);

/// Hands DPDK's messages to `tracing` from here on.
pub(super) fn install() {
    // SAFETY: called before rte_eal_init, as shim.h asks; the callback lives for ever.
    if unsafe { dpdk_sys::shim_log_to(Some(receive)) } != 0 {
        tracing::warn!("DPDK's log could not be redirected: it goes to standard error");
    }
}

/// The last error that DPDK logged since the last call; called before an operation, it forgets older ones.
pub(super) fn take_last_error() -> Option<String> {
    LAST_ERROR.lock().ok()?.take()
}

unsafe extern "C" fn receive(level: i32, _kind: i32, text: *const c_char, length: usize) {
    // SAFETY: fopencookie's write hands us `length` readable bytes.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    for line in String::from_utf8_lossy(bytes).lines() {
        let line = line.trim();
        match u32::try_from(level).unwrap_or(0) {
            _ if line.is_empty() => {}
            1..=dpdk_sys::RTE_LOG_ERR => {
                tracing::debug!(target: "dpdk", "{line}");
                if let Ok(mut last) = LAST_ERROR.lock() {
                    *last = Some(line.to_owned());
                }
            }
            dpdk_sys::RTE_LOG_WARNING => tracing::debug!(target: "dpdk", "{line}"),
            _ => tracing::trace!(target: "dpdk", "{line}"),
        }
    }
}
