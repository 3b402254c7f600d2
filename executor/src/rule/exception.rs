//! The official names of rules, and parts of their messages.
//!
//! Place in the flow: the conformance runner compares [`Rule::matches`] with a case's `expectException`.
//! Invariant: the first name of a rule is the one that we report; the others are names that older fixtures, or fixtures
//! of another layer (state, blockchain, engine), use for the same refusal.

use super::{Field, OmmerFault, Rule};

impl Rule {
    /// The official name, e.g. `TransactionException.NONCE_MISMATCH_TOO_LOW`.
    pub fn exception(&self) -> &'static str {
        self.exceptions().first().copied().unwrap_or("TransactionException.UNDEFINED_EXCEPTION")
    }

    /// Whether a fixture that expects `expected` (official names separated by `|`) accepts this rule.
    pub fn matches(&self, expected: &str) -> bool {
        let names = self.exceptions();
        expected.split('|').map(str::trim).any(|wanted| {
            // Decoders do not say which of the fifty ways of being malformed it was.
            let malformed = matches!(self, Self::Encoding { .. }) && wanted.contains("Exception.RLP_");
            malformed || names.contains(&wanted)
        })
    }

    fn exceptions(&self) -> &'static [&'static str] {
        match self {
            Self::Header(mismatch) => of_field(mismatch.field),
            Self::UnknownParent(_) => &["BlockException.UNKNOWN_PARENT", "BlockException.UNKNOWN_PARENT_ZERO"],
            Self::FieldPresence { field, required } => of_presence(*field, *required),
            Self::Ommer { fault, .. } => of_ommer(*fault),
            Self::TypePreFork { tx_type } => of_type(*tx_type),
            other => other.transaction_exceptions().unwrap_or_else(|| other.block_exceptions()),
        }
    }

    fn transaction_exceptions(&self) -> Option<&'static [&'static str]> {
        Some(match self {
            Self::InsufficientFunds { .. } => &["TransactionException.INSUFFICIENT_ACCOUNT_FUNDS"],
            Self::CostOverflow => &[
                "TransactionException.GASLIMIT_PRICE_PRODUCT_OVERFLOW",
                "TransactionException.INSUFFICIENT_ACCOUNT_FUNDS",
            ],
            Self::NonceTooLow { .. } => &["TransactionException.NONCE_MISMATCH_TOO_LOW"],
            Self::NonceTooHigh { .. } => &["TransactionException.NONCE_MISMATCH_TOO_HIGH"],
            Self::NonceIsMax => &["TransactionException.NONCE_IS_MAX", "TransactionException.NONCE_TOO_BIG"],
            Self::IntrinsicGas { .. } => &["TransactionException.INTRINSIC_GAS_TOO_LOW"],
            Self::FloorGas { .. } => &["TransactionException.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST"],
            Self::MaxFeeBelowBaseFee => &["TransactionException.INSUFFICIENT_MAX_FEE_PER_GAS"],
            Self::PriorityFeeAboveMaxFee => &[
                "TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS",
                "TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2",
            ],
            Self::BlobFeeTooLow { .. } => &["TransactionException.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS"],
            Self::GasAllowance { .. } => {
                &["TransactionException.GAS_ALLOWANCE_EXCEEDED", "BlockException.GAS_USED_OVERFLOW"]
            }
            Self::GasLimitAboveCap { .. } => &["TransactionException.GAS_LIMIT_EXCEEDS_MAXIMUM"],
            Self::SenderHasCode => &["TransactionException.SENDER_NOT_EOA"],
            Self::InitCodeTooLarge => &["TransactionException.INITCODE_SIZE_EXCEEDED"],
            Self::TypeCannotCreate { tx_type: 4 } => &["TransactionException.TYPE_4_TX_CONTRACT_CREATION"],
            Self::TypeCannotCreate { .. } => &["TransactionException.TYPE_3_TX_CONTRACT_CREATION"],
            Self::NoBlobs => &["TransactionException.TYPE_3_TX_ZERO_BLOBS"],
            Self::TooManyBlobs { .. } => &["TransactionException.TYPE_3_TX_BLOB_COUNT_EXCEEDED"],
            Self::BlobGasAllowance { .. } => &[
                "TransactionException.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED",
                "BlockException.BLOB_GAS_USED_ABOVE_LIMIT",
            ],
            Self::BlobHashVersion => &["TransactionException.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH"],
            Self::NoAuthorizations => &["TransactionException.TYPE_4_EMPTY_AUTHORIZATION_LIST"],
            Self::Signature => &["TransactionException.INVALID_SIGNATURE_VRS", "TransactionException.EC_RECOVERY_FAIL"],
            Self::ChainId { .. } => &["TransactionException.INVALID_CHAINID"],
            Self::Encoding { .. } => MALFORMED,
            _ => return None,
        })
    }

    fn block_exceptions(&self) -> &'static [&'static str] {
        match self {
            Self::ExtraDataTooLong { .. } => &["BlockException.EXTRA_DATA_TOO_BIG"],
            Self::ExtraDataDao => &["BlockException.EXTRA_DATA_INVALID_DAO"],
            Self::GasLimitTooBig { .. } => &["BlockException.GASLIMIT_TOO_BIG", "BlockException.INVALID_GASLIMIT"],
            Self::GasLimitBounds { .. } => &["BlockException.INVALID_GASLIMIT"],
            Self::GasUsedAboveLimit { .. } => &[
                "BlockException.INVALID_GAS_USED_ABOVE_LIMIT",
                "BlockException.INVALID_GAS_USED",
                "BlockException.GAS_USED_OVERFLOW",
            ],
            Self::Timestamp { .. } => &["BlockException.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT"],
            Self::WrongSideOfMerge { proof_of_stake: true } => &["BlockException.IMPORT_IMPOSSIBLE_PARIS_WRONG_POS"],
            Self::WrongSideOfMerge { .. } => {
                &["BlockException.IMPORT_IMPOSSIBLE_PARIS_WRONG_POW", "BlockException.INVALID_DIFFICULTY"]
            }
            Self::BlockTooLarge { .. } => &["BlockException.RLP_BLOCK_LIMIT_EXCEEDED"],
            Self::TooManyOmmers { .. } => &["BlockException.TOO_MANY_UNCLES"],
            Self::DepositLayout { .. } => &["BlockException.INVALID_DEPOSIT_EVENT_LAYOUT"],
            Self::SystemContractEmpty { .. } => &["BlockException.SYSTEM_CONTRACT_EMPTY"],
            Self::SystemContractCallFailed { .. } => &["BlockException.SYSTEM_CONTRACT_CALL_FAILED"],
            Self::BlockAccessListTooLarge { .. } => &["BlockException.BLOCK_ACCESS_LIST_GAS_LIMIT_EXCEEDED"],
            Self::BlockAccessList { .. } => &[
                "BlockException.INVALID_BLOCK_ACCESS_LIST",
                "BlockException.INVALID_BAL_HASH",
                "BlockException.INCORRECT_BLOCK_FORMAT",
            ],
            _ => &["TransactionException.UNDEFINED_EXCEPTION"],
        }
    }
}

