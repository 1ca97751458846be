//! `POST /v1/trace/live`: what becomes of some of the frames that come in, as server-sent events.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::capture::compile;
use super::model::Trace;
use super::query::{Handle, Query};
use super::routes::Refusal;
use super::trace::UnknownPort;

/// Messages that may wait for whoever asked.
pub const BACKLOG: usize = 256;

/// The body of `POST /v1/trace/live`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveRequest {
    /// Name of the port that they come in by; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Which frames, as tcpdump has it (pcap-filter(7)); absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// At most so many a second, from 1 to 1000, and as many at once.
    #[serde(default = "LiveRequest::usual_rate")]
    pub rate: u32,
    /// After how many it ends; absent: when whoever asked goes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl LiveRequest {
    /// The highest rate.
    pub const MOST: u32 = 1000;

    /// The rate where none is asked for.
    pub fn usual_rate() -> u32 {
        10
    }
}

/// A message of a live trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Live {
    /// What became of a frame.
    Trace(Box<LiveTrace>),
    /// So many samples are not told, because they were too many.
    Lost {
        /// How many.
        samples: u64,
    },
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveTrace {
    /// When it came, in microseconds since 1970.
    pub unix_microseconds: u64,
    /// The frame, or its first bytes, in hexadecimal digits.
    pub frame: String,
    /// The rest.
    #[serde(flatten)]
    pub trace: Trace,
}

/// Why there is no live trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiveRefusal {
    /// No such port.
    #[error(transparent)]
    UnknownPort(#[from] UnknownPort),
    /// Somebody else.
    #[error("somebody traces live already; one at a time")]
    Busy,
}

impl From<LiveRefusal> for Refusal {
    fn from(refusal: LiveRefusal) -> Self {
        let status = match refusal {
            LiveRefusal::UnknownPort(_) => StatusCode::NOT_FOUND,
            LiveRefusal::Busy => StatusCode::CONFLICT,
        };
        Self(status, refusal.to_string())
    }
}

/// Begins a live trace.
pub(super) async fn live(
    State(handle): State<Handle>,
    request: Result<Json<LiveRequest>, JsonRejection>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Refusal> {
    let Json(LiveRequest { port, filter, rate, count }) = request?;
    if !(1..=LiveRequest::MOST).contains(&rate) {
        let error = format!("rate must be from 1 to {}", LiveRequest::MOST);
        return Err(Refusal(StatusCode::BAD_REQUEST, error));
    }
    let filter = compile(filter).await?;
    let messages = handle.ask(|reply| Query::Live { port, filter, rate, reply }).await??;
    let run = (messages, count);
    let events = unfold(run, async |(mut messages, left): (mpsc::Receiver<Live>, _)| {
        if left == Some(0) {
            return None;
        }
        let message = messages.recv().await?;
        let is_trace = matches!(message, Live::Trace(_));
        let left = left.map(|left: u64| left - u64::from(is_trace));
        Some((Ok(event(&message)), (messages, left)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn event(message: &Live) -> sse::Event {
    let name = match message {
        Live::Trace(_) => "trace",
        Live::Lost { .. } => "lost",
    };
    sse::Event::default().event(name).data(serde_json::to_string(message).unwrap_or_default())
}
