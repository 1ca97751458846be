//! `ferry apply`, `diff`, `net`, `port`, `mac` and `peer`: other configurations for the running process.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::parts::Content;
use super::plan::{Change, Wanted};
use crate::api::client::{Client, ClientError};
use crate::api::model::Changed;
use crate::api::{Flush, Flushed};

/// Why all is what it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The file.
    #[error("{} cannot be read: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The running process refused, or gave no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It is done, and that cannot be said.
    #[error("done, but the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Asks for the change, and says what differs now, or would.
///
/// # Errors
/// The file, what is wrong with its content, or the process that refuses or does not answer.
pub fn change(
    Change { wanted, dry_run, socket }: &Change,
    mut output: impl Write,
    mut errors: impl Write,
) -> Result<Exit, ChangeError> {
    let mut client = Client::connect(socket)?;
    let dry_run = *dry_run;
    let terms = if dry_run { "?dry_run=true" } else { "" };
    let changed = match wanted {
        Wanted::Macs { network, file } => {
            let vni = network.vni(&mut client)?;
            let changes = client.replace_macs(vni, read(file)?, file, dry_run)?;
            writeln!(output, "{changes}")?;
            return Ok(Exit::Fine);
        }
        Wanted::Flush { network, port, peer } => {
            let vni = network.as_ref().map(|network| network.vni(&mut client)).transpose()?;
            let flush = Flush { vni, port: port.clone(), peer: *peer, dry_run };
            let Flushed { macs } = client.flush(&flush)?;
            let s = if macs == 1 { "" } else { "s" };
            let done = if dry_run { "to forget" } else { "forgotten" };
            writeln!(output, "{macs} learned MAC{s} {done}")?;
            return Ok(Exit::Fine);
        }
        Wanted::Config { file } => client.replace_config(read(file)?, file, dry_run)?,
        Wanted::Difference { file } => client.replace_config(read(file)?, file, true)?,
        Wanted::Set { part, content: Content::File(file), is_new } => {
            let path = part.path(&mut client)? + terms;
            client.set(&path, read(file)?, Some(file), *is_new)?
        }
        Wanted::Set { part, content: Content::Arguments(text), is_new } => {
            let path = part.path(&mut client)? + terms;
            client.set(&path, text.clone(), None, *is_new)?
        }
        Wanted::Remove(parts) => {
            let mut all = Changed { differences: Vec::new(), warnings: Vec::new() };
            for part in parts {
                let path = part.path(&mut client)? + terms;
                all.differences.extend(client.remove(&path)?.differences);
            }
            all
        }
    };
    let Changed { differences, warnings } = changed;
    for warning in warnings {
        writeln!(errors, "warning: {warning}")?;
    }
    for difference in &differences {
        writeln!(output, "{difference}")?;
    }
    match (wanted, differences.is_empty()) {
        (Wanted::Difference { .. }, false) => Ok(Exit::Failed),
        (_, false) => Ok(Exit::Fine),
        (_, true) => {
            writeln!(output, "nothing differs")?;
            Ok(Exit::Fine)
        }
    }
}

/// The content of a file; `-` is the standard input.
fn read(file: &Path) -> Result<String, ChangeError> {
    let mut text = String::new();
    let read = match file.to_str() {
        Some("-") => io::stdin().read_to_string(&mut text).map(|_| text),
        _ => std::fs::read_to_string(file),
    };
    read.map_err(|source| ChangeError::File { file: file.to_owned(), source })
}