/// What a decoder refuses. Fees above 2^128 and their products with the gas limit are among it: alloy holds fees in 128
/// bits, and no sender could pay them.
const MALFORMED: &[&str] = &[
    "BlockException.RLP_STRUCTURES_ENCODING",
    "BlockException.INCORRECT_BLOCK_FORMAT",
    "TransactionException.TYPE_NOT_SUPPORTED",
    "TransactionException.ADDRESS_TOO_SHORT",
    "TransactionException.ADDRESS_TOO_LONG",
    "TransactionException.NONCE_OVERFLOW",
    "TransactionException.GASLIMIT_OVERFLOW",
    "TransactionException.GASPRICE_OVERFLOW",
    "TransactionException.PRIORITY_OVERFLOW",
    "TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2",
    "TransactionException.GASLIMIT_PRICE_PRODUCT_OVERFLOW",
    "TransactionException.VALUE_OVERFLOW",
    "TransactionException.INVALID_SIGNATURE_VRS",
    "TransactionException.INVALID_CHAINID",
    "TransactionException.TYPE_3_TX_CONTRACT_CREATION",
    "TransactionException.TYPE_3_TX_WITH_FULL_BLOBS",
    "TransactionException.TYPE_4_TX_CONTRACT_CREATION",
    "TransactionException.TYPE_4_INVALID_AUTHORIZATION_FORMAT",
];

