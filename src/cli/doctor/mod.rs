//! `ferry doctor`: whether the machine suits a configuration, and what to do where it does not. Nothing is changed, and
//! DPDK is not started.

mod cores;
mod devices;
mod machine;
mod memory;
mod mtu;
mod nic;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use serde::Serialize;

use self::machine::Machine;
use super::exit::Exit;
use crate::config::Config;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Ferry runs, and slower or less safely than it could.
    Poor,
    /// Ferry will not start, or forward nothing.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What was looked at, such as `huge pages`.
    pub subject: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where all is well.
    pub remedy: String,
}

impl Finding {
    fn fine(subject: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fine, subject, found: found.into(), remedy: String::new() }
    }

    fn poor(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Poor, subject, found: found.into(), remedy: remedy.into() }
    }

    fn bad(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, subject, found: found.into(), remedy: remedy.into() }
    }
}

/// Looks at this machine and prints what it finds. Fails where something is bad.
///
/// # Errors
/// The output is gone.
pub fn doctor(config: &Config, json: bool, output: &mut impl Write) -> io::Result<Exit> {
    let findings = examine(config, &Machine::this());
    if json {
        serde_json::to_writer_pretty(&mut *output, &findings)?;
        writeln!(output)?;
    } else {
        write(&findings, output)?;
    }
    let worst = findings.iter().map(|finding| finding.verdict).max();
    Ok(if worst == Some(Verdict::Bad) { Exit::Failed } else { Exit::Fine })
}

fn examine(config: &Config, machine: &Machine) -> Vec<Finding> {
    // DPDK, too, says no more of it than that it "cannot init VFIO".
    if !machine.path("/sys/module").exists() {
        return vec![Finding::bad(
            "sysfs",
            "/sys shows nothing: DPDK finds no huge pages, no NICs and no kernel modules, and does not start",
            "mount -t sysfs sysfs /sys; in a container: give it the host's",
        )];
    }
    [memory::examine, cores::examine, devices::examine, mtu::examine]
        .into_iter()
        .flat_map(|examine| examine(config, machine))
        .collect()
}

fn write(findings: &[Finding], output: &mut impl Write) -> io::Result<()> {
    let width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    for Finding { verdict, subject, found, remedy } in findings {
        let verdict = match verdict {
            Verdict::Fine => "fine",
            Verdict::Poor => "poor",
            Verdict::Bad => "BAD",
        };
        writeln!(output, "{verdict:4}  {subject:width$}  {found}")?;
        if !remedy.is_empty() {
            writeln!(output, "{:4}  {:width$}  -> {remedy}", "", "")?;
        }
    }
    Ok(())
}
