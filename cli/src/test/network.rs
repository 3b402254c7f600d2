//! The chain and the state of a case.
//!
//! Place in the flow: below the modules that execute something.
//! Invariant: a network that is not built in is a skip that names it, never an approximation.

use laminar_executor::chain_spec::{ChainSpec, ChainSpecError, Fork};
use laminar_fixtures::{
    Prestate, PrestateAccount,
    official::{BlobSchedule, TestConfig},
};
use laminar_state_db::{Account, MemoryState};

/// The schedule of a fork or transition under the case's parameters.
///
/// # Errors
/// The network is not built in.
pub(crate) fn spec(network: &str, config: &TestConfig) -> Result<ChainSpec, ChainSpecError> {
    // A schedule lists forks to come as well; those that are not built in cannot be active on a network that is.
    let schedule = config.blob_schedule.iter().filter(|(name, _)| Fork::from_name(name).is_some());
    let schedule = schedule.map(|(name, blobs)| (name.as_str(), blob_params(blobs)));
    Ok(ChainSpec::for_test_network(network, schedule)?.with_chain_id(config.chain_id))
}

/// Mainnet's parameters with the case's target, maximum and fraction; the spec sets the limits that follow from the fork.
fn blob_params(blobs: &BlobSchedule) -> alloy_eips::eip7840::BlobParams {
    alloy_eips::eip7840::BlobParams {
        target_blob_count: blobs.target,
        max_blob_count: blobs.max,
        update_fraction: u128::from(blobs.base_fee_update_fraction),
        ..alloy_eips::eip7840::BlobParams::cancun()
    }
}

/// The state with these accounts.
pub(crate) fn state(accounts: &Prestate) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in accounts {
        let PrestateAccount { balance, nonce, code, storage } = account;
        let mut plain = Account { nonce: *nonce, balance: *balance, ..Account::default() };
        if !code.is_empty() {
            plain.code_hash = state.insert_code(code.clone());
        }
        state.insert_account(*address, plain);
        for (slot, value) in storage {
            state.insert_slot(*address, *slot, *value);
        }
    }
    state
}
