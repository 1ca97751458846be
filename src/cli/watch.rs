//! `ferry show --watch`: the same again and again.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use axum::http::StatusCode;
use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::plan::Show;
use super::show::{ShowError, answer};
use crate::api::client::ClientError;

/// Has a terminal begin at its upper left corner, and be empty.
const REPAINT: &[u8] = b"\x1b[H\x1b[2J";

/// Shows it until SIGINT, SIGTERM, or whoever reads it goes away. A process that does not answer may come back.
///
/// # Errors
/// The process refuses to say it, or the output cannot be written.
pub(super) fn watch(show: &Show, pause: Duration) -> Result<(), ShowError> {
    let (signal, stop) = bounded(1);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            // The second one does not wait for an answer under way.
            if signal.try_send(()).is_err() {
                std::process::exit(0);
            }
        }
    });
    let is_terminal = io::stdout().is_terminal();
    repeat(show, pause, is_terminal, (io::stdout(), io::stderr()), &stop)
}

pub(super) fn repeat(
    show: &Show,
    pause: Duration,
    is_terminal: bool,
    (mut output, mut errors): (impl Write, impl Write),
    stop: &Receiver<()>,
) -> Result<(), ShowError> {
    let (mut is_first, mut is_silent) = (true, false);
    loop {
        let mut text = Vec::new();
        if is_terminal {
            text.extend_from_slice(REPAINT);
        } else if !is_first && !show.json {
            text.push(b'\n');
        }
        match answer(show, &mut text) {
            Ok(()) => {
                output.write_all(&text)?;
                output.flush()?;
                (is_first, is_silent) = (false, false);
            }
            Err(ShowError::Client(error)) if may_pass(&error) => {
                if !is_silent {
                    writeln!(errors, "ferry: {error}; trying on")?;
                }
                is_silent = true;
            }
            Err(error) => return Err(error),
        }
        if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return Ok(());
        }
    }
}

fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::NotRunning(_) | ClientError::TimedOut(..) | ClientError::Protocol { .. } => {
            true
        }
        ClientError::Refused { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
        ClientError::Forbidden(_) | ClientError::System { .. } => false,
    }
}
