//! SIGHUP: the configuration file again.

use std::path::{Path, PathBuf};

use tokio::signal::unix::Signal;

use super::edit::{Terms, edit};
use super::query::Handle;
use super::routes::Refusal;
use crate::config::Config;

/// Has the control core follow the file whenever the signal comes.
pub(super) async fn on(mut hangup: Signal, handle: Handle, file: PathBuf) {
    while hangup.recv().await.is_some() {
        let name = file.display();
        match reload(&handle, &file).await {
            Ok(true) => tracing::info!("{name}: applied"),
            Ok(false) => tracing::info!("{name}: nothing differs from what runs"),
            Err(Refusal(_, error)) => {
                error.lines().for_each(|line| tracing::error!("not applied: {line}"));
            }
        }
    }
}

async fn reload(handle: &Handle, file: &Path) -> Result<bool, Refusal> {
    let file = file.to_owned();
    let edited = edit(handle, Terms::default(), move |_| Ok(Config::reload(&file)?)).await?;
    edited.after.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(!edited.differences.is_empty())
}
