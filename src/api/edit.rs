//! Other configurations in the place of the running one.

use std::sync::Arc;

use axum::http::StatusCode;

use super::query::{ApplyError, Handle, Query};
use super::routes::Refusal;
use crate::config::{Config, ConfigErrors};

/// What errors in a request's body name as their file.
pub(super) const BODY: &str = "body";
/// So often a request begins anew because another one came before it.
const TRIES: usize = 5;

impl From<ConfigErrors> for Refusal {
    fn from(errors: ConfigErrors) -> Self {
        Self(StatusCode::BAD_REQUEST, errors.to_string())
    }
}

impl From<ApplyError> for Refusal {
    fn from(error: ApplyError) -> Self {
        let status = match error {
            ApplyError::Outrun => StatusCode::CONFLICT,
            ApplyError::NoPlace(_) => StatusCode::INSUFFICIENT_STORAGE,
        };
        Self(status, error.to_string())
    }
}

/// Has the control core follow what `edit` makes of the running configuration. Returns what was in force, and what is.
pub(super) async fn edit(
    handle: &Handle,
    edit: impl Fn(&Config) -> Result<Config, Refusal> + Send + Sync + 'static,
) -> Result<(Arc<Config>, Arc<Config>), Refusal> {
    let edit = Arc::new(edit);
    for _ in 0..TRIES {
        let running = handle.ask(Query::Config).await?;
        let (edit, base) = (edit.clone(), running.config.clone());
        // A large body takes a while to read: others are answered meanwhile.
        let read = tokio::task::spawn_blocking(move || edit(&base).map(Arc::new));
        let config = read.await.map_err(|error| {
            Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("the body cannot be read: {error}"))
        })??;
        let (expected, wanted) = (running.version, config.clone());
        let applied = |reply| Query::Apply { expected, config: wanted, reply };
        match handle.ask(applied).await? {
            Err(ApplyError::Outrun) => {}
            applied => return applied.map(|_| (running.config, config)).map_err(Refusal::from),
        }
    }
    Err(ApplyError::Outrun.into())
}
