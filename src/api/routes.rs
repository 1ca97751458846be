//! What each path answers.

use std::net::IpAddr;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query as Parameters, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::capture::{CaptureRequest, capture};
use super::config;
use super::document::{Routes, changes, reads};
use super::edit::{LARGEST, Options};
use super::events::{self, Event};
use super::listen::Token;
use super::live::{Live, LiveRequest, live};
use super::metrics;
use super::model::{
    Changed, DropCount, Failure, Group, Mac, Mirror, Neighbour, Network, Peer, Port, StaticChanges,
    Totals, Trace, TraceRequest, Version, Worker,
};
use super::page::{MacFilter, MacPage, NeighbourFilter, NeighbourPage};
use super::parts::{self, Flush, Flushed};
use super::query::{Handle, Query, Reply, Unanswered};
use super::trace::{TraceError, from_hex};
use crate::config::Metrics;

/// Every path there is, for those who ask for another.
const PATHS: [&str; 13] = [
    "/v1/ports",
    "/v1/networks",
    "/v1/macs",
    "/v1/neighbours",
    "/v1/groups",
    "/v1/peers",
    "/v1/mirrors",
    "/v1/workers",
    "/v1/drops",
    "/v1/totals",
    "/v1/version",
    "/v1/config",
    "/v1/openapi.json",
];

/// Those routes that change nothing, and the check of another configuration.
pub(super) fn read_only(handle: Handle, metrics: Metrics) -> Router {
    routes(handle, metrics).layer(from_fn(async |request: Request, next: Next| {
        let is_query =
            request.uri().path() == "/v1/trace" || request.uri() == "/v1/config?dry_run=true";
        if is_query || matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(next.run(request).await);
        }
        let error = "this socket is only for reading; what changes something goes to api.socket";
        Err(Refusal(StatusCode::FORBIDDEN, error.to_owned()))
    }))
}

/// For requests that name this machine by its address: a stranger's web page, whose own name leads here, gets nothing.
pub(super) fn local(routes: Router) -> Router {
    routes.layer(from_fn(async |request: Request, next: Next| {
        if request.headers().get(HOST).is_none_or(is_address) {
            return Ok(next.run(request).await);
        }
        let error = "without a token, ask by an IP address or as localhost, not by another name";
        Err(Refusal(StatusCode::FORBIDDEN, error.to_owned()))
    }))
}

fn is_address(host: &HeaderValue) -> bool {
    let authority = Authority::try_from(host.as_bytes());
    authority.is_ok_and(|authority| {
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
    })
}

/// All routes, for requests that carry a token.
pub(super) fn guarded(handle: Handle, metrics: Metrics, token: Token) -> Router {
    let guard = async |State(token): State<Token>, request: Request, next: Next| {
        if token.admits(request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes)) {
            return next.run(request).await;
        }
        let error = "each request here must carry the token (Authorization: Bearer TOKEN)";
        let refusal = Refusal(StatusCode::UNAUTHORIZED, error.to_owned());
        ([(WWW_AUTHENTICATE, "Bearer")], refusal).into_response()
    };
    routes(handle, metrics).layer(from_fn_with_state(token, guard))
}

