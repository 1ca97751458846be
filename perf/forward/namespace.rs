//! Network namespaces of contenders, and programs that set them up.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A namespace; it goes when this is dropped.
pub struct Namespace(String);

impl Namespace {
    /// A fresh one of this process.
    ///
    /// # Errors
    /// The user may not, or it is there already.
    pub fn new(what: &str) -> Result<Self> {
        let name = format!("ferry-bench-{what}-{}", std::process::id());
        run("ip", &["netns", "add", &name])?;
        Ok(Self(name))
    }

    /// Its name, for `ip -n`.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// A program in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        // exec: the process that is started is the program itself, with its ID.
        command.args(["netns", "exec", &self.0, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

/// Runs a program to its end and returns what it printed.
///
/// # Errors
/// It fails: with what it said.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), error.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
