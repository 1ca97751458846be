//! Exit codes.

use std::fmt::Write;
use std::process::ExitCode;

/// How a command ended; the number is the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Fine = 0,
    /// It did not.
    Failed = 1,
    /// The arguments or the configuration are wrong, or Ferry could not start. clap uses the same number.
    Refused = 2,
    /// It stopped, but packet buffers did not come home.
    MbufsMissing = 3,
}

impl Exit {
    const ALL: [Self; 4] = [Self::Fine, Self::Failed, Self::Refused, Self::MbufsMissing];

    fn meaning(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Failed => "the command failed",
            Self::Refused => "wrong arguments or configuration, or Ferry could not start",
            Self::MbufsMissing => "stopped, with packet buffers (mbufs) missing",
        }
    }

    /// The paragraph on exit codes in `--help`.
    pub(super) fn help() -> String {
        Self::ALL.iter().fold(String::from("Exit codes:"), |mut text, exit| {
            let _ = write!(text, "\n  {}  {}", *exit as u8, exit.meaning());
            text
        })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
