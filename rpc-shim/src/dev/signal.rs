//! What wakes the miner, and what it tells those who woke it.
//!
//! Place in the flow: sending a transaction signals, the miner waits; who sent waits for the miner's turn, without holding a thread.
//! Invariant: each signal has a turn, a number that ascends. A turn is over once the miner has looked at everything that was in the
//! pool when the signal came, and made a block of it if it could.

use parking_lot::{Condvar, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Wakes the miner.
#[derive(Debug)]
pub(super) struct Signal {
    asked: Mutex<Asked>,
    changed: Condvar,
    /// The last turn that is over; `None` where nobody mines.
    over: watch::Sender<Option<u64>>,
}

#[derive(Debug, Default)]
struct Asked {
    /// Whether the miner has not seen the last signal.
    is_set: bool,
    /// Signals so far.
    turn: u64,
}

impl Default for Signal {
    fn default() -> Self {
        Self { asked: Mutex::default(), changed: Condvar::new(), over: watch::Sender::new(None) }
    }
}

impl Signal {
    /// Wakes the miner; if it had nothing to do, the turn in which it comes to what is in the pool now.
    pub(super) fn wake(&self) -> Option<u64> {
        let mut asked = self.asked.lock();
        let is_idle = *self.over.borrow() == Some(asked.turn);
        asked.is_set = true;
        asked.turn += 1;
        self.changed.notify_all();
        is_idle.then_some(asked.turn)
    }

    /// Waits for a signal, at most so long; whether there was one.
    pub(super) fn wait(&self, most: Duration) -> bool {
        let mut asked = self.asked.lock();
        if !asked.is_set {
            self.changed.wait_for(&mut asked, most);
        }
        std::mem::take(&mut asked.is_set)
    }

    /// The turn of whoever signalled last.
    pub(super) fn turn(&self) -> u64 {
        self.asked.lock().turn
    }

    /// There is a miner from now on.
    pub(super) fn begin(&self) {
        self.over.send_replace(Some(0));
    }

    /// A turn is over, and all before it.
    pub(super) fn end(&self, turn: u64) {
        self.over.send_replace(Some(turn));
    }

    /// Comes back when a turn is over.
    pub(super) async fn ended(&self, turn: u64) {
        // The sender is here.
        let _ = self.over.subscribe().wait_for(|over| over.is_some_and(|over| over >= turn)).await;
    }
}
