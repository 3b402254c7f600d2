//! Running `laminar`.

use serde_json::Value;
use std::{
    ffi::OsStr,
    process::{Command, Output},
};

/// A finished run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `laminar` with these arguments and checks what holds for every run.
#[track_caller]
pub(crate) fn laminar<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laminar"));
    // A proxy would stand between us and a node on this machine.
    command.args(args).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    ran(command.output().unwrap())
}

/// Checks what holds for every run.
#[track_caller]
pub(crate) fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ran = Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ran.err.contains("panicked") && !ran.err.contains("error: bug"), "{}", ran.err);
    assert_eq!(ran.code != 0, ran.err.contains("error: "), "{ran:?}");
    ran
}

impl Ran {
    /// The lines of stdout as JSON: blocks, then the summary.
    pub(crate) fn json(&self) -> (Vec<Value>, Value) {
        let mut lines: Vec<Value> = self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut last = lines.pop().unwrap();
        (lines, last["summary"].take())
    }

    /// The only line on stderr.
    #[track_caller]
    pub(crate) fn error(&self) -> &str {
        let lines: Vec<_> = self.err.lines().collect();
        assert_eq!(lines.len(), 1, "{}", self.err);
        lines[0].strip_prefix("error: ").unwrap()
    }

    /// Checks that it ended with `code` and one error that holds all of `parts`.
    #[track_caller]
    pub(crate) fn check(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        let error = self.error();
        for part in parts {
            assert!(error.contains(part), "expected {part:?} in {error:?}");
        }
    }
}
