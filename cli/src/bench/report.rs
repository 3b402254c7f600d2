//! What a bench says: a table or JSON lines on stdout, progress and trouble on stderr.
//!
//! Place in the flow: `run` hands over one result a row; `finish` gives the exit code.
//! Invariant: every row that was asked for appears: with figures, or with the reason why it has none.

use super::{
    case::archive,
    catalog::{Spec, Work},
    figures::Scope,
    row::{Setup, Shown, Trouble},
    table,
};
use crate::{
    ending::{Ended, Verbosity},
    engine,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// The report, as it grows.
#[derive(Debug)]
pub(super) struct Report {
    form: Form,
    progress: Progress,
    /// Under which heading the last row stands.
    heading: Option<Scope>,
    summary: Summary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Table,
    Json,
}

/// One row as JSON.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    scope: Scope,
    #[serde(flatten)]
    figures: Option<&'a Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    scope: Scope,
    about: String,
    available: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Summary {
    threads: usize,
    cores: usize,
    passes: u32,
    rows: usize,
    measured: usize,
    skipped: Vec<&'static str>,
    failed: Vec<&'static str>,
    #[serde(skip)]
    ended: Option<Ended>,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    summary: &'a Summary,
}

impl Report {
    /// An empty report.
    pub(super) fn new(json: bool, verbosity: Verbosity) -> Self {
        let form = if json { Form::Json } else { Form::Table };
        Self { form, progress: Progress::new(verbosity), heading: None, summary: Summary::default() }
    }

    /// Where work that takes long says how far it is.
    pub(super) const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Names rows.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(super) fn list(&self, rows: &[&Spec], setup: &Setup) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let has_archive = archive(&setup.data).is_file();
        for spec in rows {
            let available = match spec.work {
                Work::Mainnet(_) | Work::Worst => has_archive,
                Work::State(work) => work.is_available(&setup.data),
                Work::Generated(_) | Work::Path(_) | Work::Store(_) => true,
            };
            let (name, about) = (spec.name, spec.about(setup.accounts));
            match self.form {
                Form::Json => {
                    let listed = Listed { name, scope: spec.scope(), about, available };
                    writeln!(out, "{}", serde_json::to_string(&listed)?)?;
                }
                Form::Table => {
                    let missing = if available { "" } else { " (its archive is missing)" };
                    writeln!(out, "{name:<20} {about}{missing}")?;
                }
            }
        }
        out.flush()
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(super) fn row(&mut self, spec: &'static Spec, measured: Result<Shown, Trouble>) -> io::Result<()> {
        self.progress.hide();
        self.summary.add(spec.name, measured.as_ref().err());
        if let Err(trouble @ (Trouble::Differs(_) | Trouble::Unreadable(_))) = &measured {
            eprintln!("error: {}: {trouble}", spec.name);
        }
        let mut out = io::stdout().lock();
        match self.form {
            Form::Json => {
                let line = Line {
                    name: spec.name,
                    scope: spec.scope(),
                    figures: measured.as_ref().ok(),
                    skipped: measured.as_ref().err().and_then(Trouble::skipped),
                    error: measured.as_ref().err().and_then(Trouble::error),
                };
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            }
            Form::Table => {
                if self.heading != Some(spec.scope()) {
                    let space = if self.heading.is_some() { "\n" } else { "" };
                    writeln!(out, "{space}{}", table::head(spec.scope()))?;
                    self.heading = Some(spec.scope());
                }
                writeln!(out, "{}", table::row(spec.name, &measured))?;
            }
        }
        out.flush()
    }

    /// Writes the summary.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(super) fn finish(mut self, setup: &Setup) -> io::Result<Ended> {
        self.summary.threads = setup.flags.threads().get();
        self.summary.cores = engine::cores().get();
        self.summary.passes = setup.passes;
        let mut out = io::stdout().lock();
        match self.form {
            Form::Json => writeln!(out, "{}", serde_json::to_string(&SummaryLine { summary: &self.summary })?)?,
            Form::Table => {
                let Summary { threads, cores, passes, rows, measured, skipped, failed, .. } = &self.summary;
                let names = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                writeln!(
                    out,
                    "\n{measured} of {rows} rows measured on {threads} threads, {cores} cores, {passes} passes"
                )?;
                writeln!(out, "skipped: {}; failed: {}", names(skipped), names(failed))?;
                writeln!(out, "{}", table::LEGEND)?;
            }
        }
        out.flush()?;
        Ok(self.summary.ended.unwrap_or(Ended::Success))
    }
}

impl Trouble {
    fn skipped(&self) -> Option<&str> {
        match self {
            Self::Skipped(why) => Some(why),
            Self::Unreadable(_) | Self::Differs(_) => None,
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Unreadable(why) | Self::Differs(why) => Some(why),
            Self::Skipped(_) => None,
        }
    }
}

impl Summary {
    fn add(&mut self, name: &'static str, trouble: Option<&Trouble>) {
        self.rows += 1;
        match trouble {
            None => self.measured += 1,
            Some(Trouble::Skipped(_)) => self.skipped.push(name),
            Some(trouble) => {
                self.failed.push(name);
                self.ended = self.ended.max(Some(trouble.ends()));
            }
        }
    }
}

/// A line on a terminal that says what is at work; elsewhere a plain line a row.
///
/// It has no thread of its own, for that would be counted as processor time of the block.
#[derive(Debug)]
pub(super) enum Progress {
    Silent,
    Plain,
    Bar(ProgressBar),
}

impl Progress {
    fn new(verbosity: Verbosity) -> Self {
        if verbosity == Verbosity::Quiet {
            return Self::Silent;
        }
        if !io::stderr().is_terminal() {
            return Self::Plain;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {prefix} {msg}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// A row begins.
    pub(super) fn start(&self, row: &'static str) {
        match self {
            Self::Silent => {}
            Self::Plain => eprintln!("measuring {row}"),
            Self::Bar(bar) => {
                bar.reset();
                bar.set_prefix(row);
                bar.set_message("");
                bar.tick();
            }
        }
    }

    /// A block of the row begins, counted from zero.
    pub(super) fn block(&self, at: usize, blocks: usize) {
        if let Self::Bar(bar) = self {
            bar.set_message(format!("block {} of {blocks}", at + 1));
            bar.tick();
        }
    }

    /// Leaves the terminal to a row.
    pub(super) fn hide(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_rows_are_named_and_failed_ones_decide_the_end() {
        let mut summary = Summary::default();
        summary.add("a", None);
        summary.add("b", Some(&Trouble::Skipped("x".to_owned())));
        assert_eq!((summary.measured, &*summary.skipped, summary.ended), (1, &["b"][..], None));
        summary.add("c", Some(&Trouble::Differs("x".to_owned())));
        assert_eq!(summary.ended, Some(Ended::CheckFailed));
        summary.add("d", Some(&Trouble::Unreadable("x".to_owned())));
        summary.add("e", Some(&Trouble::Differs("x".to_owned())));
        assert_eq!((&*summary.failed, summary.ended), (&["c", "d", "e"][..], Some(Ended::BadInput)));
    }
}
