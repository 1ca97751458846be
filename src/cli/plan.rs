//! What the arguments ask for.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::arguments::Resource;
use super::network_id::NetworkId;
use super::parts::{Content, Part};
use crate::api::{CaptureRequest, LiveRequest};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Forward packets until told to stop.
    Run {
        /// The configuration file.
        config: PathBuf,
    },
    /// Say what is wrong with a configuration file.
    Check {
        /// The configuration file.
        config: PathBuf,
    },
    /// Say whether the machine suits a configuration.
    Doctor {
        /// The configuration file.
        config: PathBuf,
        /// Whether to print JSON.
        json: bool,
    },
    /// Print what a configuration can say.
    Schema {
        /// Whether as a page for people.
        is_page: bool,
    },
    /// Print a shell's completions.
    Completions(clap_complete::Shell),
    /// Write manual pages.
    Manual {
        /// Into this folder.
        folder: PathBuf,
    },
    /// Ask a running process.
    Show(Show),
    /// Print what happens in a running process.
    Events {
        /// Whether to print JSON.
        json: bool,
        /// Where the process answers.
        socket: PathBuf,
    },
    /// Show rates and drops of a running process, full-screen.
    Top {
        /// Where the process answers.
        socket: PathBuf,
    },
    /// Have a running process follow another configuration.
    Change(Change),
    /// Ask a running process what would become of frames.
    Trace(Trace),
    /// Ask a running process what becomes of frames that come in.
    TraceLive(TraceLive),
    /// Have a running process show what passes a port.
    Capture(Capture),
}

/// What to see of a port, and where to put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// What.
    pub request: CaptureRequest,
    /// Where; `-` is the standard output.
    pub file: PathBuf,
    /// Where the process answers.
    pub socket: PathBuf,
}

/// Frames, and who is asked what would become of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Name of the port that they come in by.
    pub port: String,
    /// The frames.
    pub frames: Frames,
    /// Whether to print JSON.
    pub json: bool,
    /// Where the process answers.
    pub socket: PathBuf,
}

/// Which frames that come in, and who is asked what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLive {
    /// Which.
    pub request: LiveRequest,
    /// Whether to print JSON.
    pub json: bool,
    /// Where the process answers.
    pub socket: PathBuf,
}

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frames {
    /// One, from the command line.
    One(Vec<u8>),
    /// All of a capture; `-` is the standard input.
    Capture(PathBuf),
}

/// What a running process's configuration should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// All or a part of it.
    pub wanted: Wanted,
    /// Whether to say only what would change.
    pub dry_run: bool,
    /// Where the process answers.
    pub socket: PathBuf,
}

/// All or a part of a configuration; each file may be `-`, the standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What a file says.
    Config {
        /// The configuration file.
        file: PathBuf,
    },
    /// What it is; say how a file differs.
    Difference {
        /// The configuration file.
        file: PathBuf,
    },
    /// With a part, as an element of its list is.
    Set {
        /// Which.
        part: Part,
        /// What it is.
        content: Content,
        /// Whether it must not be there yet.
        is_new: bool,
    },
    /// Without parts.
    Remove(Vec<Part>),
    /// Without learned MACs: all, or those that fit.
    Flush {
        /// Those of this network.
        network: Option<NetworkId>,
        /// Those behind this access port.
        port: Option<String>,
        /// Those behind this VTEP.
        peer: Option<IpAddr>,
    },
    /// The static MACs of one network.
    Macs {
        /// Which.
        network: NetworkId,
        /// A list as under `macs`.
        file: PathBuf,
    },
}

/// What to ask a running process, and how to print it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Show {
    /// What to ask for.
    pub resource: Resource,
    /// Whether to print JSON rather than a table.
    pub json: bool,
    /// How long to wait before it is shown again; `None`: once.
    pub watch: Option<Duration>,
    /// Where the process answers.
    pub socket: PathBuf,
}
