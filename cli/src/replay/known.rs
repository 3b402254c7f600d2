//! What a block reads, looked up before the clock starts.
//!
//! Place in the flow: between a witness and the timed runs, so that both read from hash maps and neither hashes keys or
//! walks tries. A client has its pre-state at hand in the same way.
//! Invariant: gives what the source gives. What was not looked up before is asked of the source, so an untrue run fails on a
//! gap of the witness exactly as it would without this.

use alloy_primitives::{
    Address, B256, U256,
    map::{AddressMap, B256Map},
};
use laminar_executor::sequential::MapState;
use laminar_state_db::SlotMap;
use revm::{bytecode::Bytecode, database_interface::DatabaseRef, state::AccountInfo};

#[derive(Debug, Default)]
struct KnownAccount {
    info: Option<AccountInfo>,
    slots: SlotMap<U256>,
}

/// A state with everything at hand that one run of a block has read from it.
#[derive(Debug)]
pub(crate) struct Known<'a, DB> {
    source: &'a DB,
    accounts: AddressMap<KnownAccount>,
    codes: B256Map<Bytecode>,
}

impl<'a, DB: DatabaseRef> Known<'a, DB> {
    /// Looks up what a finished run knows of.
    ///
    /// # Errors
    /// The source fails.
    pub(crate) fn new(source: &'a DB, run: &MapState<'_, DB>) -> Result<Self, DB::Error> {
        let mut known = Self { source, accounts: AddressMap::default(), codes: B256Map::default() };
        for (address, _, slots) in run.entries() {
            let info = source.basic_ref(address)?;
            if let Some(hash) = info.as_ref().map(|info| info.code_hash)
                // Some accounts are only moved past, and their code is not in the witness: it fails when it is asked for.
                && let Ok(code) = source.code_by_hash_ref(hash)
            {
                known.codes.insert(hash, code);
            }
            let slots = slots.into_iter().map(|(slot, _)| Ok((slot, source.storage_ref(address, slot)?)));
            let slots = slots.collect::<Result<_, DB::Error>>()?;
            known.accounts.insert(address, KnownAccount { info, slots });
        }
        Ok(known)
    }
}

impl<DB: DatabaseRef> DatabaseRef for Known<'_, DB> {
    type Error = DB::Error;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, DB::Error> {
        match self.accounts.get(&address) {
            Some(account) => Ok(account.info.clone()),
            None => self.source.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, DB::Error> {
        match self.codes.get(&hash) {
            Some(code) => Ok(code.clone()),
            None => self.source.code_by_hash_ref(hash),
        }
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, DB::Error> {
        match self.accounts.get(&address).and_then(|account| account.slots.get(&slot)) {
            Some(value) => Ok(*value),
            None => self.source.storage_ref(address, slot),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, DB::Error> {
        self.source.block_hash_ref(number)
    }
}
