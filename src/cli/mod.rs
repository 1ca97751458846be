//! The command line: arguments become a [`Plan`] that holds no bad value, and other commands ask the running
//! process. Anything that can be wrong with an argument is wrong here, before DPDK starts.

mod arguments;
mod capture;
mod change;
mod check;
mod doctor;
mod events;
mod exit;
mod frame;
mod list;
mod live;
pub mod log;
mod network_id;
mod parts;
mod plan;
mod reference;
mod run;
mod show;
mod table;
mod top;
mod trace;
mod units;
mod watch;

#[cfg(test)]
mod tests;

pub use arguments::{Resource, parse};
pub use capture::capture;
pub use change::{ChangeError, change};
pub use check::check;
pub use doctor::doctor;
pub use events::events;
pub use exit::Exit;
pub use live::trace_live;
pub use network_id::NetworkId;
pub use parts::{Content, Part};
pub use plan::{Capture, Change, Frames, Plan, Show, Trace, TraceLive, Wanted};
pub use reference::{completions, manual, schema};
pub use run::{RunError, run, version};
pub use show::show;
pub use top::top;
pub use trace::trace;
