//! Against machines that are made of files.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::machine::Machine;
use super::{Finding, Verdict, examine};
use crate::config::Config;

const CONFIG: &str = r#"
eal: {hugepages: true, memory: 2GiB}
cores: {control: 0, workers: [2, 3], idle: spin}
underlay:
  ports: [{name: up0, device: "0000:3b:00.0", queues: 2, mtu: 1550}]
  vtep: {ipv4: 192.0.2.1, ipv6: "2001:db8::1"}
  neighbours:
    - {ip: 192.0.2.2, mac: "02:00:00:00:02:02", port: up0}
    - {ip: "2001:db8::2", mac: "02:00:00:00:02:02", port: up0}
access:
  ports: [{name: vm1, device: "net_vhost0,iface=/run/vms/vm1.sock"}]
networks:
  - {vni: 101, name: tenant-a, ports: [vm1], flood: {peers: [192.0.2.2]}}
"#;

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// One where nothing is left to wish for.
fn good(root: &Path) {
    put(root, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "1024\n");
    put(root, "sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1\n");
    put(root, "proc/mounts", "hugetlbfs /dev/hugepages hugetlbfs rw 0 0\n");
    put(root, "sys/devices/system/cpu/isolated", "2-5\n");
    for core in 2..4 {
        let cpu = format!("sys/devices/system/cpu/cpu{core}");
        put(
            root,
            &format!("{cpu}/topology/thread_siblings_list"),
            &format!("{core},{}\n", core + 8),
        );
        put(root, &format!("{cpu}/cpufreq/scaling_governor"), "performance\n");
        fs::create_dir_all(root.join(cpu).join("node1")).unwrap();
    }
    let nic = root.join("sys/bus/pci/devices/0000:3b:00.0");
    put(&nic, "numa_node", "1\n");
    symlink("../../bus/pci/drivers/vfio-pci", nic.join("driver")).unwrap();
    symlink("../../../kernel/iommu_groups/7", nic.join("iommu_group")).unwrap();
    put(root, "sys/kernel/iommu_groups/7/type", "DMA-FQ\n");
    for folder in ["sys/kernel/iommu_groups/7/devices/0000:3b:00.0", "sys/module/vfio_iommu_type1"]
    {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    put(root, "dev/vfio/vfio", "");
    put(root, "dev/vfio/7", "");
    fs::create_dir_all(root.join("run/vms")).unwrap();
}

fn findings(root: &Path, config: &str) -> Vec<Finding> {
    examine(&Config::parse("ferry.yaml", config).unwrap(), &Machine::below(root))
}

/// What is not fine on the good machine after a change.
fn complaints(change: impl FnOnce(&Path)) -> Vec<(Verdict, &'static str)> {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path());
    change(folder.path());
    let all = findings(folder.path(), CONFIG).into_iter();
    let wrong = all.filter(|finding| finding.verdict != Verdict::Fine);
    wrong
        .map(|finding| {
            assert!(!finding.remedy.is_empty(), "{finding:?}");
            (finding.verdict, finding.subject)
        })
        .collect()
}

#[test]
fn nothing_is_left_to_wish_for() {
    assert_eq!(complaints(|_| ()), []);
}

#[test]
fn without_huge_pages_memory_is_the_machines_or_its_control_groups() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path());
    put(folder.path(), "proc/meminfo", "MemTotal: 4194304 kB\n");
    let config = CONFIG.replace("hugepages: true", "hugepages: false");
    let memory = || findings(folder.path(), &config).into_iter().find(|of| of.subject == "memory");
    assert_eq!(memory(), None);
    put(folder.path(), "proc/self/cgroup", "0::/box\n");
    put(folder.path(), "sys/fs/cgroup/box/memory.max", "1073741824\n");
    let finding = memory().unwrap();
    assert_eq!(finding.verdict, Verdict::Poor);
    assert_eq!(finding.found, "eal.memory is 2048 MiB, and Ferry's control group has 1024 MiB");
    assert!(finding.remedy.contains("MemoryMax"), "{}", finding.remedy);
    put(folder.path(), "proc/meminfo", "MemTotal: 2096128 kB\n");
    let finding = memory().unwrap();
    assert_eq!(finding.verdict, Verdict::Bad);
    assert_eq!(finding.found, "eal.memory is 2048 MiB, and the machine has 2047 MiB");
}

