//! `ferry run`: from a configuration file to a running forwarder, and back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::exit::Exit;
use crate::api::{self, SocketError};
use crate::config::{Config, ConfigErrors};
use crate::control::{self, StartError, Stopped};
use crate::dpdk;

/// Why Ferry did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The API's socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// DPDK, a device or the machine.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No signal handlers.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
}

/// Runs until SIGINT or SIGTERM; SIGHUP has the file read again.
///
/// # Errors
/// Anything that keeps it from starting; nothing is left behind then.
pub fn run(file: &Path) -> Result<Exit, RunError> {
    let config = Arc::new(Config::load(file)?);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let (built, running) = (env!("FERRY_BUILT_AGAINST_DPDK"), version().dpdk);
    if built != running {
        tracing::warn!(
            "built against DPDK {built}, and running on {running}: rebuild if anything is odd"
        );
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone()).map_err(RunError::Signals)?;
    }
    control::check_machine(&config)?;
    control::pin_to_control_core(&config);
    let (handle, queries) = api::channel(version());
    let server = api::serve(&config.api, file.to_owned(), handle.clone())?;
    let mut control = control::start(config)?;
    control.announce_to(handle.events().clone());
    let telemetry = api::answer_telemetry(handle)
        .inspect_err(|error| tracing::warn!("no /ferry in DPDK's telemetry: {error}"));
    dpdk::trim_heap();
    tracing::info!("forwarding; API at {}", control.config().api.socket.path.display());
    control::ready();
    control.run(&stop, &queries);
    tracing::info!("stopping");
    control::stopping();
    // Whoever waits for an answer learns that there will be none.
    drop(queries);
    drop(telemetry);
    server.stop();
    Ok(report(control.stop()))
}

/// What runs.
pub fn version() -> api::model::Version {
    let dpdk = dpdk::version();
    api::model::Version {
        ferry: env!("CARGO_PKG_VERSION").to_owned(),
        dpdk: dpdk.strip_prefix("DPDK ").unwrap_or(&dpdk).to_owned(),
    }
}

fn report(stopped: Stopped) -> Exit {
    let totals = &stopped.totals;
    tracing::info!(
        "received {}, copied {}, sent {}, dropped {}",
        totals.rx,
        totals.copies,
        totals.tx,
        totals.drops
    );
    for (pool, missing) in &stopped.missing {
        tracing::error!("mempool {pool}: {missing} mbufs did not come home");
    }
    if stopped.missing.is_empty() { Exit::Fine } else { Exit::MbufsMissing }
}
