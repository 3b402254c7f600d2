//! How a command ends: its exit code, and its last words on one line.
//!
//! Place in the flow: below every subcommand; `main` turns the result of one into the exit code.
//! Invariant: an error is one line, outermost cause first, nothing said twice.

use std::{error::Error, io, process::ExitCode};

/// The end of a command that ran through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ended {
    /// All is well; exit code 0.
    Success,
    /// A block was refused or a comparison failed; exit code 1.
    CheckFailed,
    /// Something could not be read; exit code 2. It outweighs a failed check, for less is known then.
    BadInput,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        Self::from(match ended {
            Ended::Success => 0,
            Ended::CheckFailed => 1,
            Ended::BadInput => 2,
        })
    }
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Errors, warnings and progress.
    Normal,
    /// As many times as asked for.
    Verbose(u8),
}

impl Verbosity {
    /// From the two flags, of which only one can be given.
    pub(crate) const fn new(verbose: u8, quiet: bool) -> Self {
        match (verbose, quiet) {
            (_, true) => Self::Quiet,
            (0, false) => Self::Normal,
            (times, false) => Self::Verbose(times),
        }
    }
}

/// An error and its causes on one line, joined by `: `. A cause that the text before it already ends with is left out.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = flat(&error.to_string());
    let mut error = error;
    while let Some(cause) = error.source() {
        let text = flat(&cause.to_string());
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        error = cause;
    }
    line
}

/// The text with its line breaks and the space around them as single spaces.
pub(crate) fn flat(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether the command failed only because nobody reads its output any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_joined_on_one_line_without_repetition() {
        let error = anyhow::anyhow!("no such\n  node").context("reading: no such node").context("block 5");
        assert_eq!(one_line(error.as_ref()), "block 5: reading: no such node");
        let error = anyhow::anyhow!("disk full").context("writing x");
        assert_eq!(one_line(error.as_ref()), "writing x: disk full");
    }

    #[test]
    fn bad_input_outweighs_a_failed_check() {
        assert_eq!(Ended::CheckFailed.max(Ended::BadInput), Ended::BadInput);
        assert_eq!(Ended::CheckFailed.max(Ended::Success), Ended::CheckFailed);
    }

    #[test]
    fn only_a_broken_pipe_is_a_closed_pipe() {
        let error = |kind| anyhow::Error::from(io::Error::from(kind)).context("writing");
        assert!(is_closed_pipe(&error(io::ErrorKind::BrokenPipe)));
        assert!(!is_closed_pipe(&error(io::ErrorKind::PermissionDenied)));
    }
}
