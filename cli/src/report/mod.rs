//! What a replay says: a table or JSON lines on stdout, progress and errors on stderr, traces in files.
//!
//! Place in the flow: replay hands over one [`BlockReport`] a block; `finish` closes everything and gives the exit code.
//! Invariant: stdout carries the report and nothing else; blocks come out as soon as they are done, in the order they went in.

mod block;
mod progress;
mod summary;
mod table;
mod trace;

pub(crate) use block::{BlockReport, Failure, Times, Verified};

use crate::ending::{Ended, Verbosity};
use anyhow::Context;
use progress::Progress;
use serde::Serialize;
use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};
use summary::Summary;
use trace::Trace;

/// What to report and where.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// JSON lines instead of a table.
    pub(crate) json: bool,
    /// Where the trace of all runs goes.
    pub(crate) trace: Option<PathBuf>,
    /// How much is said on stderr.
    pub(crate) verbosity: Verbosity,
}

/// The report of a replay, as it grows.
#[derive(Debug)]
pub(crate) struct Report {
    form: Form,
    progress: Progress,
    trace: Option<(PathBuf, Trace)>,
    summary: Summary,
}

#[derive(Debug)]
enum Form {
    Table(table::Style),
    Json,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    summary: &'a Summary,
}

impl Report {
    /// An empty report.
    ///
    /// # Errors
    /// The trace's file cannot be written.
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        // Better to hear of a bad path before the work than after it.
        let trace = options.trace.clone().map(|path| {
            std::fs::File::create(&path).with_context(|| path.display().to_string()).map(|_| (path, Trace::default()))
        });
        let form = if options.json { Form::Json } else { Form::Table(table::Style::of(io::stdout().is_terminal())) };
        Ok(Self {
            form,
            progress: Progress::new(options.verbosity),
            trace: trace.transpose()?,
            summary: Summary::default(),
        })
    }

    /// Adds a block.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(crate) fn block(&mut self, mut block: BlockReport) -> io::Result<()> {
        if let Some((_, trace)) = &mut self.trace {
            trace.add(&block);
        }
        block.stats.timeline = Vec::new();
        self.progress.hide();
        let mut out = io::stdout().lock();
        match &self.form {
            Form::Json => writeln!(out, "{}", serde_json::to_string(&block)?)?,
            Form::Table(style) => {
                if self.summary.is_empty() {
                    writeln!(out, "{}", table::head(*style))?;
                }
                writeln!(out, "{}", table::row(*style, &block))?;
            }
        }
        out.flush()?;
        if let Some(failure) = &block.failure {
            eprintln!("error: {}: block {}: {failure}", block.file, block.block);
        }
        self.summary.add(&block);
        self.progress.show(&self.summary);
        Ok(())
    }

    /// Notes something that could not be read. The message names the file.
    pub(crate) fn unreadable(&mut self, message: &str) {
        self.progress.hide();
        eprintln!("error: {message}");
        self.summary.unreadable += 1;
    }

    /// Writes the summary and the files.
    ///
    /// # Errors
    /// Stdout or a file cannot be written.
    pub(crate) fn finish(self) -> anyhow::Result<Ended> {
        self.progress.hide();
        let mut out = io::stdout().lock();
        match self.form {
            Form::Json => {
                writeln!(out, "{}", serde_json::to_string(&SummaryLine { summary: &self.summary.closed() })?)?
            }
            Form::Table(style) if !self.summary.is_empty() => {
                writeln!(out, "{}", table::foot(style, &self.summary.closed()))?;
            }
            Form::Table(_) => {}
        }
        out.flush()?;
        if let Some((path, trace)) = self.trace {
            std::fs::write(&path, trace.into_json()).with_context(|| path.display().to_string())?;
        }
        Ok(self.summary.ended())
    }
}
