//! What ports are made of: NICs, and sockets of VMs.

use std::path::Path;

use super::machine::Machine;
use super::{Finding, nic};
use crate::config::{Config, Port, pci_address_of};

pub(super) fn examine(config: &Config, machine: &Machine) -> Vec<Finding> {
    let underlay = config.underlay.ports.iter().map(|port| &port.port);
    let mut findings = Vec::new();
    for port in underlay.chain(&config.access) {
        for device in port.devices() {
            if let Some(address) = pci_address_of(device) {
                findings.extend(nic::examine(config, machine, port, &address));
            } else if let Some(socket) = vhost_socket(device) {
                findings.extend(folder_of(machine, port, Path::new(socket)));
            }
        }
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
