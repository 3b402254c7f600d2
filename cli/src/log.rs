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

/// Starts the log. Call it once.
pub(crate) fn start(verbosity: Verbosity, format: LogFormat) {
    let level = match verbosity {
        Verbosity::Quiet => LevelFilter::ERROR,
        Verbosity::Normal => LevelFilter::WARN,
        Verbosity::Verbose(1) => LevelFilter::INFO,
        Verbosity::Verbose(2) => LevelFilter::DEBUG,
        Verbosity::Verbose(_) => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    match format {
        LogFormat::Terminal => log.with_ansi(io::stderr().is_terminal()).without_time().with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
