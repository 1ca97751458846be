//! The server's thread.

use std::io;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connections::{Limits, answer};
use super::console;
use super::listen::{Bound, TlsListener, bind};
use super::query::Handle;
use super::reload;
use super::routes::{guarded, local, read_only, routes};
use super::socket::{SocketError, SocketFile, claim};
use crate::config::Api;

/// A running server; dropping it stops it.
pub struct Server {
    files: Vec<SocketFile>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Answers at unix sockets of mode 0660, and over TCP where that is wanted, until stopped, on a thread named `ferry-api`, and reads `file` again at each
/// SIGHUP.
///
/// The thread inherits the caller's CPU affinity: call this where that is the one for housekeeping, not from a
/// thread that EAL has pinned.
///
/// # Errors
/// A socket or listener cannot be had (see [`SocketError`]), or the system gives no thread.
pub fn serve(api: &Api, file: PathBuf, handle: Handle) -> Result<Server, SocketError> {
    let system = |action| {
        let path = api.socket.path.clone();
        move |source: io::Error| SocketError::System { action, path, source }
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start a runtime for"))?;
    // First, as it leaves nothing behind when something else fails.
    let bound = api.listen.as_ref().map(|listen| runtime.block_on(bind(listen))).transpose()?;
    let (mut files, mut served) = (Vec::new(), Vec::new());
    for (socket, routes) in [
        (Some(&api.socket), routes(handle.clone(), api.metrics)),
        (api.read_only.as_ref(), read_only(handle.clone(), api.metrics)),
    ] {
        let Some(socket) = socket else { continue };
        let (listener, file) = runtime.block_on(claim(socket))?;
        files.push(file);
        served.push((listener, routes));
    }
    let bound = bound.map(|Bound { listener, tls, token }| {
        let routes = match token {
            Some(token) => guarded(handle.clone(), api.metrics, token),
            None => local(read_only(handle.clone(), api.metrics)),
        };
        (listener, tls, routes.merge(console::routes()))
    });
    let (stop, stopping) = watch::channel(false);
    let hangup = {
        let _runtime = runtime.enter();
        signal(SignalKind::hangup()).map_err(system("listen for SIGHUP beside"))?
    };
    let work = move || {
        runtime.block_on(async {
            let refused = || handle.refused().clone();
            let mut answers = JoinSet::new();
            for (listener, routes) in served {
                let stopping = stopping.clone();
                answers.spawn(answer(listener, routes, Limits::LOCAL, refused(), stopping));
            }
            match bound {
                Some((listener, Some(tls), routes)) => {
                    let listener = TlsListener::new(listener, tls);
                    answers.spawn(answer(listener, routes, Limits::TCP, refused(), stopping));
                }
                Some((listener, None, routes)) => {
                    answers.spawn(answer(listener, routes, Limits::TCP, refused(), stopping));
                }
                None => {}
            }
            tokio::spawn(reload::on(hangup, handle, file));
            answers.join_all().await;
        });
    };
    let thread = thread::Builder::new().name("ferry-api".to_owned()).spawn(work);
    let thread = thread.map_err(system("start a thread for"))?;
    Ok(Server { files, stop, thread: Some(thread) })
}

impl Server {
    /// Stops: the sockets go first, so that a successor may take their names; then answers under way get
    /// [`super::STOP_TIMEOUT`] to end.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        self.files.clear();
        // A server that has ended by itself does not listen any more.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the API's thread panicked");
        }
    }
}
