//! One local connection: requests in, answers and notifications out.
//!
//! Place in the flow: `frames` cuts the requests, the methods answer them.
//! Invariant: calls of one connection run beside each other, at most [`CALLS_MAX`] at a time; while that many are under way or
//! wait to be read, nothing more is taken. What is no request is answered as over HTTP: -32700, -32600, -32601.

use super::{
    IpcSettings,
    frames::{Frame, Frames},
};
use crate::server::{HexIds, measure};
use jsonrpsee::{
    BatchResponseBuilder, BoundedSubscriptions, ConnectionId, Extensions, MethodCallback, MethodResponse, MethodSink,
    Methods, SubscriptionState,
    types::{ErrorObject, Id, InvalidRequest, Notification, Params, Request, error::*},
};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch},
};

/// Calls of a connection that run at a time.
const CALLS_MAX: usize = 64;
/// Answers and notifications that wait for a client to read them.
const UNREAD_MAX: usize = 64;
/// Bytes that are read at once.
const READ_LEN: usize = 16 << 10;

/// Ids of connections, far from those that the other server counts up from zero: subscriptions are told apart by them.
static NEXT: AtomicUsize = AtomicUsize::new(usize::MAX / 2);

/// What the calls of one connection share.
struct Connection {
    id: ConnectionId,
    methods: Methods,
    settings: IpcSettings,
    answers: mpsc::Sender<Box<RawValue>>,
    subscriptions: BoundedSubscriptions,
}

/// Serves one client until it goes or the server stops; calls under way are answered.
pub(super) async fn serve(
    stream: UnixStream,
    settings: IpcSettings,
    methods: Methods,
    mut stopped: watch::Receiver<bool>,
) {
    let (read, write) = stream.into_split();
    let (answers, unread) = mpsc::channel(UNREAD_MAX);
    let over = Arc::new(Notify::new());
    let writing = tokio::spawn(write_answers(write, unread, Arc::clone(&over)));
    // ORDER: Relaxed. A counter that makes ids differ.
    let id = ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed));
    let subscriptions = BoundedSubscriptions::new(settings.subscriptions_max);
    let connection = Arc::new(Connection { id, methods, settings, answers, subscriptions });
    let calls = Arc::new(Semaphore::new(CALLS_MAX));
    tokio::select! {
        () = read_requests(read, &connection, &calls) => {}
        // An error means that the handle was dropped.
        _ = stopped.wait_for(|stop| *stop) => {}
        () = connection.answers.closed() => {}
    }
    let all = u32::try_from(CALLS_MAX).unwrap_or(u32::MAX);
    let _ended = calls.acquire_many(all).await;
    over.notify_one();
    // A panic there is a client that gets no answer.
    let _ = writing.await;
}

async fn read_requests(mut read: OwnedReadHalf, connection: &Arc<Connection>, calls: &Arc<Semaphore>) {
    let mut frames = Frames::new(connection.settings.request_len_max as usize);
    let mut bytes = vec![0; READ_LEN];
    loop {
        let frame = match frames.next() {
            Some(frame) => Some(frame),
            None => match read.read(&mut bytes).await {
                Ok(len) if len > 0 => {
                    frames.extend(&bytes[..len]);
                    continue;
                }
                Ok(_) | Err(_) => frames.rest(),
            },
        };
        let Some(frame) = frame else { return };
        let call = Arc::clone(calls).acquire_owned().await.expect("the semaphore is never closed");
        match frame {
            Frame::Whole(request) => {
                tokio::spawn(run(Arc::clone(connection), request, call));
            }
            Frame::TooLong => {
                let refusal = reject_too_big_request(connection.settings.request_len_max);
                connection.send(MethodResponse::error(Id::Null, refusal)).await;
                return;
            }
        }
    }
}

/// Answers one request or batch.
async fn run(connection: Arc<Connection>, request: Vec<u8>, _call: OwnedSemaphorePermit) {
    let answered = tokio::select! {
        answered = connection.answer(&request) => answered,
        // Nobody waits for it any more.
        () = connection.answers.closed() => None,
    };
    if let Some(answer) = answered {
        connection.send(answer).await;
    }
}

