//! A worker in steady state allocates nothing from the heap.
#![allow(clippy::unwrap_used)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ferry::config::Config;
use ferry::{api, control};
use support::frames::{BROADCAST, ethernet, mac, pcap, udp};
use tempfile::TempDir;

/// Counts what the first worker lcore allocates and frees.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);
const WORKER: u32 = 1;

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count() {
    // SAFETY: reads a thread-local integer.
    if unsafe { dpdk_sys::shim_lcore_id() } == WORKER {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_worker_loop_allocates_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    // Unicast to a peer and to a port, unknown unicast, broadcast, drops: all ways through the worker.
    let frames = [
        udp(mac(9), mac(1), ([10, 0, 0, 1], [10, 0, 0, 9]), (1, 2), &[0; 30]),
        ethernet(mac(2), mac(1), 60),
        ethernet(mac(77), mac(1), 60),
        ethernet(BROADCAST, mac(1), 60),
        ethernet(mac(9), [0; 6], 60),
    ];
    std::fs::write(folder.path().join("in.pcap"), pcap(&frames)).unwrap();
    let text = format!(
        r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: yield}}
api: {{socket: {path}/ferry.sock}}
underlay:
  ports: [{{name: up0, device: "net_null0,no-rx=1"}}]
  vtep: {{ipv4: 192.0.2.1}}
  neighbours: [{{ip: 192.0.2.2, mac: "02:00:00:00:00:02", port: up0}}, {{ip: 192.0.2.3, mac: "02:00:00:00:00:03", port: up0}}]
access:
  ports:
    - {{name: vm1, device: "net_pcap0,rx_pcap={path}/in.pcap,infinite_rx=1"}}
    - {{name: vm2, device: "net_null1,no-rx=1"}}
networks:
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    flood: {{peers: [192.0.2.2, 192.0.2.3]}}
    macs: [{{mac: "02:00:00:00:aa:09", peer: 192.0.2.2}}, {{mac: "02:00:00:00:aa:02", port: vm2}}]
"#
    );
    let config = Arc::new(Config::parse("test", &text).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let (_handle, queries) = api::channel(ferry::cli::version());
    let mut control = control::start(config).unwrap();
    let timer = std::thread::spawn({
        let stop = stop.clone();
        move || {
            std::thread::sleep(Duration::from_secs(1));
            let before = COUNT.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(2));
            let after = COUNT.load(Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
            after - before
        }
    });
    control.run(&stop, &queries);
    let allocations = timer.join().unwrap();
    let stopped = control.stop();
    assert!(stopped.totals.rx > 100_000 && stopped.totals.copies > 50_000, "{:?}", stopped.totals);
    assert_eq!(stopped.missing, []);
    assert_eq!(allocations, 0, "in two seconds of traffic");
}
