//! A body against its header; needs no state and no senders.
//!
//! Place in the flow: [`check_body`] after the header check. [`check_transactions_root`] may run beside or after
//! execution: a fixture whose header leaves out an invalid transaction is refused for the transaction, not for the
//! root.
//! Invariant: a body that passes both is the one that the header commits to.

use super::envelopes::Envelopes;
use crate::{
    chain_spec::{Fork, Rules},
    error::ExecuteError,
    rule::{Field, Mismatch, Rule},
    types::{Block, Transaction, TxIndex},
};
use alloy_consensus::{Transaction as _, proofs::calculate_withdrawals_root};
use alloy_rlp::Encodable;

/// Longest RLP of a block: 10 MiB less 2 MiB for the beacon block around it (EIP-7934).
const BLOCK_LEN_MAX: usize = 10 * 1024 * 1024 - 2 * 1024 * 1024;

/// Checks the length of a block, that its ommers and withdrawals are those of its header, and its blob gas.
///
/// # Errors [`ExecuteError::InvalidBlock`] with the first broken rule; with a transaction's index where one exceeds the
/// blob allowance.
pub fn check_body(rules: &Rules, block: &Block) -> Result<(), ExecuteError> {
    check_len(rules, block).map_err(ExecuteError::invalid)?;
    check_lists(rules, block).map_err(ExecuteError::invalid)?;
    check_blobs(rules, block)
}

/// CONSENSUS: EIP-7934, from Osaka on.
fn check_len(rules: &Rules, block: &Block) -> Result<(), Rule> {
    if !rules.is_active(Fork::Osaka) {
        return Ok(());
    }
    let found = block.length();
    if found > BLOCK_LEN_MAX {
        return Err(Rule::BlockTooLarge { expected: BLOCK_LEN_MAX, found });
    }
    Ok(())
}

fn check_lists(rules: &Rules, block: &Block) -> Result<(), Rule> {
    let (header, body) = (&block.header, &block.body);
    Mismatch::check(Field::OmmersHash, body.calculate_ommers_root(), header.ommers_hash)?;
    let required = rules.is_active(Fork::Shanghai);
    match (&body.withdrawals, header.withdrawals_root) {
        (Some(withdrawals), Some(found)) if required => {
            Ok(Mismatch::check(Field::WithdrawalsRoot, calculate_withdrawals_root(withdrawals), found)?)
        }
        (None, None) if !required => Ok(()),
        _ => Err(Rule::FieldPresence { field: Field::WithdrawalsRoot, required }),
    }
}

/// Checks that the transactions are those of the header, and gives them as they were encoded for it. Hashes every transaction, so it
/// is worth running beside execution.
///
/// # Errors
/// The mismatch of the root.
pub fn check_transactions_root(block: &Block) -> Result<Envelopes, Rule> {
    let transactions = Envelopes::new(&block.body.transactions);
    Mismatch::check(Field::TransactionsRoot, transactions.root(), block.header.transactions_root)?;
    Ok(transactions)
}

/// CONSENSUS: EIP-4844, the block's blobs stay below its maximum and add up to the header's blob gas.
fn check_blobs(rules: &Rules, block: &Block) -> Result<(), ExecuteError> {
    let Some(params) = rules.blob_params else { return Ok(()) };
    let allowance = params.max_blob_gas_per_block();
    let mut used = 0_u64;
    for (position, tx) in block.body.transactions.iter().enumerate() {
        let found = used.saturating_add(tx.blob_gas_used().unwrap_or_default());
        if found > allowance {
            let rule = Rule::BlobGasAllowance { expected: allowance, found };
            return Err(ExecuteError::invalid_tx(TxIndex::from_usize(position), rule));
        }
        used = found;
    }
    let Some(found) = block.header.blob_gas_used else {
        return Ok(());
    };
    Mismatch::check(Field::BlobGasUsed, used, found).map_err(ExecuteError::invalid)
}

