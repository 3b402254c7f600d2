//! The state of one block from its witness: trie nodes, codes and block hashes, and nothing else.
//!
//! Place in the flow: `replay` executes real blocks on it and compares the root after the block with the header's.
//! Invariants: every value is proven by nodes under the state root; what the witness does not prove is an error that names
//! it, never a zero. Immutable, so any number of threads may read; all nodes are decoded and all codes analysed on construction.

mod record;

pub use record::TouchedKeys;
pub(crate) use record::record_witness;

use crate::{
    changes::{Account, BlockChanges},
    code::{CodeMap, analyse},
    keccak::keccak256_batch,
    trie::{NoSource, StateTrieError, Trie, TrieError, TrieOwner, apply_changes, in_pool},
};
use alloy_primitives::{
    Address, B256, Bytes, U256, keccak256,
    map::{B256Map, HashMap},
};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use rayon::prelude::*;
use revm::{
    bytecode::Bytecode,
    database_interface::{DBErrorMarker, DatabaseRef},
    state::AccountInfo,
};

/// Nodes of a witness that are hashed by one task.
const HASH_CHUNK_LEN: usize = 512;
/// Nodes from which tries and codes are worth reading on two threads.
const PARALLEL_NODES_MIN: usize = 256;
/// Nodes from which the account trie is divided, so that threads share the work after a block.
const SPLIT_ACCOUNTS_MIN: usize = 128;
/// The same for a storage trie.
const SPLIT_NODES_MIN: usize = 1024;
/// Codes from which analysis is worth spreading over threads.
const PARALLEL_CODES_MIN: usize = 8;
/// Times that a node may on average stand in different storage tries. Contracts with equal storage share a root, and are
/// counted once; without a bound a small forged witness could unfold into a huge one.
const SHARING_MAX: usize = 16;

/// The state before one block, as far as its witness proves it.
#[derive(Clone, Debug)]
pub struct WitnessState {
    accounts: Trie<TrieAccount>,
    /// By storage root.
    storages: B256Map<Trie<U256>>,
    codes: CodeMap,
    block_hashes: HashMap<u64, B256>,
}

/// The witness does not answer. Says nothing about the validity of the block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// A trie node is missing or malformed.
    #[error(transparent)]
    Trie(#[from] StateTrieError),
    /// The code of an account is not in the witness.
    #[error("missing code with hash {hash}")]
    MissingCode {
        /// Keccak-256 of the code.
        hash: B256,
    },
    /// The hash of an ancestor is not in the witness.
    #[error("missing hash of block {number}")]
    MissingBlockHash {
        /// The block's number.
        number: u64,
    },
}

impl DBErrorMarker for WitnessError {}

impl WitnessState {
    /// Reads a witness: RLP of trie nodes, codes, and hashes of ancestors by number. Nodes and codes may come in any order
    /// and with surplus.
    ///
    /// # Errors
    /// [`WitnessError::Trie`] if the state root's node is missing, or a node below it is malformed.
    pub fn new(
        state_root: B256,
        nodes: impl IntoIterator<Item = Bytes>,
        codes: impl IntoIterator<Item = Bytes>,
        block_hashes: impl IntoIterator<Item = (u64, B256)>,
    ) -> Result<Self, WitnessError> {
        let (nodes, codes) = (nodes.into_iter().collect::<Vec<_>>(), codes.into_iter().collect());
        let (tries, codes) = if nodes.len() < PARALLEL_NODES_MIN {
            (read_tries(state_root, nodes), analyse_all(codes))
        } else {
            rayon::join(|| read_tries(state_root, nodes), || analyse_all(codes))
        };
        let (accounts, storages) = tries?;
        Ok(Self { accounts, storages, codes, block_hashes: block_hashes.into_iter().collect() })
    }

    /// The account; `None` only where the witness proves that it does not exist.
    ///
    /// # Errors
    /// [`WitnessError::Trie`] if a node on the way is missing.
    pub fn account(&self, address: &Address) -> Result<Option<Account>, WitnessError> {
        let leaf = self.leaf(address)?;
        Ok(leaf.map(|leaf| Account { nonce: leaf.nonce, balance: leaf.balance, code_hash: leaf.code_hash }))
    }

    /// The slot; zero only where the witness proves that it is not set.
    ///
    /// # Errors
    /// [`WitnessError::Trie`] if a node on the way is missing.
    pub fn slot(&self, address: &Address, slot: U256) -> Result<U256, WitnessError> {
        let Some(leaf) = self.leaf(address)? else {
            return Ok(U256::ZERO);
        };
        if leaf.storage_root == EMPTY_ROOT_HASH {
            return Ok(U256::ZERO);
        }
        let value = match self.storages.get(&leaf.storage_root) {
            Some(trie) => trie.get(&keccak256(slot.to_be_bytes::<32>())).map(|value| value.copied()),
            None => Err(TrieError::MissingNode { path: Nibbles::new(), hash: leaf.storage_root }),
        };
        Ok(value.map_err(|error| error.in_trie(TrieOwner::Storage(*address)))?.unwrap_or_default())
    }

