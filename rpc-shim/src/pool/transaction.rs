//! A transaction as the pool holds it: signed, with its sender, ready to run.
//!
//! Place in the flow: made once at arrival; the queues, the block builder and the engine share it.
//! Invariant: `env` is what revm runs for `transaction` sent by `sender`, so that nothing is recovered twice. The block form
//! never carries blobs; they stand beside it.

use super::{error::PoolError, sidecar::with_cell_proofs};
use alloy_consensus::{EthereumTxEnvelope, Signed, Transaction as _, TxEip4844WithSidecar, Typed2718};
use alloy_eips::{
    eip2718::{Decodable2718, Encodable2718},
    eip7594::BlobTransactionSidecarVariant,
};
use alloy_primitives::{Address, B256, Bytes, Signature, U256};
use laminar_executor::{
    ExecuteError, Simulated, Transaction, TxIndex,
    chain_spec::Rules,
    env::tx_env,
    recover::{Senders, check_transaction, decode_transaction, recover_authorities, recover_senders},
};
use parking_lot::Mutex;
use revm::{context::TxEnv, context_interface::Transaction as _};
use std::sync::Arc;

/// EIP-2718 type of a blob transaction.
const BLOB_TYPE: u8 = 3;

/// A transaction as clients send it: blob transactions with their sidecar.
type Sent = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

/// Who brought a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A client of this node: exempt from prices and evictions.
    Local,
    /// Somebody else.
    #[default]
    Remote,
}

/// A transaction with all that was found out about it.
#[derive(Clone, Debug)]
pub struct Pooled {
    hash: B256,
    transaction: Transaction,
    sender: Address,
    env: TxEnv,
    sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
    origin: Origin,
    impersonated: bool,
    cost: U256,
    len: usize,
    /// What the pool found when it ran it on the state after its head.
    simulated: Arc<Mutex<Option<Simulated>>>,
}

impl Pooled {
    /// Decodes what `eth_sendRawTransaction` brings and recovers its sender under the rules of the next block.
    ///
    /// # Errors
    /// The bytes are no transaction, or one that the fork or the chain does not allow, or signed by nobody.
    pub fn decode(bytes: &[u8], rules: &Rules, origin: Origin) -> Result<Self, PoolError> {
        if bytes.first() != Some(&BLOB_TYPE) {
            return Self::new(decode_transaction(bytes)?, None, rules, origin);
        }
        let what = |error: alloy_eips::eip2718::Eip2718Error| PoolError::Encoding { what: error.to_string() };
        match Sent::decode_2718_exact(bytes) {
            Ok(Sent::Eip4844(signed)) => {
                let (tx, signature, hash) = signed.into_parts();
                let signed = Signed::new_unchecked(tx.tx, signature, hash);
                Self::new(signed.into(), Some(Arc::new(tx.sidecar)), rules, origin)
            }
            Ok(_) => Err(PoolError::Encoding { what: "a blob transaction was announced".to_owned() }),
            Err(_) if decode_transaction(bytes).is_ok() => Err(PoolError::NoSidecar),
            Err(error) => Err(what(error)),
        }
    }

    /// A transaction in block form whose sender is recovered.
    ///
    /// # Errors
    /// As [`Self::decode`], the bytes aside.
    pub fn new(
        transaction: Transaction,
        sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
        rules: &Rules,
        origin: Origin,
    ) -> Result<Self, PoolError> {
        let senders = recover_senders(std::slice::from_ref(&transaction), rules).map_err(|error| match error {
            ExecuteError::InvalidBlock { rule, .. } => rule.into(),
            other => PoolError::State { what: other.to_string() },
        })?;
        Self::from_senders(transaction, &senders, sidecar, origin)
    }

    /// A transaction that counts as sent by `sender`, whoever signed it: a block's, whose senders are known, or an
    /// impersonated account's.
    ///
    /// # Errors
    /// The fork or the chain does not allow the transaction.
    pub fn sent_by(
        sender: Address,
        transaction: Transaction,
        sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
        rules: &Rules,
        origin: Origin,
    ) -> Result<Self, PoolError> {
        check_transaction(&transaction, rules)?;
        let authorizations = recover_authorities(std::slice::from_ref(&transaction));
        Self::from_senders(transaction, &Senders { addresses: vec![sender], authorizations }, sidecar, origin)
    }

