//! When blocks are made: at once, every so often, or only when asked.
//!
//! Place in the flow: a thread of its own, started once; it looks at the mode each time it wakes.
//! Invariant: a signal that comes while a block is mined is not lost, so no transaction stays behind; transactions that arrive
//! meanwhile go into one block together, those of a client that waits for each answer into one each. The thread ends when the chain
//! it serves is dropped.

use super::{Dev, DevError};
use crate::pool::{Origin, PoolError, Pooled};
use alloy_primitives::B256;
use std::{
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

/// How long the thread sleeps at most before it looks whether its chain is still there.
const SLEEP_MAX: Duration = Duration::from_millis(500);
/// The longest time between two blocks, a century; what is longer would be outside the clock.
const INTERVAL_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// How long it waits after a block could not be made.
const RETRY: Duration = Duration::from_millis(200);

/// How long whoever sent a transaction waits for its block: the next thing it asks for is the receipt.
const TURN_MAX: Duration = Duration::from_secs(1);

/// When blocks are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mining {
    /// As soon as a transaction can be mined.
    #[default]
    Auto,
    /// Every so often, transactions or not.
    Interval(Duration),
    /// When asked.
    Manual,
}

impl Dev {
    /// Starts the miner, and the simulation of what waits. Call it once.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self: &Arc<Self>) -> std::io::Result<()> {
        self.pool.start_simulating()?;
        let dev = Arc::downgrade(self);
        self.signal.begin();
        thread::Builder::new().name("laminar-miner".to_owned()).spawn(move || run(&dev))?;
        Ok(())
    }

    /// When blocks are made.
    pub fn mining(&self) -> Mining {
        self.controls.lock().mining
    }

    /// Changes when blocks are made.
    pub fn set_mining(&self, mining: Mining) {
        self.controls.lock().mining = mining;
        self.signal.wake();
    }

    /// Adds a transaction that a client sent, and has it mined if that is done at once.
    ///
    /// # Errors
    /// See [`PoolError`]; nothing changed.
    pub fn send(&self, tx: Pooled) -> Result<Sent, PoolError> {
        let hash = self.pool.add(tx)?;
        Ok(Sent { hash, turn: self.signal.wake() })
    }

    /// As [`Self::send`], for the bytes of a signed transaction.
    ///
    /// # Errors
    /// See [`PoolError`]; nothing changed.
    pub fn send_raw(&self, bytes: &[u8]) -> Result<Sent, PoolError> {
        let hash = self.pool.add_raw(bytes, Origin::Local)?;
        Ok(Sent { hash, turn: self.signal.wake() })
    }

    /// The hash of what was sent. If nothing else was under way, the miner had its turn by then: what can be in a block is in one,
    /// so that a client that sends one after the other finds each receipt. Who sends beside others does not wait for their blocks.
    pub async fn settled(&self, sent: Sent) -> B256 {
        if let Some(turn) = sent.turn.filter(|_| self.mining() == Mining::Auto) {
            // A block that takes longer comes all the same.
            let _ = tokio::time::timeout(TURN_MAX, self.signal.ended(turn)).await;
        }
        sent.hash
    }
}

/// A transaction that is in the pool or mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its hash.
    pub hash: B256,
    /// The miner's turn in which it is looked at, if the miner had nothing else to do.
    turn: Option<u64>,
}

fn run(dev: &Weak<Dev>) {
    let mut due = Instant::now();
    let mut pause = Duration::ZERO;
    while let Some(dev) = dev.upgrade() {
        thread::sleep(pause);
        let mined = match dev.mining() {
            Mining::Auto => {
                due = Instant::now();
                dev.signal.wait(SLEEP_MAX);
                if dev.mining() == Mining::Auto { dev.mine_all() } else { Ok(()) }
            }
            Mining::Interval(every) => {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    due = Instant::now() + every.min(INTERVAL_MAX);
                    if every.is_zero() { Ok(()) } else { dev.mine().map(|_| ()) }
                } else {
                    dev.signal.wait(left.min(SLEEP_MAX));
                    Ok(())
                }
            }
            Mining::Manual => {
                due = Instant::now();
                dev.signal.wait(SLEEP_MAX);
                Ok(())
            }
        };
        if mined.is_err() || dev.mining() != Mining::Auto {
            // Nobody waits for what could not be mined, or is mined another time.
            dev.signal.end(dev.signal.turn());
        }
        pause = report(mined);
    }
}

/// How long to wait after a try.
fn report(mined: Result<(), DevError>) -> Duration {
    let Err(error) = mined else { return Duration::ZERO };
    tracing::error!(%error, "no block could be mined");
    RETRY
}
