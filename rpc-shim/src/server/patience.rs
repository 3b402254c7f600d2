//! How long an HTTP request may take to arrive and be answered.
//!
//! Place in the flow: in front of the public server's methods. A WebSocket connection ends when a side wants it to.
//! Invariant: a client that sends its request drop by drop does not keep a place that others wait for: it is answered 408 and its
//! connection ends. The calls' own deadlines are shorter, so only such clients meet this one.

use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
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
        let (most, answer) = (self.most, self.inner.call(request));
        Box::pin(async move {
            if upgrades {
                return answer.await;
            }
            match tokio::time::timeout(most, answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    let mut response = HttpResponse::new(HttpBody::from("request timed out\n"));
                    *response.status_mut() = TIMEOUT.try_into().expect("408 is a status code");
                    response.headers_mut().insert("connection", "close".try_into().expect("a word is a header value"));
                    Ok(response)
                }
            }
        })
    }
}
