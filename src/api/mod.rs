//! The operator's interface: HTTP and JSON on a unix socket, and over TCP where that is wanted.
//!
//! | thread | may call | holds |
//! |---|---|---|
//! | `ferry-api` | everything in `routes`, [`Handle`] | a tokio current-thread runtime; nothing of Ferry's state |
//! | DPDK's telemetry threads | `telemetry` | [`Handle`]; they wait for the answer |
//! | control core | [`Query`], [`Reply::send`] | all state; it answers when its loop comes round |
//! | main | [`serve`], [`Server::stop`] | the server's handle |
//!
//! The API never reads the control core's data. A request becomes a [`Query`] on a bounded channel, and the
//! answer comes back through the query's own [`Reply`]. A control core that is busy or gone therefore costs a
//! request a 503, and a slow client costs the control core nothing.

mod capture;
pub mod client;
mod config;
mod connections;
mod console;
mod document;
mod edit;
mod events;
mod listen;
mod live;
mod metrics;
mod mirror;
pub mod model;
mod page;
mod parts;
pub mod pcapng;
mod query;
mod reload;
mod routes;
mod server;
mod socket;
mod telemetry;
#[cfg(test)]
pub(crate) mod tests;
mod trace;

pub use capture::{CaptureRefusal, CaptureRequest, Direction, Watching, filter};
pub use connections::STOP_TIMEOUT;
pub use events::{Event, Events, MacEvent, Place};
pub use listen::ListenError;
pub use live::{BACKLOG as LIVE_BACKLOG, Live, LiveRefusal, LiveRequest, LiveTrace};
pub use metrics::{NetworkReading, Reading, Table, Tables};
pub use page::{Cursor, MacFilter, MacPage, MacPrefix, NeighbourFilter, NeighbourPage};
pub use parts::{Flush, Flushed};
pub use query::{ApplyError, Handle, Query, REPLY_TIMEOUT, Reply, Running, Unanswered, channel};
pub use server::{Server, serve};
pub use socket::SocketError;
pub use telemetry::answer_telemetry;
pub use trace::{TraceError, UnknownPort, from_hex, to_hex};

/// Where Ferry answers unless the configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/ferry/ferry.sock";
