//! The web pages that may call (`--http.corsdomain`, `--ws.origins`).
//!
//! Place in the flow: in front of the public server, inside the check of host names.
//! Invariant: what a browser sends for a page reaches the methods only if the page's origin was allowed. For HTTP the browser
//! asks first (CORS) and keeps the answer from other pages; for WebSocket it asks nobody, so that the opening is refused here.
//! Programs send no `Origin` and are not asked.

use super::gate::{Admission, Gate, answer};
use jsonrpsee::server::{HttpRequest, HttpResponse};
use std::{io, sync::Arc};
use tower::Layer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// RFC 9110 section 15.5.4.
const FORBIDDEN: u16 = 403;

/// Origins that may call; `*` is every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origins(Arc<[String]>);

impl Origins {
    pub(super) fn new(origins: &[String]) -> Self {
        Self(origins.iter().map(|origin| origin.to_ascii_lowercase()).collect())
    }

    fn allow(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed == "*" || *allowed == origin.to_ascii_lowercase())
    }

    /// What tells browsers.
    ///
    /// # Errors
    /// An origin cannot stand in a header.
    pub(super) fn cors(&self) -> io::Result<CorsLayer> {
        let layer = CorsLayer::new().allow_methods(Any).allow_headers(Any);
        if self.allow("*") {
            return Ok(layer.allow_origin(Any));
        }
        let origins: Result<Vec<_>, _> = self.0.iter().map(|origin| origin.parse()).collect();
        Ok(layer.allow_origin(AllowOrigin::list(origins.map_err(io::Error::other)?)))
    }

    fn admit<B>(&self, request: &HttpRequest<B>) -> bool {
        let headers = request.headers();
        match headers.get("origin") {
            Some(origin) if headers.contains_key("upgrade") => origin.to_str().is_ok_and(|origin| self.allow(origin)),
            _ => true,
        }
    }
}

impl Admission for Origins {
    fn refusal<B>(&self, request: &HttpRequest<B>) -> Option<HttpResponse> {
        (!self.admit(request)).then(|| answer(FORBIDDEN, "origin not allowed\n"))
    }
}

impl<S> Layer<S> for Origins {
    type Service = Gate<Self, S>;

    fn layer(&self, inner: S) -> Gate<Self, S> {
        Gate { admission: self.clone(), inner }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allowed: &[&str], origin: Option<&str>, upgrades: bool, admits: bool) {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let mut request = HttpRequest::new(());
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        if upgrades {
            request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
        }
        assert_eq!(Origins::new(&allowed).admit(&request), admits, "{allowed:?} {origin:?}");
    }

    #[test]
    fn a_page_opens_a_websocket_only_from_an_allowed_origin() {
        check(&[], None, true, true);
        check(&[], Some("https://a.example"), true, false);
        check(&["https://a.example"], Some("https://A.example"), true, true);
        check(&["https://a.example"], Some("https://b.example"), true, false);
        check(&["https://a.example"], Some("null"), true, false);
        check(&["*"], Some("https://b.example"), true, true);
        // The browser keeps the answer from the page.
        check(&[], Some("https://a.example"), false, true);
    }
}
