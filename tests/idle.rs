//! An idle Ferry with `idle: sleep` leaves the CPU to others.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::Lab;

/// User and system time of a process, in clock ticks (proc(5)).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn it_uses_less_than_a_twentieth_of_a_core() {
    let lab = Lab::new();
    std::thread::sleep(Duration::from_secs(1));
    let used = || {
        let before = cpu_ticks(lab.ferry.pid());
        std::thread::sleep(Duration::from_secs(2));
        cpu_ticks(lab.ferry.pid()) - before
    };
    // What else runs on the machine makes every wake-up dearer, so the best of a few tries counts. 100 ticks are a second
    // (sysconf(_SC_CLK_TCK) on Linux).
    let mut tries = Vec::new();
    while tries.iter().all(|ticks| ticks * 20 >= 200) {
        assert!(tries.len() < 5, "ticks in two seconds each: {tries:?}");
        tries.push(used());
    }
    lab.finish();
}
