//! Logging to standard error: for people on a terminal, for files, for systemd's journal, for programs.

mod limit;

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Compact, Format, Writer};
use tracing_subscriber::fmt::{self as lines, FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use self::limit::Limit;

/// What is logged, and how.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// error, warn, info, debug, trace or off; also by module, as in info,ferry::control=debug
    #[arg(
        short,
        long,
        value_name = "LEVEL",
        env = "FERRY_LOG",
        default_value_t,
        hide_env_values = true,
        global = true
    )]
    pub log_level: Filter,
    /// How a line of the log is written
    #[arg(
        long,
        value_name = "FORMAT",
        env = "FERRY_LOG_FORMAT",
        value_enum,
        default_value_t,
        hide_env_values = true,
        global = true
    )]
    pub log_format: LineFormat,
    /// The most lines of one kind in ten seconds, of the levels error, warn and info; the rest is counted. 0: no limit
    #[arg(
        long,
        value_name = "LINES",
        env = "FERRY_LOG_LIMIT",
        default_value_t = 10,
        hide_env_values = true,
        global = true
    )]
    pub log_limit: u64,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LineFormat {
    /// For people, or for systemd's journal where that reads it
    #[default]
    Text,
    /// An object of JSON
    Json,
}

/// What to log: a level, or levels by module. Known to be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Default for Filter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

/// Not a log filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither error, warn, info, debug, trace or off, nor MODULE=LEVEL")]
pub struct FilterError(String);

impl FromStr for Filter {
    type Err = FilterError;

    /// Empty text means the default, so that an empty `FERRY_LOG` is like none.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        for directive in text.split(',') {
            // A single unknown word would pass as a module's name, and 'inf' would log nothing.
            let wrong = if directive.contains('=') {
                EnvFilter::try_new(directive).is_err()
            } else {
                directive.parse::<LevelFilter>().is_err()
            };
            if wrong {
                return Err(FilterError(directive.to_owned()));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Starts logging. Once in a process; at its end [`Limit::finish`] is due.
pub fn init(options: &Options) -> Limit {
    let limit = Limit::new(options.log_limit);
    let levels = EnvFilter::new(&options.log_level.0);
    let layer = lines::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let reader = std::env::var("JOURNAL_STREAM").ok();
    let layer = match options.log_format {
        LineFormat::Json => layer.json().flatten_event(true).with_current_span(false).boxed(),
        LineFormat::Text if is_journal(&io::stderr(), reader.as_deref()) => {
            layer.compact().map_event_format(Journal::new).boxed()
        }
        LineFormat::Text => layer.compact().boxed(),
    };
    let layer = layer.with_filter(limit.clone());
    tracing_subscriber::registry().with(levels).with(layer).init();
    limit
}

/// Whether systemd reads a stream: then `JOURNAL_STREAM` is its device and inode (systemd.exec(5)). A child that
/// inherits the variable may well write elsewhere.
fn is_journal(stream: &impl AsFd, variable: Option<&str>) -> bool {
    let Some((device, inode)) = variable.and_then(|text| text.split_once(':')) else {
        return false;
    };
    stream
        .as_fd()
        .try_clone_to_owned()
        .and_then(|descriptor| File::from(descriptor).metadata())
        .is_ok_and(|metadata| {
            device.parse() == Ok(metadata.dev()) && inode.parse() == Ok(metadata.ino())
        })
}

/// Lines with sd-daemon(3)'s priority prefix in place of what the journal notes itself: time and level.
struct Journal(Format<Compact, ()>);

impl Journal {
    fn new<T>(format: Format<Compact, T>) -> Self {
        Self(format.without_time().with_level(false))
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn journal_lines_begin_with_their_priority() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("debug"))
            .with_writer(lines.clone())
            .compact()
            .with_ansi(false)
            .map_event_format(Journal::new)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "t", port = "vm1", "gone");
            tracing::warn!(target: "t", "late");
            tracing::info!(target: "t", "ready");
            tracing::debug!(target: "t", "detail");
            tracing::trace!(target: "t", "filtered out");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "<3>t: gone port=\"vm1\"\n<4>t: late\n<6>t: ready\n<7>t: detail\n");
    }

    #[test]
    fn the_journal_is_told_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let (device, inode) = (metadata.dev(), metadata.ino());
        assert!(is_journal(&file, Some(&format!("{device}:{inode}"))));
        assert!(!is_journal(&file, Some(&format!("{device}:{}", inode + 1))));
        assert!(!is_journal(&file, Some("nonsense")));
        assert!(!is_journal(&file, None));
    }
}
