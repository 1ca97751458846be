//! What is measured of Ferry alone: not a rate in a table beside others, but a question with an answer of its own.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::case::Pages;
use super::{bindings, changes, guest_tcp, latency, learning, scale, stages, storm, tcp, workers};

/// What a trial came to.
pub struct Outcome {
    /// In words, figures in them.
    pub lines: Vec<String>,
    /// For programs.
    pub figures: Value,
    /// What had to be reached, with the figure, and whether it was.
    pub verdicts: Vec<(String, bool)>,
}

/// One trial.
pub struct Trial {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whether it belongs to the selection that runs without `--all`.
    pub usual: bool,
    /// MiB of packet memory in huge pages.
    pub memory: usize,
    /// Runs it.
    pub run: fn(Pages, &Path) -> Result<Outcome>,
}

/// All of them.
pub const TRIALS: [Trial; 10] = [
    Trial { name: "learning", usual: true, memory: learning::MEMORY, run: learning::run },
    Trial { name: "changes", usual: true, memory: 2048, run: changes::run },
    Trial { name: "two-workers", usual: true, memory: 2048, run: workers::run },
    Trial { name: "latency", usual: true, memory: 2048, run: latency::run },
    Trial { name: "stages", usual: true, memory: 2048, run: stages::run },
    Trial { name: "storm", usual: true, memory: 1136, run: storm::run },
    Trial { name: "tcp", usual: true, memory: 2048, run: tcp::run },
    Trial { name: "guest-tcp", usual: true, memory: 2048, run: guest_tcp::run },
    Trial { name: "bindings", usual: true, memory: 1136, run: bindings::run },
    Trial { name: "scale", usual: false, memory: scale::MEMORY, run: scale::run },
];

/// A trial's part of the results.
pub fn json(name: &str, outcome: &Outcome) -> Value {
    let verdicts: Vec<_> =
        outcome.verdicts.iter().map(|(text, met)| json!({ "target": text, "met": met })).collect();
    json!({ "trial": name, "figures": outcome.figures, "targets": verdicts })
}
