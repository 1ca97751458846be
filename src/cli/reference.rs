//! What shells and `man` know of the command line, made from its grammar; what editors know of a configuration.

use std::io::{self, Write};
use std::path::Path;

use clap_complete::Shell;

use super::arguments::command;
use super::list::write_json;
use crate::api::model::Version;
use crate::config;

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

/// Prints the JSON Schema of a configuration, or the page of all keys.
///
/// # Errors
/// The output is gone.
pub fn schema(is_page: bool, output: &mut impl Write) -> io::Result<()> {
    if is_page {
        output.write_all(config::reference().as_bytes())
    } else {
        write_json(&config::schema(), output)
    }
}
