//! Why a call has no result, in geth's words.
//!
//! Place in the flow: what every call method gives back; [`crate::error`] says with which code it is written.
//! Invariant: messages are geth's to the letter where geth has one, because clients compare them.

use crate::error::{Code, RpcError, SimulationCode};
use alloy_primitives::{Address, Bytes};
use revm::{
    context::{
        BlockEnv, CfgEnv, TxEnv,
        result::{HaltReason, InvalidTransaction, OutOfGasError},
    },
    context_interface::{Block, Cfg},
    primitives::eip3860::MAX_INITCODE_SIZE,
};
use std::{fmt, time::Duration};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It ran and reverted with this data.
    #[error("{}", RpcError::reverted(.output.clone()).message)]
    Revert {
        /// What the call gave back.
        output: Bytes,
    },
    /// It ran and failed otherwise.
    #[error("{reason}")]
    Halt {
        /// geth's words.
        reason: String,
    },
    /// It cannot run.
    #[error("{0}")]
    Invalid(Invalid),
    /// The request contradicts itself or the chain.
    #[error("{what}")]
    Request {
        /// geth's words.
        what: String,
    },
    /// A parameter is out of its bounds.
    #[error("{what}")]
    Params {
        /// Which and why.
        what: String,
    },
    /// It asks for more than the node serves.
    #[error("{what}")]
    Limit {
        /// Of what.
        what: String,
    },
    /// The blocks of a simulation do not follow each other.
    #[error("{what}")]
    Order {
        /// Whether numbers or timestamps.
        of: Sequence,
        /// geth's words.
        what: String,
    },
    /// It took too long.
    #[error("execution aborted (timeout = {}s)", .timeout.as_secs_f64())]
    Timeout {
        /// How long was given.
        timeout: Duration,
    },
    /// The state could not be read.
    #[error("{source}")]
    State {
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An invariant of ours broke.
    #[error("{what}")]
    Internal {
        /// For the log.
        what: String,
    },
}

/// What has to ascend over the blocks of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Block numbers.
    Numbers,
    /// Timestamps.
    Timestamps,
}

impl CallError {
    /// A failed read.
    pub fn state(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::State { source: Box::new(source) }
    }

    /// A request that contradicts itself.
    pub fn request(what: impl fmt::Display) -> Self {
        Self::Request { what: what.to_string() }
    }

    /// A parameter out of its bounds.
    pub fn params(what: impl fmt::Display) -> Self {
        Self::Params { what: what.to_string() }
    }

    /// As an answer of `eth_simulateV1`, which tells broken rules apart.
    pub fn into_simulation_error(self) -> RpcError {
        let code = match &self {
            Self::Invalid(invalid) => invalid.kind.simulation_code(),
            Self::Order { of: Sequence::Numbers, .. } => Code::Simulation(SimulationCode::BlockNumber),
            Self::Order { of: Sequence::Timestamps, .. } => Code::Simulation(SimulationCode::Timestamp),
            Self::Limit { .. } => Code::Simulation(SimulationCode::TooManyBlocks),
            _ => return self.into(),
        };
        RpcError::new(code, self)
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Revert { output } => Self::reverted(output),
            CallError::Params { .. } => Self::params(error),
            CallError::State { ref source } => Self::internal(source.as_ref()),
            CallError::Internal { .. } => Self::internal(&error),
            other => Self::server(other),
        }
    }
}
/// Which rule a transaction breaks, as far as the codes of `eth_simulateV1` tell rules apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidKind {
    /// Nonce below the sender's.
    NonceTooLow,
    /// Nonce above the sender's.
    NonceTooHigh,
    /// Fee below the base fee.
    FeeTooLow,
    /// Gas limit below what the transaction costs before its first instruction.
    IntrinsicGas,
    /// The sender cannot pay.
    Funds,
    /// The gas limit of the block is reached.
    BlockGas,
    /// The sender has code.
    SenderHasCode,
    /// Init code too long (EIP-3860).
    InitCode,
    /// A fee that contradicts itself.
    Fees,
    /// Any other rule.
    Other,
}

impl InvalidKind {
    const fn simulation_code(self) -> Code {
        Code::Simulation(match self {
            Self::NonceTooLow => SimulationCode::NonceTooLow,
            Self::NonceTooHigh => SimulationCode::NonceTooHigh,
            Self::FeeTooLow => SimulationCode::FeeCapTooLow,
            Self::IntrinsicGas => SimulationCode::IntrinsicGas,
            Self::Funds => SimulationCode::InsufficientFunds,
            Self::BlockGas => SimulationCode::BlockGasLimit,
            Self::SenderHasCode => SimulationCode::SenderNotEoa,
            Self::InitCode => SimulationCode::InitCodeTooLarge,
            Self::Fees => return Code::InvalidParams,
            Self::Other => return Code::Internal,
        })
    }
}

