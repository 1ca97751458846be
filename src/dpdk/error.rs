//! DPDK's failures, with the reason that it logged.

use std::ffi::CStr;

/// A DPDK call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: {call} failed: {reason}{}", logged.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
pub struct Error {
    /// The DPDK function.
    pub call: &'static str,
    /// The port, pool or device it was called for.
    pub subject: String,
    /// What the error number says.
    pub reason: String,
    /// The last error that DPDK logged meanwhile, often the real reason.
    pub logged: Option<String>,
}

/// The result of a DPDK call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// From an error number, of either sign.
    pub(super) fn number(call: &'static str, subject: &str, number: i32) -> Self {
        Self::plain(call, subject, describe(number))
    }

    /// From `rte_errno`, for calls that return a null pointer.
    pub(super) fn last(call: &'static str, subject: &str) -> Self {
        // SAFETY: reads a thread-local integer.
        Self::number(call, subject, unsafe { dpdk_sys::shim_errno() })
    }

    /// With a reason of our own.
    pub(super) fn plain(call: &'static str, subject: &str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { call, subject: subject.to_owned(), reason, logged: super::log::take_last_error() }
    }
}

/// Turns DPDK's 'zero is fine, negative is an error number' into a `Result`.
pub(super) fn check(call: &'static str, subject: &str, returned: i32) -> Result<i32> {
    if returned < 0 { Err(Error::number(call, subject, returned)) } else { Ok(returned) }
}

fn describe(number: i32) -> String {
    // SAFETY: rte_strerror returns a static or thread-local string for any number.
    let text = unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(number.saturating_abs())) };
    text.to_string_lossy().into_owned()
}
