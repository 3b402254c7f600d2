//! IPC: the methods on a Unix socket, for programs on the same machine.
//!
//! Place in the flow: beside the public server, in front of the same methods.
//! Invariant: only the user who runs the node may connect. Everything that a client decides is bounded: connections, request,
//! batch, answer, calls under way, subscriptions; a client that does not read its answers stops only itself.

mod connection;
mod frames;

use jsonrpsee::Methods;
use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};

/// Who may read and write the socket: its owner.
const MODE: u32 = 0o600;
/// How long accepting rests after it failed, for lack of file descriptors say.
const REST: Duration = Duration::from_millis(100);

/// Where to serve and within which limits.
#[derive(Clone, Debug)]
pub struct IpcSettings {
    /// The socket's path.
    pub path: PathBuf,
    /// Bytes of a request.
    pub request_len_max: u32,
    /// Bytes of an answer, all answers of a batch together.
    pub response_len_max: u32,
    /// Calls of a batch.
    pub batch_len_max: u32,
    /// Connections at a time; further ones wait.
    pub connections_max: u32,
    /// Subscriptions of a connection.
    pub subscriptions_max: u32,
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct IpcHandle {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl IpcHandle {
    /// Takes no more calls, lets those under way end, and removes the socket.
    pub async fn stop(self) {
        // Whoever has gone already needs no word.
        let _ = self.stop.send(true);
        let _ = self.accepting.await;
    }
}

/// Serves `methods` on a socket.
///
/// # Errors
/// Another process serves there, something else than a socket has the path, or the socket cannot be made.
pub async fn serve_ipc(settings: IpcSettings, methods: Methods) -> io::Result<IpcHandle> {
    make_way(&settings.path).await?;
    let listener = UnixListener::bind(&settings.path)?;
    fs::set_permissions(&settings.path, fs::Permissions::from_mode(MODE))?;
    let (stop, stopped) = watch::channel(false);
    let accepting = tokio::spawn(async move {
        let mut connections = accept(&listener, &settings, &methods, stopped).await;
        // If somebody took it away already, that is what is wanted.
        let _ = fs::remove_file(&settings.path);
        while connections.join_next().await.is_some() {}
    });
    Ok(IpcHandle { stop, accepting })
}

/// Removes the socket of a process that has gone.
async fn make_way(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, format!("{} is not a socket", path.display())));
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, format!("another process serves {}", path.display()))),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Accepts until the server stops; the connections that are open then.
async fn accept(
    listener: &UnixListener,
    settings: &IpcSettings,
    methods: &Methods,
    stopped: watch::Receiver<bool>,
) -> JoinSet<()> {
    let free = Arc::new(Semaphore::new(settings.connections_max as usize));
    let mut connections = JoinSet::new();
    let mut stop = stopped.clone();
    loop {
        let next = async {
            let place = Arc::clone(&free).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            // An error means that the handle was dropped.
            _ = stop.wait_for(|stop| *stop) => break,
        };
        // Those that ended are forgotten.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let serving = connection::serve(stream, settings.clone(), methods.clone(), stopped.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a local connection could not be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
    connections
}
