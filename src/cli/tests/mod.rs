//! The command line: arguments, tables, and `ferry show` against a real socket.
#![allow(clippy::unwrap_used)]

mod arguments;
mod change;
mod show;
mod tables;
mod trace;
