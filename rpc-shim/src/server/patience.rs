//! How long an HTTP request may take to arrive and be answered.
//!
//! Place in the flow: in front of the public server's methods. A WebSocket connection ends when a side wants it to.
//! Invariant: a client that sends its request drop by drop does not keep a place that others wait for: it is answered 408 and its
//! connection ends. The calls' own deadlines are shorter, so only such clients meet this one.

use super::gate::answer;
use jsonrpsee::server::{HttpRequest, HttpResponse};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service};

/// RFC 9110 section 15.5.9.
const TIMEOUT: u16 = 408;

/// The time that a request has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience(pub(super) Duration);

impl<S> Layer<S> for Patience {
    type Service = Patient<S>;

    fn layer(&self, inner: S) -> Patient<S> {
        Patient { most: self.0, inner }
    }
}

/// The service behind [`Patience`].
#[derive(Clone, Debug)]
pub(super) struct Patient<S> {
    most: Duration,
    inner: S,
}

impl<S, B> Service<HttpRequest<B>> for Patient<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let upgrades = request.headers().contains_key("upgrade");
        let (most, called) = (self.most, self.inner.call(request));
        Box::pin(async move {
            if upgrades {
                return called.await;
            }
            match tokio::time::timeout(most, called).await {
                Ok(answered) => answered,
                Err(_) => {
                    let mut response = answer(TIMEOUT, "request timed out\n");
                    response.headers_mut().insert("connection", "close".try_into().expect("a word is a header value"));
                    Ok(response)
                }
            }
        })
    }
}
