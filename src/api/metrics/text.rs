//! Prometheus's text format: families of samples, each with a line of help and one of its kind.

use std::fmt::{Display, Write};

/// What a sample is.
#[derive(Clone, Copy)]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// A label of a sample, as it is written.
pub type Label = String;

/// A label: what it is called and what it says.
pub fn label(name: &str, value: &str) -> Label {
    let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    format!("{name}=\"{value}\"")
}

/// Families, one after another.
#[derive(Default)]
pub struct Text {
    text: String,
    family: &'static str,
}

impl Text {
    /// Begins a family; `ferry_` comes before its name.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.family = name;
        self.line(format_args!("# HELP ferry_{name} {help}\n# TYPE ferry_{name} {kind}"));
    }

    /// A sample of the last family.
    pub fn sample(&mut self, labels: &[Label], value: impl Display) {
        let name = self.family;
        match labels {
            [] => self.line(format_args!("ferry_{name} {value}")),
            labels => self.line(format_args!("ferry_{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        let mut text = Text::default();
        text.family(Kind::Gauge, "x", "Some.");
        text.sample(&[label("a", "1"), label("b", "\"\\\n")], 7);
        let expected =
            "# HELP ferry_x Some.\n# TYPE ferry_x gauge\nferry_x{a=\"1\",b=\"\\\"\\\\\\n\"} 7\n";
        assert_eq!(text.finish(), expected);
    }
}
