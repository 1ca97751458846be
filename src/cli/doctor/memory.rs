//! Huge pages.

use super::Finding;
use super::machine::Machine;
use crate::config::Config;
use crate::dpdk::{free_hugepages, has_hugetlbfs};

const SUBJECT: &str = "huge pages";
const MIB: u64 = 1 << 20;
/// What DPDK takes for itself, where the configuration leaves it the choice.
const LEAST: u64 = 256 * MIB;

pub(super) fn examine(config: &Config, machine: &Machine) -> Vec<Finding> {
    let free = free_hugepages(&machine.path("/sys"));
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
    if !has_hugetlbfs(&machine.path("/proc")) {
        findings.push(Finding::poor(
            "hugetlbfs",
            "none is mounted: packet capture by dpdk-dumpcap cannot attach",
            "mount -t hugetlbfs hugetlbfs /dev/hugepages",
        ));
    }
    findings
}
