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
    let before = cpu_ticks(lab.ferry.pid());
    std::thread::sleep(Duration::from_secs(4));
    let used = cpu_ticks(lab.ferry.pid()) - before;
    // 100 ticks are a second (sysconf(_SC_CLK_TCK) on Linux).
    assert!(used * 20 < 400, "{used} ticks in four seconds");
    lab.finish();
}
