//! A gate in front of a server: a request is admitted, or answered at once.
//!
//! Place in the flow: host names, origins and tokens are checked through it, before anything of a request is read.
//! Invariant: what is refused reaches nothing behind the gate. Who is admitted is for each [`Admission`] to say.

use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower::Service;

/// What is asked of every request.
pub trait Admission {
    /// The answer to a request that is refused; `None` admits it.
    fn refusal<B>(&self, request: &HttpRequest<B>) -> Option<HttpResponse>;
}

/// A service behind an [`Admission`].
#[derive(Clone, Debug)]
pub struct Gate<A, S> {
    pub(super) admission: A,
    pub(super) inner: S,
}

impl<A, S, B> Service<HttpRequest<B>> for Gate<A, S>
where
    A: Admission,
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
        match self.admission.refusal(&request) {
            None => Box::pin(self.inner.call(request)),
            Some(response) => Box::pin(std::future::ready(Ok(response))),
        }
    }
}

/// An answer that needs no method. `status` is one of RFC 9110.
pub(super) fn answer(status: u16, body: &'static str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(body));
    *response.status_mut() = status.try_into().expect("what the callers give are status codes");
    response
}