/// A transaction that cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("err: {message} (supplied gas {gas_limit})")]
pub struct Invalid {
    /// Which rule.
    pub kind: InvalidKind,
    /// geth's words.
    pub message: String,
    /// The gas limit that it was tried with.
    pub gas_limit: u64,
}

impl Invalid {
    /// revm's refusal in geth's words.
    pub fn explain(invalid: InvalidTransaction, tx: &TxEnv, block: &BlockEnv, cfg: &CfgEnv) -> Self {
        let kind = kind_of(&invalid);
        Self { kind, message: message(invalid, tx, block, cfg), gas_limit: tx.gas_limit }
    }
}

const fn kind_of(invalid: &InvalidTransaction) -> InvalidKind {
    match invalid {
        InvalidTransaction::NonceTooLow { .. } => InvalidKind::NonceTooLow,
        InvalidTransaction::NonceTooHigh { .. } => InvalidKind::NonceTooHigh,
        InvalidTransaction::GasPriceLessThanBasefee => InvalidKind::FeeTooLow,
        InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
        | InvalidTransaction::GasFloorMoreThanGasLimit { .. } => InvalidKind::IntrinsicGas,
        InvalidTransaction::LackOfFundForMaxFee { .. } | InvalidTransaction::OverflowPaymentInTransaction => {
            InvalidKind::Funds
        }
        InvalidTransaction::CallerGasLimitMoreThanBlock => InvalidKind::BlockGas,
        InvalidTransaction::RejectCallerWithCode => InvalidKind::SenderHasCode,
        InvalidTransaction::CreateInitCodeSizeLimit => InvalidKind::InitCode,
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => InvalidKind::Fees,
        _ => InvalidKind::Other,
    }
}

fn message(invalid: InvalidTransaction, tx: &TxEnv, block: &BlockEnv, cfg: &CfgEnv) -> String {
    let address: Address = tx.caller;
    match invalid {
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: address {address} have {balance} want {fee}")
        }
        InvalidTransaction::OverflowPaymentInTransaction => {
            format!("insufficient funds for gas * price + value: address {address} required balance exceeds 256 bits")
        }
        InvalidTransaction::GasPriceLessThanBasefee => format!(
            "max fee per gas less than block base fee: address {address}, maxFeePerGas: {}, baseFee: {}",
            tx.gas_price, block.basefee
        ),
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => format!(
            "max priority fee per gas higher than max fee per gas: address {address}, maxPriorityFeePerGas: {}, \
             maxFeePerGas: {}",
            tx.gas_priority_fee.unwrap_or_default(),
            tx.gas_price
        ),
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        InvalidTransaction::NonceTooLow { tx: nonce, state } => {
            format!("nonce too low: address {address}, tx: {nonce} state: {state}")
        }
        InvalidTransaction::NonceTooHigh { tx: nonce, state } => {
            format!("nonce too high: address {address}, tx: {nonce} state: {state}")
        }
        InvalidTransaction::NonceOverflowInTransaction => {
            format!("nonce has max value: address {address}, nonce: {}", tx.nonce)
        }
        InvalidTransaction::CreateInitCodeSizeLimit => {
            format!("max initcode size exceeded: code size {} limit {MAX_INITCODE_SIZE}", tx.data.len())
        }
        InvalidTransaction::RejectCallerWithCode => format!("sender not an eoa: address {address}"),
        InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit, .. } => {
            format!("transaction gas limit too high (cap: {}, tx: {gas_limit})", cfg.tx_gas_limit_cap())
        }
        InvalidTransaction::BlobGasPriceGreaterThanMax { tx_max_fee_per_blob_gas, .. } => format!(
            "max fee per blob gas less than block blob gas fee: address {address} blobGasFeeCap: \
             {tx_max_fee_per_blob_gas}, blobBaseFee: {}",
            block.blob_gasprice().unwrap_or_default()
        ),
        InvalidTransaction::EmptyBlobs => "blob transaction missing blob hashes".to_owned(),
        InvalidTransaction::BlobCreateTransaction => "blob transaction of type create".to_owned(),
        InvalidTransaction::EmptyAuthorizationList => {
            format!("EIP-7702 transaction with empty auth list (sender {address})")
        }
        InvalidTransaction::AuthorizationListInvalidFields => {
            format!("EIP-7702 transaction cannot be used to create contract (sender {address})")
        }
        other => other.to_string(),
    }
}

/// A failed run in geth's words.
pub fn halt_reason(reason: &HaltReason) -> String {
    let words = match reason {
        HaltReason::OutOfGas(OutOfGasError::InvalidOperand) => "gas uint64 overflow",
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached 1024 (1024)",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::PrecompileErrorWithContext(what) => return what.clone(),
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => "write protection",
        HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
        other => return format!("{other:?}"),
    };
    words.to_owned()
}