async fn write_answers(mut write: OwnedWriteHalf, mut unread: mpsc::Receiver<Box<RawValue>>, over: Arc<Notify>) {
    let mut is_over = false;
    loop {
        let answer = tokio::select! {
            answer = unread.recv() => answer,
            () = over.notified(), if !is_over => {
                // Subscriptions end; what waits is still written.
                unread.close();
                is_over = true;
                continue;
            }
        };
        let Some(answer) = answer else { break };
        let mut line = String::from(Box::<str>::from(answer));
        line.push('\n');
        if write.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
}

impl Connection {
    async fn send(&self, answer: MethodResponse) {
        let is_success = answer.is_success();
        let (json, sent, _) = answer.into_parts();
        if self.answers.send(json).await.is_ok()
            && let Some(sent) = sent
        {
            sent.notify(is_success);
        }
    }

    /// The answer to a request or a batch, if it wants one here: that to a subscription goes its own way.
    async fn answer(&self, request: &[u8]) -> Option<MethodResponse> {
        let is_batch = request.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        let answer = match is_batch {
            true => self.answer_batch(request).await?,
            false => match serde_json::from_slice::<Request<'_>>(request) {
                Ok(call) => self.call(call).await,
                Err(_) if is_notification(request) => return None,
                Err(_) => refuse(request),
            },
        };
        (!answer.is_subscription()).then_some(answer)
    }

    async fn answer_batch(&self, request: &[u8]) -> Option<MethodResponse> {
        let Ok(entries) = serde_json::from_slice::<Vec<&RawValue>>(request) else {
            return Some(MethodResponse::error(Id::Null, ErrorObject::from(ErrorCode::ParseError)));
        };
        let limit = self.settings.batch_len_max as usize;
        if entries.len() > limit {
            return Some(MethodResponse::error(Id::Null, reject_too_big_batch_request(limit)));
        }
        let has_entries = !entries.is_empty();
        let mut batch = BatchResponseBuilder::new_with_limit(self.settings.response_len_max as usize);
        for entry in entries {
            let answer = match serde_json::from_str::<Request<'_>>(entry.get()) {
                Ok(call) => self.call(call).await,
                Err(_) if is_notification(entry.get().as_bytes()) => continue,
                Err(_) => refuse(entry.get().as_bytes()),
            };
            if answer.is_subscription() {
                continue;
            }
            if let Err(too_long) = batch.append(answer) {
                return Some(too_long);
            }
        }
        // Notifications alone want no answer; an empty batch is an invalid request, which `finish` says.
        (!batch.is_empty() || !has_entries).then(|| MethodResponse::from_batch(batch.finish()))
    }

    async fn call(&self, request: Request<'_>) -> MethodResponse {
        let Request { id, method, params, extensions, .. } = request;
        let Some((name, method)) = self.methods.method_with_name(&method) else {
            return measure::unknown(MethodResponse::error(id, ErrorObject::from(ErrorCode::MethodNotFound)));
        };
        let params = Params::new(params.as_ref().map(|params| params.get()));
        measure::call(name, self.run(method, id, params, extensions)).await
    }

    async fn run(
        &self,
        method: &MethodCallback,
        id: Id<'_>,
        params: Params<'_>,
        extensions: Extensions,
    ) -> MethodResponse {
        let len_max = self.settings.response_len_max;
        match method {
            MethodCallback::Sync(method) => method(id, params, len_max as usize, extensions),
            MethodCallback::Async(method) => {
                method(id.into_owned(), params.into_owned(), self.id, len_max as usize, extensions).await
            }
            MethodCallback::Subscription(method) => match self.subscriptions.acquire() {
                Some(subscription_permit) => {
                    let state = SubscriptionState { conn_id: self.id, id_provider: &HexIds, subscription_permit };
                    let sink = MethodSink::new_with_limit(self.answers.clone(), len_max);
                    method(id, params, sink, state, extensions).await
                }
                None => MethodResponse::error(id, reject_too_many_subscriptions(self.settings.subscriptions_max)),
            },
            MethodCallback::Unsubscription(method) => method(id, params, self.id, len_max as usize, extensions),
        }
    }
}

/// What is said to JSON that is no request, and to what is no JSON.
fn refuse(request: &[u8]) -> MethodResponse {
    let is_json = serde_json::from_slice::<IgnoredAny>(request).is_ok();
    let code = if is_json { ErrorCode::InvalidRequest } else { ErrorCode::ParseError };
    let id = serde_json::from_slice(request).map_or(Id::Null, |request: InvalidRequest<'_>| request.id);
    MethodResponse::error(id, ErrorObject::from(code))
}

/// Whether it is a request that wants no answer.
fn is_notification(request: &[u8]) -> bool {
    serde_json::from_slice::<Notification<'_, Option<&RawValue>>>(request).is_ok()
}
