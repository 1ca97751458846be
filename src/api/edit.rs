//! Other configurations in the place of the running one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Query as Parameters};
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{StatusCode, request};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use super::model::{Changed, Difference};
use super::query::{ApplyError, Handle, Query, Running};
use super::routes::Refusal;
use crate::config::{Config, ConfigErrors};
use crate::dpdk::trim_heap;

/// What errors in a request's body name as their file.
pub(super) const BODY: &str = "body";
/// Bytes of a body at most: some 500,000 static MACs, each with an address.
pub(super) const LARGEST: usize = 64 << 20;
/// How long the control core may take: devices may need seconds to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// The terms of a request that changes the configuration.
#[derive(Clone, Default)]
pub(super) struct Terms {
    /// Only say what would change.
    pub dry_run: bool,
    /// Only if this is the running configuration's ETag (RFC 9110 section 13.1.1).
    pub if_match: Option<String>,
    /// Only if there is no such part yet (RFC 9110 section 13.1.2).
    pub if_none: bool,
}

/// The parameters of such a request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Terms {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Refusal> {
        let Parameters(Options { dry_run }) =
            Parameters::from_request_parts(parts, state).await.map_err(Refusal::from)?;
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let if_match = text(IF_MATCH).filter(|value| *value != "*").map(str::to_owned);
        Ok(Self { dry_run, if_match, if_none: text(IF_NONE_MATCH) == Some("*") })
    }
}

/// What a request has changed.
pub(super) struct Edited {
    pub before: Arc<Config>,
    pub after: Arc<Config>,
    pub differences: Vec<Difference>,
    tag: String,
}

impl IntoResponse for Edited {
    fn into_response(self) -> Response {
        let warnings = self.after.warnings.iter().map(ToString::to_string).collect();
        let body = Changed { differences: self.differences, warnings };
        ([(ETAG, self.tag)], Json(body)).into_response()
    }
}

/// Has the control core follow what `edit` makes of the running configuration. One request after another: none is made
/// of what another has changed meanwhile.
pub(super) async fn edit(
    handle: &Handle,
    terms: Terms,
    edit: impl FnOnce(&Config) -> Result<Config, Refusal> + Send + 'static,
) -> Result<Edited, Refusal> {
    // Who only asks holds up nobody who changes something.
    let _turn = if terms.dry_run { None } else { Some(handle.turn().await) };
    let Running { config: before, version, lost } = handle.ask(Query::Config).await?;
    let tag = handle.tag(version);
    if let Some(wanted) = &terms.if_match
        && !wanted.split(',').any(|wanted| wanted.trim() == tag)
    {
        let error = format!("the configuration has changed: its ETag is {tag} now");
        return Err(Refusal(StatusCode::PRECONDITION_FAILED, error));
    }
    let base = before.clone();
    // A large body takes a while to read: others are answered meanwhile.
    let read = tokio::task::spawn_blocking(move || {
        let edited = edit(&base)?;
        let mut differences = base.difference(&edited);
        differences.extend(base.plugged_again(&edited, &lost));
        trim_heap();
        Ok::<_, Refusal>((differences, Arc::new(edited)))
    });
    let failed = |error| {
        let error = format!("the body cannot be read: {error}");
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, error)
    };
    let (differences, after) = read.await.map_err(failed)??;
    let edited = Edited { before, after: after.clone(), differences, tag };
    if terms.dry_run || edited.differences.is_empty() {
        return Ok(edited);
    }
    check_restarts(&edited.differences)?;
    let query = |reply| Query::Apply { config: after, reply };
    let version = handle.ask_within(PATIENCE, query).await??;
    let changes: Vec<_> = edited.differences.iter().map(Difference::summary).collect();
    tracing::info!("configuration {version}: {}", changes.join("; "));
    Ok(Edited { tag: handle.tag(version), ..edited })
}

fn check_restarts(differences: &[Difference]) -> Result<(), Refusal> {
    let fixed: Vec<_> = differences.iter().filter(|difference| difference.needs_restart).collect();
    if fixed.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = fixed.iter().map(|difference| difference.summary()).collect();
    let error = format!(
        "a running Ferry cannot change this, so nothing was changed; start it anew, or leave as it is: {}",
        list.join("; ")
    );
    Err(Refusal(StatusCode::CONFLICT, error))
}

impl From<ConfigErrors> for Refusal {
    fn from(errors: ConfigErrors) -> Self {
        Self(StatusCode::BAD_REQUEST, errors.to_string())
    }
}

impl From<ApplyError> for Refusal {
    fn from(error: ApplyError) -> Self {
        let status = match error {
            ApplyError::Failed(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ApplyError::NoPlace(_) => StatusCode::INSUFFICIENT_STORAGE,
        };
        Self(status, error.to_string())
    }
}
