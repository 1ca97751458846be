//! A safe layer over DPDK: what the rest of Ferry sees of it.
//!
//! Who may call what: [`Eal::start`] runs once, on the main thread, before anything else here.
//! Ports and mempools are made and configured on that thread. A queue handle may move to the
//! lcore that will poll it and is used by that lcore alone (`Send`, not `Sync`). An [`Mbuf`] has one
//! owner and goes back to its pool when dropped; all of them must be gone before [`Eal`] is.

mod bond;
mod burst;
mod eal;
mod error;
mod heap;
mod hugepages;
mod interface;
mod ip_frag;
mod link;
mod log;
mod mbuf;
mod mempool;
mod offload;
mod port;
mod port_state;
mod queue;
mod ring;
mod statistics;
mod telemetry;
mod vhost;

pub use bond::BondMode;
pub use burst::{BURST, Burst, sift, sift_ahead};
pub use eal::{Eal, EalOptions, Lcore, LcoreTask, version};
pub use error::{Error, Result};
pub use heap::{free_memory, trim_heap};
pub use hugepages::{all_hugepages, free_hugepages, has_hugetlbfs};
pub use interface::{has_carrier, has_interface};
pub use ip_frag::{CutError, Pieces, cut_ipv4, cut_ipv6};
pub use link::LinkState;
pub use mbuf::{Checksum, Mbuf};
pub use mempool::Mempool;
pub use offload::{Offloads, Unfinished, Work};
pub use port::{Port, PortOptions};
pub use port_state::PortState;
pub use queue::{RxQueue, TxQueue};
pub use ring::MbufRing;
pub use statistics::Losses;
pub use telemetry::{Answer, Answerer, Telemetry};

/// Whether this CPU has what the binary was compiled for. Ask first of all: without it, the process dies of SIGILL
/// sooner or later.
pub fn cpu_suits() -> bool {
    // SAFETY: reads the CPU's identification.
    !cfg!(target_feature = "avx2") || unsafe { dpdk_sys::shim_cpu_is_x86_64_v3() } == 1
}

/// The time-stamp counter: cycles at the machine's nominal rate.
#[inline]
pub fn cycles() -> u64 {
    // SAFETY: reads a register.
    unsafe { dpdk_sys::shim_rdtsc() }
}

/// The rate of [`cycles`], a second, once [`Eal`] has started.
pub fn cycles_per_second() -> u64 {
    // SAFETY: reads what EAL measured at its start.
    unsafe { dpdk_sys::rte_get_tsc_hz() }
}
