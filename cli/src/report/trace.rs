//! A timeline of workers and incarnations in the Trace Event Format, which Perfetto and chrome://tracing show.
//!
//! Place in the flow: report adds each block's timeline and writes the file at the end.
//! Invariant: one row a worker and one for the blocks; blocks follow each other with a gap, times are microseconds.
//!
//! | event | row | name | arguments |
//! | --- | --- | --- | --- |
//! | block | 0 | `block N` | transactions, gas, mode, adopted, aborted |
//! | run | 1 + worker | `tx I` | transaction, incarnation, kind; of a run after a stale one, what was stale |

use super::block::BlockReport;
use laminar_executor::outcome::{Span, SpanKind};
use serde_json::{Value, json};
use std::time::Duration;

/// Between two blocks.
const GAP: Duration = Duration::from_micros(100);
const PROCESS: u64 = 1;

/// The events so far.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    events: Vec<Value>,
    workers: usize,
    /// Where the next block starts.
    start: Duration,
}

impl Trace {
    /// Adds the last run of a block.
    pub(crate) fn add(&mut self, block: &BlockReport) {
        let Some(parallel_ms) = block.times.parallel_ms else { return };
        let stats = &block.stats;
        let end = stats.timeline.iter().map(|span| span.end).max().unwrap_or_default();
        let length = end.max(Duration::from_secs_f64(parallel_ms / 1e3));
        let args = json!({
            "txs": block.txs, "gas_used": block.gas_used, "mode": block.mode(), "batches": stats.batches,
            "adopted": stats.adopted, "aborted": stats.aborted,
        });
        self.slice(0, (self.start, length), format!("block {}", block.block), args);
        for span in &stats.timeline {
            let Span { worker, index, incarnation, kind, start, end } = span;
            let mut args = json!({ "tx": index.0, "incarnation": incarnation.0, "kind": name(*kind) });
            if *kind == SpanKind::Reexecute
                && let Ok(found) = stats.stale.binary_search_by_key(index, |(stale, _)| *stale)
            {
                args["stale"] = stats.stale[found].1.to_string().into();
            }
            self.workers = self.workers.max(worker + 1);
            self.slice(1 + worker, (self.start + *start, end.saturating_sub(*start)), format!("tx {index}"), args);
        }
        self.start += length + GAP;
    }

    /// The whole file.
    pub(crate) fn into_json(self) -> String {
        let mut events = vec![label("process_name", 0, "laminar"), label("thread_name", 0, "blocks")];
        events.extend((0..self.workers).map(|worker| label("thread_name", 1 + worker, &format!("worker {worker}"))));
        events.extend(self.events);
        json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string()
    }

    fn slice(&mut self, row: usize, (start, length): (Duration, Duration), name: String, args: Value) {
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        let category = args.get("kind").cloned().unwrap_or_else(|| "block".into());
        self.events.push(json!({
            "ph": "X", "pid": PROCESS, "tid": row, "ts": micros(start), "dur": micros(length), "cat": category,
            "name": name, "args": args,
        }));
    }
}

fn label(what: &str, row: usize, name: &str) -> Value {
    json!({ "ph": "M", "pid": PROCESS, "tid": row, "name": what, "args": { "name": name } })
}

const fn name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Presimulate => "presimulate",
        SpanKind::Execute => "execute",
        SpanKind::Reexecute => "reexecute",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laminar_executor::{Incarnation, TxIndex};

    #[test]
    fn each_incarnation_is_a_slice_in_the_row_of_its_worker() {
        let at = Duration::from_micros;
        let span = |worker, index, start, end| Span {
            worker,
            index: TxIndex(index),
            incarnation: Incarnation(0),
            kind: SpanKind::Execute,
            start: at(start),
            end: at(end),
        };
        let mut block = BlockReport::new("x".to_owned(), 1);
        block.times.parallel_ms = Some(0.05);
        block.stats.timeline = vec![span(0, 0, 10, 20), span(1, 1, 12, 60)];
        let mut trace = Trace::default();
        trace.add(&block);
        trace.add(&block);
        let json: Value = serde_json::from_str(&trace.into_json()).unwrap();
        let events = json["traceEvents"].as_array().unwrap();
        let slices: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(events.len() - slices.len(), 4);
        assert_eq!(slices.len(), 6);
        assert_eq!((&slices[2]["tid"], &slices[2]["ts"], &slices[2]["dur"]), (&json!(2), &json!(12.0), &json!(48.0)));
        assert_eq!(slices[3]["ts"], json!(160.0));
        assert_eq!(slices[4]["args"]["kind"], "execute");
    }
}
