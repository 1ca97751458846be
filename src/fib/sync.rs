//! Atomics, from the standard library or from the model checker.

#[cfg(not(loom))]
pub use std::sync::{
    Arc,
    atomic::{AtomicPtr, AtomicU64, Ordering, fence},
};

#[cfg(loom)]
pub use loom::sync::{
    Arc,
    atomic::{AtomicPtr, AtomicU64, Ordering, fence},
};
