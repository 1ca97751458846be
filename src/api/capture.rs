//! `POST /v1/capture`: what passes a port, as a stream in the format of pcapng.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hyper::body::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pcapng::{self, WallClock};
use super::query::{Handle, Query};
use super::routes::Refusal;
use super::trace::UnknownPort;
use crate::worker::{Capture, Filter, Instruction};

/// How often captured frames are fetched: what comes meanwhile must find a slot.
const PAUSE: Duration = Duration::from_millis(5);
/// How often the stream says that it lives, and what was lost.
const STATISTICS: Duration = Duration::from_secs(1);
/// Frames in one piece of the stream.
const PIECE: usize = 512;

/// The body of `POST /v1/capture`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureRequest {
    /// Name of the port; a twin has its interface's.
    pub port: String,
    /// Which frames, as tcpdump has it (pcap-filter(7)); absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Which way.
    #[serde(default)]
    pub direction: Direction,
    /// After how many frames it ends; absent: when whoever asked goes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// Which way frames go.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// They come in by the port.
    In,
    /// They leave by it.
    Out,
    /// Both.
    #[default]
    Both,
}

/// A capture under way; dropping this ends it.
#[derive(Debug)]
pub struct Watching {
    /// Where the frames are.
    pub capture: Arc<Capture>,
    /// Name of the port.
    pub port: String,
    /// Its device.
    pub device: String,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.capture.end();
    }
}

/// Why there is no capture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureRefusal {
    /// No such port.
    #[error(transparent)]
    UnknownPort(#[from] UnknownPort),
    /// Somebody else.
    #[error("port {0} is being captured already; one at a time")]
    Busy(String),
}

impl From<CaptureRefusal> for Refusal {
    fn from(refusal: CaptureRefusal) -> Self {
        let status = match refusal {
            CaptureRefusal::UnknownPort(_) => StatusCode::NOT_FOUND,
            CaptureRefusal::Busy(_) => StatusCode::CONFLICT,
        };
        Self(status, refusal.to_string())
    }
}

/// A filter from an expression.
///
/// # Errors
/// What libpcap says of it.
pub fn filter(expression: &str) -> Result<Filter, String> {
    let wrong = |error: pcap::Error| format!("filter '{expression}': {error}");
    let dead = pcap::Capture::dead(pcap::Linktype::ETHERNET).map_err(wrong)?;
    let program = dead.compile(expression, true).map_err(wrong)?;
    // The crate shows an instruction's numbers in writing only.
    let read = |text: String| {
        let mut numbers = text.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        let (code, jump_true, jump_false, number): (u32, u32, u32, u32) =
            (next()?, next()?, next()?, next()?);
        Some(Instruction {
            code: code as u16,
            jump_true: jump_true as u8,
            jump_false: jump_false as u8,
            number,
        })
    };
    let instructions = program.get_instructions().iter().map(|of| read(of.to_string()));
    let instructions: Option<Vec<_>> = instructions.collect();
    instructions.map(Filter::new).ok_or_else(|| format!("filter '{expression}' is not understood"))
}

/// The filter of a request.
pub(super) async fn compile(expression: Option<String>) -> Result<Option<Filter>, Refusal> {
    // The names of hosts may have to be asked for.
    let compiled =
        tokio::task::spawn_blocking(move || expression.as_deref().map(filter).transpose());
    match compiled.await {
        Ok(compiled) => compiled.map_err(|error| Refusal(StatusCode::BAD_REQUEST, error)),
        Err(error) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// Begins a capture.
pub(super) async fn capture(
    State(handle): State<Handle>,
    request: Result<Json<CaptureRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(CaptureRequest { port, filter: expression, direction, count }) = request?;
    let filter = compile(expression).await?;
    let watching = handle.ask(|reply| Query::Capture { port, filter, direction, reply }).await??;
    let (clock, last) = (WallClock::now(), Instant::now());
    let run = Run { watching, clock, left: count, received: 0, last, stage: Stage::Head };
    let pieces = stream::unfold(run, Run::next);
    let kind = [(header::CONTENT_TYPE, "application/x-pcapng")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

/// A stream under way.
struct Run {
    watching: Watching,
    clock: WallClock,
    left: Option<u64>,
    received: u64,
    /// When it last said what was lost.
    last: Instant,
    stage: Stage,
}

enum Stage {
    Head,
    Frames,
    End,
}

impl Run {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let piece = match self.stage {
            Stage::Head => {
                self.stage = Stage::Frames;
                let Watching { capture, port, device } = &self.watching;
                pcapng::head(port, device, capture.longest())
            }
            Stage::Frames => self.frames().await,
            Stage::End => return None,
        };
        Some((Ok(piece.into()), self))
    }

    async fn frames(&mut self) -> Vec<u8> {
        loop {
            let capture = &self.watching.capture;
            let has_ended = capture.has_ended();
            let mut piece = Vec::new();
            let room = self.left.map_or(PIECE, |left| left.min(PIECE as u64) as usize);
            for captured in std::iter::from_fn(|| capture.next()).take(room) {
                piece.extend(pcapng::packet(&captured, &self.clock));
                capture.give_back(captured);
                self.received += 1;
                self.left = self.left.map(|left| left - 1);
            }
            let is_over = self.left == Some(0) || has_ended && piece.is_empty();
            if is_over || piece.is_empty() && self.last.elapsed() > STATISTICS {
                self.last = Instant::now();
                piece.extend(pcapng::statistics(&self.clock, self.received, capture.lost()));
            }
            if is_over {
                self.stage = Stage::End;
            }
            if !piece.is_empty() {
                return piece;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
