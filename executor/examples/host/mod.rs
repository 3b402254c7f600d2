//! A host of alloy-evm in miniature: what the examples plug the engine into, and what its tests compare with.
//!
//! Invariant: nothing here knows this engine's executor; chain and execution are alloy-evm's own, unmodified.

use alloy_consensus::{TxType, transaction::Recovered};
use alloy_evm::{
    Evm, EvmEnv, EvmFactory,
    block::{BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockExecutorFactory},
    eth::{
        EthBlockExecutionCtx, EthBlockExecutorFactory,
        receipt_builder::{ReceiptBuilder, ReceiptBuilderCtx},
        spec::EthExecutorSpec,
    },
};
use alloy_hardforks::{EthereumChainHardforks, EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, address};
use laminar_executor::{
    Block, Receipt, Transaction,
    chain_spec::{ChainSpec, Rules},
    recover::recover_senders,
};
use laminar_fixtures::Fixture;
use laminar_state_db::WitnessState;
use revm::{
    DatabaseRef,
    context::{BlockEnv, TxEnv},
    database::{BundleState, State, states::bundle_state::BundleRetention},
    primitives::hardfork::SpecId,
};
use std::{borrow::Cow, fmt, path::PathBuf, sync::Arc};

/// Chain id of Sepolia.
const SEPOLIA: u64 = 11_155_111;

/// The block executor of the host, around an EVM factory.
pub(crate) type HostFactory<E> = EthBlockExecutorFactory<Receipts, HostChain, E>;

/// A block as a host holds it, with the state after its parent.
#[derive(Clone, Debug)]
pub(crate) struct HostCase<P> {
    pub(crate) name: String,
    pub(crate) chain: HostChain,
    pub(crate) rules: Rules,
    pub(crate) block: Block,
    pub(crate) txs: Vec<Recovered<Transaction>>,
    pub(crate) parent: Arc<P>,
}

impl<P: DatabaseRef + fmt::Debug> HostCase<P> {
    /// A block of mainnet, of Sepolia, or of the chain of our generated blocks.
    pub(crate) fn new(name: String, chain_id: u64, block: Block, parent: P) -> Self {
        let spec = match chain_id {
            1 => ChainSpec::mainnet(),
            SEPOLIA => ChainSpec::sepolia(),
            _ => ChainSpec::for_test_network("Osaka", []).expect("a network").with_chain_id(chain_id),
        };
        let rules = spec.rules_for(&block.header);
        let senders = recover_senders(&block.body.transactions, &rules).expect("valid signatures").addresses;
        let with_sender = |(tx, sender): (&Transaction, Address)| Recovered::new_unchecked(tx.clone(), sender);
        let txs = block.body.transactions.iter().zip(senders).map(with_sender).collect();
        Self { name, chain: HostChain::new(chain_id), rules, block, txs, parent: Arc::new(parent) }
    }

    /// The environment as alloy-evm makes it from header and chain.
    pub(crate) fn env(&self) -> EvmEnv {
        let blob_params = self.rules.blob_params;
        EvmEnv::for_eth_block(&self.block.header, &self.chain, self.rules.chain_id, blob_params)
    }

    /// What the block executor needs beside the environment.
    pub(crate) fn context(&self) -> EthBlockExecutionCtx<'_> {
        let header = &self.block.header;
        EthBlockExecutionCtx {
            parent_hash: header.parent_hash,
            parent_beacon_block_root: header.parent_beacon_block_root,
            ommers: &self.block.body.ommers,
            withdrawals: self.block.body.withdrawals.as_ref().map(|list| Cow::Borrowed(list.as_slice())),
            extra_data: header.extra_data.clone(),
            tx_count_hint: Some(self.txs.len()),
            slot_number: header.slot_number,
        }
    }

    /// The host's block executor around `evm_factory`.
    pub(crate) fn factory<E>(&self, evm_factory: E) -> HostFactory<E> {
        EthBlockExecutorFactory::new(Receipts, self.chain.clone(), evm_factory)
    }

    /// What the host does with a block: alloy-evm's executor over revm's `State`, one transaction after the other.
    pub(crate) fn execute<E>(
        &self,
        evm_factory: E,
    ) -> Result<(BlockExecutionResult<Receipt>, BundleState), BlockExecutionError>
    where
        E: EvmFactory<Tx = TxEnv, Spec = SpecId, BlockEnv = BlockEnv> + 'static,
    {
        let state = State::builder().with_database_ref(&*self.parent).with_bundle_update().build();
        let factory = self.factory(evm_factory);
        let evm = factory.evm_factory().create_evm(state, self.env());
        let mut executor = factory.create_executor(evm, self.context());
        executor.apply_pre_execution_changes()?;
        for tx in &self.txs {
            executor.execute_transaction(tx)?;
        }
        let (evm, result) = executor.finish()?;
        let mut state = evm.into_db();
        state.merge_transitions(BundleRetention::Reverts);
        Ok((result, state.take_bundle()))
    }
}

/// The sample blocks of `fixtures/blocks`.
pub(crate) fn sample_blocks() -> Vec<HostCase<WitnessState>> {
    witness_blocks(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/blocks"))
}

/// Every witness block at a path.
pub(crate) fn witness_blocks(path: PathBuf) -> Vec<HostCase<WitnessState>> {
    let fixtures = laminar_fixtures::open(&path).expect("a readable path").map(|loaded| loaded.expect("a fixture"));
    let case = |loaded: laminar_fixtures::Loaded| match loaded.fixture {
        Fixture::Witness(witness) => {
            let parent =
                WitnessState::new(witness.parent_state_root, witness.nodes, witness.codes, witness.block_hashes);
            Some(HostCase::new(loaded.name, witness.chain_id, witness.block, parent.expect("a whole witness")))
        }
        _ => None,
    };
    fixtures.filter_map(case).collect()
}

/// The chain as alloy-evm's executor wants it.
#[derive(Clone, Debug)]
pub(crate) struct HostChain {
    forks: EthereumChainHardforks,
    deposit_contract: Address,
}

impl HostChain {
    fn new(chain_id: u64) -> Self {
        let forks = match chain_id {
            1 => EthereumChainHardforks::mainnet(),
            SEPOLIA => EthereumChainHardforks::sepolia(),
            // The chain of our generated blocks has every fork but those for blobs alone.
            _ => EthereumChainHardforks::new(
                EthereumHardfork::devnet().into_iter().filter(|(fork, _)| *fork <= EthereumHardfork::Osaka),
            ),
        };
        let deposit_contract = match chain_id {
            SEPOLIA => address!("7f02c3e3c98b133055b8b348b2ac625669ed295d"),
            _ => address!("00000000219ab540356cbb839cbe05303d7705fa"),
        };
        Self { forks, deposit_contract }
    }
}

impl EthereumHardforks for HostChain {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        self.forks.ethereum_fork_activation(fork)
    }
}

impl EthExecutorSpec for HostChain {
    fn deposit_contract_address(&self) -> Option<Address> {
        Some(self.deposit_contract)
    }
}

/// Receipts without blooms, as reth keeps them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipts;

impl ReceiptBuilder for Receipts {
    type Transaction = Transaction;
    type Receipt = Receipt;

    fn build_receipt<E: Evm>(&self, ctx: ReceiptBuilderCtx<'_, TxType, E>) -> Receipt {
        Receipt {
            tx_type: ctx.tx_type,
            success: ctx.result.is_success(),
            cumulative_gas_used: ctx.cumulative_gas_used,
            logs: ctx.result.into_logs(),
        }
    }
}
