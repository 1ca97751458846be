//! What a case must reach, and whether it did.

use super::report::{Row, mega};

/// A target. Each is judged by medians of one run.
#[derive(Clone, Copy)]
pub enum Target {
    /// At most so many time-stamp cycles a packet above testpmd `io`.
    AboveIo(f64),
    /// At least this share of testpmd `io`'s rate.
    OfIo(f64),
    /// At least so many times OVS-DPDK's rate with `NORMAL`.
    OfOvs(f64),
    /// At most so many times the cycles a packet of another case.
    OfCase(&'static str, f64),
    /// At least so many copies a second.
    Copies(f64),
    /// At least this share of another case's copies a second.
    CopiesOf(&'static str, f64),
}

/// A target and what became of it.
pub struct Verdict {
    /// In words, with both figures.
    pub text: String,
    /// `None`: the run lacks the figure that it is measured against.
    pub met: Option<bool>,
}

impl Target {
    /// Judges a row, among all rows of the run.
    pub fn judge(self, row: &Row, rows: &[Row], hertz: f64) -> Verdict {
        let at_most = |what: &str, figure: Option<f64>, limit: f64| Verdict {
            text: format!("{what} {}, target ≤ {limit}", shown(figure)),
            met: figure.map(|figure| figure <= limit),
        };
        let at_least = |what: &str, figure: Option<f64>, limit: f64| Verdict {
            text: format!("{what} {}, target ≥ {limit}", shown(figure)),
            met: figure.map(|figure| figure >= limit),
        };
        let find = |name: &str| rows.iter().find(|row| row.case.name() == name);
        match self {
            Self::AboveIo(limit) => at_most("cycles above io", row.above_io(hertz), limit),
            Self::OfIo(floor) => at_least("of io", row.ratio("testpmd io"), floor),
            Self::OfOvs(floor) => at_least("times OVS NORMAL", row.ratio("OVS NORMAL"), floor),
            Self::OfCase(other, limit) => {
                let other_rate = find(other).and_then(|row| row.median("Ferry"));
                let factor = other_rate.zip(row.median("Ferry")).map(|(one, two)| one / two);
                at_most(&format!("times the cycles of {other}"), factor, limit)
            }
            Self::Copies(floor) => {
                let copies = row.copies.median().map(mega);
                at_least("M copies/s", copies, mega(floor))
            }
            Self::CopiesOf(other, floor) => {
                let other_rate = find(other).and_then(|row| row.copies.median());
                let share = row.copies.median().zip(other_rate).map(|(one, two)| one / two);
                at_least(&format!("of the copies/s of {other}"), share, floor)
            }
        }
    }
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or("not measured".to_owned(), |figure| format!("{figure:.2}"))
}
