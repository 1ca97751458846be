//! Atomics. `model.rs` puts the model checker's in their place.

pub use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};
