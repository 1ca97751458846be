//! The console: a page that shows what the API says.
//!
//! Its files are part of the binary and say nothing of their own, so that everybody may load them; what the page then
//! asks for goes the way of all requests.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

const PAGE: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// Only what comes from here, nothing in line, and in no other page's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Path, type and content of each file.
const FILES: [(&str, &str, &str); 18] = [
    ("/", PAGE, include_str!("index.html")),
    ("/console/", PAGE, include_str!("index.html")),
    ("/console/icon.svg", IMAGE, include_str!("icon.svg")),
    ("/console/style.css", STYLE, include_str!("style.css")),
    ("/console/api.js", SCRIPT, include_str!("api.js")),
    ("/console/config.js", SCRIPT, include_str!("config.js")),
    ("/console/dom.js", SCRIPT, include_str!("dom.js")),
    ("/console/events.js", SCRIPT, include_str!("events.js")),
    ("/console/format.js", SCRIPT, include_str!("format.js")),
    ("/console/macs.js", SCRIPT, include_str!("macs.js")),
    ("/console/main.js", SCRIPT, include_str!("main.js")),
    ("/console/overview.js", SCRIPT, include_str!("overview.js")),
    ("/console/plot.js", SCRIPT, include_str!("plot.js")),
    ("/console/rates.js", SCRIPT, include_str!("rates.js")),
    ("/console/table.js", SCRIPT, include_str!("table.js")),
    ("/console/topology.js", SCRIPT, include_str!("topology.js")),
    ("/console/trace.js", SCRIPT, include_str!("trace.js")),
    ("/console/yaml.js", SCRIPT, include_str!("yaml.js")),
];

/// All files of the page.
pub(super) fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(async move || file(kind, text)))
    })
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Another version of Ferry brings other files at the same paths.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
