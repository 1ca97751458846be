//! The unix socket: claimed before the server starts, so that every trouble with it is a start-up error.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::Group;
use tokio::net::{UnixListener, UnixSocket};

use super::listen::ListenError;
use crate::config::Socket;

/// Owner and group may talk to Ferry.
const MODE: u32 = 0o660;
const BACKLOG: u32 = 128;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A process answers there.
    #[error(
        "{} is in use: another process answers there; stop it, or give this one another socket (api.socket)",
        .0.display()
    )]
    Occupied(PathBuf),
    /// It is something else, which must not be replaced.
    #[error("{} exists and is not a socket; move it away, or choose another path (api.socket)", .0.display())]
    NotASocket(PathBuf),
    /// Its group.
    #[error("no group is called '{0}': create it (groupadd {0}), or name another (api.group)")]
    NoGroup(String),
    /// The TCP listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system refuses.
    #[error("cannot {action} {}: {source} (api.socket)", path.display())]
    System {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The socket's name in the file system; removed when dropped.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Binds the socket and listens. Makes its folder, and replaces a socket that nobody answers at. Needs a
/// runtime to be entered.
pub(super) async fn claim(
    Socket { path, group }: &Socket,
) -> Result<(UnixListener, SocketFile), SocketError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| SocketError::System { action, path, source }
    };
    let group = group.as_deref().map(group_id).transpose()?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(failed("create the folder", folder))?;
    // Two that start at once must not both find the same stale socket: the later one would take away what the
    // earlier one has just bound. The lock goes with the file descriptor and leaves nothing behind.
    let lock = File::open(folder).map_err(failed("open the folder", folder))?;
    lock.lock().map_err(failed("lock the folder", folder))?;
    if is_stale(path).await? {
        fs::remove_file(path).map_err(failed("replace the stale socket", path))?;
    }
    let bind = || {
        let socket = UnixSocket::new_stream()?;
        // Linux takes the name's mode from the unbound socket and only then applies the umask, so that there is
        // no moment at which others could connect.
        File::from(socket.as_fd().try_clone_to_owned()?).set_permissions(mode())?;
        socket.bind(path)?;
        Ok(socket)
    };
    let socket = bind().map_err(failed("bind the socket", path))?;
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, mode()).map_err(failed("set the mode of", path))?;
    if group.is_some() {
        chown(path, None, group).map_err(failed("set the group of", path))?;
    }
    let listener = socket.listen(BACKLOG).map_err(failed("listen at", path))?;
    Ok((listener, file))
}

fn group_id(name: &str) -> Result<u32, SocketError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(SocketError::NoGroup(name.to_owned())),
    }
}

fn mode() -> Permissions {
    Permissions::from_mode(MODE)
}

/// Whether a socket is there that nobody answers at; false when there is nothing.
async fn is_stale(path: &Path) -> Result<bool, SocketError> {
    let system = |source| SocketError::System {
        action: "look at the socket",
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(SocketError::NotASocket(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(system(error)),
    }
    match tokio::net::UnixStream::connect(path).await {
        // A full backlog, too, has somebody behind it.
        Ok(_) => Err(SocketError::Occupied(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(SocketError::Occupied(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) => Err(system(error)),
    }
}
