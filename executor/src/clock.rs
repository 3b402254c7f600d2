//! The block's own clock, for the timeline that a report draws.
//!
//! Place in the flow: presimulation and the parallel path note their runs with it.
//! Invariant: it is read only where a timeline is wanted, and nothing depends on what it says.

use crate::{
    outcome::{Span, SpanKind},
    types::{Incarnation, TxIndex},
};
use std::time::Instant;

/// A clock that starts with the block and is read only where a timeline is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Option<Instant>);

impl Clock {
    /// Starts the clock.
    pub(crate) fn new(timeline: bool) -> Self {
        Self(timeline.then(Instant::now))
    }

    /// Does `work`, and notes when, if a timeline is wanted.
    pub(crate) fn span<T>(
        self,
        worker: usize,
        index: TxIndex,
        kind: SpanKind,
        work: impl FnOnce() -> T,
    ) -> (T, Option<Span>) {
        let Some(block_start) = self.0 else { return (work(), None) };
        let start = block_start.elapsed();
        let done = work();
        let incarnation = Incarnation(u32::from(kind == SpanKind::Reexecute));
        (done, Some(Span { worker, index, incarnation, kind, start, end: block_start.elapsed() }))
    }
}
