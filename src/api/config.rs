//! `/v1/config` and the parts of it that have an address of their own.

use axum::Json;
use axum::extract::rejection::{PathRejection, StringRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::ETAG;
use axum::response::IntoResponse;

use super::edit::{BODY, Edited, LARGEST, Terms, edit};
use super::model::{Network, StaticChanges};
use super::query::{Handle, Query, Running};
use super::routes::Refusal;
use crate::config::{self, Config};
use crate::wire::Vni;

pub(super) type Body = Result<String, StringRejection>;
type Id = Result<Path<u32>, PathRejection>;

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<StringRejection> for Refusal {
    fn from(rejection: StringRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let error = format!("a body has {} MiB at most", LARGEST >> 20);
                Self(StatusCode::PAYLOAD_TOO_LARGE, error)
            }
            status => Self(status, rejection.body_text()),
        }
    }
}

/// The running configuration, as one would write it into a file.
pub(super) async fn show(State(handle): State<Handle>) -> Result<impl IntoResponse, Refusal> {
    let Running { config, version, .. } = handle.ask(Query::Config).await?;
    Ok(([(ETAG, handle.tag(version))], Json(config.render())))
}

/// Another configuration, whole: YAML or JSON.
pub(super) async fn replace(
    State(handle): State<Handle>,
    terms: Terms,
    body: Body,
) -> Result<Edited, Refusal> {
    let body = body?;
    edit(&handle, terms, move |_| Ok(Config::parse(BODY, &body)?)).await
}

/// One network.
pub(super) async fn show_network(
    State(handle): State<Handle>,
    vni: Id,
) -> Result<Json<Network>, Refusal> {
    let Path(vni) = vni?;
    let mut networks = handle.ask(Query::Networks).await?.into_iter();
    match networks.find(|network| network.vni == vni) {
        Some(network) => Ok(Json(network)),
        None => Err(unknown(handle.ask(Query::Config).await?.config.unknown_network(vni))),
    }
}

/// A network, in the form of an element of `networks`: a new one, or another in the place of the one with this ID.
pub(super) async fn set_network(
    State(handle): State<Handle>,
    vni: Id,
    terms: Terms,
    body: Body,
) -> Result<Edited, Refusal> {
    let (Path(vni), body) = (vni?, body?);
    let id = Vni::try_from(u64::from(vni))
        .map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))?;
    let is_new = terms.if_none;
    let set = move |config: &Config| match config.network(vni) {
        Some(known) if is_new => {
            let error = format!("there is a network {vni} already: '{}'", known.name);
            Err(Refusal(StatusCode::PRECONDITION_FAILED, error))
        }
        _ => Ok(config.with_network(id, BODY, &body)?),
    };
    edit(&handle, terms, set).await
}

/// Removes a network, if it is there.
pub(super) async fn remove_network(
    State(handle): State<Handle>,
    vni: Id,
    terms: Terms,
) -> Result<Edited, Refusal> {
    let Path(vni) = vni?;
    edit(&handle, terms, move |config: &Config| Ok(config.without_network(vni))).await
}

/// Other static MACs for a network: a list in the form of `networks[].macs`.
pub(super) async fn replace_macs(
    State(handle): State<Handle>,
    vni: Id,
    terms: Terms,
    body: Body,
) -> Result<Json<StaticChanges>, Refusal> {
    let (Path(vni), body) = (vni?, body?);
    let set = move |config: &Config| {
        let network = network(config, vni)?;
        Ok(config.with_macs(network, BODY, &body)?)
    };
    let Edited { before, after, .. } = edit(&handle, terms, set).await?;
    let networks = before.network(vni).zip(after.network(vni));
    Ok(Json(networks.map(|(old, new)| old.static_changes(new)).unwrap_or_default()))
}

/// The network with an ID.
pub(super) fn network(config: &Config, vni: u32) -> Result<&config::Network, Refusal> {
    let found = config.network(vni).ok_or_else(|| config.unknown_network(vni));
    found.map(|network| &**network).map_err(unknown)
}

pub(super) fn unknown(error: String) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, error)
}