#[test]
fn each_fault_is_found() {
    use Verdict::{Bad, Poor};
    type Change = fn(&Path);
    let faults: [(Change, (Verdict, &str)); 9] = [
        (
            |root| {
                put(root, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "511");
            },
            (Bad, "huge pages"),
        ),
        (|root| put(root, "proc/mounts", ""), (Poor, "hugetlbfs")),
        (|root| put(root, "sys/devices/system/cpu/isolated", "3"), (Poor, "isolated cores")),
        (
            |root| put(root, "sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "2-3"),
            (Poor, "hyper-threads"),
        ),
        (
            |root| put(root, "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave"),
            (Poor, "frequency"),
        ),
        (|root| fs::remove_dir_all(root.join("sys/module")).unwrap(), (Bad, "sysfs")),
        (
            |root| fs::remove_dir_all(root.join("sys/bus/pci/devices/0000:3b:00.0")).unwrap(),
            (Bad, "NIC"),
        ),
        (|root| put(root, "sys/bus/pci/devices/0000:3b:00.0/numa_node", "0"), (Poor, "NUMA")),
        (|root| fs::remove_dir(root.join("run/vms")).unwrap(), (Bad, "vhost-user")),
    ];
    for (change, expected) in faults {
        assert_eq!(complaints(change), [expected]);
    }
}

const NIC: &str = "sys/bus/pci/devices/0000:3b:00.0";
const GROUP: &str = "sys/kernel/iommu_groups/7";

fn give_to(root: &Path, driver: &str) {
    let link = root.join(NIC).join("driver");
    let _ = fs::remove_file(&link);
    symlink(format!("../../bus/pci/drivers/{driver}"), link).unwrap();
}

/// One that gives nobody an IOMMU group.
fn without_iommu(root: &Path) {
    fs::remove_file(root.join(NIC).join("iommu_group")).unwrap();
    fs::remove_dir_all(root.join("sys/kernel/iommu_groups")).unwrap();
}

#[test]
fn what_keeps_a_nic_from_dpdk_is_told_with_what_helps() {
    use Verdict::{Bad, Poor};
    type Change = fn(&Path);
    let faults: [(Change, Verdict, &str, &str); 11] = [
        (|root| give_to(root, "ixgbe"), Bad, "driver ixgbe", "modprobe vfio-pci;"),
        (
            |root| fs::remove_file(root.join(NIC).join("driver")).unwrap(),
            Bad,
            "has no driver",
            "modprobe vfio-pci;",
        ),
        (
            |root| {
                without_iommu(root);
                give_to(root, "ixgbe");
            },
            Bad,
            "driver ixgbe",
            "intel_iommu=on",
        ),
        (
            |root| {
                without_iommu(root);
                give_to(root, "uio_pci_generic");
            },
            Poor,
            "may write anywhere",
            "intel_iommu=on",
        ),
        (
            |root| put(root, &format!("{GROUP}/name"), "vfio-noiommu\n"),
            Poor,
            "may write anywhere",
            "intel_iommu=on",
        ),
        (|root| give_to(root, "uio_pci_generic"), Bad, "no frame would pass", "iommu=pt"),
        (
            |root| {
                put(root, &format!("{GROUP}/type"), "identity\n");
                give_to(root, "igb_uio");
            },
            Poor,
            "may write anywhere",
            "modprobe vfio-pci;",
        ),
        (
            |root| {
                fs::create_dir_all(root.join(GROUP).join("devices/0000:3b:00.1")).unwrap();
                let other = root.join("sys/bus/pci/devices/0000:3b:00.1");
                fs::create_dir_all(&other).unwrap();
                symlink("../../bus/pci/drivers/ahci", other.join("driver")).unwrap();
            },
            Bad,
            "0000:3b:00.1, which has driver ahci",
            "vfio-pci",
        ),
        (
            |root| fs::remove_dir(root.join("sys/module/vfio_iommu_type1")).unwrap(),
            Bad,
            "no way to the IOMMU",
            "modprobe vfio_iommu_type1",
        ),
        (
            |root| fs::remove_file(root.join("dev/vfio/vfio")).unwrap(),
            Bad,
            "/dev/vfio/vfio",
            "/dev",
        ),
        (|root| fs::remove_file(root.join("dev/vfio/7")).unwrap(), Bad, "/dev/vfio/7", "/dev"),
    ];
    for (change, verdict, found, remedy) in faults {
        let folder = tempfile::tempdir().unwrap();
        good(folder.path());
        change(folder.path());
        let all = findings(folder.path(), CONFIG);
        let nic = all.iter().find(|finding| finding.subject == "NIC").unwrap();
        assert_eq!(nic.verdict, verdict, "{nic:?}");
        assert!(nic.found.contains(found) && nic.remedy.contains(remedy), "{nic:?}");
        assert!(!nic.remedy.contains("uio") || nic.remedy.contains("where there is none"));
    }
}

#[test]
fn uio_needs_huge_pages() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path());
    without_iommu(folder.path());
    give_to(folder.path(), "uio_pci_generic");
    let all = findings(folder.path(), &CONFIG.replace("hugepages: true", "hugepages: false"));
    let nic = all.iter().find(|finding| finding.subject == "NIC").unwrap();
    assert_eq!((nic.verdict, &*nic.remedy), (Verdict::Bad, "eal: {hugepages: true}"));
}

#[test]
fn huge_pages_that_others_use_are_counted_in() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path());
    let pages = "sys/kernel/mm/hugepages/hugepages-2048kB";
    fs::remove_dir_all(folder.path().join("sys/kernel/mm/hugepages/hugepages-1048576kB")).unwrap();
    put(folder.path(), &format!("{pages}/free_hugepages"), "24\n");
    put(folder.path(), &format!("{pages}/nr_hugepages"), "1048\n");
    let all = findings(folder.path(), CONFIG);
    let memory = all.iter().find(|finding| finding.subject == "huge pages").unwrap();
    assert_eq!(memory.found, "48 of 2096 MiB are free, eal.memory is 2048 MiB");
    assert!(
        memory
            .remedy
            .ends_with("a Ferry that runs has them; otherwise sysctl vm.nr_hugepages=2048")
    );
}

#[test]
fn what_an_ipv6_peer_adds_does_not_fit_where_that_of_an_ipv4_peer_does() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path());
    let config = CONFIG.replace("[192.0.2.2]", r#"[192.0.2.2, "2001:db8::2"]"#);
    let found = findings(folder.path(), &config);
    let mtu = found.iter().find(|finding| finding.subject == "MTU").unwrap();
    assert_eq!(mtu.verdict, Verdict::Poor);
    assert!(mtu.remedy.contains("1570") && mtu.remedy.contains("1480"), "{}", mtu.remedy);
}