    fn from_senders(
        transaction: Transaction,
        senders: &Senders,
        sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
        origin: Origin,
    ) -> Result<Self, PoolError> {
        let env = tx_env(&transaction, senders, TxIndex(0));
        let cost = env.max_balance_spending().map_err(|_| PoolError::CostOverflow)?;
        let len = transaction.encode_2718_len();
        Ok(Self {
            hash: *transaction.tx_hash(),
            sender: env.caller,
            transaction,
            env,
            sidecar,
            origin,
            impersonated: false,
            cost,
            len,
            simulated: Arc::default(),
        })
    }

    /// The same with proofs of the cells, where it came with one for each blob.
    ///
    /// # Errors
    /// A blob is none.
    pub(super) fn with_cell_proofs(self) -> Result<Self, PoolError> {
        let Some(BlobTransactionSidecarVariant::Eip4844(legacy)) = self.sidecar.as_deref() else { return Ok(self) };
        let sidecar = BlobTransactionSidecarVariant::Eip7594(with_cell_proofs(legacy)?);
        Ok(Self { sidecar: Some(Arc::new(sidecar)), ..self })
    }

    /// A transaction of an account that a development node impersonates: nobody signed it, and its sender may be a contract.
    ///
    /// Its signature must be [`Self::impersonation`] of the sender.
    ///
    /// # Errors
    /// The fork or the chain does not allow the transaction.
    pub fn impersonated(sender: Address, transaction: Transaction, rules: &Rules) -> Result<Self, PoolError> {
        let tx = Self::sent_by(sender, transaction, None, rules, Origin::Local)?;
        Ok(Self { impersonated: true, ..tx })
    }

    /// The signature that stands in a transaction of an impersonated account. It is nobody's, and different for different
    /// senders, so that their transactions have different hashes.
    pub fn impersonation(sender: Address) -> Signature {
        Signature::new(U256::from_be_slice(sender.as_slice()), U256::ONE, false)
    }

    /// Whether a development node sends it in the name of an account that did not sign it.
    pub const fn is_impersonated(&self) -> bool {
        self.impersonated
    }

    /// Hash of the transaction.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The transaction as a block carries it.
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Who sent it.
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// Its nonce.
    pub const fn nonce(&self) -> u64 {
        self.env.nonce
    }

    /// What revm runs.
    pub const fn env(&self) -> &TxEnv {
        &self.env
    }

    /// Its blobs.
    pub const fn sidecar(&self) -> Option<&Arc<BlobTransactionSidecarVariant>> {
        self.sidecar.as_ref()
    }

    /// Who brought it.
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether it carries blobs.
    pub fn is_blob(&self) -> bool {
        self.transaction.ty() == BLOB_TYPE
    }

    /// The most that it can cost its sender: gas at the highest price, blobs, and the value; in wei.
    pub const fn cost(&self) -> U256 {
        self.cost
    }

    /// Length in block form, in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Never true: a transaction has bytes.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Bytes that it holds in the pool, blobs included.
    pub fn size(&self) -> usize {
        self.len + self.sidecar.as_ref().map_or(0, |sidecar| sidecar.rlp_encoded_fields_length())
    }

    /// The most that it pays for gas, in wei per gas.
    pub const fn max_fee(&self) -> u128 {
        self.env.gas_price
    }

    /// The most that it pays above the base fee, in wei per gas.
    pub fn max_tip(&self) -> u128 {
        self.env.gas_priority_fee.unwrap_or(self.env.gas_price)
    }

    /// What the beneficiary gets under a base fee, in wei per gas; `None` if the base fee is not covered.
    pub fn tip_at(&self, base_fee: u64) -> Option<u128> {
        self.transaction.effective_tip_per_gas(base_fee)
    }

    /// Whether it covers base fee and blob base fee.
    pub fn covers(&self, base_fee: u64, blob_fee: Option<u128>) -> bool {
        let blobs = !self.is_blob() || blob_fee.is_none_or(|fee| self.env.max_fee_per_blob_gas >= fee);
        blobs && self.max_fee() >= u128::from(base_fee)
    }

    /// Its simulation on the state that its pool stands on, if there is one.
    pub fn simulated(&self) -> Option<Simulated> {
        self.simulated.lock().clone()
    }

    /// Puts a simulation on it, or takes it off; the one before.
    pub(super) fn set_simulated(&self, simulated: Option<Simulated>) -> Option<Simulated> {
        std::mem::replace(&mut self.simulated.lock(), simulated)
    }

    /// Its bytes as a block carries them.
    pub fn encoded(&self) -> Bytes {
        self.transaction.encoded_2718().into()
    }
}
