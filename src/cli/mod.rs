//! The command line: arguments become a [`Plan`] that holds no bad value, and other commands ask the running
//! process. Anything that can be wrong with an argument is wrong here, before DPDK starts.

mod arguments;
mod change;
mod check;
mod doctor;
mod events;
mod exit;
mod list;
pub mod log;
mod reference;
mod run;
mod show;
mod table;
mod units;
mod watch;

#[cfg(test)]
mod tests;

pub use arguments::{Change, Plan, Resource, Show, Wanted, parse};
pub use change::{ChangeError, change};
pub use check::check;
pub use doctor::doctor;
pub use events::events;
pub use exit::Exit;
pub use reference::{completions, manual};
pub use run::{RunError, run, version};
pub use show::show;
