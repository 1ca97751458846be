#![allow(clippy::unwrap_used)]

mod hear;
mod table;