/// All routes.
pub(super) fn routes(handle: Handle, metrics: Metrics) -> Router {
    Routes::new()
        .at(
            "/metrics",
            get(move |state| metrics::show(state, metrics)),
            &[reads::<String>("All that is counted, for Prometheus").in_type("text/plain")],
        )
        .at(
            "/v1/ports",
            get(|state| answer(state, Query::Ports)),
            &[reads::<Vec<Port>>("DPDK ports")],
        )
        .at(
            "/v1/ports/{name}",
            put(parts::set_port).delete(parts::remove_port),
            &[
                changes::<Changed>("put", "An access port, new or another one in its place")
                    .with::<Options>()
                    .of("An element of the configuration's access.ports"),
                changes::<Changed>("delete", "Removes an access port, if it is there")
                    .with::<Options>(),
            ],
        )
        .at(
            "/v1/networks",
            get(|state| answer(state, Query::Networks)),
            &[reads::<Vec<Network>>("Networks")],
        )
        .at(
            "/v1/macs",
            get(list_macs).delete(parts::flush),
            &[
                reads::<Vec<Mac>>("MACs; the Link header leads to the next page")
                    .with::<MacFilter>(),
                changes::<Flushed>("delete", "Forgets learned MACs").with::<Flush>(),
            ],
        )
        .at(
            "/v1/neighbours",
            get(neighbours),
            &[reads::<Vec<Neighbour>>(
                "Addresses and their MACs; the Link header leads to the next page",
            )
            .with::<NeighbourFilter>()],
        )
        .at(
            "/v1/groups",
            get(|state| answer(state, Query::Groups)),
            &[reads::<Vec<Group>>("Members of multicast groups")],
        )
        .at(
            "/v1/config",
            get(config::show).put(config::replace),
            &[
                reads::<Map<String, Value>>("The running configuration"),
                changes::<Changed>("put", "Another configuration in its place")
                    .with::<Options>()
                    .of("The configuration, as in a file"),
            ],
        )
        .at(
            "/v1/networks/{vni}",
            get(config::show_network).put(config::set_network).delete(config::remove_network),
            &[
                reads::<Network>("A network"),
                changes::<Changed>("put", "A network, new or another one in its place")
                    .with::<Options>()
                    .of("An element of the configuration's networks"),
                changes::<Changed>("delete", "Removes a network, if it is there").with::<Options>(),
            ],
        )
        .at(
            "/v1/networks/{vni}/macs",
            put(config::replace_macs),
            &[changes::<StaticChanges>("put", "Other static MACs of a network")
                .with::<Options>()
                .of("A list as a network's macs in the configuration")],
        )
        .at(
            "/v1/networks/{vni}/macs/{mac}",
            put(parts::set_mac).delete(parts::remove_mac),
            &[
                changes::<Changed>("put", "A static MAC, new or another one in its place")
                    .with::<Options>()
                    .of("An element of a network's macs in the configuration"),
                changes::<Changed>("delete", "Removes a static MAC, if it is there")
                    .with::<Options>(),
            ],
        )
        .at(
            "/v1/networks/{vni}/peers/{address}",
            put(parts::set_peer).delete(parts::remove_peer),
            &[
                changes::<Changed>("put", "A flood peer, new or another one in its place")
                    .with::<Options>()
                    .of("An element of a network's flood.peers in the configuration, or nothing"),
                changes::<Changed>("delete", "Removes a flood peer, if it is there")
                    .with::<Options>(),
            ],
        )
        .at(
            "/v1/peers",
            get(|state| answer(state, Query::Peers)),
            &[reads::<Vec<Peer>>("Remote VTEPs")],
        )
        .at(
            "/v1/mirrors",
            get(|state| answer(state, Query::Mirrors)),
            &[reads::<Vec<Mirror>>("Mirrors")],
        )
        .at(
            "/v1/workers",
            get(|state| answer(state, Query::Workers)),
            &[reads::<Vec<Worker>>("Forwarding cores")],
        )
        .at(
            "/v1/drops",
            get(drops),
            &[reads::<Vec<DropCount>>("Dropped packets by port and reason")
                .with::<DropParameters>()],
        )
        .at(
            "/v1/events",
            get(events::stream),
            &[reads::<Event>("What happens, as server-sent events").in_type("text/event-stream")],
        )
        .at(
            "/v1/totals",
            get(|state| answer(state, Query::Totals)),
            &[reads::<Totals>("Where all packets went")],
        )
        .at("/v1/version", get(version), &[reads::<Version>("What runs")])
        .at(
            "/v1/trace",
            post(trace),
            &[changes::<Trace>("post", "What would become of a frame; nothing does")
                .taking::<TraceRequest>("The frame, and where it comes in")],
        )
        .at(
            "/v1/trace/live",
            post(live),
            &[changes::<Live>(
                "post",
                "What becomes of some frames that come in, as server-sent events",
            )
            .taking::<LiveRequest>("Which frames, and how many")
            .in_type("text/event-stream")],
        )
        .at(
            "/v1/capture",
            post(capture),
            &[changes::<String>("post", "What passes a port, in the format of pcapng")
                .taking::<CaptureRequest>("The port, and which frames")
                .in_type("application/x-pcapng")],
        )
        .finish()
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(handle)
}

/// A failed request: its status and what is wrong.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Failure { error: self.1 })).into_response()
    }
}

