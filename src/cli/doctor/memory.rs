//! Huge pages.

use super::Finding;
use super::machine::Machine;
use crate::config::Config;
use crate::dpdk::{all_hugepages, free_hugepages, has_hugetlbfs};

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
        let all = all_hugepages(&machine.path("/sys"));
        let enough = (all.saturating_sub(free) + wanted).div_ceil(2 * MIB);
        let known =
            if all < wanted { "" } else { "none, if a Ferry that runs has them; otherwise " };
        Finding::bad(
            SUBJECT,
            format!(
                "{} of {} MiB are free, eal.memory is {} MiB",
                free / MIB,
                all / MIB,
                wanted / MIB
            ),
            format!("{known}sysctl vm.nr_hugepages={enough}"),
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
