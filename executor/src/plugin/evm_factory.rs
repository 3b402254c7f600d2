//! An `EvmFactory` whose EVMs answer from runs that workers made ahead of the host.
//!
//! Place in the flow: a host installs [`AheadEvmFactory`] around its own factory and announces each block that it is about to
//! execute; workers then run the block's transactions with the host's own EVM while the host loops over them as ever.
//! Invariant: an EVM of this factory gives, for every transaction, what the wrapped EVM would give on the same state. A run is
//! used only for the same transaction under the same environment, when everything that it read is so in the host's state at
//! that moment. So the host may take transactions in any order, leave some out, repeat them or not commit them.
//! With an inspector switched on, or after someone was handed the precompiles, everything runs inline.

use super::{
    ahead::{Ahead, Version, View},
    evm::AheadEvm,
};
use crate::{
    sync::{AtomicUsize, Mutex, Ordering, yield_now},
    types::TxIndex,
};
use alloy_evm::{Database, Evm, EvmEnv, EvmFactory};
use alloy_primitives::{Address, map::HashMap};
use revm::{
    DatabaseRef, Inspector,
    context_interface::{Transaction, result::ResultAndState},
    inspector::NoOpInspector,
};
use std::{
    fmt,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// A block on its way: what was announced and what became of it so far.
pub(super) struct Announced<Tx, Halt, Spec, Block> {
    env: EvmEnv<Spec, Block>,
    txs: Vec<Tx>,
    by_sender: HashMap<(Address, u64), TxIndex>,
    pub(super) ahead: Ahead<ResultAndState<Halt>>,
    pub(super) adopted: AtomicUsize,
    /// Workers that have not ended.
    working: AtomicUsize,
}

/// The block type of a factory.
pub(super) type AnnouncedBy<F> = Announced<
    <F as EvmFactory>::Tx,
    <F as EvmFactory>::HaltReason,
    <F as EvmFactory>::Spec,
    <F as EvmFactory>::BlockEnv,
>;

impl<Tx: Transaction + PartialEq, Halt, Spec, Block> Announced<Tx, Halt, Spec, Block> {
    /// The place of a transaction in the announced block, if it is exactly that one.
    pub(super) fn find(&self, tx: &Tx) -> Option<TxIndex> {
        let index = *self.by_sender.get(&(tx.caller(), tx.nonce()))?;
        (self.txs[index.as_usize()] == *tx).then_some(index)
    }
}

/// Wraps the EVM factory of a host.
///
/// Clones share workers and announced blocks.
pub struct AheadEvmFactory<F: EvmFactory> {
    inner: F,
    threads: Arc<rayon::ThreadPool>,
    announced: Arc<Mutex<Vec<Arc<AnnouncedBy<F>>>>>,
}

impl<F: EvmFactory + fmt::Debug> fmt::Debug for AheadEvmFactory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AheadEvmFactory")
            .field("inner", &self.inner)
            .field("threads", &self.threads.current_num_threads())
            .finish_non_exhaustive()
    }
}

impl<F: EvmFactory + Clone> Clone for AheadEvmFactory<F> {
    fn clone(&self) -> Self {
        let (threads, announced) = (Arc::clone(&self.threads), Arc::clone(&self.announced));
        Self { inner: self.inner.clone(), threads, announced }
    }
}

impl<F: EvmFactory> AheadEvmFactory<F> {
    /// Wraps `inner`, with `workers` threads beside the host's own.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(inner: F, workers: NonZeroUsize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(workers.get());
        let threads = builder.thread_name(|worker| format!("laminar-ahead-{worker}")).build()?;
        Ok(Self { inner, threads: Arc::new(threads), announced: Arc::default() })
    }

    /// The wrapped factory.
    pub const fn inner(&self) -> &F {
        &self.inner
    }
}