    /// The state root after a block that made these changes. The witness itself stays as it is.
    ///
    /// # Errors
    /// [`WitnessError::Trie`] if the update needs a node that is missing, on the way to a changed key or beside a deleted one.
    pub fn post_state_root(&self, changes: &BlockChanges) -> Result<B256, WitnessError> {
        in_pool(changes, || {
            let mut accounts = self.accounts.clone();
            let storage = |_: &B256, root| self.storages.get(&root).cloned().unwrap_or_else(|| Trie::from_root(root));
            apply_changes(&mut accounts, changes, &NoSource, storage)?;
            Ok(accounts.root())
        })
    }

    /// Calls `visit` for each account that the witness holds: its hashed address and its leaf.
    pub fn for_each_account(&self, visit: impl FnMut(B256, &TrieAccount)) {
        self.accounts.for_each_leaf(visit);
    }

    /// Calls `visit` for each slot that the witness holds in the storage trie with this root: the hashed slot and its value.
    pub fn for_each_slot(&self, storage_root: &B256, visit: impl FnMut(B256, &U256)) {
        if let Some(trie) = self.storages.get(storage_root) {
            trie.for_each_leaf(visit);
        }
    }

    fn leaf(&self, address: &Address) -> Result<Option<&TrieAccount>, WitnessError> {
        let leaf = self.accounts.get(&keccak256(address));
        Ok(leaf.map_err(|error| error.in_trie(TrieOwner::Account(*address)))?)
    }
}

impl DatabaseRef for WitnessState {
    type Error = WitnessError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, WitnessError> {
        Ok(self.account(&address)?.map(Into::into))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, WitnessError> {
        self.codes.get(&hash).ok_or(WitnessError::MissingCode { hash })
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, WitnessError> {
        self.slot(&address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, WitnessError> {
        self.block_hashes.get(&number).copied().ok_or(WitnessError::MissingBlockHash { number })
    }
}

type Tries = (Trie<TrieAccount>, B256Map<Trie<U256>>);

/// The account trie and the storage tries by root, as far as the witness holds their nodes.
fn read_tries(state_root: B256, nodes: Vec<Bytes>) -> Result<Tries, StateTrieError> {
    let nodes = by_hash(nodes);
    let mut accounts = Trie::<TrieAccount>::from_root(state_root);
    let in_accounts = |error: TrieError| error.in_trie(TrieOwner::Accounts);
    let revealed = accounts.reveal_all(&nodes, nodes.len()).map_err(in_accounts)?;
    if accounts.is_unknown() {
        return Err(in_accounts(TrieError::MissingNode { path: Nibbles::new(), hash: state_root }));
    }
    if revealed >= SPLIT_ACCOUNTS_MIN {
        accounts.split();
    }
    let mut owners = Vec::new();
    accounts.for_each_leaf(|hash, leaf| owners.push((hash, leaf.storage_root)));
    let mut storages = B256Map::default();
    let mut nodes_left = SHARING_MAX * nodes.len();
    for (hash, root) in owners {
        if root == EMPTY_ROOT_HASH || storages.contains_key(&root) || !nodes.contains_key(&root) {
            continue;
        }
        let mut trie = Trie::from_root(root);
        let revealed = trie.reveal_all(&nodes, nodes_left.min(nodes.len()));
        let revealed = revealed.map_err(|error| error.in_trie(TrieOwner::HashedStorage(hash)))?;
        nodes_left -= revealed;
        if revealed >= SPLIT_NODES_MIN {
            trie.split();
        }
        storages.insert(root, trie);
    }
    Ok((accounts, storages))
}

fn analyse_all(codes: Vec<Bytes>) -> CodeMap {
    let codes: Vec<_> = by_hash(codes).into_iter().collect();
    if codes.len() < PARALLEL_CODES_MIN {
        return codes.into_iter().map(|(hash, code)| (hash, analyse(code))).collect();
    }
    let codes: Vec<_> = codes.into_par_iter().map(|(hash, code)| (hash, analyse(code))).collect();
    codes.into_iter().collect()
}

/// Hashes nodes or codes, in batches on all threads.
fn by_hash(items: Vec<Bytes>) -> B256Map<Bytes> {
    let hash = |chunk: &[Bytes]| {
        let mut hashes = Vec::new();
        keccak256_batch(chunk, &mut hashes);
        hashes
    };
    if items.len() <= HASH_CHUNK_LEN {
        return hash(&items).into_iter().zip(items).collect();
    }
    let hashes: Vec<Vec<B256>> = items.par_chunks(HASH_CHUNK_LEN).map(hash).collect();
    hashes.into_iter().flatten().zip(items).collect()
}
