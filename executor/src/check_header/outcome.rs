//! What the execution gave against what the header says.
//!
//! Place in the flow: after merge and root; import takes the first broken rule, `replay` the verdict of each field.
//! Invariant: a field that the fork does not have, or that the caller could not compute, is unknown and never wrong.

use super::receipts::ReceiptSummary;
use crate::{
    chain_spec::Rules,
    rule::{Field, FieldValue, Mismatch, Rule},
};
use alloy_consensus::Header;
use alloy_primitives::B256;

/// Gas per item of a block access list (EIP-7928).
const ACCESS_LIST_ITEM_GAS: u64 = 2000;

/// What execution computed; `None` where it could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Computed {
    /// Gas used by all transactions.
    pub gas_used: Option<u64>,
    /// Root and bloom of the receipts.
    pub receipts: Option<ReceiptSummary>,
    /// Hash of the requests (EIP-7685).
    pub requests_hash: Option<B256>,
    /// Hash of the block access list (EIP-7928).
    pub block_access_list_hash: Option<B256>,
    /// Root of the state after the block.
    pub state_root: Option<B256>,
}

/// What is known of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The header is right.
    Right,
    /// The header is wrong; both values inside.
    Wrong(Mismatch),
    /// The fork has no such field, or it was not computed.
    Unknown,
}

/// One field and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The field.
    pub field: Field,
    /// What is known of it.
    pub verdict: Verdict,
}

/// The verdicts of all fields that execution decides, in the order of the execution specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified(Vec<Check>);

impl Verified {
    /// The checks: gas used, state root, receipts root, logs bloom, requests hash, block access list hash.
    pub fn checks(&self) -> &[Check] {
        &self.0
    }

    /// Whether the header is right about a field; `None` if that is unknown.
    pub fn is_right(&self, field: Field) -> Option<bool> {
        match self.0.iter().find(|check| check.field == field)?.verdict {
            Verdict::Right => Some(true),
            Verdict::Wrong(_) => Some(false),
            Verdict::Unknown => None,
        }
    }

    /// The first broken rule.
    pub fn first_broken(&self) -> Option<Rule> {
        self.0.iter().find_map(|check| match &check.verdict {
            Verdict::Wrong(mismatch) => Some(Rule::Header(mismatch.clone())),
            Verdict::Right | Verdict::Unknown => None,
        })
    }

    /// The verdicts as a result, for an import.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn into_result(self) -> Result<(), Rule> {
        self.first_broken().map_or(Ok(()), Err)
    }
}

/// Compares what execution gave with the header.
pub fn check_outcome(rules: &Rules, header: &Header, computed: &Computed) -> Verified {
    // CONSENSUS: EIP-658, receipts before Byzantium carry an intermediate state root that nobody keeps.
    let receipts_root = computed.receipts.filter(|_| rules.receipts_carry_status()).map(|receipts| receipts.root);
    let logs_bloom = computed.receipts.map(|receipts| receipts.logs_bloom);
    Verified(vec![
        check(Field::GasUsed, computed.gas_used, Some(header.gas_used)),
        check(Field::StateRoot, computed.state_root, Some(header.state_root)),
        check(Field::ReceiptsRoot, receipts_root, Some(header.receipts_root)),
        check(Field::LogsBloom, logs_bloom, Some(header.logs_bloom)),
        check(Field::RequestsHash, computed.requests_hash, header.requests_hash),
        check(Field::BlockAccessListHash, computed.block_access_list_hash, header.block_access_list_hash),
    ])
}

fn check<T: PartialEq + Into<FieldValue>>(field: Field, expected: Option<T>, found: Option<T>) -> Check {
    let verdict = match (expected, found) {
        (Some(expected), Some(found)) => {
            Mismatch::check(field, expected, found).map_or_else(Verdict::Wrong, |()| Verdict::Right)
        }
        _ => Verdict::Unknown,
    };
    Check { field, verdict }
}

