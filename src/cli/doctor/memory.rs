//! Huge pages.

use super::Finding;
use super::machine::Machine;
use crate::config::Config;

const SUBJECT: &str = "huge pages";
const KIB: u64 = 1024;
const MIB: u64 = KIB * KIB;
/// What DPDK takes for itself, where the configuration leaves it the choice.
const LEAST: u64 = 256 * MIB;

pub(super) fn examine(config: &Config, machine: &Machine) -> Vec<Finding> {
    let free = free(machine);
    if !config.eal.hugepages {
        return vec![Finding::poor(
            SUBJECT,
            "eal.hugepages is false: packets lie in small pages, whose addresses take the CPU longer to find",
            "'sysctl vm.nr_hugepages=1024' and 'eal: {hugepages: true}', unless this is a test",
        )];
    }
    let wanted = config.eal.memory.unwrap_or(LEAST);
    let mut findings = vec![if free < wanted {
        Finding::bad(
            SUBJECT,
            format!("{} MiB are free, eal.memory is {} MiB", free / MIB, wanted / MIB),
            format!("sysctl vm.nr_hugepages={}", wanted.div_ceil(2 * MIB)),
        )
    } else {
        Finding::fine(SUBJECT, format!("{} MiB are free", free / MIB))
    }];
    let mounts = machine.text("/proc/mounts").unwrap_or_default();
    if !mounts.lines().any(|line| line.split(' ').nth(2) == Some("hugetlbfs")) {
        findings.push(Finding::poor(
            "hugetlbfs",
            "none is mounted: packet capture by dpdk-dumpcap cannot attach",
            "mount -t hugetlbfs hugetlbfs /dev/hugepages",
        ));
    }
    findings
}

/// Bytes that nobody uses, in pages of all sizes.
fn free(machine: &Machine) -> u64 {
    const SIZES: &str = "/sys/kernel/mm/hugepages";
    let bytes = |name: &String| {
        let size: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let count: u64 = machine.value(format!("{SIZES}/{name}/free_hugepages"))?;
        Some(size * KIB * count)
    };
    machine.names(SIZES).iter().filter_map(bytes).sum()
}