/// The blob gas of a block's transactions (EIP-4844).
pub fn blob_gas_used(transactions: &[Transaction]) -> u64 {
    transactions.iter().filter_map(|tx| tx.blob_gas_used()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain_spec::ChainSpec;
    use alloy_consensus::{
        BlockBody, EMPTY_OMMER_ROOT_HASH, Header, SignableTransaction, TxEip4844, TxLegacy,
        proofs::calculate_transaction_root,
    };
    use alloy_eips::eip4895::{Withdrawal, Withdrawals};
    use alloy_primitives::{B256, Bytes, Signature};

    fn rules(network: &str) -> Rules {
        ChainSpec::for_test_network(network, []).unwrap().rules_at(1, 1)
    }

    fn blobs(count: usize) -> Transaction {
        let tx = TxEip4844 { blob_versioned_hashes: vec![B256::ZERO; count], ..TxEip4844::default() };
        tx.into_signed(Signature::test_signature()).into()
    }

    /// A block whose header commits to its body.
    fn block(transactions: Vec<Transaction>) -> Block {
        let withdrawals = Withdrawals::new(vec![Withdrawal { index: 1, ..Withdrawal::default() }]);
        let header = Header {
            transactions_root: calculate_transaction_root(&transactions),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            withdrawals_root: Some(calculate_withdrawals_root(&withdrawals)),
            blob_gas_used: Some(blob_gas_used(&transactions)),
            ..Header::default()
        };
        Block::new(header, BlockBody { transactions, ommers: vec![], withdrawals: Some(withdrawals) })
    }

    fn refusal(network: &str, block: &Block) -> Option<(Option<TxIndex>, &'static str)> {
        match check_body(&rules(network), block) {
            Ok(()) => None,
            Err(ExecuteError::InvalidBlock { index, rule }) => Some((index, rule.exception())),
            Err(other) => panic!("not a refusal: {other}"),
        }
    }

    #[test]
    fn body_that_the_header_commits_to_passes() {
        for transactions in [vec![], vec![blobs(1), blobs(5)]] {
            assert_eq!(refusal("Cancun", &block(transactions)), None);
        }
    }

    #[test]
    fn each_tampered_commitment_is_named() {
        let tampered = |change: fn(&mut Block)| {
            let mut block = block(vec![blobs(1)]);
            change(&mut block);
            refusal("Cancun", &block).map(|(_, name)| name)
        };
        assert_eq!(tampered(|b| b.header.ommers_hash = B256::ZERO), Some("BlockException.INVALID_UNCLES_HASH"));
        assert_eq!(
            tampered(|b| b.header.withdrawals_root = Some(B256::ZERO)),
            Some("BlockException.INVALID_WITHDRAWALS_ROOT")
        );
        assert_eq!(tampered(|b| b.body.withdrawals = None), Some("BlockException.INCORRECT_BLOCK_FORMAT"));
        assert_eq!(tampered(|b| b.header.blob_gas_used = Some(0)), Some("BlockException.INCORRECT_BLOB_GAS_USED"));
    }

    #[test]
    fn transactions_root_is_checked_on_its_own() {
        let mut block = block(vec![blobs(1)]);
        assert_eq!(check_transactions_root(&block), Ok(Envelopes::new(&block.body.transactions)));
        block.header.transactions_root = B256::ZERO;
        assert_eq!(refusal("Cancun", &block), None);
        let rule = check_transactions_root(&block).unwrap_err();
        assert_eq!(rule.exception(), "BlockException.INVALID_TRANSACTIONS_ROOT");
    }

    #[test]
    fn withdrawals_before_shanghai_are_refused() {
        assert_eq!(refusal("Paris", &block(vec![])), Some((None, "BlockException.INCORRECT_BLOCK_FORMAT")));
    }

    #[test]
    fn blobs_above_the_allowance_are_charged_to_their_transaction() {
        let over = block(vec![blobs(4), blobs(2), blobs(1)]);
        let name = "TransactionException.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED";
        assert_eq!(refusal("Cancun", &over), Some((Some(TxIndex(2)), name)));
        assert_eq!(refusal("Prague", &over), None);
        assert_eq!(refusal("Cancun", &block(vec![blobs(7)])), Some((Some(TxIndex(0)), name)));
    }

    #[test]
    fn long_blocks_are_refused_from_osaka_on() {
        let sized = |len: usize| {
            let tx = TxLegacy { input: Bytes::from(vec![1; len]), ..TxLegacy::default() };
            block(vec![tx.into_signed(Signature::test_signature()).into()])
        };
        let overhead = sized(BLOCK_LEN_MAX).length() - BLOCK_LEN_MAX;
        assert_eq!(refusal("Osaka", &sized(BLOCK_LEN_MAX - overhead)), None);
        let long = sized(BLOCK_LEN_MAX - overhead + 1);
        assert_eq!(refusal("Osaka", &long), Some((None, "BlockException.RLP_BLOCK_LIMIT_EXCEEDED")));
        assert_eq!(refusal("Prague", &long), None);
    }
}