fn of_field(field: Field) -> &'static [&'static str] {
    match field {
        Field::ParentHash => &["BlockException.UNKNOWN_PARENT", "BlockException.UNKNOWN_PARENT_ZERO"],
        Field::OmmersHash => {
            &["BlockException.INVALID_UNCLES_HASH", "BlockException.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS"]
        }
        Field::StateRoot => &["BlockException.INVALID_STATE_ROOT"],
        Field::TransactionsRoot => &["BlockException.INVALID_TRANSACTIONS_ROOT"],
        Field::ReceiptsRoot => &["BlockException.INVALID_RECEIPTS_ROOT"],
        Field::LogsBloom => &["BlockException.INVALID_LOG_BLOOM"],
        Field::Difficulty => {
            &["BlockException.INVALID_DIFFICULTY", "BlockException.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS"]
        }
        Field::Number => &["BlockException.INVALID_BLOCK_NUMBER"],
        Field::GasUsed => &["BlockException.INVALID_GAS_USED", "BlockException.GAS_USED_OVERFLOW"],
        Field::BaseFee => &["BlockException.INVALID_BASEFEE_PER_GAS"],
        Field::WithdrawalsRoot => &["BlockException.INVALID_WITHDRAWALS_ROOT"],
        Field::BlobGasUsed => &["BlockException.INCORRECT_BLOB_GAS_USED"],
        Field::ExcessBlobGas => &["BlockException.INCORRECT_EXCESS_BLOB_GAS"],
        Field::RequestsHash => &["BlockException.INVALID_REQUESTS"],
        Field::BlockAccessListHash => &[
            "BlockException.INVALID_BAL_HASH",
            "BlockException.INVALID_BLOCK_ACCESS_LIST",
            "BlockException.INVALID_BLOCK_HASH",
            // A list that breaks its own format is seen by its hash where the block does not carry the list.
            "BlockException.INCORRECT_BLOCK_FORMAT",
        ],
        Field::BlockHash => &["BlockException.INVALID_BLOCK_HASH"],
        Field::Nonce | Field::ParentBeaconBlockRoot | Field::SlotNumber => &["BlockException.INCORRECT_BLOCK_FORMAT"],
    }
}

fn of_presence(field: Field, required: bool) -> &'static [&'static str] {
    match (field, required) {
        (Field::WithdrawalsRoot, true) => {
            &["BlockException.INCORRECT_BLOCK_FORMAT", "BlockException.IMPORT_IMPOSSIBLE_PARIS_OVER_SHANGHAI"]
        }
        (Field::WithdrawalsRoot, false) => {
            &["BlockException.INCORRECT_BLOCK_FORMAT", "BlockException.IMPORT_IMPOSSIBLE_SHANGHAI"]
        }
        (Field::BaseFee, true) => &["BlockException.INCORRECT_BLOCK_FORMAT", "BlockException.IMPORT_IMPOSSIBLE_LEGACY"],
        _ => &["BlockException.INCORRECT_BLOCK_FORMAT"],
    }
}

const fn of_ommer(fault: OmmerFault) -> &'static [&'static str] {
    match fault {
        OmmerFault::Duplicate => &["BlockException.UNCLE_IS_BROTHER", "BlockException.UNCLE_IN_CHAIN"],
        OmmerFault::AlreadyNamed => &["BlockException.UNCLE_IN_CHAIN"],
        OmmerFault::Ancestor => &["BlockException.UNCLE_IS_ANCESTOR"],
        OmmerFault::Parent => &["BlockException.UNCLE_PARENT_INCORRECT", "BlockException.UNCLE_UNKNOWN_PARENT"],
        OmmerFault::Header => &["BlockException.UNCLE_PARENT_INCORRECT"],
    }
}

