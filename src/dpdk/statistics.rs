//! What devices and their drivers count of their own.

use std::ffi::CStr;
use std::mem;

use super::error::{Result, check};
use super::port::Port;

/// Drivers that count a frame as unsent each time that they refuse it. Who offers it knows better how often it is lost.
const COUNTING_REFUSALS: [&str; 2] = ["net_tap", "net_af_xdp"];

/// What a device and its driver count of their own; 0 where the driver does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Losses {
    /// Frames lost on receipt for lack of descriptors or mbufs.
    pub missed: u64,
    /// Damaged frames that came in, or too long ones.
    pub damaged: u64,
    /// How often no mbuf was free for receipt.
    pub no_mbuf: u64,
    /// Frames that were taken to be sent, and could not be.
    pub unsent: u64,
}

impl Port {
    /// What went wrong in the device or its driver.
    pub fn losses(&self) -> Losses {
        // SAFETY: filled by the call; zero where the driver has none.
        let statistics = unsafe {
            let mut statistics: dpdk_sys::rte_eth_stats = mem::zeroed();
            dpdk_sys::rte_eth_stats_get(self.id(), &mut statistics);
            statistics
        };
        let refusals_too = COUNTING_REFUSALS.contains(&&*self.driver());
        Losses {
            missed: statistics.imissed,
            damaged: statistics.ierrors,
            no_mbuf: statistics.rx_nombuf,
            unsent: if refusals_too { 0 } else { statistics.oerrors },
        }
    }

    /// The driver's extended counters by name.
    ///
    /// # Errors
    /// What the driver says.
    pub fn extended_statistics(&self) -> Result<Vec<(String, u64)>> {
        let subject = format!("port {}", self.name());
        // SAFETY: null with length 0 asks for the count.
        let count = check("rte_eth_xstats_get", &subject, unsafe {
            dpdk_sys::rte_eth_xstats_get(self.id(), std::ptr::null_mut(), 0)
        })?;
        // SAFETY: both structs are plain data that the calls fill.
        let (mut names, mut values) = unsafe {
            let name: dpdk_sys::rte_eth_xstat_name = mem::zeroed();
            let value: dpdk_sys::rte_eth_xstat = mem::zeroed();
            (vec![name; count as usize], vec![value; count as usize])
        };
        // SAFETY: both arrays have `count` elements, which is what the calls are told.
        let filled = unsafe {
            let named =
                dpdk_sys::rte_eth_xstats_get_names(self.id(), names.as_mut_ptr(), count as u32);
            let filled = dpdk_sys::rte_eth_xstats_get(self.id(), values.as_mut_ptr(), count as u32);
            check("rte_eth_xstats_get", &subject, named.min(filled))?.min(count)
        };
        let name_of = |raw: &dpdk_sys::rte_eth_xstat_name| {
            // SAFETY: drivers end the name with NUL within its array.
            unsafe { CStr::from_ptr(raw.name.as_ptr()) }.to_string_lossy().into_owned()
        };
        let filled = filled as usize;
        Ok(names.iter().map(name_of).zip(values.iter().map(|v| v.value)).take(filled).collect())
    }
}