impl<F> AheadEvmFactory<F>
where
    F: EvmFactory<Tx: Transaction + Clone + Send + Sync + 'static, BlockEnv: Send + Sync + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    /// Says that a block with these transactions is about to be executed under `env` on `parent`, the state after its
    /// parent, and starts to run them. Returns at once; the workers end when the [`Announcement`] is dropped.
    ///
    /// `env` must equal the one that the host makes its EVM with, or nothing will be adopted.
    pub fn announce<P>(&self, env: EvmEnv<F::Spec, F::BlockEnv>, txs: Vec<F::Tx>, parent: Arc<P>) -> Announcement<F>
    where
        P: DatabaseRef + Send + Sync + 'static,
    {
        let by_sender = |(at, tx): (usize, &F::Tx)| ((tx.caller(), tx.nonce()), TxIndex::from_usize(at));
        let block = Arc::new(Announced {
            by_sender: txs.iter().enumerate().map(by_sender).collect(),
            ahead: Ahead::new(txs.len(), |output: &ResultAndState<F::HaltReason>| &output.state),
            adopted: AtomicUsize::new(0),
            working: AtomicUsize::new(self.threads.current_num_threads()),
            env,
            txs,
        });
        self.announced.lock().push(Arc::clone(&block));
        for _ in 0..self.threads.current_num_threads() {
            let (inner, block, parent) = (self.inner.clone(), Arc::clone(&block), Arc::clone(&parent));
            self.threads.spawn(move || {
                // A run that panics was claimed and is delivered as failed, so the host runs it and meets the panic itself.
                let _ = catch_unwind(AssertUnwindSafe(|| run_ahead(&inner, &block, &*parent)));
                // ORDER: Relaxed. A counter; runs are published by the locks of their slots.
                block.working.fetch_sub(1, Ordering::Relaxed);
            });
        }
        Announcement { block, announced: Arc::clone(&self.announced) }
    }
}

/// Runs transactions until none is left.
fn run_ahead<F, P>(factory: &F, block: &AnnouncedBy<F>, parent: &P)
where
    F: EvmFactory<Tx: Clone>,
    P: DatabaseRef,
{
    let (view, watch) = View::new(parent, block.ahead.overlay());
    let mut evm = factory.create_evm_with_inspector(view, block.env.clone(), watch);
    while let Some(claim) = block.ahead.next() {
        evm.db_mut().begin(Version::of(claim.index));
        // What fails here says nothing about the transaction: the host runs it on the state that it should see.
        if let Ok(output) = evm.transact_raw(block.txs[claim.index.as_usize()].clone()) {
            claim.deliver(evm.db_mut().take_reads(), output);
        }
    }
}

/// A block that was announced; running ahead ends with it.
#[must_use = "workers stop when the announcement is dropped"]
pub struct Announcement<F: EvmFactory> {
    block: Arc<AnnouncedBy<F>>,
    announced: Arc<Mutex<Vec<Arc<AnnouncedBy<F>>>>>,
}

impl<F: EvmFactory> Announcement<F> {
    /// Transactions that were answered from a run ahead so far.
    pub fn adopted(&self) -> usize {
        // ORDER: Relaxed. A counter.
        self.block.adopted.load(Ordering::Relaxed)
    }

    /// Waits until every transaction was run ahead, for a host that has nothing better to do before the block.
    pub fn wait(&self) {
        // ORDER: Relaxed, see `announce`.
        while self.block.working.load(Ordering::Relaxed) > 0 {
            yield_now();
        }
    }
}

impl<F: EvmFactory> fmt::Debug for Announcement<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcement").field("adopted", &self.adopted()).finish_non_exhaustive()
    }
}

impl<F: EvmFactory> Drop for Announcement<F> {
    fn drop(&mut self) {
        self.block.ahead.cancel();
        self.announced.lock().retain(|block| !Arc::ptr_eq(block, &self.block));
    }
}

impl<F> EvmFactory for AheadEvmFactory<F>
where
    F: EvmFactory<Tx: Transaction + PartialEq, BlockEnv: PartialEq>,
{
    type Evm<DB: Database, I: Inspector<Self::Context<DB>>> = AheadEvm<F, F::Evm<DB, I>>;
    type Context<DB: Database> = F::Context<DB>;
    type Tx = F::Tx;
    type Error<DBError: revm::context::DBErrorMarker> = F::Error<DBError>;
    type HaltReason = F::HaltReason;
    type Spec = F::Spec;
    type BlockEnv = F::BlockEnv;
    type Precompiles = F::Precompiles;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv<F::Spec, F::BlockEnv>) -> Self::Evm<DB, NoOpInspector> {
        // The last one counts: a builder announces the same block again with other transactions.
        let block = self.announced.lock().iter().rfind(|block| block.env == env).cloned();
        AheadEvm::new(self.inner.create_evm(db, env), block)
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<Self::Context<DB>>>(
        &self,
        db: DB,
        env: EvmEnv<F::Spec, F::BlockEnv>,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        // Whoever brings an inspector wants to see every step, also if it is switched off and on again.
        AheadEvm::new(self.inner.create_evm_with_inspector(db, env, inspector), None)
    }
}
