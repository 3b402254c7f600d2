//! An EVM that answers from runs that were made ahead, or runs inline.
//!
//! Place in the flow: what a host gets from [`super::AheadEvmFactory`].
//! Invariant: see there. Everything but `transact_raw` is the wrapped EVM.

use super::{
    ahead::{Found, Version},
    evm_factory::AnnouncedBy,
};
use crate::{
    sync::{Ordering, spin_loop, yield_now},
    types::TxIndex,
};
use alloy_evm::{Evm, EvmEnv, EvmFactory};
use alloy_primitives::{Address, Bytes};
use revm::{
    context::CfgEnv,
    context_interface::{Transaction, result::ResultAndState},
};
use std::{fmt, sync::Arc};

/// Looks at a running transaction before the host offers its core to others.
const SPINS_MAX: u32 = 64;

/// Wraps one EVM of a host, for one block.
pub struct AheadEvm<F: EvmFactory, E> {
    inner: E,
    /// The announced block, while runs of it may be used.
    block: Option<Arc<AnnouncedBy<F>>>,
    inspects: bool,
}

impl<F: EvmFactory, E> fmt::Debug for AheadEvm<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AheadEvm").field("announced", &self.block.is_some()).finish_non_exhaustive()
    }
}

impl<F: EvmFactory, E> AheadEvm<F, E> {
    pub(super) const fn new(inner: E, block: Option<Arc<AnnouncedBy<F>>>) -> Self {
        Self { inner, block, inspects: false }
    }
}

impl<F, E> AheadEvm<F, E>
where
    F: EvmFactory<Tx: Transaction + PartialEq>,
    E: Evm<Tx = F::Tx, HaltReason = F::HaltReason>,
{
    /// The result of a run ahead, if there is one and it is right on the host's state.
    fn adopt(&mut self, block: &AnnouncedBy<F>, index: TxIndex) -> Option<ResultAndState<E::HaltReason>> {
        let run = wait_for(|| block.ahead.take(index))?;
        // A read that fails here fails inline too, and is reported from there.
        let settled = run.check(self.inner.db_mut()).ok()??;
        let mut output = run.output;
        settled.apply(&mut output.state);
        // ORDER: Relaxed. A counter.
        block.adopted.fetch_add(1, Ordering::Relaxed);
        Some(output)
    }
}

/// Waits while a worker is at the transaction: what is left of its run is shorter than a run.
fn wait_for<R>(mut take: impl FnMut() -> Found<R>) -> Option<Box<super::ahead::Run<R>>> {
    let mut looks = 0;
    loop {
        match take() {
            Found::Run(run) => return run,
            Found::Running if looks < SPINS_MAX => spin_loop(),
            Found::Running => yield_now(),
        }
        looks += 1;
    }
}

impl<F, E> Evm for AheadEvm<F, E>
where
    F: EvmFactory<Tx: Transaction + PartialEq>,
    E: Evm<Tx = F::Tx, HaltReason = F::HaltReason>,
{
    type DB = E::DB;
    type Tx = E::Tx;
    type Error = E::Error;
    type HaltReason = E::HaltReason;
    type Spec = E::Spec;
    type BlockEnv = E::BlockEnv;
    type Precompiles = E::Precompiles;
    type Inspector = E::Inspector;

    fn block(&self) -> &Self::BlockEnv {
        self.inner.block()
    }

    fn cfg_env(&self) -> &CfgEnv<Self::Spec> {
        self.inner.cfg_env()
    }

    fn chain_id(&self) -> u64 {
        self.inner.chain_id()
    }

    fn transact_raw(&mut self, tx: Self::Tx) -> Result<ResultAndState<Self::HaltReason>, Self::Error> {
        let Some(block) = self.block.clone().filter(|_| !self.inspects) else { return self.inner.transact_raw(tx) };
        let Some(index) = block.find(&tx) else { return self.inner.transact_raw(tx) };
        if let Some(output) = self.adopt(&block, index) {
            return Ok(output);
        }
        let output = self.inner.transact_raw(tx)?;
        block.ahead.publish(Version::of(index), &output.state);
        Ok(output)
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState<Self::HaltReason>, Self::Error> {
        self.inner.transact_system_call(caller, contract, data)
    }

    fn db_mut(&mut self) -> &mut Self::DB {
        self.inner.db_mut()
    }

    fn finish(self) -> (Self::DB, EvmEnv<Self::Spec, Self::BlockEnv>) {
        self.inner.finish()
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inspects = enabled;
        self.inner.set_inspector_enabled(enabled);
    }

    fn precompiles_mut(&mut self) -> &mut Self::Precompiles {
        // The workers' EVMs do not have what the host is about to change.
        self.block = None;
        self.inner.precompiles_mut()
    }

    fn inspector_mut(&mut self) -> &mut Self::Inspector {
        self.inner.inspector_mut()
    }

    fn components(&self) -> (&Self::DB, &Self::Inspector, &Self::Precompiles) {
        self.inner.components()
    }

    fn components_mut(&mut self) -> (&mut Self::DB, &mut Self::Inspector, &mut Self::Precompiles) {
        self.block = None;
        self.inner.components_mut()
    }
}
