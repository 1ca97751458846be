//! What an operator does with Ferry and sees of it.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod apply;
mod capture;
mod cases;
mod console;
mod docs;
mod events;
mod listen;
mod metrics;
mod mirrors;
mod package;
mod service;
mod startup;
mod telemetry;
mod trace;
