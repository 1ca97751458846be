//! What shells and `man` know of the command line, made from its grammar.

use std::io::{self, Write};
use std::path::Path;

use clap_complete::Shell;

use super::arguments::command;
use crate::api::model::Version;

/// Prints the completions of a shell.
///
/// # Errors
/// The output is gone.
pub fn completions(shell: Shell, version: &Version, output: &mut impl Write) -> io::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(version), "ferry", &mut text);
    output.write_all(&text)
}

/// Writes `ferry.1` and a page for each command, such as `ferry-run.1`, into a folder, which it makes.
///
/// # Errors
/// The folder cannot be written to.
pub fn manual(folder: &Path, version: &Version) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command(version), folder)
}
