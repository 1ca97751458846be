//! `PUT /v1/networks/{vni}/macs`: other static MACs for a network.

use axum::Json;
use axum::extract::rejection::{PathRejection, StringRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::edit::{self, BODY};
use super::model::StaticChanges;
use super::query::Handle;
use super::routes::Refusal;
use crate::config::Config;

/// Bytes of a set at most: some 500,000 MACs, each with an address.
pub(super) const LARGEST: usize = 64 << 20;

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<StringRejection> for Refusal {
    fn from(rejection: StringRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let error = format!("a set has {} MiB at most", LARGEST >> 20);
                Self(StatusCode::PAYLOAD_TOO_LARGE, error)
            }
            status => Self(status, rejection.body_text()),
        }
    }
}

/// The body is a list in the form of the configuration's `networks[].macs`. It is refused whole, with all that is
/// wrong with it, or taken whole.
pub(super) async fn replace(
    State(handle): State<Handle>,
    vni: Result<Path<u32>, PathRejection>,
    body: Result<String, StringRejection>,
) -> Result<Json<StaticChanges>, Refusal> {
    let (Path(vni), body) = (vni?, body?);
    let edited = edit::edit(&handle, move |config: &Config| {
        let network = config.network(vni).ok_or_else(|| unknown_network(vni))?;
        Ok(config.with_macs(network, BODY, &body)?)
    });
    let (before, after) = edited.await?;
    let networks = before.network(vni).zip(after.network(vni));
    Ok(Json(networks.map(|(old, new)| old.static_changes(new)).unwrap_or_default()))
}

fn unknown_network(vni: u32) -> Refusal {
    let error =
        format!("no network has the VNI {vni}; 'ferry show networks' lists those that there are");
    Refusal(StatusCode::NOT_FOUND, error)
}
