//! How other programs talk to the process.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::item::Item;
use super::keys::machine::{API, LISTEN, METRICS, READ_ONLY, TLS};
use super::scalar;

/// The API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Where everything can be asked for.
    pub socket: Socket,
    /// Where nothing can be changed.
    pub read_only: Option<Socket>,
    /// Where programs of other machines, or those that speak no unix sockets, ask.
    pub listen: Option<Listen>,
    /// What `/metrics` tells.
    pub metrics: Metrics,
}

/// A TCP listener. One that other machines reach has both `tls` and `token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: SocketAddr,
    /// How it shows who it is; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// The file with what every request must carry; without one nothing can be changed.
    pub token: Option<PathBuf>,
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, and those that lead to its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What `/metrics` tells beside what every Ferry does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Of each network, too.
    pub networks: bool,
    /// Of each peer, too.
    pub peers: bool,
}

/// A unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Absolute path.
    pub path: PathBuf,
    /// Who may use it beside root: a group of the system's; `None`: the process's own group.
    pub group: Option<String>,
}

const DEFAULT_SOCKET: &str = "/run/ferry/ferry.sock";
/// `sun_path` holds 108 bytes with the final zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

pub(super) fn api(item: Option<Item<'_>>) -> Option<Api> {
    let default = || PathBuf::from(DEFAULT_SOCKET);
    let Some(item) = item else {
        let (socket, metrics) = (Socket { path: default(), group: None }, Metrics::default());
        return Some(Api { socket, read_only: None, listen: None, metrics });
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
    let listen = fields.or("listen", None, |item| listen(&item).map(Some));
    let metrics = fields.or("metrics", Metrics::default(), |item| {
        let fields = item.fields(&METRICS)?;
        let networks = fields.or("networks", false, |item| item.boolean());
        let peers = fields.or("peers", false, |item| item.boolean());
        Some(Metrics { networks: networks?, peers: peers? })
    });
    let socket = Socket { path: path?, group: group? };
    Some(Api { socket, read_only: read_only?, listen: listen?, metrics: metrics? })
}

fn listen(item: &Item<'_>) -> Option<Listen> {
    if !item.is_mapping() {
        return guarded(item, Listen { address: address(item)?, tls: None, token: None });
    }
    let fields = item.fields(&LISTEN)?;
    let address = fields.required("address", "address: 127.0.0.1:9472", |item| address(&item));
    let tls = fields.or("tls", None, |item| {
        let fields = item.fields(&TLS)?;
        let example = "certificate: /etc/ferry/certificate.pem";
        let certificate = fields.required("certificate", example, |item| file(&item));
        let key = fields.required("key", "key: /etc/ferry/key.pem", |item| file(&item));
        Some(Some(Tls { certificate: certificate?, key: key? }))
    });
    let token = fields.or("token", None, |item| file(&item).map(Some));
    guarded(item, Listen { address: address?, tls: tls?, token: token? })
}

/// Whoever can reach the listener must be one who may.
fn guarded(item: &Item<'_>, listen: Listen) -> Option<Listen> {
    let Listen { address, tls, token } = &listen;
    if address.ip().is_loopback() || tls.is_some() && token.is_some() {
        return Some(listen);
    }
    item.error(format_args!(
        "other machines can reach {address}, so it needs 'tls: {{certificate, key}}' and 'token', a file; or listen at 127.0.0.1:{}",
        address.port()
    ));
    None
}

fn address(item: &Item<'_>) -> Option<SocketAddr> {
    let what = "an IP address and a TCP port, such as 127.0.0.1:9472 or \"[::1]:9472\"";
    item.parse_with(what, |text| text.parse().ok().filter(|of: &SocketAddr| of.port() > 0))
}

fn file(item: &Item<'_>) -> Option<PathBuf> {
    item.parse_with("an absolute path of a file, such as /etc/ferry/token", |text| {
        (text.starts_with('/') && !text.contains('\0')).then(|| text.into())
    })
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
