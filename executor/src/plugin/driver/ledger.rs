//! The host's state during a driven block: revm's `State`, which also tells the workers what was committed.
//!
//! Place in the flow: the database of the one executor that commits.
//! Invariant: it behaves as the `State` inside it. Before the executor commits an adopted run, the driver says which accounts of
//! the run are credits; they are settled on their way in, since a result of alloy-evm's cannot be changed from outside.

use crate::plugin::ahead::{Overlay, Settled, Version};
use alloy_primitives::{Address, B256, U256, map::AddressMap};
use revm::{
    Database, DatabaseCommit, DatabaseRef,
    bytecode::Bytecode,
    database::{BundleState, State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    state::{Account, AccountInfo},
};
use std::fmt;

type Inner<'a, P> = State<WrapDatabaseRef<&'a P>>;

/// The committed prefix as the executor sees it.
pub(crate) struct Ledger<'a, P: DatabaseRef> {
    state: Inner<'a, P>,
    overlay: &'a Overlay,
    version: Version,
    /// The credits of an adopted run, which was published when it was delivered.
    adopted: Option<Settled>,
}

impl<P: DatabaseRef> fmt::Debug for Ledger<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("version", &self.version).finish_non_exhaustive()
    }
}

impl<'a, P: DatabaseRef> Ledger<'a, P> {
    pub(super) fn new(parent: &'a P, overlay: &'a Overlay) -> Self {
        let state = State::builder().with_database_ref(parent).with_bundle_update().build();
        Self { state, overlay, version: Version::default(), adopted: None }
    }

    /// Says what is committed next, and if it is an adopted run, its credits.
    pub(super) fn begin(&mut self, version: Version, adopted: Option<Settled>) {
        self.version = version;
        self.adopted = adopted;
    }

    /// Everything that was committed.
    pub(super) fn into_bundle(mut self) -> BundleState {
        self.state.merge_transitions(BundleRetention::Reverts);
        self.state.take_bundle()
    }
}

impl<'a, P: DatabaseRef> Database for Ledger<'a, P> {
    type Error = <Inner<'a, P> as Database>::Error;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Self::Error> {
        self.state.basic(address)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, Self::Error> {
        self.state.code_by_hash(code_hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        self.state.storage(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Self::Error> {
        self.state.block_hash(number)
    }
}

impl<P: DatabaseRef> DatabaseCommit for Ledger<'_, P> {
    fn commit(&mut self, mut changes: AddressMap<Account>) {
        match self.adopted.take() {
            Some(settled) => settled.apply(&mut changes),
            None => self.overlay.publish(self.version, &changes, |_| false),
        }
        self.state.commit(changes);
    }
}
