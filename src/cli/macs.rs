//! `ferry mac replace`: other static MACs for a network of the running process.

use std::io::{self, Write};
use std::path::PathBuf;

use super::arguments::ReplaceMacs;
use crate::api::client::{Client, ClientError};

/// Why the static MACs are what they were.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceMacsError {
    /// The file.
    #[error("{} cannot be read: {source}; name a file with a list of MACs", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The running process refused, or gave no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// They are replaced, and that cannot be said.
    #[error("replaced, but the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Replaces them, and says what that changed.
///
/// # Errors
/// The file, what is wrong with its content, or the process that does not answer.
pub fn replace_macs(plan: &ReplaceMacs, mut output: impl Write) -> Result<(), ReplaceMacsError> {
    let ReplaceMacs { vni, file, socket } = plan;
    let macs = std::fs::read_to_string(file)
        .map_err(|source| ReplaceMacsError::File { file: file.clone(), source })?;
    let changes = Client::connect(socket)?.replace_macs(*vni, macs, file)?;
    Ok(writeln!(output, "{changes}")?)
}
