//! An idle Ferry with `idle: sleep` leaves the CPU to others.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::Duration;

use support::Lab;

const SECONDS: u64 = 4;

/// User and system time of a process, in clock ticks (proc(5)).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// How often the threads of a process have gone to sleep.
fn sleeps(pid: u32) -> u64 {
    let of = |thread: &Path| {
        let status = std::fs::read_to_string(thread.join("status")).unwrap();
        let count =
            status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        count.trim().parse::<u64>().unwrap()
    };
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.map(|thread| of(&thread.unwrap().path())).sum()
}

/// What a wake-up costs is the machine's affair: tens of microseconds where a hypervisor has lent the core to somebody else
/// meanwhile. So their number is what counts, and of the time only that it is none of a thread that polls.
#[test]
fn it_sleeps_a_millisecond_at_a_time() {
    let lab = Lab::new();
    std::thread::sleep(Duration::from_secs(1));
    let pid = lab.ferry.pid();
    let (slept, ticks) = (sleeps(pid), cpu_ticks(pid));
    std::thread::sleep(Duration::from_secs(SECONDS));
    let (slept, ticks) = (sleeps(pid) - slept, cpu_ticks(pid) - ticks);
    // A worker's naps, and those of the control core and what serves it. 100 ticks are a second (sysconf(_SC_CLK_TCK) on Linux).
    assert!(slept < 1300 * SECONDS, "{slept} times in {SECONDS} seconds");
    assert!(ticks < 25 * SECONDS, "{ticks} ticks in {SECONDS} seconds");
    lab.finish();
}
