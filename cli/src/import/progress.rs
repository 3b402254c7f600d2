//! How far an import is: a line on a terminal, a new line from time to time elsewhere.
//!
//! Place in the flow: told of every commit; writes to stderr only.
//! Invariant: rates are those since the line before; how far it is comes from the bytes that were read.

use crate::{clock::Stopwatch, ending::Verbosity};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use laminar_executor::pipeline::Progress as Done;
use std::{
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Seconds between two lines that stay.
const LINE_S: f64 = 8.0;
/// Seconds between two states of the line on a terminal.
const BAR_S: f64 = 0.5;

/// The lines of an import.
#[derive(Debug)]
pub(super) struct Progress {
    form: Form,
    read: Arc<AtomicU64>,
    bytes: u64,
    begun: Stopwatch,
    since: Stopwatch,
    /// What was done at the line before.
    before: Done,
}

#[derive(Debug)]
enum Form {
    Silent,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    /// Nothing done yet of `bytes`, of which `read` are read.
    pub(super) fn new(verbosity: Verbosity, bytes: u64, read: Arc<AtomicU64>) -> Self {
        let form = match verbosity {
            Verbosity::Quiet => Form::Silent,
            _ if io::stderr().is_terminal() => Form::Bar(bar(bytes)),
            _ => Form::Lines,
        };
        let (begun, since) = (Stopwatch::start(), Stopwatch::start());
        Self { form, read, bytes, begun, since, before: Done::default() }
    }

    /// Says how far it is, if it is time to.
    pub(super) fn show(&mut self, done: &Done) {
        let elapsed = self.since.elapsed_s();
        let pause = match self.form {
            Form::Silent => return,
            Form::Lines => LINE_S,
            Form::Bar(_) => BAR_S,
        };
        if elapsed < pause {
            return;
        }
        let read = self.read.load(Ordering::Relaxed).min(self.bytes);
        let line = line(done, &self.before, elapsed);
        match &self.form {
            Form::Silent => {}
            Form::Lines => eprintln!("{line}, {}", remaining(read, self.bytes, self.begun.elapsed_s())),
            Form::Bar(bar) => {
                bar.set_position(read);
                bar.set_message(line);
            }
        }
        self.since = Stopwatch::start();
        self.before = *done;
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} [{bar:24}] {percent}% {msg}, ETA {eta}") {
        bar.set_style(style);
    }
    bar
}

/// What is done, and how fast it went in the last `seconds`.
fn line(done: &Done, before: &Done, seconds: f64) -> String {
    let blocks = (done.blocks - before.blocks) as f64 / seconds;
    let gas = (done.gas_used - before.gas_used) as f64 / 1e6 / seconds;
    format!("block {}, {} imported, {blocks:.0} blocks/s, {gas:.1} Mgas/s", done.tip.number, done.blocks)
}

/// The share of the bytes that are read, and the time for the others at the same pace.
fn remaining(read: u64, bytes: u64, seconds: f64) -> String {
    let share = read as f64 / bytes.max(1) as f64;
    if read == 0 {
        return "0 %".to_owned();
    }
    format!("{:.0} %, ETA {:.0} s", share * 100.0, seconds * (1.0 - share) / share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_since_the_line_before() {
        let before = Done { blocks: 10, gas_used: 1_000_000, ..Done::default() };
        let mut done = Done { blocks: 30, gas_used: 5_000_000, ..Done::default() };
        done.tip.number = 40;
        assert_eq!(line(&done, &before, 2.0), "block 40, 30 imported, 10 blocks/s, 2.0 Mgas/s");
    }

    #[test]
    fn the_rest_goes_at_the_same_pace() {
        assert_eq!(remaining(25, 100, 10.0), "25 %, ETA 30 s");
        assert_eq!(remaining(0, 0, 10.0), "0 %");
    }
}
