//! `PUT /v1/networks/{vni}/macs`: other static MACs for a network.

use axum::Json;
use axum::extract::rejection::{PathRejection, StringRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::model::StaticChanges;
use super::query::{Handle, Query, ReplaceError};
use super::routes::Refusal;

/// Bytes of a set at most: some 500,000 MACs, each with an address.
pub(super) const LARGEST: usize = 64 << 20;
/// What errors in a set name as their file.
pub(super) const BODY: &str = "body";

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

impl From<ReplaceError> for Refusal {
    fn from(error: ReplaceError) -> Self {
        let status = match error {
            ReplaceError::UnknownNetwork(_) => StatusCode::NOT_FOUND,
            ReplaceError::Dialect { .. } => StatusCode::CONFLICT,
            ReplaceError::NoPlace(_) => StatusCode::INSUFFICIENT_STORAGE,
        };
        Self(status, error.to_string())
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
    let config = handle.config().clone();
    // A large set takes a while to read: others are answered meanwhile.
    let read = tokio::task::spawn_blocking(move || {
        let network = config.networks.iter().find(|network| network.vni.get() == vni);
        let network = network.ok_or(ReplaceError::UnknownNetwork(vni))?;
        let macs = config.static_macs(network, BODY, &body);
        macs.map_err(|errors| Refusal(StatusCode::BAD_REQUEST, errors.to_string()))
    });
    let macs = read.await.map_err(|error| {
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("the set cannot be read: {error}"))
    })??;
    Ok(Json(handle.ask(|reply| Query::ReplaceMacs { vni, macs, reply }).await??))
}
