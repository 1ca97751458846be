//! The figures: medians, spread, floors, as a table and as JSON.

use serde_json::{Value, json};

use super::case::Case;

/// Rates of one contender over all rounds, in packets a second.
#[derive(Default)]
pub struct Rates(Vec<f64>);

impl Rates {
    /// Adds a round's.
    pub fn push(&mut self, rate: f64) {
        self.0.push(rate);
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        }
    }

    /// Least to greatest, as a share of the median.
    pub fn spread(&self) -> f64 {
        let greatest = self.0.iter().copied().fold(f64::MIN, f64::max);
        let least = self.0.iter().copied().fold(f64::MAX, f64::min);
        (greatest - least) / self.median()
    }

    fn json(&self) -> Value {
        let all: Vec<_> = self.0.iter().map(|rate| mega(*rate)).collect();
        json!({ "mpps": mega(self.median()), "spread": self.spread(), "rounds": all })
    }
}

/// One case's figures.
pub struct Row {
    /// Which.
    pub case: Case,
    /// testpmd, mode `io`.
    pub io: Rates,
    /// testpmd, mode `macswap`.
    pub macswap: Rates,
    /// Ferry.
    pub ferry: Rates,
    /// What Ferry dropped in any round: port, reason, packets. No drop is expected.
    pub drops: Vec<(String, String, u64)>,
}

impl Row {
    /// Without figures yet.
    pub fn new(case: Case) -> Self {
        let (io, macswap, ferry) = Default::default();
        Self { case, io, macswap, ferry, drops: Vec::new() }
    }

    /// What is below its floor or was dropped, in words.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let (name, floor, ratio) = (self.case.name(), self.case.floor, self.ratio());
        if ratio.is_nan() || ratio < floor {
            complaints.push(format!("{name}: {ratio:.2} of testpmd io, the floor is {floor}"));
        }
        for (port, reason, packets) in &self.drops {
            complaints.push(format!("{name}: {packets} packets dropped on {port}: {reason}"));
        }
        complaints
    }

    fn ratio(&self) -> f64 {
        self.ferry.median() / self.io.median()
    }

    fn cells(&self, hertz: f64) -> [String; 8] {
        let rate =
            |rates: &Rates| format!("{:.2} ±{:.0} %", mega(rates.median()), rates.spread() * 50.0);
        let (cycles, above) = self.cycles(hertz);
        [
            self.case.name(),
            rate(&self.io),
            rate(&self.macswap),
            rate(&self.ferry),
            format!("{cycles:.0}"),
            format!("{above:.0}"),
            format!("{:.2}", self.ratio()),
            self.drops.iter().map(|(.., packets)| packets).sum::<u64>().to_string(),
        ]
    }

    /// Cycles a packet in all, and above testpmd `io`.
    fn cycles(&self, hertz: f64) -> (f64, f64) {
        let all = hertz / self.ferry.median();
        (all, all - hertz / self.io.median())
    }

    fn json(&self, hertz: f64) -> Value {
        let (cycles, above) = self.cycles(hertz);
        let drops: Vec<_> = self
            .drops
            .iter()
            .map(|(port, reason, packets)| json!({ "port": port, "reason": reason, "packets": packets }))
            .collect();
        json!({
            "case": self.case.name(),
            "testpmd_io": self.io.json(),
            "testpmd_macswap": self.macswap.json(),
            "ferry": self.ferry.json(),
            "cycles": cycles,
            "cycles_above_io": above,
            "ratio_to_io": self.ratio(),
            "floor": self.case.floor,
            "drops": drops,
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
}

/// The table, in Markdown.
pub fn table(rows: &[Row], machine: &Machine) -> String {
    let head =
        ["case", "io Mpps", "macswap Mpps", "Ferry Mpps", "cycles", "above io", "of io", "drops"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| row.cells(machine.hertz)));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<_> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text: Vec<String> = lines
        .iter()
        .map(|line| {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        })
        .collect();
    let rule: Vec<_> = widths.iter().map(|width| format!("{:->width$}:", "")).collect();
    text.insert(1, format!("|-{}|", rule.join("|-")));
    text.join("\n")
}

/// All figures, for programs. Rates in Mpps, spread as a share of the median.
pub fn json(rows: &[Row], machine: &Machine, bytes_per_network: Option<f64>) -> Value {
    let Machine { cpu, kernel, dpdk, hertz } = machine;
    let cases: Vec<_> = rows.iter().map(|row| row.json(*hertz)).collect();
    json!({
        "cpu": cpu,
        "kernel": kernel,
        "dpdk": dpdk,
        "tsc_hertz": hertz,
        "bytes_per_network": bytes_per_network,
        "cases": cases,
    })
}

fn mega(rate: f64) -> f64 {
    rate / 1e6
}
