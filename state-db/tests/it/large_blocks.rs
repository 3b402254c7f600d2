//! Blocks with so many changes that threads share them: the state root is that of the state after, made from scratch by alloy-trie.

use alloy_primitives::{
    Address, B256, U256, keccak256,
    map::{AddressMap, HashMap},
};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use laminar_state_db::{
    Account, AccountChange, BlockChanges, SlotChange, SlotMap,
    trie::{NoSource, StateTrie},
};

type Accounts = AddressMap<Account>;
type Storage = AddressMap<SlotMap<U256>>;

/// Accounts of the state; enough for the account trie to be divided.
const ACCOUNTS: u64 = 5_000;
/// Slots of the first account; enough for its storage trie to be divided.
const SLOTS: u64 = 5_000;

fn address(i: u64) -> Address {
    Address::from_word(keccak256(i.to_le_bytes()))
}

fn state() -> (Accounts, Storage) {
    let accounts = (0..ACCOUNTS).map(|i| (address(i), Account { nonce: i, ..Account::default() })).collect();
    let slots = |i: u64| if i == 0 { SLOTS } else { i % 7 * 5 };
    let storage = |i: u64| (0..slots(i)).map(|slot| (U256::from(slot), U256::from(slot + 1))).collect::<SlotMap<_>>();
    (accounts, (0..ACCOUNTS).step_by(3).map(|i| (address(i), storage(i))).collect())
}

fn oracle((accounts, storage): &(Accounts, Storage)) -> B256 {
    let storage_root = |address: &Address| {
        let slots = storage.get(address).into_iter().flatten().filter(|(_, value)| !value.is_zero());
        storage_root_unhashed(slots.map(|(slot, value)| ((*slot).into(), *value)))
    };
    let leaf = |(address, Account { nonce, balance, code_hash }): (&Address, &Account)| {
        (
            *address,
            TrieAccount {
                nonce: *nonce,
                balance: *balance,
                storage_root: storage_root(address),
                code_hash: *code_hash,
            },
        )
    };
    state_root_unhashed(accounts.iter().map(leaf))
}

/// What happens to accounts that a block changes, beside their nonce.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Sets,
    /// Some slots become zero.
    Clears,
    /// Some accounts end, others lose their storage.
    Ends,
}

/// Changes every `stride`-th account; the first one, with its many slots, always.
fn change((accounts, storage): &mut (Accounts, Storage), kind: Kind, stride: u64, round: u64) -> BlockChanges {
    let mut changes = BlockChanges::default();
    for i in (0..ACCOUNTS).step_by(stride as usize).filter(|i| *i == 0 || (i + round).is_multiple_of(2)) {
        let address = address(i);
        let before = accounts.get(&address).copied();
        let ends = kind == Kind::Ends && i % 5 == 1;
        let clears_storage = ends || kind == Kind::Ends && i % 5 == 2;
        if clears_storage {
            storage.remove(&address);
        }
        let slots = storage.entry(address).or_default();
        let mut changed: SlotMap<SlotChange> = HashMap::default();
        for slot in (0..if i == 0 { SLOTS } else { 10 * u64::from(i.is_multiple_of(3)) }).step_by(4).filter(|_| !ends) {
            let value = if kind == Kind::Clears && slot.is_multiple_of(8) {
                U256::ZERO
            } else {
                U256::from(1000 * round + slot)
            };
            let before = slots.insert(U256::from(slot), value).unwrap_or_default();
            changed.insert(U256::from(slot), SlotChange { before, after: value });
        }
        let after = (!ends).then(|| Account { nonce: 1_000_000 * round + i, ..Account::default() });
        match after {
            Some(after) => accounts.insert(address, after),
            None => accounts.remove(&address),
        };
        changes
            .accounts
            .insert(address, AccountChange { before, after, storage_cleared: clears_storage, storage: changed });
    }
    changes
}

fn check(kind: Kind, stride: u64) {
    let mut state = state();
    let mut tries = StateTrie::from_state(&state.0, &state.1);
    assert_eq!(tries.root(), oracle(&state));
    for round in 1..3 {
        let (mut copy, root_before) = (tries.clone(), tries.root());
        let changes = change(&mut state, kind, stride, round);
        tries.apply(&changes, &NoSource).expect("all is known");
        let root = oracle(&state);
        assert_eq!(tries.root(), root, "{kind:?}, every {stride}th account, round {round}");
        assert_eq!(copy.root(), root_before, "a copy of the tries stays what it is");
        copy.apply(&changes, &NoSource).expect("all is known");
        assert_eq!(copy.root(), root, "and can be changed alike");
    }
}

#[test]
fn roots_of_large_blocks_are_those_of_the_state_after_them() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    for threads in [1, 2, 3, 8] {
        for kind in [Kind::Sets, Kind::Clears, Kind::Ends] {
            for stride in [1, 17] {
                pool(threads).install(|| check(kind, stride));
            }
        }
    }
}
