//! How other programs talk to the process.

use std::path::PathBuf;

use super::item::{Item, Keys};
use super::scalar;

/// The API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Where everything can be asked for.
    pub socket: Socket,
    /// Where nothing can be changed.
    pub read_only: Option<Socket>,
    /// What `/metrics` tells.
    pub metrics: Metrics,
}

/// What `/metrics` tells beside what every Ferry does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Of each network, too.
    pub networks: bool,
}

/// A unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Absolute path.
    pub path: PathBuf,
    /// Who may use it beside root: a group of the system's; `None`: the process's own group.
    pub group: Option<String>,
}

pub(super) const API: Keys = Keys {
    known: &["socket", "group", "read_only", "metrics"],
    later: &[("listen", "use the unix socket that 'api.socket' names")],
};
pub(super) const READ_ONLY: Keys = Keys { known: &["socket", "group"], later: &[] };
pub(super) const METRICS: Keys = Keys { known: &["networks"], later: &[] };

const DEFAULT_SOCKET: &str = "/run/ferry/ferry.sock";
/// `sun_path` holds 108 bytes with the final zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

pub(super) fn api(item: Option<Item<'_>>) -> Option<Api> {
    let default = || PathBuf::from(DEFAULT_SOCKET);
    let Some(item) = item else {
        let (socket, metrics) = (Socket { path: default(), group: None }, Metrics::default());
        return Some(Api { socket, read_only: None, metrics });
    };
    let fields = item.fields(&API)?;
    let path = fields.or("socket", default(), |item| socket_path(&item));
    let group = fields.or("group", None, |item| group(&item));
    let read_only = fields.or("read_only", None, |item| {
        let fields = item.fields(&READ_ONLY)?;
        let example = "socket: /run/ferry/read.sock";
        let own = fields.required("socket", example, |item| {
            let own = socket_path(&item)?;
            if path.as_ref() == Some(&own) {
                item.error("this is api.socket, where things can be changed; give another path");
            }
            Some(own)
        });
        let group = fields.or("group", None, |item| self::group(&item));
        Some(Some(Socket { path: own?, group: group? }))
    });
    let metrics = fields.or("metrics", Metrics::default(), |item| {
        let fields = item.fields(&METRICS)?;
        let networks = fields.or("networks", false, |item| item.boolean());
        Some(Metrics { networks: networks? })
    });
    let socket = Socket { path: path?, group: group? };
    Some(Api { socket, read_only: read_only?, metrics: metrics? })
}

fn socket_path(item: &Item<'_>) -> Option<PathBuf> {
    let what = "an absolute path of at most 107 bytes, such as /run/ferry/ferry.sock";
    let text = item.text(what)?;
    let good = text.starts_with('/') && text.len() <= SOCKET_PATH_MAX && !text.contains('\0');
    if good { Some(PathBuf::from(text)) } else { item.expected(what) }
}

fn group(item: &Item<'_>) -> Option<Option<String>> {
    scalar::name(item).map(Some)
}
