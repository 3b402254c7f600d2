//! What a test run says: failing cases as they come, and a summary.
//!
//! Place in the flow: the jobs' messages end here; the exit code starts here.
//! Invariant: stdout carries failing cases and the summary, stderr everything else.

use super::work::Work;
use crate::ending::{Ended, Verbosity};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// A case and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct CaseReport {
    /// Path inside the archive or folder.
    pub(crate) file: String,
    /// Name of the case; empty for a file that could not be read.
    pub(crate) case: String,
    /// Fork or transition, where the case has one.
    pub(crate) fork: Option<String>,
    pub(crate) verdict: Verdict,
}

/// How a case ended; one line of reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed(String),
    /// Not run.
    Skipped(String),
}

/// How many cases ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    const fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Skipped(_) => self.skipped += 1,
        }
    }
}

/// Sums over all cases.
#[derive(Clone, Debug, Default, Serialize)]
struct Summary {
    #[serde(flatten)]
    counts: Counts,
    /// Paths that could not be opened.
    unreadable: u64,
    /// Skipped cases by reason.
    skipped_by_reason: BTreeMap<String, u64>,
    /// Cases by fork or transition.
    by_fork: BTreeMap<String, Counts>,
    #[serde(flatten)]
    work: Work,
    /// Why a parallel run does not count as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_parallel: Option<String>,
    seconds: f64,
}

#[derive(Serialize)]
struct FailureLine<'a> {
    file: &'a str,
    case: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    summary: &'a Summary,
}

/// The report as it grows.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    bar: Option<ProgressBar>,
    summary: Summary,
    start: Instant,
}

impl Report {
    /// An empty report; with a progress line if stderr is a terminal.
    pub(crate) fn new(json: bool, verbosity: Verbosity) -> Self {
        let shown = verbosity != Verbosity::Quiet && io::stderr().is_terminal();
        Self { json, bar: shown.then(bar), summary: Summary::default(), start: Instant::now() }
    }

    /// Number of cases so far.
    pub(crate) const fn cases(&self) -> u64 {
        let counts = &self.summary.counts;
        counts.passed + counts.failed + counts.skipped
    }

    /// Adds a case.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn case(&mut self, report: CaseReport) -> io::Result<()> {
        let CaseReport { file, case, fork, verdict } = report;
        self.summary.counts.add(&verdict);
        if let Some(fork) = fork {
            self.summary.by_fork.entry(fork).or_default().add(&verdict);
        }
        match &verdict {
            Verdict::Passed => {}
            Verdict::Failed(reason) => {
                let line = FailureLine { file: &file, case: &case, reason };
                let text =
                    if self.json { serde_json::to_string(&line)? } else { format!("FAIL {file}: {case}: {reason}") };
                self.print(&text)?;
            }
            Verdict::Skipped(why) => {
                tracing::info!("skipped {file}: {case}: {why}");
                *self.summary.skipped_by_reason.entry(why.clone()).or_default() += 1;
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} failed", self.summary.counts.failed));
            bar.inc(1);
        }
        Ok(())
    }

    /// Adds what a job's executor did.
    pub(crate) fn work(&mut self, work: &Work) {
        self.summary.work.add(work);
    }

    /// Notes a path that cannot be read. The message names it.
    pub(crate) fn unreadable(&mut self, message: &str) {
        let print = || eprintln!("error: {message}");
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
        self.summary.unreadable += 1;
    }

    /// Prints the summary. `parallel` says whether the run had to be one.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn finish(mut self, parallel: bool) -> anyhow::Result<Ended> {
        if self.cases() == 0 && self.summary.unreadable == 0 {
            self.unreadable("expected cases to run, found none");
        }
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.summary.seconds = (self.start.elapsed().as_secs_f64() * 1e3).round() / 1e3;
        self.summary.not_parallel = self.summary.work.not_parallel().filter(|_| parallel);
        let text = if self.json {
            serde_json::to_string(&SummaryLine { summary: &self.summary })?
        } else {
            table(&self.summary)
        };
        self.print(&text)?;
        Ok(self.ended())
    }

    /// The exit code, with a line on stderr for what makes it one.
    fn ended(&self) -> Ended {
        let (failed, cases) = (self.summary.counts.failed, self.cases());
        if failed > 0 {
            eprintln!("error: {failed} of {cases} cases failed");
        }
        if let Some(why) = &self.summary.not_parallel {
            eprintln!("error: not a parallel run: {why}");
        }
        if self.summary.unreadable > 0 {
            Ended::BadInput
        } else if failed > 0 || self.summary.not_parallel.is_some() {
            Ended::CheckFailed
        } else {
            Ended::Success
        }
    }

    fn print(&self, text: &str) -> io::Result<()> {
        let print = || {
            let mut out = io::stdout().lock();
            writeln!(out, "{text}")?;
            out.flush()
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {human_pos} cases, {per_sec}, {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn table(summary: &Summary) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    line(format!("{:<34} {:>8} {:>8} {:>8}", "fork", "passed", "failed", "skipped"));
    let row = |name: &str, counts: &Counts| {
        format!("{name:<34} {:>8} {:>8} {:>8}", counts.passed, counts.failed, counts.skipped)
    };
    for (fork, counts) in &summary.by_fork {
        line(row(fork, counts));
    }
    line(row("all cases", &summary.counts));
    for (why, cases) in &summary.skipped_by_reason {
        line(format!("skipped {cases}: {why}"));
    }
    let work = &summary.work;
    let blocks = HumanCount(work.parallel_blocks + work.sequential_blocks);
    line(format!(
        "{blocks} blocks with {} txs: {} in parallel, {} incarnations, {} aborted, {} adopted, {} plain transfers, {:.1} s",
        HumanCount(work.txs),
        HumanCount(work.parallel_blocks),
        HumanCount(work.incarnations),
        HumanCount(work.aborted),
        HumanCount(work.adopted),
        HumanCount(work.transfers),
        summary.seconds,
    ));
    for (cause, txs) in &work.fallbacks {
        line(format!("{txs} txs fell back to sequential execution: {cause}"));
    }
    text.truncate(text.trim_end().len());
    text
}
