//! Makes valid blocks without a block builder: a block is offered to a chain, and what the refusal expects is put into it.

use alloy_consensus::{BlockBody, Header, constants::EMPTY_WITHDRAWALS};
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{Address, B256, U256};
use laminar_executor::{
    Block, BlockExecutor, Config, Knowledge, Mode, Transaction,
    chain_spec::{ChainSpec, Fork},
    rule::{Field, FieldValue, Rule},
};
use laminar_fixtures::wallet::Wallet;
use laminar_rpc_shim::node::{Delivered, ImportError, Node};
use laminar_state_db::{Account, MemoryState};
use std::{num::NonZeroUsize, sync::Arc};

/// A sender with ether in the genesis.
pub(crate) fn wallet() -> Wallet {
    Wallet::derive(3, 0)
}

/// A chain on which one fork is active from genesis on.
pub(crate) fn chain(network: &str) -> Arc<Node> {
    chain_on(network, MemoryState::default())
}

/// The same with more in the genesis.
pub(crate) fn chain_on(network: &str, mut state: MemoryState) -> Arc<Node> {
    let spec = ChainSpec::for_test_network(network, []).unwrap();
    state.insert_account(
        wallet().address(),
        Account { balance: U256::from(10).pow(U256::from(18)), ..Account::default() },
    );
    let rules = spec.rules_at(0, 0);
    let header = Header {
        state_root: state.state_root(),
        gas_limit: 30_000_000,
        difficulty: if rules.is_post_merge() { U256::ZERO } else { U256::from(0x200_0000) },
        base_fee_per_gas: Some(7),
        withdrawals_root: rules.is_active(Fork::Shanghai).then_some(EMPTY_WITHDRAWALS),
        ..Header::default()
    };
    let config = Config { threads: NonZeroUsize::new(2).unwrap(), mode: Mode::Parallel, ..Config::default() };
    Arc::new(Node::new(spec, header, state, Arc::new(BlockExecutor::new(config).unwrap())).unwrap())
}

/// What makes a block different from its brothers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) miner: u8,
    pub(crate) withdrawn_gwei: u64,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) ommers: Vec<Header>,
    pub(crate) seconds: u64,
}

/// The account that withdrawals go to.
pub(crate) const RECIPIENT: Address = Address::repeat_byte(0x77);

/// A child of `parent` that is not complete yet.
pub(crate) fn draft(chain: &Node, parent: B256, contents: Contents) -> Block {
    let parent = &chain.block_by_hash(&parent).unwrap().header;
    let shanghai = chain.spec().rules_at(parent.number + 1, parent.timestamp + 12).is_active(Fork::Shanghai);
    let withdrawal = Withdrawal { address: RECIPIENT, amount: contents.withdrawn_gwei, ..Withdrawal::default() };
    let header = Header {
        parent_hash: parent.hash(),
        number: parent.number + 1,
        timestamp: parent.timestamp + 12 + contents.seconds,
        beneficiary: Address::repeat_byte(contents.miner),
        gas_limit: parent.gas_limit,
        base_fee_per_gas: Some(0),
        withdrawals_root: shanghai.then_some(B256::ZERO),
        ..Header::default()
    };
    let withdrawals = shanghai.then(|| Withdrawals::new(vec![withdrawal]));
    Block::new(header, BlockBody { transactions: contents.transactions, ommers: contents.ommers, withdrawals })
}

/// Completes a block and imports it; the block.
pub(crate) fn forge(chain: &Node, parent: B256, contents: Contents) -> Block {
    let mut block = draft(chain, parent, contents);
    for _ in 0..12 {
        match chain.import_with(Delivered::new(block.clone()), |_| Knowledge::Nothing) {
            Ok(_) => return block,
            Err(ImportError::Invalid(invalid)) => correct(&mut block.header, &invalid.rule),
            Err(other) => panic!("{other}"),
        }
    }
    panic!("a block is complete after one correction a field");
}

/// A branch of `len` blocks on `parent`; their hashes.
pub(crate) fn branch(chain: &Node, mut parent: B256, len: u64, contents: &Contents) -> Vec<Block> {
    (0..len)
        .map(|_| {
            let block = forge(chain, parent, contents.clone());
            parent = block.header.hash_slow();
            block
        })
        .collect()
}

/// Puts the expected value into the header.
pub(crate) fn correct(header: &mut Header, rule: &Rule) {
    let Rule::Header(mismatch) = rule else { panic!("not a field: {rule}") };
    match (mismatch.field, &mismatch.expected) {
        (Field::StateRoot, FieldValue::Hash(hash)) => header.state_root = *hash,
        (Field::TransactionsRoot, FieldValue::Hash(hash)) => header.transactions_root = *hash,
        (Field::ReceiptsRoot, FieldValue::Hash(hash)) => header.receipts_root = *hash,
        (Field::OmmersHash, FieldValue::Hash(hash)) => header.ommers_hash = *hash,
        (Field::WithdrawalsRoot, FieldValue::Hash(hash)) => header.withdrawals_root = Some(*hash),
        (Field::LogsBloom, FieldValue::Bloom(bloom)) => header.logs_bloom = **bloom,
        (Field::Difficulty, FieldValue::Number(number)) => header.difficulty = *number,
        (Field::GasUsed, FieldValue::Number(number)) => header.gas_used = number.to(),
        (Field::BaseFee, FieldValue::Number(number)) => header.base_fee_per_gas = Some(number.to()),
        (field, _) => panic!("{field} does not follow from the block"),
    }
}
