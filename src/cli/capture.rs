//! `ferry capture`: what passes a port, into a file.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::plan::Capture;
use crate::api::client::{Client, ClientError};
use crate::api::pcapng;

/// Why nothing, or not all, was captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file.
    #[error("{} cannot be written: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A capture is nothing to read.
    #[error("a capture is not for a terminal: -w FILE, or pipe it into 'tshark -r -'")]
    Terminal,
    /// The running process refused, or gave no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Writes what passes a port until SIGINT, or as many frames as were asked for; then says on `errors` how many there were.
///
/// # Errors
/// The file, or the process that does not answer or refuses.
pub fn capture(plan: &Capture, mut errors: impl Write) -> Result<(), CaptureError> {
    let Capture { request, file, socket } = plan;
    let mut client = Client::connect(socket)?;
    let mut output = open(file)?;
    let (mut blocks, mut packets, mut lost) = (Vec::new(), 0u64, 0);
    let mut failed = None;
    client.capture(request, |bytes| {
        blocks.extend_from_slice(bytes);
        let mut written = 0;
        while let Some((kind, block)) = pcapng::first(&blocks[written..]) {
            written += block.len();
            packets += u64::from(kind == pcapng::PACKET);
            lost = pcapng::lost(block).unwrap_or(lost);
        }
        // Whole blocks only, so that the file can be read whenever this ends.
        let done = output.write_all(&blocks[..written]).and_then(|()| output.flush());
        blocks.drain(..written);
        failed = done.err();
        failed.is_none()
    })?;
    match failed {
        // Whoever read it has gone.
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(CaptureError::File { file: file.clone(), source: error });
        }
        _ => {}
    }
    let hint = if lost > 0 { "; a filter, or one direction, makes it less" } else { "" };
    let _ = writeln!(errors, "{packets} frames, and {lost} lost by the capture{hint}");
    Ok(())
}

fn open(file: &Path) -> Result<Box<dyn Write>, CaptureError> {
    if file.to_str() != Some("-") {
        let opened = File::create(file);
        let opened =
            opened.map_err(|source| CaptureError::File { file: file.to_owned(), source })?;
        return Ok(Box::new(opened));
    }
    let output = io::stdout();
    if output.is_terminal() { Err(CaptureError::Terminal) } else { Ok(Box::new(output)) }
}
