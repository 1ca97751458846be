//! Ferry, a DPDK poll-mode VTEP. ARCHITECTURE.md tells how the rooms fit together.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod dpdk;
pub mod drop_reason;
pub mod fib;
pub mod neighbours;
pub mod too_big;
pub mod tunnel;
pub mod wire;
pub mod worker;
