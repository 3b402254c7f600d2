//! Who may speak on the authenticated port: the shared secret, and the layer that asks every request for a token.
//!
//! Place in the flow: in front of the JSON-RPC server, so that nothing of a request is read before its token was checked.
//! Invariant: a request without a valid token gets HTTP 401 with an empty body and reaches nothing else; why is told to the log
//! only. A WebSocket is asked once, at its handshake, which is an HTTP request too.
//! It does not: decide which methods are served there, or rotate secrets.
//! Source: execution-apis `src/engine/authentication.md`.

use super::gate::{Admission, Gate, answer};
use alloy_primitives::hex;
use alloy_rpc_types_engine::{JwtError, JwtSecret};
use jsonrpsee::server::{HttpRequest, HttpResponse};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};
use tower::Layer;

/// RFC 9110 section 15.5.2.
const UNAUTHORIZED: u16 = 401;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file holds no secret. The user mends it or lets us make a new one.
    #[error("{}: expected 64 hexadecimal digits: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: JwtError,
    },
    /// The file can be neither read nor created.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// The secret in a file; a missing file is created with a new secret that only its owner may read (mode 0600).
///
/// # Errors
/// See [`SecretError`]; an existing file is never changed.
pub fn load_or_create_secret(path: &Path) -> Result<JwtSecret, SecretError> {
    match fs::read_to_string(path) {
        Ok(text) => JwtSecret::from_hex(text).map_err(|source| SecretError::Content { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_secret(path).map_err(|source| SecretError::File { path: path.to_owned(), source })
        }
        Err(source) => Err(SecretError::File { path: path.to_owned(), source }),
    }
}

fn create_secret(path: &Path) -> io::Result<JwtSecret> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let secret = JwtSecret::random();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(hex::encode(secret.as_bytes()).as_bytes())?;
    file.sync_all()?;
    Ok(secret)
}

/// Asks every request for a token that was signed with the secret (HS256) within a minute of now.
#[derive(Clone, Copy, Debug)]
pub struct JwtLayer {
    secret: JwtSecret,
}

impl JwtLayer {
    /// Accepts tokens of this secret.
    pub const fn new(secret: JwtSecret) -> Self {
        Self { secret }
    }
}

impl<S> Layer<S> for JwtLayer {
    type Service = Gate<Self, S>;

    fn layer(&self, inner: S) -> Gate<Self, S> {
        Gate { admission: *self, inner }
    }
}

impl Admission for JwtLayer {
    fn refusal<B>(&self, request: &HttpRequest<B>) -> Option<HttpResponse> {
        let error = self.check(request).err()?;
        tracing::warn!(target: "laminar::engine", %error, "request on the authenticated port refused");
        Some(answer(UNAUTHORIZED, ""))
    }
}

impl JwtLayer {
    fn check<B>(&self, request: &HttpRequest<B>) -> Result<(), JwtError> {
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(bearer).ok_or(JwtError::MissingOrInvalidAuthorizationHeader)?;
        self.secret.validate(token)
    }
}

/// The token of an `Authorization` header; the scheme's name has no case (RFC 9110 section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
