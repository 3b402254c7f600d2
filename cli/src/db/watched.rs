//! A command that reads a file which may be damaged, in a process of its own.
//!
//! Place in the flow: `db` starts itself once more and waits. MDBX takes the length of a value from the page on which it stands
//! and reads on in the mapped file; where that is damaged, the system may end the process, which then is an answer.
//! Invariant: output and exit code are those of the process that reads, as long as it ends by itself. What it writes is one transaction,
//! and goes with it if it does not.

use crate::ending::Ended;
use std::{
    env,
    io::{self, Write},
    process::{Command, Output, Stdio},
};

/// Marks the process that reads.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Flag {
    /// Read in this process.
    #[arg(long = "unwatched", hide = true)]
    is_unwatched: bool,
}

/// How the process that read ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Watched {
    /// By itself.
    Ended(Ended),
    /// By a signal.
    Killed(i32),
}

impl Flag {
    /// Whether this process only waits for the one that reads.
    pub(super) const fn is_watcher(self) -> bool {
        !self.is_unwatched && cfg!(unix)
    }
}

/// Starts this program with the same arguments, to read, and waits for it.
///
/// # Errors
/// It cannot be started.
pub(super) fn run() -> io::Result<Watched> {
    let mut reader = Command::new(env::current_exe()?);
    reader.args(env::args_os().skip(1)).arg("--unwatched").stdout(Stdio::inherit());
    let Output { status, stderr, .. } = reader.output()?;
    // What is said by one that is killed is for those who know MDBX.
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Ok(Watched::Killed(signal));
    }
    io::stderr().write_all(&stderr)?;
    Ok(Watched::Ended(match status.code() {
        Some(0) => Ended::Success,
        Some(1) => Ended::CheckFailed,
        _ => Ended::BadInput,
    }))
}
