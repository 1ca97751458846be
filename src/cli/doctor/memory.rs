//! Memory, in huge pages or without.

use super::Finding;
use super::machine::Machine;
use crate::config::Config;
use crate::control::{Most, SetBy};
use crate::dpdk::{all_hugepages, free_hugepages, has_hugetlbfs};

const SUBJECT: &str = "huge pages";
const MIB: u64 = 1 << 20;
/// What DPDK takes for itself, where the configuration leaves it the choice.
const LEAST: u64 = 256 * MIB;

/// More than there can be.
fn too_much(config: &Config, machine: &Machine) -> Option<Finding> {
    let asked = config.eal.memory?;
    let most = Most::exceeded_by(asked, &machine.path("/"))?;
    let found = format!("eal.memory is {} MiB, and {most}", asked / MIB);
    let remedy = format!("lower eal.memory, or {}", most.remedy());
    Some(match most.set_by {
        SetBy::Machine => Finding::bad("memory", found, remedy),
        SetBy::ControlGroup => Finding::poor("memory", found, remedy),
    })
}

pub(super) fn examine(config: &Config, machine: &Machine) -> Vec<Finding> {
    let free = free_hugepages(&machine.path("/sys"));
    if !config.eal.hugepages {
        let poor = Finding::poor(
            SUBJECT,
            "eal.hugepages is false: packets lie in small pages, whose addresses take the CPU longer to find",
            "'sysctl vm.nr_hugepages=1024' and 'eal: {hugepages: true}', unless this is a test",
        );
        return [poor].into_iter().chain(too_much(config, machine)).collect();
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