const fn of_type(tx_type: u8) -> &'static [&'static str] {
    match tx_type {
        1 => &["TransactionException.TYPE_1_TX_PRE_FORK", "TransactionException.TYPE_NOT_SUPPORTED"],
        2 => &["TransactionException.TYPE_2_TX_PRE_FORK", "TransactionException.TYPE_NOT_SUPPORTED"],
        3 => &[
            "TransactionException.TYPE_3_TX_PRE_FORK",
            "TransactionException.TYPE_3_TX_ZERO_BLOBS_PRE_FORK",
            "TransactionException.TYPE_NOT_SUPPORTED",
        ],
        4 => &["TransactionException.TYPE_4_TX_PRE_FORK", "TransactionException.TYPE_NOT_SUPPORTED"],
        _ => &["TransactionException.TYPE_NOT_SUPPORTED"],
    }
}

/// Tail of a message about an upper bound that may not be known.
pub(super) fn bounds(bounds: Option<(u64, u64)>) -> String {
    bounds.map(|(most, found)| format!(": expected at most {most}, found {found}")).unwrap_or_default()
}

/// A number, or the word none.
pub(super) fn or_none(number: Option<u64>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

/// The message of a block on the wrong side of the merge.
pub(super) const fn merge_side(proof_of_stake: bool) -> &'static str {
    if proof_of_stake {
        "proof-of-stake block before the terminal total difficulty"
    } else {
        "proof-of-work block after the terminal total difficulty"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Mismatch;
    use alloy_primitives::{B256, U256};

    #[test]
    fn message_is_one_lower_case_line_with_expected_before_found() {
        let rule = Rule::InsufficientFunds { expected: U256::from(7), found: U256::from(3) };
        assert_eq!(rule.to_string(), "sender cannot pay for the transaction: expected a balance of 7 wei, found 3");
        assert_eq!(Rule::GasAllowance { bounds: None }.to_string(), "gas limit above the gas left in the block");
        let rule = Rule::GasAllowance { bounds: Some((1, 2)) };
        assert_eq!(rule.to_string(), "gas limit above the gas left in the block: expected at most 1, found 2");
        let rule = Rule::ChainId { expected: Some(1), found: None };
        assert_eq!(rule.to_string(), "wrong chain id: expected 1, found none");
    }

    #[test]
    fn fixture_alternatives_match_any_official_name() {
        let rule = Rule::NonceTooLow { expected: 2, found: 1 };
        assert_eq!(rule.exception(), "TransactionException.NONCE_MISMATCH_TOO_LOW");
        assert!(
            rule.matches("TransactionException.INSUFFICIENT_ACCOUNT_FUNDS|TransactionException.NONCE_MISMATCH_TOO_LOW")
        );
        assert!(!rule.matches("TransactionException.NONCE_MISMATCH_TOO_HIGH"));
    }

    #[test]
    fn malformed_bytes_match_every_rlp_name_but_no_other_rule_does() {
        let rule = Rule::Encoding { what: "input too short".to_owned() };
        assert!(rule.matches("TransactionException.RLP_LEADING_ZEROS_V"));
        assert!(rule.matches("BlockException.RLP_INVALID_FIELD_OVERFLOW_64"));
        assert!(!Rule::Signature.matches("TransactionException.RLP_LEADING_ZEROS_V"));
    }

    #[test]
    fn field_mismatch_is_named_after_its_field() {
        let differs = Mismatch::check(Field::StateRoot, B256::ZERO, B256::repeat_byte(1));
        let rule = Rule::from(differs.expect_err("values differ"));
        assert_eq!(rule.exception(), "BlockException.INVALID_STATE_ROOT");
        assert!(rule.to_string().starts_with("wrong state root: expected 0x00"));
        assert!(Mismatch::check(Field::GasUsed, 1_u64, 1).is_ok());
    }
}
