//! How long calls take and how many fail, by method.
//!
//! Place in the flow: around each call of every transport; read at the metrics port.
//! Invariant: a label is the name of a method that exists, or `unknown`: what a client makes up is not kept.

use jsonrpsee::{
    MethodResponse, Methods,
    core::middleware::{Batch, BatchEntry, Notification, RpcServiceT},
    types::Request,
};
use std::{future::Future, time::Instant};

/// Stands for every method that does not exist.
const UNKNOWN: &str = "unknown";

/// Runs a call of a method that exists.
pub(super) async fn call(method: &'static str, run: impl Future<Output = MethodResponse>) -> MethodResponse {
    let start = Instant::now();
    let answer = run.await;
    metrics::histogram!("laminar_rpc_call_seconds", "method" => method).record(start.elapsed().as_secs_f64());
    if answer.is_error() {
        metrics::counter!("laminar_rpc_errors_total", "method" => method).increment(1);
    }
    answer
}

/// Notes a call of a method that does not exist; gives its answer back.
pub(super) fn unknown(answer: MethodResponse) -> MethodResponse {
    metrics::counter!("laminar_rpc_errors_total", "method" => UNKNOWN).increment(1);
    answer
}

/// A service whose calls are measured.
#[derive(Clone, Debug)]
pub(super) struct Measured<S> {
    pub(super) inner: S,
    /// Where the names are.
    pub(super) methods: Methods,
}

impl<S> RpcServiceT for Measured<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let name = self.methods.method_with_name(&request.method).map(|(name, _)| name);
        let answer = self.inner.call(request);
        async move {
            match name {
                Some(name) => call(name, answer).await,
                None => unknown(answer.await),
            }
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        // The inner service runs the calls of a batch by itself, so they are timed together and told apart by name.
        let names: Vec<&'static str> = batch
            .iter()
            .filter_map(|entry| match entry {
                Ok(BatchEntry::Call(call)) => self.methods.method_with_name(&call.method).map(|(name, _)| name),
                _ => None,
            })
            .collect();
        let answer = self.inner.batch(batch);
        async move {
            let start = Instant::now();
            let answer = answer.await;
            let each = start.elapsed().as_secs_f64() / names.len().max(1) as f64;
            for name in names {
                metrics::histogram!("laminar_rpc_call_seconds", "method" => name).record(each);
            }
            answer
        }
    }

    fn notification<'a>(&self, notification: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
