//! Ferry itself, by its command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ferry::api::client::Client;
use ferry::api::model::Network;
use serde_json::Value;

use super::case::{Case, Pages};
use super::config;
use super::process::{Process, WORKER, pause};

/// The program that is measured, where it is not the bench's own.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
const START: Duration = Duration::from_secs(120);
/// The longest that a case may take to learn its sources.
pub const LEARNING: Duration = Duration::from_secs(60);
/// After all is learned, so that the table has its final size and the caches their content.
const WARM_UP: Duration = Duration::from_millis(500);
const SAMPLE: Duration = Duration::from_millis(1500);

/// The program that is measured: of the bench's own profile, or what [`choose`] was told.
pub fn program() -> &'static Path {
    PROGRAM.get().map_or(Path::new(env!("CARGO_BIN_EXE_ferry")), PathBuf::as_path)
}

/// Has another program measured, from now on.
///
/// # Errors
/// There is none of this name.
pub fn choose(program: &Path) -> Result<()> {
    let path = fs::canonicalize(program).with_context(|| program.display().to_string())?;
    let _ = PROGRAM.set(path);
    Ok(())
}

/// What one run of Ferry came to.
pub struct Run {
    /// Packets received a second of the worker's time on its core.
    pub rate: f64,
    /// Packets sent a second of that time.
    pub sent: f64,
    /// Drops from start to end: port, reason, packets.
    pub drops: Vec<(String, String, u64)>,
}

/// A running Ferry.
pub struct Ferry {
    /// It.
    pub process: Process,
    /// Of its API.
    pub socket: PathBuf,
}

impl Ferry {
    /// Starts it with a configuration and waits until it forwards.
    ///
    /// # Errors
    /// It does not.
    pub fn start(folder: &Path, config: impl FnOnce(&Path) -> String) -> Result<Self> {
        let file = folder.join("ferry.yaml");
        fs::write(&file, config(&folder.join("ferry.sock")))?;
        let mut ferry = Self::run(folder, &file)?;
        let socket = ferry.socket.clone();
        ferry.process.wait_for("answer on its socket", START, |_| {
            Client::connect(&socket).ok()?.get::<Value>("/v1/totals").ok()
        })?;
        Ok(ferry)
    }

    /// Starts it and waits for nothing. Its socket is `ferry.sock` in the folder.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn run(folder: &Path, file: &Path) -> Result<Self> {
        let mut command = Command::new(program());
        command.arg("run").arg("-c").arg(file);
        let process = Process::start(command, &folder.join("ferry.log"))?;
        Ok(Self { process, socket: folder.join("ferry.sock") })
    }

    /// Runs `ferry check`.
    ///
    /// # Errors
    /// The configuration has errors.
    pub fn check(file: &Path) -> Result<()> {
        let output = Command::new(program()).args(["check"]).arg(file).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// A connection to its API, for many questions at little cost.
    ///
    /// # Errors
    /// It does not answer.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::connect(&self.socket)?)
    }

    /// An answer of its API.
    ///
    /// # Errors
    /// It does not answer.
    pub fn show(&self, what: &str) -> Result<Value> {
        Ok(self.client()?.get(&format!("/v1/{what}"))?)
    }

    /// Waits until so many MACs are learned, over all networks.
    ///
    /// # Errors
    /// They are not within the limit.
    pub fn learn(&mut self, macs: u64, limit: Duration) -> Result<()> {
        let socket = self.socket.clone();
        self.process.wait_for("end of learning", limit, |_| {
            let networks: Vec<Network> = Client::connect(&socket).ok()?.get("/v1/networks").ok()?;
            let learned: u64 = networks.iter().map(|network| network.macs_learned).sum();
            (learned >= macs).then_some(())
        })
    }

    /// Waits until no MAC has been learned for a while. Returns how many there are, and how long it took.
    ///
    /// # Errors
    /// It does not answer.
    pub fn learn_all_there_is(&self) -> Result<(u64, Duration)> {
        const QUIET: Duration = Duration::from_secs(5);
        let start = Instant::now();
        let (mut learned, mut last_change) = (0, Duration::ZERO);
        while start.elapsed() < last_change + QUIET {
            let networks: Vec<Network> = Client::connect(&self.socket)?.get("/v1/networks")?;
            let now = networks.iter().map(|network| network.macs_learned).sum();
            if now != learned {
                (learned, last_change) = (now, start.elapsed());
            }
            pause(Duration::from_millis(200))?;
        }
        Ok((learned, last_change))
    }

    /// Packets received and sent, and the worker's time on its core.
    ///
    /// # Errors
    /// It does not answer.
    pub fn counters(&self) -> Result<(u64, u64, Duration)> {
        let workers = self.show("workers")?;
        let time = self.process.worker_time(WORKER)?;
        let count = |key: &str| workers[0][key].as_u64().with_context(|| format!("no {key}"));
        Ok((count("rx_packets")?, count("tx_packets")?, time))
    }

    /// Bytes of resident memory; huge pages that EAL took are not counted there.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(kibibytes.parse::<u64>()? * 1024)
    }

    /// Ends it.
    ///
    /// # Errors
    /// It does not end well.
    pub fn stop(self) -> Result<()> {
        let status = self.process.stop()?;
        ensure!(status.success(), "ferry ended with {status} (3: mbufs did not come home)");
        Ok(())
    }
}

/// Measures one case.
///
/// # Errors
/// Ferry does not start, does not learn all sources, or does not end well.
pub fn measure(case: Case, pages: Pages, folder: &Path) -> Result<Run> {
    let mut ferry = Ferry::start(folder, |socket| config::of_case(case, pages, folder, socket))?;
    ferry.learn(case.new_macs() as u64, LEARNING)?;
    pause(WARM_UP)?;
    let (received, sent, time) = ferry.counters()?;
    pause(SAMPLE)?;
    let (more_received, more_sent, more_time) = ferry.counters()?;
    let seconds = (more_time - time).as_secs_f64();
    let rate = (more_received - received) as f64 / seconds;
    let sent = (more_sent - sent) as f64 / seconds;
    let mut drops = drops(&ferry.show("drops")?)?;
    if case.copies() {
        // More broadcasts than can be copied is what this case is about.
        drops.retain(|(_, reason, _)| reason != "replication_backlog");
    }
    ferry.stop()?;
    Ok(Run { rate, sent, drops })
}

/// Bytes of resident memory that a network costs before it learns: 1,000 networks beside one.
///
/// # Errors
/// Ferry does not start or does not end well.
pub fn bytes_per_network(folder: &Path) -> Result<f64> {
    const MANY: u32 = 1000;
    let resident = |count| -> Result<u64> {
        let ferry = Ferry::start(folder, |socket| config::empty_networks(count, socket))?;
        pause(WARM_UP)?;
        let bytes = ferry.resident()?;
        ferry.stop()?;
        Ok(bytes)
    };
    let (one, many) = (resident(1)?, resident(MANY)?);
    Ok((many as f64 - one as f64) / f64::from(MANY - 1))
}

fn drops(table: &Value) -> Result<Vec<(String, String, u64)>> {
    let row = |row: &Value| {
        let text = |key: &str| row[key].as_str().map(str::to_owned);
        Some((text("port")?, text("reason")?, row["packets"].as_u64()?))
    };
    let rows = table.as_array().context("drops are no list")?;
    rows.iter().map(row).collect::<Option<_>>().context("a drop without port, reason or packets")
}
