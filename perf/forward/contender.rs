//! Who takes part.

use std::path::Path;

use anyhow::Result;

use super::case::{Case, Pages};
use super::ovs::{self, Tables};
use super::report::Row;
use super::{kernel, testpmd, vtep};

/// Measures a case once and enters what came of it. An error ends the bench; a contender that cannot run the case, or
/// not on this machine, enters why.
type Measure = fn(&mut Row, Pages, &Path) -> Result<()>;

/// By name, in the order of the table's columns.
pub const CONTENDERS: [(&str, Measure); 6] = [
    ("testpmd io", |row, pages, folder| {
        let rate = testpmd::measure(row.case, "io", pages, folder)?;
        enter(row, "testpmd io", rate);
        Ok(())
    }),
    ("testpmd macswap", |row, pages, folder| {
        let rate = testpmd::measure(row.case, "macswap", pages, folder)?;
        enter(row, "testpmd macswap", rate);
        Ok(())
    }),
    ("OVS NORMAL", |row, pages, folder| {
        attempt(row, "OVS NORMAL", ovs::obstacle, |case| {
            ovs::measure(case, Tables::Normal, pages, folder)
        });
        super::process::pause(std::time::Duration::ZERO)
    }),
    ("OVS br-tun", |row, pages, folder| {
        attempt(row, "OVS br-tun", ovs::obstacle, |case| {
            ovs::measure(case, Tables::Tunnel, pages, folder)
        });
        super::process::pause(std::time::Duration::ZERO)
    }),
    ("Linux kernel", |row, pages, folder| {
        attempt(row, "Linux kernel", kernel::obstacle, |case| kernel::measure(case, pages, folder));
        super::process::pause(std::time::Duration::ZERO)
    }),
    ("Ferry", |row, pages, folder| {
        let run = vtep::measure(row.case, pages, folder)?;
        row.drops.extend(run.drops);
        if row.case.copies() {
            row.copies.push(run.sent);
        }
        enter(row, "Ferry", run.rate);
        Ok(())
    }),
];

/// Measures a contender that may be missing, or unable to do the case.
fn attempt(
    row: &mut Row,
    name: &'static str,
    obstacle: fn(Case) -> Option<String>,
    measure: impl FnOnce(Case) -> Result<f64>,
) {
    if row.missing.contains_key(name) {
        return;
    }
    let outcome = match obstacle(row.case) {
        Some(why) => Err(why),
        None => measure(row.case).map_err(|error| format!("{error:#}")),
    };
    match outcome {
        Ok(rate) => enter(row, name, rate),
        Err(why) => {
            row.missing.insert(name, why);
        }
    }
}

fn enter(row: &mut Row, name: &'static str, rate: f64) {
    row.rates.entry(name).or_default().push(rate);
}
