//! `ferry trace --live`: what a running process does with some of the frames that come in.

use std::io::{self, BufWriter, Write};

use super::frame::describe;
use super::plan::TraceLive;
use super::trace::{TraceError, write};
use crate::api::client::Client;
use crate::api::{Live, from_hex};

/// Writes what becomes of each sampled frame, until there are as many as were asked for, or SIGINT.
///
/// # Errors
/// The process that does not answer or refuses, or the output.
pub fn trace_live(plan: &TraceLive, output: impl Write) -> Result<(), TraceError> {
    let TraceLive { request, json, socket } = plan;
    let mut output = BufWriter::new(output);
    let mut failed = None;
    Client::connect(socket)?.trace_live(request, |message| {
        let written =
            if *json { line(&message, &mut output) } else { words(&message, &mut output) };
        failed = written.and_then(|()| output.flush()).err();
        failed.is_none()
    })?;
    match failed {
        // Whoever read it has gone.
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn line(message: &Live, output: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *output, message)?;
    writeln!(output)
}

/// Stories are told apart by an empty line.
pub(super) fn words(message: &Live, output: &mut impl Write) -> io::Result<()> {
    match message {
        Live::Trace(of) => {
            let (seconds, parts) =
                (of.unix_microseconds / 1_000_000, of.unix_microseconds % 1_000_000);
            let of_day = seconds % 86_400;
            let (hours, minutes, seconds) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
            writeln!(output, "{:<13}{hours:02}:{minutes:02}:{seconds:02}.{parts:06} UTC", "time")?;
            let frame = from_hex(&of.frame).map_or_else(|error| error, |frame| describe(&frame));
            writeln!(output, "{:<13}{frame}", "frame")?;
            write(&of.trace, output)?;
        }
        Live::Lost { samples } => {
            writeln!(output, "{:<13}{samples} samples, as there were too many at once", "lost")?;
        }
    }
    writeln!(output)
}
