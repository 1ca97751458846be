//! The command line: arguments become a [`Plan`] that holds no bad value, and `ferry show` asks the running
//! process. Anything that can be wrong with an argument is wrong here, before DPDK starts.

mod arguments;
mod check;
mod doctor;
mod exit;
mod list;
pub mod log;
mod macs;
mod reference;
mod run;
mod show;
mod table;
mod units;

#[cfg(test)]
mod tests;

pub use arguments::{Plan, ReplaceMacs, Resource, Show, parse};
pub use check::check;
pub use doctor::doctor;
pub use exit::Exit;
pub use macs::{ReplaceMacsError, replace_macs};
pub use reference::{completions, manual};
pub use run::{RunError, run, version};
pub use show::show;
