//! Parts of the configuration that have an address of their own within a list: access ports, a network's static MACs and
//! flood peers; and the learned MACs.

use std::net::IpAddr;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query as Parameters, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{Body, network, unknown};
use super::edit::{BODY, Edited, Terms, edit};
use super::query::{Handle, Query};
use super::routes::Refusal;
use crate::config::{Config, PortInUse};
use crate::wire::MacAddr;

type Place<T> = Result<Path<T>, PathRejection>;

/// Which learned MACs to forget; the parameters of `DELETE /v1/macs`. All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flush {
    /// Those of this network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// Those behind the access port of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Those behind this VTEP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// Only say how many these are.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was forgotten, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flushed {
    /// How many MACs.
    pub macs: u64,
}

/// Forgets learned MACs.
pub(super) async fn flush(
    State(handle): State<Handle>,
    flush: Result<Parameters<Flush>, QueryRejection>,
) -> Result<Json<Flushed>, Refusal> {
    let Parameters(flush) = flush?;
    let config = handle.ask(Query::Config).await?.config;
    if let Some(vni) = flush.vni {
        network(&config, vni)?;
    }
    if let Some(name) = &flush.port {
        config.access_port(name).map_err(unknown)?;
    }
    Ok(Json(handle.ask(|reply| Query::Flush(flush, reply)).await?))
}

/// A static MAC, in the form of an element of a network's `macs`: a new one, or another place or addresses for it.
pub(super) async fn set_mac(
    State(handle): State<Handle>,
    place: Place<(u32, MacAddr)>,
    terms: Terms,
    body: Body,
) -> Result<Edited, Refusal> {
    let (Path((vni, mac)), body) = (place?, body?);
    let is_new = terms.if_none;
    let set = move |config: &Config| {
        let network = network(config, vni)?;
        let known = network.macs.iter().any(|of| of.mac == mac);
        check_new(is_new && known, || format!("{mac} in network {vni}"))?;
        Ok(config.with_mac(network, mac, BODY, &body)?)
    };
    edit(&handle, terms, set).await
}

/// Removes a static MAC, if it is there.
pub(super) async fn remove_mac(
    State(handle): State<Handle>,
    place: Place<(u32, MacAddr)>,
    terms: Terms,
) -> Result<Edited, Refusal> {
    let Path((vni, mac)) = place?;
    edit(&handle, terms, move |config| Ok(config.without_mac(network(config, vni)?, mac))).await
}

/// A flood peer of a network, in the form of an element of its `flood.peers`, or with no body: a new one, or other settings
/// for it.
pub(super) async fn set_peer(
    State(handle): State<Handle>,
    place: Place<(u32, IpAddr)>,
    terms: Terms,
    body: Body,
) -> Result<Edited, Refusal> {
    let (Path((vni, address)), body) = (place?, body?);
    let is_new = terms.if_none;
    let set = move |config: &Config| {
        let network = network(config, vni)?;
        let known = network.peers.iter().any(|of| of.address == address);
        check_new(is_new && known, || format!("{address} among the flood peers of network {vni}"))?;
        Ok(config.with_peer(network, address, BODY, &body)?)
    };
    edit(&handle, terms, set).await
}

/// Removes a flood peer, if it is there.
pub(super) async fn remove_peer(
    State(handle): State<Handle>,
    place: Place<(u32, IpAddr)>,
    terms: Terms,
) -> Result<Edited, Refusal> {
    let Path((vni, address)) = place?;
    let remove =
        move |config: &Config| Ok(config.without_peer(network(config, vni)?, address, BODY)?);
    edit(&handle, terms, remove).await
}

/// An access port, in the form of an element of `access.ports`: a new one, or other settings for it.
pub(super) async fn set_port(
    State(handle): State<Handle>,
    name: Place<String>,
    terms: Terms,
    body: Body,
) -> Result<Edited, Refusal> {
    let (Path(name), body) = (name?, body?);
    let is_new = terms.if_none;
    let set = move |config: &Config| {
        let known = config.access.iter().any(|port| port.name == name);
        check_new(is_new && known, || format!("an access port '{name}'"))?;
        Ok(config.with_port(&name, BODY, &body)?)
    };
    edit(&handle, terms, set).await
}

/// Removes an access port, if it is there and no network uses it.
pub(super) async fn remove_port(
    State(handle): State<Handle>,
    name: Place<String>,
    terms: Terms,
) -> Result<Edited, Refusal> {
    let Path(name) = name?;
    edit(&handle, terms, move |config: &Config| Ok(config.without_port(&name)?)).await
}

fn check_new(is_there: bool, what: impl FnOnce() -> String) -> Result<(), Refusal> {
    if is_there {
        let error = format!("there is {} already", what());
        return Err(Refusal(StatusCode::PRECONDITION_FAILED, error));
    }
    Ok(())
}

impl From<PortInUse> for Refusal {
    fn from(error: PortInUse) -> Self {
        Self(StatusCode::CONFLICT, error.to_string())
    }
}
