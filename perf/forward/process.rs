//! Child processes that never outlive the bench.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

const STEP: Duration = Duration::from_millis(20);
/// The name that EAL gives the thread of the lcore on core 1.
pub const WORKER: &str = "rte-worker-1";
/// How long a contender may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Makes SIGINT and SIGTERM end the bench by an error, so that its children end too.
///
/// # Errors
/// The handlers cannot be installed.
pub fn catch_signals() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(())
}

/// Sleeps, or fails on a signal.
///
/// # Errors
/// The bench was interrupted.
pub fn pause(length: Duration) -> Result<()> {
    let end = Instant::now() + length;
    loop {
        if INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            bail!("interrupted");
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(STEP.min(left));
    }
}

/// A contender that runs; dropping it kills it.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a program, with its output in a file.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name, log: log.to_owned() })
    }

    /// The process's ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The ID of the thread whose name begins so.
    ///
    /// # Errors
    /// There is none.
    pub fn thread(&self, name: &str) -> Result<u32> {
        for task in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let task = task?;
            if fs::read_to_string(task.path().join("comm"))?.starts_with(name) {
                let id = task.file_name().into_string().ok();
                return id.and_then(|id| id.parse().ok()).context("a thread without an ID");
            }
        }
        bail!("{} has no thread {name}", self.name)
    }

    /// Time that the forwarding thread, whose name begins so, has spent on its core: what other processes take
    /// of the core meanwhile is in no contender's rate.
    ///
    /// # Errors
    /// There is no such thread, or the kernel keeps no `schedstat`.
    pub fn worker_time(&self, thread: &str) -> Result<Duration> {
        time_on_core(&self.statistics(thread)?)
    }

    /// Where the kernel tells of that thread's time.
    ///
    /// # Errors
    /// There is no such thread.
    pub fn statistics(&self, thread: &str) -> Result<PathBuf> {
        let (process, thread) = (self.id(), self.thread(thread)?);
        Ok(format!("/proc/{process}/task/{thread}/schedstat").into())
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        fs::read(&self.log)
            .map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Asks `ready` again and again until it has an answer.
    ///
    /// # Errors
    /// The process ended, the time is over, or the bench was interrupted.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            if let Some(answer) = ready(self) {
                return Ok(answer);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before {what}:\n{}", self.name, self.tail());
            }
            if Instant::now() > end {
                bail!("{}: no {what} within {limit:?}:\n{}", self.name, self.tail());
            }
            pause(STEP)?;
        }
    }

    /// Ends it by SIGTERM and returns how it ended.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(mut self) -> Result<ExitStatus> {
        let status = Command::new("kill").arg(self.id().to_string()).status()?;
        if !status.success() {
            bail!("cannot signal {}:\n{}", self.name, self.tail());
        }
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(STEP);
        }
        bail!("{} does not end:\n{}", self.name, self.tail());
    }

    fn tail(&self) -> String {
        let output = self.output();
        let lines: Vec<_> = output.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Time that a thread has spent on its core, by its `schedstat`.
///
/// # Errors
/// It has ended, or the kernel keeps none.
pub fn time_on_core(statistics: &Path) -> Result<Duration> {
    let text = fs::read_to_string(statistics)?;
    let nanoseconds = text.split(' ').next().context("empty schedstat")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

impl Drop for Process {
    fn drop(&mut self) {
        // After an orderly end both fail, and there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
