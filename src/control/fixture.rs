//! Networks for unit tests.

use std::sync::Arc;

use crate::config::{self, Config};
use crate::wire::Vni;

const BASE: &str = "
cores: {workers: [1]}
underlay:
  ports: [{name: up0, device: net_null0, twin: ferry-up0}]
  vtep: {ipv4: 192.0.2.254}
access:
  ports: [{name: vm1, device: net_null1}, {name: trunk0, device: net_null2}]
";

/// A network in the form of the configuration, without its VNI, on a host with the ports vm1 and trunk0.
pub fn network(vni: u32, text: &str) -> Arc<config::Network> {
    let config = Config::parse("base", BASE).unwrap();
    let config = config.with_network(Vni::try_from(u64::from(vni)).unwrap(), "network", text);
    config.unwrap_or_else(|errors| panic!("{errors}")).networks[0].clone()
}