impl From<Unanswered> for Refusal {
    fn from(unanswered: Unanswered) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, unanswered.to_string())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<TraceError> for Refusal {
    fn from(error: TraceError) -> Self {
        let status = match error {
            TraceError::UnknownPort(_) => StatusCode::NOT_FOUND,
            TraceError::TooLong { .. } => StatusCode::BAD_REQUEST,
            TraceError::NoMbuf => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

async fn answer<T>(
    State(handle): State<Handle>,
    query: impl FnOnce(Reply<T>) -> Query,
) -> Result<Json<T>, Refusal> {
    Ok(Json(handle.ask(query).await?))
}

/// One page, and the next page's address in the `Link` header (RFC 8288), so that the body stays a plain list.
fn page(
    path: &str,
    list: impl Serialize,
    next: Option<impl Serialize>,
) -> Result<Response, Refusal> {
    let Some(next) = next else { return Ok(Json(list).into_response()) };
    let link = target(path, &next)
        .map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::LINK, format!("<{link}>; rel=\"next\""))], Json(list)).into_response())
}

fn check_limit(limit: Option<usize>) -> Result<(), Refusal> {
    if limit.is_some_and(|limit| !(1..=MacFilter::MOST).contains(&limit)) {
        let error = format!("limit must be from 1 to {}", MacFilter::MOST);
        return Err(Refusal(StatusCode::BAD_REQUEST, error));
    }
    Ok(())
}

async fn list_macs(
    State(handle): State<Handle>,
    filter: Result<Parameters<MacFilter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Parameters(filter) = filter?;
    check_limit(filter.limit)?;
    let MacPage { macs, next } = handle.ask(|reply| Query::Macs(filter.clone(), reply)).await?;
    page("/v1/macs", macs, next.map(|next| MacFilter { after: Some(next), ..filter }))
}

async fn neighbours(
    State(handle): State<Handle>,
    filter: Result<Parameters<NeighbourFilter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Parameters(filter) = filter?;
    check_limit(filter.limit)?;
    let NeighbourPage { neighbours, next } =
        handle.ask(|reply| Query::Neighbours(filter.clone(), reply)).await?;
    let next = next.map(|next| NeighbourFilter { after: Some(next), ..filter });
    page("/v1/neighbours", neighbours, next)
}

/// A path with parameters.
pub(super) fn target(
    path: &str,
    filter: &impl Serialize,
) -> Result<String, serde_urlencoded::ser::Error> {
    let parameters = serde_urlencoded::to_string(filter)?;
    Ok(if parameters.is_empty() { path.to_owned() } else { format!("{path}?{parameters}") })
}

/// The parameters of `GET /v1/drops`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DropParameters {
    /// Whether to list what never happened, too.
    #[serde(default)]
    all: bool,
}

async fn drops(
    state: State<Handle>,
    parameters: Result<Parameters<DropParameters>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Parameters(DropParameters { all }) = parameters?;
    Ok(answer(state, |reply| Query::Drops { all, reply }).await.into_response())
}

/// What would become of a frame. Nothing does, so whoever may read may ask.
async fn trace(
    State(handle): State<Handle>,
    request: Result<Json<TraceRequest>, JsonRejection>,
) -> Result<Json<Trace>, Refusal> {
    let Json(TraceRequest { port, frame }) = request?;
    let frame = from_hex(&frame)
        .map_err(|error| Refusal(StatusCode::BAD_REQUEST, format!("frame: {error}")))?;
    let traced = handle.ask(|reply| Query::Trace { port, frame, reply }).await?;
    Ok(Json(traced?))
}

async fn version(State(handle): State<Handle>) -> Json<Version> {
    Json(handle.version().clone())
}

async fn unknown_path(uri: Uri) -> Refusal {
    let error = format!(
        "nothing at {}; there is {}; /v1/events, which goes on; /metrics for Prometheus; of a network, /v1/networks/VNI, and \
         there macs, macs/MAC and peers/ADDRESS; of a port, /v1/ports/NAME; and for POST, /v1/trace, /v1/trace/live and /v1/capture",
        uri.path(),
        PATHS.join(", ")
    );
    Refusal(StatusCode::NOT_FOUND, error)
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let parts: Vec<&str> = uri.path().split('/').skip(2).collect();
    let can = match parts[..] {
        ["config"] => "GET or PUT",
        ["trace" | "capture"] | ["trace", "live"] => "POST",
        ["networks", _] => "GET, PUT or DELETE",
        ["networks", _, "macs"] => "PUT",
        ["macs"] => "GET or DELETE",
        ["networks", _, "macs" | "peers", _] | ["ports", _] => "PUT or DELETE",
        _ => "GET",
    };
    let error = format!("{} cannot be {method}; it can be {can}", uri.path());
    Refusal(StatusCode::METHOD_NOT_ALLOWED, error)
}
