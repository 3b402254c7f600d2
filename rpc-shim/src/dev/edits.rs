//! Changes of the state that no transaction makes: `anvil_setBalance` and its kin.
//!
//! Place in the flow: an edit becomes a set of changes on the state after the head; the node amends that state with them.
//! Invariant: an edit carries the values before it, so that it can be taken back. As on anvil, the head's header keeps its state
//! root; the next block's root is that of the edited state, and so are proofs and history from that block on.

use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, U256, keccak256};
use laminar_state_db::{Account, AccountChange, BlockChanges, SlotChange};
use revm::{DatabaseRef, bytecode::Bytecode};

/// One edit of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The balance, in wei.
    Balance(U256),
    /// Wei to add to the balance.
    AddBalance(U256),
    /// The nonce.
    Nonce(u64),
    /// The code; empty for none.
    Code(Bytes),
    /// A slot and its value.
    Slot(U256, U256),
}

/// What an edit changes on a state.
///
/// # Errors
/// The account could not be read.
pub(super) fn changes_of<DB: DatabaseRef>(state: &DB, address: Address, edit: Edit) -> Result<BlockChanges, DB::Error> {
    let before = state.basic_ref(address)?.as_ref().map(Account::from);
    let account = before.unwrap_or_default();
    let mut changes = BlockChanges::default();
    let mut change = AccountChange { before, ..AccountChange::default() };
    let after = match edit {
        Edit::Balance(balance) => Account { balance, ..account },
        Edit::AddBalance(wei) => Account { balance: account.balance.saturating_add(wei), ..account },
        Edit::Nonce(nonce) => Account { nonce, ..account },
        Edit::Code(code) if code.is_empty() => Account { code_hash: KECCAK256_EMPTY, ..account },
        Edit::Code(code) => {
            let code_hash = keccak256(&code);
            let code = Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code));
            changes.contracts.insert(code_hash, code);
            Account { code_hash, ..account }
        }
        Edit::Slot(slot, after) => {
            let before = state.storage_ref(address, slot)?;
            change.storage.insert(slot, SlotChange { before, after });
            account
        }
    };
    change.after = Some(after);
    changes.accounts.insert(address, change);
    Ok(changes)
}

/// The changes that take an edit back.
pub(super) fn inverse(changes: &BlockChanges) -> BlockChanges {
    let back = |slot: &SlotChange| SlotChange { before: slot.after, after: slot.before };
    let accounts = changes.accounts.iter().map(|(address, change)| {
        let storage = change.storage.iter().map(|(slot, value)| (*slot, back(value))).collect();
        (*address, AccountChange { before: change.after, after: change.before, storage_cleared: false, storage })
    });
    BlockChanges { accounts: accounts.collect(), contracts: Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laminar_state_db::MemoryState;

    #[test]
    fn an_edit_and_its_inverse_are_nothing() {
        let address = Address::repeat_byte(1);
        let mut state = MemoryState::default();
        state.insert_account(Address::repeat_byte(2), Account { nonce: 1, ..Account::default() });
        let edits = [
            Edit::Balance(U256::from(7)),
            Edit::AddBalance(U256::MAX),
            Edit::Nonce(9),
            Edit::Code(Bytes::from_static(&[1, 2])),
            Edit::Slot(U256::from(3), U256::from(4)),
            Edit::Code(Bytes::new()),
        ];
        let mut done = vec![];
        let root = state.state_root();
        for edit in edits {
            let changes = changes_of(&state, address, edit).unwrap();
            state.apply(&changes);
            done.push(changes);
        }
        let account = *state.account(&address).unwrap();
        assert_eq!((account.nonce, account.balance, account.has_code()), (9, U256::MAX, false));
        assert_eq!(state.slot(&address, &U256::from(3)), U256::from(4));
        assert_ne!(state.state_root(), root);
        for changes in done.iter().rev() {
            state.apply(&inverse(changes));
        }
        assert_eq!(state.state_root(), root);
    }
}
