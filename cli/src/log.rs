//! The log: what libraries and servers say beside the results, on stderr.
//!
//! Place in the flow: started by `main` before anything else.
//! Invariant: one event is one line, in the format that was asked for; results never go here.

use crate::{ending::Verbosity, log_writer::LogWriter};
use clap::ValueEnum;
use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Terminal,
    /// One JSON object a line, with time, level, target and fields.
    Json,
}

/// What a command says where nobody asks for more or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Warnings and errors: somebody looks at the results.
    Warnings,
    /// The same of a development node, which runs on when nobody reads it.
    Node,
    /// Each block as well: the log is all that there is to look at.
    Blocks,
}

/// The running log. What was said is written when this is dropped, as far as somebody reads it.
pub(crate) struct Log(Option<LogWriter>);

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(writer) = &self.0 {
            writer.flush_all();
        }
    }
}

/// Starts the log; each `-v` is a level more than the habit. Call it once.
///
/// # Errors
/// The system gives no more threads.
pub(crate) fn start(verbosity: Verbosity, habit: Habit, format: LogFormat) -> io::Result<Log> {
    const LEVELS: [LevelFilter; 4] = [LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];
    let more = |times: u8| LEVELS[(usize::from(times) + usize::from(habit == Habit::Blocks)).min(LEVELS.len() - 1)];
    let level = match verbosity {
        Verbosity::Quiet => LevelFilter::ERROR,
        Verbosity::Normal => more(0),
        Verbosity::Verbose(times) => more(times),
    };
    // A node must not wait for whoever reads its log; a command's lines stay in order with what else it says.
    let writer = (habit != Habit::Warnings).then(|| LogWriter::start(io::stderr())).transpose()?;
    let log = Log(writer.clone());
    let out = move || -> Box<dyn io::Write> {
        match &writer {
            Some(writer) => Box::new(writer.clone()),
            None => Box::new(io::stderr()),
        }
    };
    // What cannot be written is not said on stderr either.
    let builder = tracing_subscriber::fmt().with_max_level(level).log_internal_errors(false).with_writer(out);
    match format {
        LogFormat::Terminal => builder.with_ansi(io::stderr().is_terminal()).without_time().with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(log)
}
