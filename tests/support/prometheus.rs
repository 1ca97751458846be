//! What Prometheus would make of Ferry's metrics.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where `make` puts Prometheus's checker.
const PROMTOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/promtool/promtool");

/// Runs promtool, which must have nothing to complain of.
pub fn promtool(arguments: &[&str], input: &str) {
    let remedy = "make target/promtool/promtool";
    assert!(Path::new(PROMTOOL).exists(), "{PROMTOOL} is missing: {remedy}");
    let mut command = Command::new(PROMTOOL);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {text}{errors}");
}

/// Values by name and labels, as they are written.
pub fn samples(text: &str) -> HashMap<String, f64> {
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    rows.map(sample).collect()
}
