//! The TCP listener: plain on this machine, by TLS for others.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::config::{Listen, Tls};

/// How long a client may take for its part of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes under way at once; who comes then waits in the backlog.
const HANDSHAKES: usize = 64;
/// Characters of a token: half of them at random are out of reach for guessing.
const SHORTEST_TOKEN: usize = 16;

/// Why there is no TCP listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address.
    #[error("cannot listen at {address}: {source} (api.listen)")]
    Bind {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A file that it needs.
    #[error("{}: {reason} (api.listen)", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
}

/// What every request must carry.
#[derive(Clone)]
pub(super) struct Token(Arc<str>);

impl Token {
    fn read(path: &Path) -> Result<Self, ListenError> {
        let wrong = |reason| ListenError::File { path: path.to_owned(), reason };
        let unreadable = |error: io::Error| wrong(format!("the token cannot be read: {error}"));
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(wrong("everybody may read the token; chmod o= it".to_owned()));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let token = text.trim();
        if token.len() < SHORTEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(format!(
                "a token is one line of {SHORTEST_TOKEN} characters at least, without spaces, such as 'openssl rand -hex 32' makes"
            )));
        }
        Ok(Self(token.into()))
    }

    /// Whether an `Authorization` header carries it (RFC 6750 section 2.1). It takes as long whatever is wrong.
    pub(super) fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|text| text.split_at_checked(7)) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"bearer ") && token.ct_eq(self.0.as_bytes()).into()
    }
}

/// A listener, and what it asks of clients.
pub(super) struct Bound {
    pub listener: TcpListener,
    pub tls: Option<TlsAcceptor>,
    pub token: Option<Token>,
}

/// Binds the address and reads the files. Needs a runtime to be entered.
pub(super) async fn bind(listen: &Listen) -> Result<Bound, ListenError> {
    let address = listen.address;
    let token = listen.token.as_deref().map(Token::read).transpose()?;
    let tls = listen.tls.as_ref().map(acceptor).transpose()?;
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|source| ListenError::Bind { address, source })?;
    Ok(Bound { listener, tls, token })
}

fn acceptor(Tls { certificate, key }: &Tls) -> Result<TlsAcceptor, ListenError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(certificate, "certificate", &error))?;
    if chain.is_empty() {
        return Err(unusable(certificate, "certificate", &pem::Error::NoItemsFound));
    }
    let secret =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, "private key", &error))?;
    let refused = |error: rustls::Error| {
        let reason = format!("no key for {}: {error}", certificate.display());
        ListenError::File { path: key.clone(), reason }
    };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(refused)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(path: &Path, what: &str, error: &pem::Error) -> ListenError {
    let reason = match error {
        pem::Error::NoItemsFound => format!("there is no {what} in it; it should be PEM"),
        pem::Error::Io(error) => format!("the {what} cannot be read: {error}"),
        other => format!("the {what} is no PEM: {other}"),
    };
    ListenError::File { path: path.to_owned(), reason }
}

/// Takes connections that have a TLS session. Handshakes go on beside each other, so that a slow client holds up
/// nobody.
pub(super) struct TlsListener {
    pub listener: TcpListener,
    pub tls: TlsAcceptor,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl TlsListener {
    pub fn new(listener: TcpListener, tls: TlsAcceptor) -> Self {
        Self { listener, tls, handshakes: JoinSet::new() }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES;
            tokio::select! {
                (stream, address) = Listener::accept(&mut self.listener), if has_room => {
                    let handshake = tokio::time::timeout(HANDSHAKE, self.tls.accept(stream));
                    self.handshakes.spawn(async move {
                        match handshake.await {
                            Ok(Ok(stream)) => Some((stream, address)),
                            Ok(Err(error)) => {
                                tracing::debug!("{address}: no TLS: {error}");
                                None
                            }
                            Err(_) => None,
                        }
                    });
                }
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(accepted)) = done {
                        return accepted;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_let_in() {
        let token = Token("0123456789abcdef".into());
        for right in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef"] {
            assert!(token.admits(Some(right.as_bytes())), "{right}");
        }
        let wrong = ["", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdeX"];
        let more = ["0123456789abcdef", "Basic  0123456789abcdef", "Bearer 0123456789abcdef "];
        for wrong in wrong.into_iter().chain(more) {
            assert!(!token.admits(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!token.admits(None));
    }
}
