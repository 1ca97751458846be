//! Whether tenants' frames fit the underlay.

use std::collections::BTreeMap;

use super::Finding;
use super::machine::Machine;
use crate::config::Config;

const SUBJECT: &str = "MTU";

pub(super) fn examine(config: &Config, _: &Machine) -> Vec<Finding> {
    let Some(underlay) = config.underlay.ports.iter().map(|port| port.port.mtu).min() else {
        return Vec::new();
    };
    // By what the underlay would need: the port and network that need it.
    let mut needs = BTreeMap::new();
    for network in &config.networks {
        let Some(overhead) = network.overhead(&config.underlay.vtep) else { continue };
        for member in &network.members {
            let mut ports = config.access.iter();
            if let Some(port) = ports.find(|port| port.name == member.port) {
                let need = port.mtu.saturating_add(overhead);
                needs.entry(need).or_insert((port, network, overhead));
            }
        }
    }
    match needs.last_key_value() {
        Some((need, (port, network, overhead))) if *need > underlay => {
            let fits = underlay.saturating_sub(*overhead);
            vec![Finding::poor(
                SUBJECT,
                format!(
                    "network '{}' adds {overhead} bytes to the {} of port '{}', and the underlay carries {underlay}",
                    network.name, port.mtu, port.name
                ),
                format!(
                    "give the underlay {need} bytes or more, or tell the stations to use {fits}"
                ),
            )]
        }
        Some(_) => vec![Finding::fine(SUBJECT, "the tenants' frames fit the underlay")],
        None => Vec::new(),
    }
}