/// Checks that a block access list of `items` (addresses plus storage keys) fits the block.
///
/// CONSENSUS: EIP-7928, one item for each 2000 gas of the block's limit.
///
/// # Errors
/// [`Rule::BlockAccessListTooLarge`].
pub const fn check_access_list_len(header: &Header, items: u64) -> Result<(), Rule> {
    let expected = header.gas_limit / ACCESS_LIST_ITEM_GAS;
    if items > expected {
        return Err(Rule::BlockAccessListTooLarge { expected, found: items });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain_spec::ChainSpec;
    use alloy_primitives::Bloom;

    fn header() -> Header {
        Header {
            number: 1,
            gas_used: 7,
            gas_limit: 10_000,
            requests_hash: Some(B256::repeat_byte(4)),
            block_access_list_hash: Some(B256::repeat_byte(5)),
            ..Header::default()
        }
    }

    fn computed() -> Computed {
        let header = header();
        Computed {
            gas_used: Some(7),
            receipts: Some(ReceiptSummary { root: header.receipts_root, logs_bloom: header.logs_bloom }),
            requests_hash: header.requests_hash,
            block_access_list_hash: header.block_access_list_hash,
            state_root: Some(header.state_root),
        }
    }

    fn rules(network: &str) -> Rules {
        ChainSpec::for_test_network(network, []).unwrap().rules_at(1, 1)
    }

    #[test]
    fn right_header_is_right_in_every_field() {
        let verified = check_outcome(&rules("Amsterdam"), &header(), &computed());
        assert_eq!(verified.checks().len(), 6);
        assert!(verified.checks().iter().all(|check| verified.is_right(check.field) == Some(true)));
        assert_eq!(verified.into_result(), Ok(()));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let wrong = |change: fn(&mut Header)| {
            let mut header = header();
            change(&mut header);
            let rule = check_outcome(&rules("Amsterdam"), &header, &computed()).first_broken();
            rule.map(|rule| rule.exception())
        };
        assert_eq!(wrong(|h| h.gas_used = 8), Some("BlockException.INVALID_GAS_USED"));
        assert_eq!(wrong(|h| h.state_root = B256::ZERO), Some("BlockException.INVALID_STATE_ROOT"));
        assert_eq!(wrong(|h| h.receipts_root = B256::ZERO), Some("BlockException.INVALID_RECEIPTS_ROOT"));
        assert_eq!(wrong(|h| h.logs_bloom = Bloom::repeat_byte(1)), Some("BlockException.INVALID_LOG_BLOOM"));
        assert_eq!(wrong(|h| h.requests_hash = Some(B256::ZERO)), Some("BlockException.INVALID_REQUESTS"));
        assert_eq!(wrong(|h| h.block_access_list_hash = Some(B256::ZERO)), Some("BlockException.INVALID_BAL_HASH"));
    }

    #[test]
    fn what_cannot_be_checked_is_unknown() {
        let nothing = check_outcome(&rules("Amsterdam"), &header(), &Computed::default());
        assert!(nothing.checks().iter().all(|check| check.verdict == Verdict::Unknown));
        let old = Header { requests_hash: None, block_access_list_hash: None, receipts_root: B256::ZERO, ..header() };
        let verified = check_outcome(&rules("Homestead"), &old, &computed());
        assert_eq!(verified.is_right(Field::ReceiptsRoot), None);
        assert_eq!(verified.is_right(Field::RequestsHash), None);
        assert_eq!(verified.is_right(Field::GasUsed), Some(true));
        assert_eq!(verified.is_right(Field::BaseFee), None);
        assert_eq!(verified.first_broken(), None);
    }

    #[test]
    fn access_list_may_hold_one_item_for_two_thousand_gas() {
        assert_eq!(check_access_list_len(&header(), 5), Ok(()));
        let expected = Rule::BlockAccessListTooLarge { expected: 5, found: 6 };
        assert_eq!(check_access_list_len(&header(), 6), Err(expected));
    }
}
