//! Who takes part.

use std::path::Path;

use anyhow::Result;

use super::case::{Pages, Way};
use super::ovs::{self, Tables};
use super::report::Row;
use super::{testpmd, vtep};

/// Measures a case once and enters what came of it. An error ends the bench; a contender that cannot run the case, or
/// not on this machine, enters why.
type Measure = fn(&mut Row, Pages, &Path) -> Result<()>;

/// By name, in the order of the table's columns.
pub const CONTENDERS: [(&str, Measure); 5] = [
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
        measure_ovs(row, "OVS NORMAL", Tables::Normal, pages, folder);
        super::process::pause(std::time::Duration::ZERO)
    }),
    ("OVS br-tun", |row, pages, folder| {
        measure_ovs(row, "OVS br-tun", Tables::Tunnel, pages, folder);
        super::process::pause(std::time::Duration::ZERO)
    }),
    ("Ferry", |row, pages, folder| {
        let run = vtep::measure(row.case, pages, folder)?;
        row.drops.extend(run.drops);
        if row.case.way == Way::Replication {
            row.copies.push(run.sent);
        }
        enter(row, "Ferry", run.rate);
        Ok(())
    }),
];

fn measure_ovs(row: &mut Row, name: &'static str, tables: Tables, pages: Pages, folder: &Path) {
    if row.missing.contains_key(name) {
        return;
    }
    let outcome = match ovs::obstacle(row.case) {
        Some(why) => Err(why),
        None => ovs::measure(row.case, tables, pages, folder).map_err(|error| format!("{error:#}")),
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
