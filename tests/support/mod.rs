//! What the wire-level tests share: namespaces, raw ports, frames, and a Ferry to test.
// Each test file uses its own part of this.
#![allow(dead_code, unused_imports, clippy::unwrap_used, missing_docs)]

pub mod browser;
pub mod ferry;
pub mod fragments;
pub mod frames;
pub mod initramfs;
pub mod lab;
pub mod membership;
pub mod namespace;
pub mod neighbours;
pub mod ovs;
pub mod prometheus;
pub mod qemu;
pub mod raw_port;
pub mod tcp;
pub mod testpmd;
pub mod too_big;
pub mod virtio;

pub use browser::Page;
pub use ferry::Ferry;
pub use lab::Lab;
pub use namespace::Namespace;
pub use ovs::Ovs;
pub use qemu::Qemu;
pub use raw_port::RawPort;
pub use testpmd::Testpmd;

use std::time::{Duration, Instant};

/// Waits until `check` is true.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !check() {
        assert!(Instant::now() < end, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
