//! The server's thread.

use std::io;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::runtime;
use tokio::sync::watch;

use super::query::Handle;
use super::routes::routes;
use super::socket::{SocketError, SocketFile, claim};

/// How long a stop waits for answers under way.
pub const STOP_TIMEOUT: Duration = Duration::from_millis(100);

/// A running server; dropping it stops it.
pub struct Server {
    file: Option<SocketFile>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Answers at a unix socket of mode 0660 until stopped, on a thread named `ferry-api`.
///
/// The thread inherits the caller's CPU affinity: call this where that is the one for housekeeping, not from a
/// thread that EAL has pinned.
///
/// # Errors
/// The socket cannot be had (see [`SocketError`]), or the system gives no thread.
pub fn serve(path: &Path, handle: Handle) -> Result<Server, SocketError> {
    let system = |action| {
        let path = path.to_owned();
        move |source: io::Error| SocketError::System { action, path, source }
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start a runtime for"))?;
    let (listener, file) = runtime.block_on(claim(path))?;
    let (stop, stopping) = watch::channel(false);
    let thread = thread::Builder::new()
        .name("ferry-api".to_owned())
        .spawn(move || runtime.block_on(answer(listener, handle, stopping)))
        .map_err(system("start a thread for"))?;
    Ok(Server { file: Some(file), stop, thread: Some(thread) })
}

impl Server {
    /// Stops: the socket goes first, so that a successor may take its name; then answers under way get
    /// [`STOP_TIMEOUT`] to end.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.file.take());
        // A server that has ended by itself does not listen any more.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the API's thread panicked");
        }
    }
}

async fn answer(listener: UnixListener, handle: Handle, mut stopping: watch::Receiver<bool>) {
    let mut stopped = stopping.clone();
    let server = axum::serve(listener, routes(handle)).with_graceful_shutdown(async move {
        let _ = stopped.changed().await;
    });
    let cut = async {
        let _ = stopping.changed().await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        result = server => {
            if let Err(error) = result {
                tracing::error!("the API has ended: {error}");
            }
        }
        () = cut => {}
    }
}
