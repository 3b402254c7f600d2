//! The genesis of a development chain.
//!
//! Place in the flow: the command makes one where it is given none.
//! Invariant: the contracts that the newest fork calls in every block are there, and the deployer that tools expect on any chain
//! (Arachnid's); so blocks can be built and libraries deployed at their usual addresses from the first block on.

use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, Bytes, U256, address, bytes};

/// The chain id that tools take for a local one.
pub const CHAIN_ID: u64 = 31_337;
/// What each account owns, in ether.
pub const BALANCE_ETHER: u64 = 10_000;
/// [`BALANCE_ETHER`] in wei.
pub const BALANCE_WEI: u128 = BALANCE_ETHER as u128 * 1_000_000_000_000_000_000;
/// The gas limit of the genesis.
pub const GAS_LIMIT: u64 = 60_000_000;
/// The base fee of the genesis, in wei per gas.
const BASE_FEE_WEI: u128 = 1_000_000_000;

/// The deployer of contracts at addresses that depend on code and salt alone.
const DEPLOYER: Address = address!("4e59b44847b379578588920ca78fbf26c0b4956c");
const DEPLOYER_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

/// A chain on which everything up to Osaka is active from the start, with ether on `accounts`.
pub fn genesis(chain_id: u64, accounts: impl IntoIterator<Item = Address>, balance_wei: U256) -> Genesis {
    let zero = Some(0);
    let config = ChainConfig {
        chain_id,
        homestead_block: zero,
        eip150_block: zero,
        eip155_block: zero,
        eip158_block: zero,
        byzantium_block: zero,
        constantinople_block: zero,
        petersburg_block: zero,
        istanbul_block: zero,
        berlin_block: zero,
        london_block: zero,
        merge_netsplit_block: zero,
        shanghai_time: zero,
        cancun_time: zero,
        prague_time: zero,
        osaka_time: zero,
        terminal_total_difficulty: Some(U256::ZERO),
        terminal_total_difficulty_passed: true,
        ..ChainConfig::default()
    };
    let funded = accounts.into_iter().map(|address| (address, GenesisAccount::default().with_balance(balance_wei)));
    let contract = |code: &Bytes| GenesisAccount::default().with_nonce(Some(1)).with_code(Some(code.clone()));
    let contracts = [
        (eip4788::BEACON_ROOTS_ADDRESS, contract(&eip4788::BEACON_ROOTS_CODE)),
        (eip2935::HISTORY_STORAGE_ADDRESS, contract(&eip2935::HISTORY_STORAGE_CODE)),
        (eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, contract(&eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE)),
        (eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, contract(&eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE)),
        (DEPLOYER, contract(&DEPLOYER_CODE)),
    ];
    Genesis {
        config,
        gas_limit: GAS_LIMIT,
        base_fee_per_gas: Some(BASE_FEE_WEI),
        excess_blob_gas: zero,
        blob_gas_used: zero,
        alloc: funded.chain(contracts).collect(),
        ..Genesis::default()
    }
}
