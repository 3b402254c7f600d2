//! How exactly a run looked at an account, and at what of the block around it: what must still hold for its result to be right.
//!
//! Place in the flow: `execute` records it, [`crate::effects`] carries it, [`crate::validate`] checks it.
//! Invariant: a rule is never weaker than what the run depended on. Where that cannot be decided cheaply it is
//! [`BalanceRule::Exact`].
//!
//! Why conditions are enough: ether moves commute as long as every comparison that the run made comes out the same. A run
//! compares balances in three places only: the fee and value check of the sender, the value of a `CALL`, `CALLCODE` or
//! `CREATE`, and opcodes that put a balance on the stack. The first two become a lower bound; the third makes the balance
//! exact. Overflow of an addition is excluded by [`RELATIVE_BALANCE_MAX`].

use alloy_primitives::U256;
use revm::context::BlockEnv;

/// Balances from here on are never treated as relative, so that no sum of two relative amounts can overflow 256 bits.
pub(crate) const RELATIVE_BALANCE_MAX: U256 = U256::from_limbs([0, 0, 1, 0]);

/// What a run needs of a balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BalanceRule {
    /// At least so many wei; zero means that the run does not depend on the balance.
    AtLeast(U256),
    /// Exactly the balance that was seen.
    Exact,
}

impl Default for BalanceRule {
    fn default() -> Self {
        Self::AtLeast(U256::ZERO)
    }
}

impl BalanceRule {
    /// Adds a second demand: the stronger of both holds from now on.
    pub(crate) fn strengthen(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::AtLeast(a), Self::AtLeast(b)) => Self::AtLeast(a.max(b)),
            _ => Self::Exact,
        };
    }

    /// Whether `now` satisfies the rule of a run that saw `seen`.
    pub(crate) fn holds(self, seen: U256, now: U256) -> bool {
        match self {
            _ if seen == now => true,
            Self::Exact => false,
            Self::AtLeast(least) => now >= least && now < RELATIVE_BALANCE_MAX,
        }
    }
}

/// What a run looked at of the block that it was made in, one bit a thing. The base fee is not among them: every run pays it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvironmentReads(u8);

impl EnvironmentReads {
    /// `COINBASE`; or a frame ended early, perhaps because an account was not as cheap as the beneficiary's (EIP-3651).
    pub(crate) const BENEFICIARY: Self = Self(1);
    /// `TIMESTAMP`.
    pub(crate) const TIMESTAMP: Self = Self(1 << 1);
    /// `NUMBER`.
    pub(crate) const NUMBER: Self = Self(1 << 2);
    /// `BLOCKHASH`: the branch that the block stands on.
    pub(crate) const ANCESTORS: Self = Self(1 << 3);
    /// `DIFFICULTY`, `PREVRANDAO`.
    pub(crate) const RANDOMNESS: Self = Self(1 << 4);
    /// `GASLIMIT`.
    pub(crate) const GAS_LIMIT: Self = Self(1 << 5);
    /// `BLOBBASEFEE`.
    pub(crate) const BLOB_FEE: Self = Self(1 << 6);
    /// `SLOTNUM` (EIP-7843).
    pub(crate) const SLOT_NUMBER: Self = Self(1 << 7);

    /// Adds what else was looked at.
    pub(crate) const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether all of `other` was looked at.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether everything that a run in `seen` looked at is the same in `now`, ancestors aside.
    pub(crate) fn hold(self, seen: &BlockEnv, now: &BlockEnv) -> bool {
        let same = |what: Self, same: bool| same || !self.contains(what);
        same(Self::BENEFICIARY, seen.beneficiary == now.beneficiary)
            && same(Self::TIMESTAMP, seen.timestamp == now.timestamp)
            && same(Self::NUMBER, seen.number == now.number)
            && same(Self::RANDOMNESS, (seen.difficulty, seen.prevrandao) == (now.difficulty, now.prevrandao))
            && same(Self::GAS_LIMIT, seen.gas_limit == now.gas_limit)
            && same(Self::BLOB_FEE, seen.blob_excess_gas_and_price == now.blob_excess_gas_and_price)
            && same(Self::SLOT_NUMBER, seen.slot_num == now.slot_num)
    }
}

/// What a run needs of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonceRule {
    /// Only what emptiness needs: the account did not send the transaction, which neither created nor carried authorizations.
    Free,
    /// The nonce that was seen.
    Exact,
    /// The nonce that the transaction names; the run did not look whether the state agrees.
    Assumed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stronger_rule_wins_in_any_order() {
        let least = |wei: u64| BalanceRule::AtLeast(U256::from(wei));
        for (a, b, want) in [
            (least(1), least(2), least(2)),
            (least(2), least(1), least(2)),
            (least(9), BalanceRule::Exact, BalanceRule::Exact),
            (BalanceRule::Exact, least(9), BalanceRule::Exact),
        ] {
            let mut rule = a;
            rule.strengthen(b);
            assert_eq!(rule, want, "{a:?} and {b:?}");
        }
    }

    #[test]
    fn bound_is_inclusive_and_huge_balances_are_exact() {
        let least = BalanceRule::AtLeast(U256::from(10));
        let seen = U256::from(50);
        assert!(least.holds(seen, U256::from(10)));
        assert!(!least.holds(seen, U256::from(9)));
        assert!(!least.holds(seen, RELATIVE_BALANCE_MAX));
        assert!(least.holds(RELATIVE_BALANCE_MAX, RELATIVE_BALANCE_MAX));
        assert!(!BalanceRule::Exact.holds(seen, U256::from(51)));
        assert!(BalanceRule::Exact.holds(seen, seen));
    }
}
