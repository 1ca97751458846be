//! A PCI device: there, given to a kernel driver that leaves it to DPDK, let into memory, and near the workers.

use super::Finding;
use super::machine::Machine;
use crate::config::{Config, Port};

const SUBJECT: &str = "NIC";
const DEVICES: &str = "/sys/bus/pci/devices";
const GROUPS: &str = "/sys/kernel/iommu_groups";
/// Kernel drivers that hand out a device and know of no IOMMU.
const UIO: [&str; 2] = ["uio_pci_generic", "igb_uio"];
/// Kernel drivers that DPDK works beside.
const BIFURCATED: [&str; 3] = ["mlx5_core", "mlx4_core", "mana"];
/// Kernel drivers that may have other devices of a group that vfio hands out.
const HARMLESS: [&str; 3] = ["vfio-pci", "pcieport", "pci-stub"];
const SWITCH_ON: &str =
    "switch the IOMMU on in the BIOS, and boot with intel_iommu=on iommu=pt (AMD: iommu=pt)";

/// A port's device.
struct Nic<'a> {
    machine: &'a Machine,
    port: &'a Port,
    address: &'a str,
    driver: Option<String>,
    /// The number of its IOMMU group.
    group: Option<String>,
}

pub(super) fn examine(
    config: &Config,
    machine: &Machine,
    port: &Port,
    address: &str,
) -> Vec<Finding> {
    let (name, folder) = (&port.name, format!("{DEVICES}/{address}"));
    if !machine.path(&folder).exists() {
        let found = format!("port '{name}': there is no PCI device {address}");
        let remedy = "'dpdk-devbind.py --status-dev net' lists those that there are";
        return vec![Finding::bad(SUBJECT, found, remedy)];
    }
    let driver = machine.link(format!("{folder}/driver"));
    let group = machine.link(format!("{folder}/iommu_group"));
    let nic = Nic { machine, port, address, driver, group };
    let mut findings = vec![match nic.driver.as_deref() {
        Some("vfio-pci") => nic.by_vfio(),
        Some(driver) if UIO.contains(&driver) => nic.by_uio(config.eal.hugepages),
        Some(driver) if BIFURCATED.contains(&driver) => nic.fine(),
        Some(driver) => {
            nic.bad(format!("has driver {driver}, which keeps it from DPDK"), nic.how_to_bind())
        }
        None => nic.bad("has no driver, and DPDK needs one", nic.how_to_bind()),
    }];
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

impl Nic<'_> {
    /// Without an IOMMU, or the switch that makes it go without one, vfio takes no device.
    fn by_vfio(&self) -> Finding {
        let of_group = |file: &str| {
            let group = self.group.as_deref().unwrap_or_default();
            format!("{GROUPS}/{group}/{file}")
        };
        if self.machine.text(of_group("name")).is_some_and(|name| name == "vfio-noiommu") {
            let found = "has driver vfio-pci and no IOMMU: the device may write anywhere";
            return self.poor(found, SWITCH_ON);
        }
        for other in self.machine.names(of_group("devices")) {
            match self.machine.link(format!("{DEVICES}/{other}/driver")) {
                Some(driver) if !HARMLESS.contains(&driver.as_str()) => {
                    return self.bad(
                        format!("shares its IOMMU group with {other}, which has driver {driver}: vfio lets nobody have either"),
                        format!("give {other} to vfio-pci, too, or put the NIC into another slot"),
                    );
                }
                _ => {}
            }
        }
        if !self.machine.path("/sys/module/vfio_iommu_type1").exists() {
            let found = "has driver vfio-pci, and vfio has no way to the IOMMU";
            return self.bad(found, "modprobe vfio_iommu_type1");
        }
        let files = [Some("vfio"), self.group.as_deref()].into_iter().flatten();
        let mut files = files.map(|file| format!("/dev/vfio/{file}"));
        match files.find(|file| !self.machine.path(file).exists()) {
            Some(file) => self.bad(
                format!("has driver vfio-pci, and {file} is missing here"),
                "in a container: give it /dev/vfio and the host's /sys",
            ),
            None => self.fine(),
        }
    }

    /// The device gets physical addresses, and may write to all of them.
    fn by_uio(&self, hugepages: bool) -> Finding {
        let driver = self.driver.as_deref().unwrap_or_default();
        let group = self.group.as_deref().unwrap_or_default();
        let domain = self.machine.text(format!("{GROUPS}/{group}/type")).unwrap_or_default();
        if !hugepages {
            let found = format!("has driver {driver}, which needs huge pages");
            return self.bad(found, "eal: {hugepages: true}");
        }
        if domain.starts_with("DMA") {
            return self.bad(
                format!(
                    "has driver {driver}, and the IOMMU keeps it from memory: no frame would pass"
                ),
                format!("{}; or boot with iommu=pt", self.how_to_bind()),
            );
        }
        let found = format!("has driver {driver}, without an IOMMU: the device may write anywhere");
        self.poor(found, self.how_to_bind())
    }

    fn how_to_bind(&self) -> String {
        let bind =
            |module| format!("modprobe {module}; dpdk-devbind.py -b {module} {}", self.address);
        if self.group.is_some() {
            return bind("vfio-pci");
        }
        let by_vfio = format!("{SWITCH_ON}, and then {}", bind("vfio-pci"));
        match self.driver.as_deref() {
            Some(driver) if UIO.contains(&driver) => by_vfio,
            _ => format!("{by_vfio}; where there is none: {}", bind("uio_pci_generic")),
        }
    }

    fn found(&self, what: &str) -> String {
        format!("port '{}': {} {what}", self.port.name, self.address)
    }

    fn fine(&self) -> Finding {
        let driver = self.driver.as_deref().unwrap_or_default();
        Finding::fine(SUBJECT, self.found(&format!("has driver {driver}")))
    }

    fn poor(&self, what: impl AsRef<str>, remedy: impl Into<String>) -> Finding {
        Finding::poor(SUBJECT, self.found(what.as_ref()), remedy)
    }

    fn bad(&self, what: impl AsRef<str>, remedy: impl Into<String>) -> Finding {
        Finding::bad(SUBJECT, self.found(what.as_ref()), remedy)
    }
}
