//! Memory: how much there is, and what is said where it does not suffice.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::config::Eal;
use crate::dpdk::{self, Mempool, free_hugepages, free_memory};

const MIB: u64 = 1 << 20;
/// Of pages of memory.
const PAGE: u64 = 4 << 10;
/// Of huge pages, as `vm.nr_hugepages` counts them on x86.
const HUGEPAGE: u64 = 2 * MIB;
/// What is advised is a multiple of this.
const STEP: u64 = 64 * MIB;

/// A limit on the memory that this process can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Bytes, without huge pages.
    pub bytes: u64,
    /// Who sets it.
    pub set_by: SetBy,
}

/// Who sets a limit on memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// The machine has no more, with swap.
    Machine,
    /// A control group, such as that of a service or a container.
    ControlGroup,
}

impl Most {
    /// The machine's, or else its control group's, that so many bytes exceed. The kernel shows them below the folder `root`,
    /// which is `/` but for tests.
    pub fn exceeded_by(asked: u64, root: &Path) -> Option<Self> {
        let machine = machine(root).map(|bytes| Self { bytes, set_by: SetBy::Machine });
        let group = control_group(root).map(|bytes| Self { bytes, set_by: SetBy::ControlGroup });
        machine.into_iter().chain(group).find(|most| asked > most.bytes)
    }

    /// What can be done about it, besides to want less.
    pub fn remedy(self) -> &'static str {
        match self.set_by {
            SetBy::Machine => "give the machine more",
            SetBy::ControlGroup => {
                "raise that limit (MemoryMax of a service, --memory of a container), or the kernel ends Ferry when it has \
                 used so much"
            }
        }
    }
}

impl fmt::Display for Most {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.set_by {
            SetBy::Machine => "the machine has",
            SetBy::ControlGroup => "Ferry's control group has",
        };
        write!(f, "{who} {} MiB", self.bytes / MIB)
    }
}

/// RAM and swap (proc_meminfo(5)).
fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kib = |key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some((kib("MemTotal:")? + kib("SwapTotal:").unwrap_or(0)) * 1024)
}

/// The lowest limit of this process's control group and of those that it is in (cgroups(7)), of either version.
fn control_group(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = text.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (folder, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|of| of == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let groups = Path::new(path.trim_start_matches('/')).ancestors();
        let limit = |group: &Path| {
            let file = root.join(folder).join(group).join(file);
            fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()
        };
        groups.filter_map(limit).min()
    });
    limits.min()
}

/// Packet buffers that there is no memory for.
#[derive(Debug)]
pub struct Shortage {
    /// How many.
    mbufs: u32,
    /// Bytes that they need.
    need: u64,
    /// Bytes that there are.
    free: u64,
    /// Of `eal.memory`, where there can be no more.
    memory: Option<u64>,
    /// Whether it is the operator who says how many.
    is_asked_for: bool,
    reason: dpdk::Error,
}

impl Shortage {
    /// A pool that could not be made on a NUMA node.
    pub fn new(mbufs: u32, room: u16, node: i32, eal: &Eal, reason: dpdk::Error) -> Self {
        let (page, pages) = match eal.hugepages {
            true => (HUGEPAGE, free_hugepages(Path::new("/sys"))),
            false => (PAGE, 0),
        };
        Self {
            mbufs,
            need: Mempool::bytes(mbufs, room, page),
            free: free_memory(node) + pages,
            memory: eal.memory.filter(|_| !eal.hugepages),
            is_asked_for: eal.mbufs.is_some(),
            reason,
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mbufs, need, free, memory, is_asked_for, reason } = self;
        write!(f, "{mbufs} packet buffers need {} MiB, and ", need.div_ceil(MIB))?;
        match memory {
            Some(memory) => {
                let enough = (memory - free.min(memory) + need).next_multiple_of(STEP);
                write!(
                    f,
                    "of eal.memory, {} MiB, {} MiB are free: set eal.memory to {}MiB at least",
                    memory / MIB,
                    free / MIB,
                    enough / MIB
                )?;
            }
            None => {
                let pages = need.saturating_sub(*free).max(HUGEPAGE).div_ceil(HUGEPAGE);
                write!(
                    f,
                    "{} MiB of huge pages are free: raise vm.nr_hugepages by {pages} at least",
                    free / MIB
                )?;
            }
        }
        let other = if *is_asked_for { "eal.mbufs" } else { "the ports' descriptors" };
        write!(f, ", or lower {other} ({reason})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_machines_limit_is_told_before_the_lowest_of_control_groups() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let exceeded = |mib| Most::exceeded_by(mib * MIB, root.path());
        let most = |mib| exceeded(mib).map(|most| (most.bytes / MIB, most.set_by));
        assert_eq!(most(1 << 20), None);
        put("proc/meminfo", "MemTotal:  2097152 kB\nMemFree:  1 kB\nSwapTotal:  1048576 kB\n");
        assert_eq!((most(3072), most(3073)), (None, Some((3072, SetBy::Machine))));
        put("proc/self/cgroup", "0::/system.slice/ferry.service\n");
        put("sys/fs/cgroup/system.slice/ferry.service/memory.max", "max\n");
        assert_eq!(most(3072), None);
        put("sys/fs/cgroup/system.slice/memory.max", "1073741824\n");
        assert_eq!((most(1024), most(1025)), (None, Some((1024, SetBy::ControlGroup))));
        assert_eq!(most(3073), Some((3072, SetBy::Machine)), "which can never be");
        put("sys/fs/cgroup/system.slice/ferry.service/memory.max", "536870912\n");
        assert_eq!(most(1024), Some((512, SetBy::ControlGroup)));

        put("proc/self/cgroup", "9:cpu:/\n4:memory:/box/inner\n0::/\n");
        put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(most(3072), None);
        put("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "268435456\n");
        assert_eq!(most(512), Some((256, SetBy::ControlGroup)));
    }
}
