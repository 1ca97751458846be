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
    fs::create_dir_all(root.join("sys/kernel/iommu_groups/7")).unwrap();
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
fn each_fault_is_found() {
    use Verdict::{Bad, Poor};
    let nic = "sys/bus/pci/devices/0000:3b:00.0";
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
        (|root| fs::remove_dir_all(root.join("sys/kernel/iommu_groups")).unwrap(), (Poor, "NIC")),
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
    let bound_to_the_kernel = complaints(|root| {
        fs::remove_file(root.join(nic).join("driver")).unwrap();
        symlink("../../bus/pci/drivers/ixgbe", root.join(nic).join("driver")).unwrap();
    });
    assert_eq!(bound_to_the_kernel, [(Bad, "NIC")]);
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
