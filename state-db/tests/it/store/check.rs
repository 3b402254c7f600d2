//! The one check of a store against the oracle: everything that can be asked about every block.

use super::naive::{ACCOUNTS, Naive, SLOTS, address};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount, proof::verify_proof};
use laminar_state_db::{AccountProof, BlockData, StateView, Store, StoreError, TransactionPlace};
use std::collections::BTreeMap;

/// What the store should hold: every block with the state after it, and which block is the tip.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) blocks: BTreeMap<B256, (BlockData, Naive, B256)>,
    pub(super) tip: B256,
}

impl Model {
    pub(super) fn state(&self, hash: &B256) -> &Naive {
        &self.blocks[hash].1
    }

    pub(super) fn is_committed(&self, hash: &B256) -> bool {
        self.state(&self.tip).branch.iter().any(|block| block.hash == *hash)
    }
}

/// Asks everything.
#[track_caller]
pub(super) fn check_store(store: &Store, model: &Model) {
    assert_eq!(store.tip(), model.blocks[&model.tip].0.id);
    for (hash, (block, state, root)) in &model.blocks {
        assert_eq!(store.block(hash).expect("kept").as_deref(), Some(block));
        assert_eq!(store.header(hash).expect("kept").as_ref(), Some(&block.header));
        assert_eq!(store.body(hash).expect("kept").as_ref(), Some(&block.body));
        assert_eq!(store.receipts(hash).expect("kept").as_ref(), Some(&block.receipts));
        check_view(&store.view_at(hash).expect("kept"), state, *root);
        for (index, transaction) in (0..).zip(&block.transactions) {
            let want = model.is_committed(hash).then_some(TransactionPlace { block: block.id, index });
            assert_eq!(store.transaction(transaction).expect("readable"), want, "transaction of {:?}", block.id);
        }
    }
    let canonical = &model.state(&model.tip).branch;
    for block in canonical {
        assert_eq!(store.canonical_hash(block.number).expect("readable"), Some(block.hash));
    }
    let next = canonical.last().map_or(0, |tip| tip.number + 1);
    assert_eq!(store.canonical_hash(next).expect("readable"), None);
    let unknown = store.view_at(&B256::repeat_byte(0xee));
    assert!(matches!(unknown, Err(StoreError::UnknownBlock { .. })), "{unknown:?}");
}

/// Every value, the root, hashes of the branch, and proofs of a few accounts with all slots.
#[track_caller]
pub(super) fn check_view(view: &StateView, state: &Naive, root: B256) {
    let block = *state.branch.last().expect("a branch has a block");
    assert_eq!((view.block(), view.state_root()), (block, root), "block and root");
    for number in 0..=ACCOUNTS {
        let address = address(number);
        let account = view.account(&address).expect("readable");
        assert_eq!(account.as_ref(), state.accounts.get(&address), "account {number} at {block:?}");
        if let Some(account) = account {
            let code = view.code(&account.code_hash).expect("kept");
            assert_eq!(keccak256(code.original_bytes()), account.code_hash);
        }
        for slot in 0..=SLOTS {
            let value = view.slot(&address, U256::from(slot)).expect("readable");
            assert_eq!(value, state.slot(address, slot), "slot {slot} of account {number} at {block:?}");
        }
        let mut slots: Vec<_> = view.slots(&address).expect("readable").into_iter().collect();
        slots.sort_unstable();
        let want: Vec<_> = state.slots.iter().filter(|((owner, _), _)| *owner == address).collect();
        assert_eq!(slots, want.into_iter().map(|((_, slot), value)| (*slot, *value)).collect::<Vec<_>>());
    }
    for ancestor in &state.branch {
        assert_eq!(view.block_hash(ancestor.number).expect("kept"), ancestor.hash, "hash seen from {block:?}");
    }
    assert!(matches!(view.block_hash(block.number + 1), Err(StoreError::MissingBlockHash { .. })));
}

/// Proofs of every account and slot of the address space, and of ones that are not there.
#[track_caller]
pub(super) fn check_proofs(view: &StateView, state: &Naive, root: B256) {
    let slots: Vec<_> = (0..=SLOTS).map(U256::from).collect();
    for number in 0..=ACCOUNTS {
        let proof = view.proof(&address(number), &slots).expect("provable");
        assert_eq!(proof.account.as_ref(), state.accounts.get(&proof.address));
        for (slot, proven) in (0..).zip(&proof.slots) {
            assert_eq!((proven.slot, proven.value), (U256::from(slot), state.slot(proof.address, slot)));
        }
        verify(&proof, root);
    }
}

#[track_caller]
fn verify(proof: &AccountProof, root: B256) {
    let leaf = proof.account.map(|account| {
        let mut leaf = Vec::new();
        let storage_root = proof.storage_root;
        TrieAccount { nonce: account.nonce, balance: account.balance, storage_root, code_hash: account.code_hash }
            .encode(&mut leaf);
        leaf
    });
    if root == EMPTY_ROOT_HASH {
        assert!(proof.nodes.is_empty() && leaf.is_none());
    } else {
        verify_proof(root, Nibbles::unpack(keccak256(proof.address)), leaf, &proof.nodes).expect("account is proven");
    }
    for slot in &proof.slots {
        if proof.storage_root == EMPTY_ROOT_HASH {
            assert_eq!((slot.value, &slot.nodes), (U256::ZERO, &Vec::<Bytes>::new()));
            continue;
        }
        let value = (!slot.value.is_zero()).then(|| alloy_rlp::encode(slot.value));
        let key = Nibbles::unpack(keccak256(slot.slot.to_be_bytes::<32>()));
        verify_proof(proof.storage_root, key, value, &slot.nodes).expect("slot is proven");
    }
}
