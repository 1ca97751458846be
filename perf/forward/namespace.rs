//! Network namespaces of contenders, and programs that set them up.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

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

/// Does something in the namespace of a name, on a thread of its own; files and sockets that it opens stay there.
///
/// # Errors
/// There is no such namespace, or the user may not enter it.
pub fn inside<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    let namespace = File::open(format!("/run/netns/{name}")).with_context(|| name.to_owned())?;
    let enter = || {
        // SAFETY: a plain system call on a descriptor that we own.
        let failed = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
        ensure!(failed == 0, "cannot enter {name}: {}", std::io::Error::last_os_error());
        Ok(work())
    };
    std::thread::scope(|scope| scope.spawn(enter).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
