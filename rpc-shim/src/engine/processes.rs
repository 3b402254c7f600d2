//! Build processes: payloads that are improved in the background until somebody asks for them.
//!
//! Place in the flow: started by a fork choice with attributes, ended by `engine_getPayload`; the block builder is behind
//! [`BuildPayload`].
//! Invariant: a process has a payload from its first moment on (without transactions), and only ever replaces it by one that is
//! worth more. Whoever asks gets what came before the question, as far as building it takes no longer than a call may wait. What
//! was given out does not change any more. At most [`PROCESSES_MAX`] processes are kept; the oldest goes first.
//! It does not: know forks or versions (`attributes`, `envelope`), or choose transactions (the builder).
//!
//! ```text
//! start ─ empty payload ─► running ─ build ─► better? keep ─ wait for news ─► build ...
//!                             ├─ asked for ─ news? build once more ─► ended (the payload stays until pushed out)
//!                             └─ too old, or pushed out ─► ended
//! ```

use super::envelope::BuiltPayload;
use crate::{error::RpcError, node::BlockRecord};
use alloy_rpc_types_engine::{PayloadAttributes, PayloadId};
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Processes that are kept, as in geth.
const PROCESSES_MAX: usize = 10;

/// How long a process goes on improving: a slot of the main network.
const IMPROVED_FOR: Duration = Duration::from_secs(12);

/// How often a process looks for news.
const NEWS_EVERY: Duration = Duration::from_millis(100);

/// How long a call waits for the first payload with transactions; a call may take a second.
const FIRST_BUILD_WAIT_MAX: Duration = Duration::from_millis(500);

/// How long a call waits for a payload with the last news, where there is one already.
const LAST_BUILD_WAIT_MAX: Duration = Duration::from_millis(200);

/// What goes into a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Nothing but what the attributes ask for.
    Empty,
    /// The best of the pool.
    Pool,
}

/// The seam to the block builder.
pub trait BuildPayload: fmt::Debug + Send + Sync {
    /// Builds a child of `parent`.
    ///
    /// # Errors
    /// -32603 if the state cannot be read or the block cannot be built at all.
    fn build(
        &self,
        parent: &BlockRecord,
        attributes: &PayloadAttributes,
        contents: Contents,
    ) -> Result<BuiltPayload, RpcError>;

    /// Says each time whether building again may give something else than when it was asked last.
    fn watch(&self) -> Box<dyn FnMut() -> bool + Send>;
}

/// All build processes.
#[derive(Debug)]
pub struct BuildProcesses {
    builder: Arc<dyn BuildPayload>,
    /// Oldest first.
    kept: Mutex<VecDeque<(PayloadId, Arc<Process>)>>,
}

#[derive(Debug)]
struct Process {
    state: Mutex<State>,
    changed: Condvar,
}

/// What is wished of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Payloads that are worth more.
    More,
    /// One more, if there are news; somebody waits for it.
    TheLast,
    Nothing,
}

#[derive(Debug)]
struct State {
    best: Arc<BuiltPayload>,
    /// Whether a build with transactions was tried.
    is_tried: bool,
    /// Somebody waits for the payload.
    is_asked: bool,
    is_ended: bool,
}

impl BuildProcesses {
    /// No processes yet.
    pub fn new(builder: Arc<dyn BuildPayload>) -> Self {
        Self { builder, kept: Mutex::default() }
    }

    /// Starts a process, unless there is one with this id.
    ///
    /// # Errors
    /// Not even an empty payload can be built.
    pub fn start(
        &self,
        id: PayloadId,
        parent: Arc<BlockRecord>,
        attributes: PayloadAttributes,
    ) -> Result<(), RpcError> {
        if self.find(id).is_some() {
            return Ok(());
        }
        let best = Arc::new(self.builder.build(&parent, &attributes, Contents::Empty)?);
        let state = Mutex::new(State { best, is_tried: false, is_asked: false, is_ended: false });
        let process = Arc::new(Process { state, changed: Condvar::new() });
        let (improved, builder) = (Arc::clone(&process), Arc::clone(&self.builder));
        let worker = thread::Builder::new().name("laminar-build".to_owned());
        worker
            .spawn(move || improved.improve(&*builder, &parent, &attributes))
            .map_err(|error| RpcError::internal(&error))?;
        let mut kept = self.kept.lock();
        kept.push_back((id, process));
        while kept.len() > PROCESSES_MAX {
            if let Some((_, oldest)) = kept.pop_front() {
                oldest.end();
            }
        }
        Ok(())
    }

    /// The best payload of a process, which ends with this; `None` for an unknown id.
    pub fn take(&self, id: PayloadId) -> Option<Arc<BuiltPayload>> {
        Some(self.find(id)?.finish())
    }

    fn find(&self, id: PayloadId) -> Option<Arc<Process>> {
        self.kept.lock().iter().find(|(known, _)| *known == id).map(|(_, process)| Arc::clone(process))
    }
}

impl Drop for BuildProcesses {
    fn drop(&mut self) {
        self.kept.get_mut().iter().for_each(|(_, process)| process.end());
    }
}

impl Process {
    fn improve(&self, builder: &dyn BuildPayload, parent: &BlockRecord, attributes: &PayloadAttributes) {
        // Whoever waits for the first build is woken however this ends.
        let _guard = EndGuard(self);
        let end = Instant::now() + IMPROVED_FOR;
        let mut has_news = builder.watch();
        let mut wish = Wish::More;
        loop {
            match builder.build(parent, attributes, Contents::Pool) {
                Ok(built) => self.offer(built),
                Err(error) => {
                    tracing::warn!(target: "laminar::engine", %error, "a payload could not be improved");
                    return;
                }
            }
            loop {
                if wish != Wish::More {
                    return;
                }
                wish = self.wait(NEWS_EVERY);
                if wish == Wish::Nothing || Instant::now() >= end {
                    return;
                }
                if has_news() {
                    break;
                }
            }
        }
    }

    /// Keeps a payload if it is worth more, or the same with more transactions.
    fn offer(&self, built: BuiltPayload) {
        let mut state = self.state.lock();
        let worth = |built: &BuiltPayload| (built.value, built.block.body.transactions.len());
        if !state.is_ended && worth(&built) > worth(&state.best) {
            state.best = Arc::new(built);
        }
        state.is_tried = true;
        self.changed.notify_all();
    }

    /// What is wished of the process after `time`, or before, if that changes.
    fn wait(&self, time: Duration) -> Wish {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| !state.is_asked && !state.is_ended, time);
        match &*state {
            State { is_ended: true, .. } => Wish::Nothing,
            State { is_asked: true, .. } => Wish::TheLast,
            _ => Wish::More,
        }
    }

    fn finish(&self) -> Arc<BuiltPayload> {
        let mut state = self.state.lock();
        state.is_asked = true;
        self.changed.notify_all();
        let wait = if state.is_tried { LAST_BUILD_WAIT_MAX } else { FIRST_BUILD_WAIT_MAX };
        self.changed.wait_while_for(&mut state, |state| !state.is_ended, wait);
        state.is_ended = true;
        self.changed.notify_all();
        Arc::clone(&state.best)
    }

    fn end(&self) {
        self.state.lock().is_ended = true;
        self.changed.notify_all();
    }
}

struct EndGuard<'a>(&'a Process);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
