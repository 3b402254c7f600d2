//! The log: what libraries and servers say beside the results, on stderr.
//!
//! Place in the flow: started by `main` before anything else.
//! Invariant: one event is one line, in the format that was asked for; results never go here.

use crate::ending::Verbosity;
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
    /// Each block as well: the log is all that there is to look at.
    Blocks,
}

/// Starts the log; each `-v` is a level more than the habit. Call it once.
pub(crate) fn start(verbosity: Verbosity, habit: Habit, format: LogFormat) {
    const LEVELS: [LevelFilter; 4] = [LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];
    let more = |times: u8| LEVELS[(usize::from(times) + usize::from(habit == Habit::Blocks)).min(LEVELS.len() - 1)];
    let level = match verbosity {
        Verbosity::Quiet => LevelFilter::ERROR,
        Verbosity::Normal => more(0),
        Verbosity::Verbose(times) => more(times),
    };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    match format {
        LogFormat::Terminal => log.with_ansi(io::stderr().is_terminal()).without_time().with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
