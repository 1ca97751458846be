//! The figures: medians, spread, verdicts, as a table and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::case::Case;
use super::contender::CONTENDERS;

/// Rates of one contender over all rounds, in packets a second.
#[derive(Default)]
pub struct Rates(Vec<f64>);

impl Rates {
    /// Adds a round's.
    pub fn push(&mut self, rate: f64) {
        self.0.push(rate);
    }

    /// The middle one, if there is any.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            length if length % 2 == 0 => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
            _ => Some(sorted[middle]),
        }
    }

    /// Least to greatest, as a share of the median.
    pub fn spread(&self) -> f64 {
        let greatest = self.0.iter().copied().fold(f64::MIN, f64::max);
        let least = self.0.iter().copied().fold(f64::MAX, f64::min);
        self.median().map_or(0.0, |median| (greatest - least) / median)
    }

    fn cell(&self) -> Option<String> {
        let median = self.median()?;
        Some(format!("{:.2} ±{:.0} %", mega(median), self.spread() * 50.0))
    }

    fn json(&self) -> Value {
        let all: Vec<_> = self.0.iter().map(|rate| mega(*rate)).collect();
        json!({ "mpps": self.median().map(mega), "spread": self.spread(), "rounds": all })
    }
}

/// One case's figures.
pub struct Row {
    /// Which.
    pub case: Case,
    /// By contender.
    pub rates: BTreeMap<&'static str, Rates>,
    /// Why a contender has no rate.
    pub missing: BTreeMap<&'static str, String>,
    /// What Ferry sent, where it replicates.
    pub copies: Rates,
    /// What Ferry dropped in any round: port, reason, packets. No drop is expected.
    pub drops: Vec<(String, String, u64)>,
}

impl Row {
    /// Without figures yet.
    pub fn new(case: Case) -> Self {
        let (rates, missing, copies) = Default::default();
        Self { case, rates, missing, copies, drops: Vec::new() }
    }

    /// A contender's median rate, in packets a second.
    pub fn median(&self, contender: &str) -> Option<f64> {
        self.rates.get(contender)?.median()
    }

    /// Ferry's rate in that of a contender.
    pub fn ratio(&self, contender: &str) -> Option<f64> {
        Some(self.median("Ferry")? / self.median(contender)?)
    }

    /// Ferry's time-stamp cycles a packet, above testpmd `io`.
    pub fn above_io(&self, hertz: f64) -> Option<f64> {
        Some(hertz / self.median("Ferry")? - hertz / self.median("testpmd io")?)
    }

    fn cells(&self, rows: &[Row], hertz: f64) -> Vec<String> {
        let none = || "-".to_owned();
        let mut cells = vec![self.case.name()];
        for (contender, _) in CONTENDERS {
            cells.push(self.rates.get(contender).and_then(Rates::cell).unwrap_or_else(none));
        }
        let cycles = self.median("Ferry").map(|rate| hertz / rate);
        for figure in [cycles, self.above_io(hertz)] {
            cells.push(figure.map_or_else(none, |figure| format!("{figure:.0}")));
        }
        cells.push(self.drops.iter().map(|(.., packets)| packets).sum::<u64>().to_string());
        let verdicts = self.case.targets.iter().map(|target| target.judge(self, rows, hertz));
        let verdicts = verdicts.map(|verdict| match verdict.met {
            Some(true) => format!("met: {}", verdict.text),
            Some(false) => format!("MISSED: {}", verdict.text),
            None => verdict.text,
        });
        cells.push(verdicts.collect::<Vec<_>>().join("; "));
        cells
    }

    /// Targets missed and packets dropped, in words.
    pub fn complaints(&self, rows: &[Row], hertz: f64) -> Vec<String> {
        let name = self.case.name();
        let missed = |target: &super::target::Target| {
            // What was left out by option is no complaint; what could not be measured is one.
            let verdict = target.judge(self, rows, hertz);
            let failed = verdict.met.map_or(!self.missing.is_empty(), |met| !met);
            failed.then(|| format!("{name}: {}", verdict.text))
        };
        let mut complaints: Vec<_> = self.case.targets.iter().filter_map(missed).collect();
        for (port, reason, packets) in &self.drops {
            complaints.push(format!("{name}: {packets} packets dropped on {port}: {reason}"));
        }
        complaints
    }

    fn json(&self, rows: &[Row], hertz: f64) -> Value {
        let drops = self.drops.iter().map(
            |(port, reason, packets)| json!({ "port": port, "reason": reason, "packets": packets }),
        );
        let verdicts = self.case.targets.iter().map(|target| target.judge(self, rows, hertz));
        let rates: BTreeMap<_, _> =
            self.rates.iter().map(|(name, rates)| (name, rates.json())).collect();
        json!({
            "case": self.case.name(),
            "contenders": rates,
            "not_measured": self.missing,
            "copies": self.case.copies().then(|| self.copies.json()),
            "cycles": self.median("Ferry").map(|rate| hertz / rate),
            "cycles_above_io": self.above_io(hertz),
            "drops": drops.collect::<Vec<_>>(),
            "targets": verdicts
                .map(|verdict| json!({ "target": verdict.text, "met": verdict.met }))
                .collect::<Vec<_>>(),
        })
    }
}

/// The machine and what ran on it.
pub struct Machine {
    /// CPU model, as the kernel names it.
    pub cpu: String,
    /// Kernel release.
    pub kernel: String,
    /// DPDK release.
    pub dpdk: String,
    /// Time-stamp cycles a second.
    pub hertz: f64,
    /// Huge pages, or why there are none.
    pub pages: String,
}

/// The table, in Markdown, and below it why contenders have no rate.
pub fn table(rows: &[Row], machine: &Machine) -> String {
    let mut head = vec!["case".to_owned()];
    head.extend(CONTENDERS.iter().map(|(name, _)| format!("{name} Mpps")));
    head.extend(["cycles", "above io", "drops", "targets"].map(str::to_owned));
    let mut lines = vec![head];
    lines.extend(rows.iter().map(|row| row.cells(rows, machine.hertz)));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<_> = (0..lines[0].len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text: Vec<String> = lines
        .iter()
        .map(|line| {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        })
        .collect();
    let rule: Vec<_> = widths.iter().map(|width| format!("{:->width$}:", "")).collect();
    text.insert(1, format!("|-{}|", rule.join("|-")));
    text.push(String::new());
    for row in rows {
        if let Some(copies) = row.copies.cell() {
            text.push(format!("{}: {copies} M copies/s", row.case.name()));
        }
        for (contender, why) in &row.missing {
            text.push(format!("{}: no figure of {contender}: {why}", row.case.name()));
        }
    }
    text.join("\n")
}

/// All figures, for programs. Rates in Mpps, spread as a share of the median.
pub fn json(rows: &[Row], machine: &Machine, bytes_per_network: Option<f64>) -> Value {
    let Machine { cpu, kernel, dpdk, hertz, pages } = machine;
    let cases: Vec<_> = rows.iter().map(|row| row.json(rows, *hertz)).collect();
    json!({
        "cpu": cpu,
        "kernel": kernel,
        "dpdk": dpdk,
        "tsc_hertz": hertz,
        "pages": pages,
        "bytes_per_network": bytes_per_network,
        "cases": cases,
    })
}

/// Millions.
pub fn mega(rate: f64) -> f64 {
    rate / 1e6
}
