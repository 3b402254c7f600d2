//! The secret's file and the tokens on the authenticated port.

use alloy_rpc_types_engine::{Claims, JwtSecret};
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use laminar_rpc_shim::server::auth::{JwtLayer, load_or_create_secret};
use std::{
    future::{Ready, ready},
    os::unix::fs::PermissionsExt,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};
use tower::{Layer, Service};

/// Answers 200 to whatever reaches it.
struct Reached;

impl Service<HttpRequest<()>> for Reached {
    type Response = HttpResponse;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<HttpResponse, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: HttpRequest<()>) -> Self::Future {
        ready(Ok(HttpResponse::new(HttpBody::empty())))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Sends a request with this `Authorization` header through the layer; the status.
fn send(secret: JwtSecret, header: Option<&str>) -> u16 {
    let mut request = HttpRequest::new(());
    if let Some(header) = header {
        request.headers_mut().insert("authorization", header.parse().unwrap());
    }
    let mut service = JwtLayer::new(secret).layer(Reached);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(service.call(request)).unwrap().status().as_u16()
}

#[test]
fn only_fresh_tokens_of_the_secret_pass() {
    let secret = JwtSecret::random();
    let token = |secret: &JwtSecret, iat| secret.encode(&Claims { iat, exp: None }).unwrap();
    let good = token(&secret, now());
    let (header, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"}
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    let refused = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(good.clone()),
        Some(format!("Basic {good}")),
        Some(format!("Bearer {}", token(&JwtSecret::random(), now()))),
        Some(format!("Bearer {}", token(&secret, now() - 65))),
        Some(format!("Bearer {}", token(&secret, now() + 65))),
        Some(format!("Bearer {header}.{claims}")),
        Some(format!("Bearer {header}.{claims}.{}", signature.to_lowercase())),
        Some(format!("Bearer {none}")),
    ];
    for header in refused {
        assert_eq!(send(secret, header.as_deref()), 401, "{header:?}");
    }
    for header in [format!("Bearer {good}"), format!("bearer {}", token(&secret, now() - 50))] {
        assert_eq!(send(secret, Some(&header)), 200, "{header}");
    }
}

#[test]
fn missing_secret_is_created_for_its_owner_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deeper").join("jwt.hex");
    let secret = load_or_create_secret(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(load_or_create_secret(&path).unwrap(), secret);
    for text in ["", "0x12", "zz", &"0".repeat(63), &"0".repeat(66)] {
        std::fs::write(&path, text).unwrap();
        let error = load_or_create_secret(&path).unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits"), "{text}: {error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "a broken file is left alone");
    }
    std::fs::write(&path, format!("0x{}\n", "ab".repeat(32))).unwrap();
    assert_eq!(load_or_create_secret(&path).unwrap().as_bytes(), &[0xab; 32]);
}
