//! What revm refuses, as rules.
//!
//! Place in the flow: execution turns a refused transaction into an invalid block with it.
//! Invariant: every refusal becomes a rule; one that revm adds later becomes [`Rule::Other`] with its text.

use super::Rule;
use revm::context_interface::result::InvalidTransaction;

impl From<InvalidTransaction> for Rule {
    /// revm's refusal as a rule. Values that revm does not carry are left out of the message.
    fn from(refusal: InvalidTransaction) -> Self {
        use InvalidTransaction as T;
        match refusal {
            T::PriorityFeeGreaterThanMaxFee => Self::PriorityFeeAboveMaxFee,
            T::GasPriceLessThanBasefee => Self::MaxFeeBelowBaseFee,
            T::CallerGasLimitMoreThanBlock => Self::GasAllowance { bounds: None },
            T::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
                Self::IntrinsicGas { expected: initial_gas, found: gas_limit }
            }
            T::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
                Self::FloorGas { expected: gas_floor, found: gas_limit }
            }
            T::RejectCallerWithCode => Self::SenderHasCode,
            T::LackOfFundForMaxFee { fee, balance } => Self::InsufficientFunds { expected: *fee, found: *balance },
            T::OverflowPaymentInTransaction => Self::CostOverflow,
            T::NonceOverflowInTransaction => Self::NonceIsMax,
            T::NonceTooHigh { tx, state } => Self::NonceTooHigh { expected: state, found: tx },
            T::NonceTooLow { tx, state } => Self::NonceTooLow { expected: state, found: tx },
            T::CreateInitCodeSizeLimit => Self::InitCodeTooLarge,
            T::TxGasLimitGreaterThanCap { gas_limit, cap } => {
                Self::GasLimitAboveCap { expected: cap, found: gas_limit }
            }
            T::AccessListNotSupported | T::Eip2930NotSupported => Self::TypePreFork { tx_type: 1 },
            T::Eip1559NotSupported => Self::TypePreFork { tx_type: 2 },
            T::MaxFeePerBlobGasNotSupported | T::BlobVersionedHashesNotSupported | T::Eip4844NotSupported => {
                Self::TypePreFork { tx_type: 3 }
            }
            T::AuthorizationListNotSupported | T::Eip7702NotSupported => Self::TypePreFork { tx_type: 4 },
            T::BlobGasPriceGreaterThanMax { block_blob_gas_price, tx_max_fee_per_blob_gas } => {
                Self::BlobFeeTooLow { expected: block_blob_gas_price, found: tx_max_fee_per_blob_gas }
            }
            T::EmptyBlobs => Self::NoBlobs,
            T::BlobCreateTransaction => Self::TypeCannotCreate { tx_type: 3 },
            T::TooManyBlobs { max, have } => Self::TooManyBlobs { expected: max as u64, found: have as u64 },
            T::BlobVersionNotSupported => Self::BlobHashVersion,
            T::AuthorizationListInvalidFields => Self::TypeCannotCreate { tx_type: 4 },
            T::EmptyAuthorizationList => Self::NoAuthorizations,
            T::InvalidChainId | T::MissingChainId => Self::ChainId { expected: None, found: None },
            other => Self::Other { what: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_of_revm_keeps_its_values() {
        let rule = Rule::from(InvalidTransaction::NonceTooHigh { tx: 9, state: 4 });
        assert_eq!(rule, Rule::NonceTooHigh { expected: 4, found: 9 });
        assert_eq!(Rule::from(InvalidTransaction::Str("odd".into())).to_string(), "transaction refused: odd");
    }
}
