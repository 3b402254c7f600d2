//! A progress line on a terminal; nothing elsewhere.
//!
//! Place in the flow: report shows it while a block is at work and hides it to print.
//! Invariant: no thread of its own, for that would be counted as processor time of the block.

use super::summary::Summary;
use crate::ending::Verbosity;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};

/// The line.
#[derive(Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A line, if stderr is a terminal and may be written to.
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        if verbosity == Verbosity::Quiet || !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    /// Takes the line away, so that others can be printed.
    pub(crate) fn hide(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }

    /// Shows what is done so far.
    pub(crate) fn show(&self, done: &Summary) {
        if let Some(bar) = &self.0 {
            bar.reset();
            bar.set_message(format!(
                "{} blocks, {} txs, {:.0} Mgas",
                done.blocks,
                done.txs,
                done.gas_used as f64 / 1e6
            ));
            bar.tick();
        }
    }
}
