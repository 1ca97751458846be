//! PCI devices: there, bound to a driver that DPDK can use, and near the workers. Sockets of VMs.

use std::path::Path;

use super::Finding;
use super::machine::Machine;
use crate::config::{Config, Port, pci_address_of};

const DEVICES: &str = "/sys/bus/pci/devices";
/// Kernel drivers that leave a device to DPDK.
const USER_SPACE: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];
/// Kernel drivers that DPDK works beside.
const BIFURCATED: [&str; 3] = ["mlx5_core", "mlx4_core", "mana"];

pub(super) fn examine(config: &Config, machine: &Machine) -> Vec<Finding> {
    let underlay = config.underlay.ports.iter().map(|port| &port.port);
    let mut findings = Vec::new();
    for port in underlay.chain(&config.access) {
        for device in port.devices() {
            if let Some(address) = pci_address_of(device) {
                findings.extend(pci(config, machine, port, &address));
            } else if let Some(socket) = vhost_socket(device) {
                findings.extend(folder_of(machine, port, Path::new(socket)));
            }
        }
    }
    findings
}

fn pci(config: &Config, machine: &Machine, port: &Port, address: &str) -> Vec<Finding> {
    const SUBJECT: &str = "NIC";
    let (name, folder) = (&port.name, format!("{DEVICES}/{address}"));
    if !machine.path(&folder).exists() {
        let found = format!("port '{name}': there is no PCI device {address}");
        let remedy = "'dpdk-devbind.py --status-dev net' lists those that there are";
        return vec![Finding::bad(SUBJECT, found, remedy)];
    }
    let mut findings = Vec::new();
    let driver = machine.link(format!("{folder}/driver"));
    let has_iommu = !machine.names("/sys/kernel/iommu_groups").is_empty();
    findings.push(match driver.as_deref() {
        Some(driver) if BIFURCATED.contains(&driver) => {
            Finding::fine(SUBJECT, format!("port '{name}': {address} has driver {driver}"))
        }
        Some("vfio-pci") if !has_iommu => Finding::poor(
            SUBJECT,
            format!("port '{name}': {address} has driver vfio-pci and there is no IOMMU: the device may write anywhere"),
            "switch the IOMMU on in the BIOS, and boot with intel_iommu=on iommu=pt (AMD: iommu=pt)",
        ),
        Some(driver) if USER_SPACE.contains(&driver) => {
            Finding::fine(SUBJECT, format!("port '{name}': {address} has driver {driver}"))
        }
        other => Finding::bad(
            SUBJECT,
            format!("port '{name}': {address} has driver {}, which keeps it from DPDK", other.unwrap_or("none")),
            format!("modprobe vfio-pci; dpdk-devbind.py -b vfio-pci {address}"),
        ),
    });
    let node: i32 = machine.value(format!("{folder}/numa_node")).unwrap_or(-1);
    let far = config.cores.workers.iter().find(|core| machine.node_of_cpu(**core) != node);
    if let (0.., Some(core)) = (node, far) {
        findings.push(Finding::poor(
            "NUMA",
            format!("port '{name}' is on node {node}, and worker core {core} on another: each packet crosses over"),
            "take workers of the NIC's node: see lscpu -e=CPU,NODE",
        ));
    }
    findings
}

fn vhost_socket(device: &str) -> Option<&str> {
    let mut parts = device.split(',');
    let driver = parts.next()?;
    let is_vhost = driver.starts_with("net_vhost") || driver.starts_with("eth_vhost");
    is_vhost.then(|| parts.find_map(|part| part.strip_prefix("iface=")))?
}

fn folder_of(machine: &Machine, port: &Port, socket: &Path) -> Option<Finding> {
    let folder = socket.parent().filter(|folder| folder.is_absolute())?;
    (!machine.path(folder).is_dir()).then(|| {
        Finding::bad(
            "vhost-user",
            format!(
                "port '{}': the folder {} of its socket is missing",
                port.name,
                folder.display()
            ),
            format!("mkdir -p {}", folder.display()),
        )
    })
}
