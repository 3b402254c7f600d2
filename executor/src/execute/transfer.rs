//! Plain transfers as arithmetic: ether from one account without code to another, without the interpreter.
//!
//! Place in the flow: tried first by every run; [`crate::merge`] folds the result with the same checks against the committed
//! state and otherwise runs the transaction through revm.
//! Invariant: where a transfer is called plain, revm would end in success with 21,000 gas, no refund and no log, and move
//! exactly value and fee. Everything that revm would refuse is not plain, so that revm words the refusal.

use alloy_primitives::{Address, TxKind, U256};
use laminar_state_db::Account;
use revm::{
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::{Cfg, Transaction},
    primitives::hardfork::SpecId,
};

/// Gas of a plain transfer in every fork up to Osaka (yellow paper, `G_transaction`).
pub(crate) const TRANSFER_GAS: u64 = 21_000;

/// The amounts of a plain transfer, in wei.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amounts {
    /// What the sender must own for the transaction to be valid: gas limit at the highest price, and the value.
    pub(crate) required: U256,
    /// What the sender pays for gas.
    pub(crate) charge: U256,
    /// What the beneficiary earns.
    pub(crate) fee: U256,
}

impl Amounts {
    /// The amounts of a transaction that [`plain_recipient`] calls plain.
    pub(crate) fn of(tx: &TxEnv, base_fee: u64, spec: SpecId) -> Self {
        let base_fee = u128::from(base_fee);
        let price = tx.effective_gas_price(base_fee);
        let earned = if spec.is_enabled_in(SpecId::LONDON) { price.saturating_sub(base_fee) } else { price };
        Self {
            required: tx.max_balance_spending().unwrap_or(U256::MAX),
            charge: U256::from(price) * U256::from(TRANSFER_GAS),
            fee: U256::from(earned) * U256::from(TRANSFER_GAS),
        }
    }

    /// Whether the transfer is valid from `sender` as it is.
    pub(crate) fn are_paid_by(&self, tx: &TxEnv, sender: &Account) -> bool {
        !sender.has_code() && sender.nonce == tx.nonce && sender.balance >= self.required
    }
}

/// The recipient of `tx`, if it is a plain transfer whatever the state, provided that neither end has code.
///
/// CONSENSUS: the static checks of `validate_env`: chain id (EIP-155), gas limit against block and cap (EIP-7825), price
/// against base fee (EIP-1559), intrinsic and floor gas (both 21,000 without data, EIP-7623).
pub(super) fn plain_recipient(tx: &TxEnv, block: &BlockEnv, cfg: &CfgEnv) -> Option<Address> {
    let TxKind::Call(recipient) = tx.kind else { return None };
    let base_fee = u128::from(block.basefee);
    let priced = match tx.tx_type {
        0 | 1 => tx.gas_price >= base_fee,
        2 => tx.gas_price >= base_fee && tx.gas_priority_fee.unwrap_or_default() <= tx.gas_price,
        _ => false,
    };
    let on_chain = match tx.chain_id {
        Some(chain_id) => chain_id == cfg.chain_id,
        None => tx.tx_type == 0,
    };
    let supported = match tx.tx_type {
        1 => cfg.spec.is_enabled_in(SpecId::BERLIN),
        2 => cfg.spec.is_enabled_in(SpecId::LONDON),
        _ => true,
    };
    let plain = priced
        && on_chain
        && supported
        && tx.data.is_empty()
        && tx.access_list.0.is_empty()
        && tx.gas_limit >= TRANSFER_GAS
        && tx.gas_limit <= block.gas_limit
        && tx.gas_limit <= cfg.tx_gas_limit_cap()
        && tx.nonce < u64::MAX
        && recipient != tx.caller
        && !may_be_precompile(&recipient)
        && !cfg.spec.is_enabled_in(SpecId::AMSTERDAM);
    plain.then_some(recipient)
}

/// Every precompile up to Osaka has an address below 2^16 (EIP-7951 ends at 0x100).
fn may_be_precompile(address: &Address) -> bool {
    address[..18].iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use revm::context::TransactionType;

    fn check(change: impl FnOnce(&mut TxEnv, &mut BlockEnv, &mut CfgEnv), plain: bool) {
        let mut tx = TxEnv::builder()
            .caller(Address::repeat_byte(1))
            .kind(TxKind::Call(Address::repeat_byte(2)))
            .gas_limit(30_000)
            .gas_price(10)
            .value(U256::from(5))
            .build()
            .unwrap();
        tx.chain_id = Some(1);
        let mut block = BlockEnv { gas_limit: 1_000_000, basefee: 7, ..BlockEnv::default() };
        let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
        change(&mut tx, &mut block, &mut cfg);
        assert_eq!(plain_recipient(&tx, &block, &cfg).is_some(), plain, "{tx:?}");
    }

    #[test]
    fn only_what_revm_accepts_is_plain() {
        check(|_, _, _| (), true);
        check(|tx, _, _| tx.tx_type = TransactionType::Eip1559 as u8, true);
        check(|tx, _, _| tx.chain_id = None, true);
        check(|tx, _, _| tx.gas_limit = 21_000, true);
        check(|tx, _, _| tx.gas_limit = 20_999, false);
        check(|tx, _, _| tx.gas_limit = 1_000_001, false);
        check(|tx, block, _| (tx.gas_limit, block.gas_limit) = (1 << 25, 1 << 30), false);
        check(|tx, _, _| tx.chain_id = Some(2), false);
        check(|tx, _, _| tx.gas_price = 6, false);
        check(|tx, _, _| (tx.tx_type, tx.gas_priority_fee) = (2, Some(11)), false);
        check(|tx, _, _| (tx.tx_type, tx.chain_id) = (1, None), false);
        check(|tx, _, _| tx.tx_type = 3, false);
        check(|tx, _, _| tx.data = vec![0].into(), false);
        check(|tx, _, _| tx.kind = TxKind::Create, false);
        check(|tx, _, _| tx.kind = TxKind::Call(tx.caller), false);
        check(|tx, _, _| tx.kind = TxKind::Call(Address::with_last_byte(1)), false);
        check(|tx, _, _| tx.nonce = u64::MAX, false);
        check(|tx, _, cfg| (cfg.spec, tx.tx_type) = (SpecId::ISTANBUL, 1), false);
        check(|tx, _, cfg| (cfg.spec, tx.tx_type) = (SpecId::BERLIN, 2), false);
    }

    #[test]
    fn amounts_follow_the_fork() {
        let mut tx = TxEnv::builder().caller(Address::repeat_byte(1)).gas_limit(25_000).gas_price(10).build().unwrap();
        (tx.kind, tx.value) = (TxKind::Call(Address::repeat_byte(2)), U256::from(5));
        tx.chain_id = Some(1);
        let london = Amounts::of(&tx, 7, SpecId::LONDON);
        assert_eq!(london.required, U256::from(250_005));
        assert_eq!((london.charge, london.fee), (U256::from(210_000), U256::from(63_000)));
        let berlin = Amounts::of(&tx, 0, SpecId::BERLIN);
        assert_eq!((berlin.charge, berlin.fee), (U256::from(210_000), U256::from(210_000)));
    }
}
