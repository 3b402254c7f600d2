//! The accounts of a development chain: keys from a mnemonic, and signing with them.
//!
//! Place in the flow: `eth_accounts`, `eth_sendTransaction`, `eth_sign` and their kin.
//! Invariant: the keys are those that other tools derive from the same words (BIP-39 and BIP-32 at `m/44'/60'/0'/0/i`). They
//! are meant to be known to everybody and must never hold anything of value.

use alloy_consensus::{SignableTransaction, Signed};
use alloy_primitives::{Address, B256, Signature, eip191_hash_message};
use laminar_executor::Transaction;
use secp256k1::{Message, PublicKey, SECP256K1, Scalar, SecretKey};
use sha2::{Digest, Sha512};
use std::fmt;

/// The mnemonic of every development chain.
pub const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Number of accounts that tools expect.
pub const ACCOUNTS: usize = 10;

/// First index of the hardened keys (BIP-32).
const HARDENED: u32 = 1 << 31;
/// The path of Ethereum's accounts, without the last step (BIP-44).
const PATH: [u32; 4] = [HARDENED + 44, HARDENED + 60, HARDENED, 0];
/// Rounds of BIP-39's stretching.
const ROUNDS: usize = 2048;

/// Keys by index.
#[derive(Clone)]
pub struct Keys(Vec<(Address, SecretKey)>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.addresses()).finish()
    }
}

impl Keys {
    /// The first `count` keys of a mnemonic.
    ///
    /// # Panics
    /// If a derived number is no key, for which no mnemonic is known.
    pub fn of_mnemonic(words: &str, count: usize) -> Self {
        let (mut key, mut chain) = split(hmac(b"Bitcoin seed", &[&seed(words)]));
        for step in PATH {
            (key, chain) = child(&key, &chain, step);
        }
        let account = |index| {
            let (key, _) = child(&key, &chain, u32::try_from(index).unwrap_or(u32::MAX) % HARDENED);
            let public = PublicKey::from_secret_key(SECP256K1, &key).serialize_uncompressed();
            (Address::from_raw_public_key(&public[1..]), key)
        };
        Self((0..count).map(account).collect())
    }

    /// Addresses in the order of the derivation.
    pub fn addresses(&self) -> impl Iterator<Item = Address> {
        self.0.iter().map(|(address, _)| *address)
    }

    /// The secret key behind an address, for the banner.
    pub fn secret(&self, address: &Address) -> Option<B256> {
        self.key(address).map(|key| B256::from(key.secret_bytes()))
    }

    /// Signs a digest; `None` if the key is not here.
    pub fn sign_hash(&self, address: &Address, digest: B256) -> Option<Signature> {
        let signed = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(digest.0), self.key(address)?);
        let (recovery, compact) = signed.serialize_compact();
        Some(Signature::from_bytes_and_parity(&compact, i32::from(recovery) & 1 == 1))
    }

    /// Signs a message under the prefix of EIP-191; `None` if the key is not here.
    pub fn sign_message(&self, address: &Address, message: &[u8]) -> Option<Signature> {
        self.sign_hash(address, eip191_hash_message(message))
    }

    /// Signs a transaction; `None` if the key is not here.
    pub fn sign<T>(&self, address: &Address, transaction: T) -> Option<Transaction>
    where
        T: SignableTransaction<Signature>,
        Transaction: From<Signed<T>>,
    {
        let signature = self.sign_hash(address, transaction.signature_hash())?;
        Some(transaction.into_signed(signature).into())
    }

    fn key(&self, address: &Address) -> Option<&SecretKey> {
        self.0.iter().find(|(own, _)| own == address).map(|(_, key)| key)
    }
}

/// BIP-39: PBKDF2 with HMAC-SHA512, one block, an empty passphrase.
fn seed(words: &str) -> [u8; 64] {
    let mut block = hmac(words.as_bytes(), &[b"mnemonic", &1_u32.to_be_bytes()]);
    let mut sum = block;
    for _ in 1..ROUNDS {
        block = hmac(words.as_bytes(), &[&block]);
        sum.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

/// RFC 2104 with SHA-512.
fn hmac(key: &[u8], message: &[&[u8]]) -> [u8; 64] {
    let mut block = [0_u8; 128];
    if key.len() > block.len() {
        block[..64].copy_from_slice(&Sha512::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha512::new();
    inner.update(block.map(|byte| byte ^ 0x36));
    message.iter().for_each(|part| inner.update(part));
    let mut outer = Sha512::new();
    outer.update(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

/// BIP-32's child of a private key.
fn child(key: &SecretKey, chain: &[u8; 32], index: u32) -> (SecretKey, [u8; 32]) {
    let number = index.to_be_bytes();
    let bits = if index >= HARDENED {
        hmac(chain, &[&[0], &key.secret_bytes(), &number])
    } else {
        hmac(chain, &[&PublicKey::from_secret_key(SECP256K1, key).serialize(), &number])
    };
    let (left, chain) = halves(bits);
    let tweak = Scalar::from_be_bytes(left).expect("a hash is above the group order with probability 2^-127");
    (key.add_tweak(&tweak).expect("a sum of keys is zero with probability 2^-256"), chain)
}

fn split(bits: [u8; 64]) -> (SecretKey, [u8; 32]) {
    let (left, chain) = halves(bits);
    (SecretKey::from_byte_array(left).expect("a hash is no key with probability 2^-127"), chain)
}

fn halves(bits: [u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (mut left, mut right) = ([0; 32], [0; 32]);
    left.copy_from_slice(&bits[..32]);
    right.copy_from_slice(&bits[32..]);
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256};

    #[test]
    fn the_accounts_are_those_that_everybody_knows() {
        let keys = Keys::of_mnemonic(MNEMONIC, ACCOUNTS);
        let addresses: Vec<_> = keys.addresses().collect();
        assert_eq!(addresses.len(), ACCOUNTS);
        assert_eq!(addresses[0], address!("f39fd6e51aad88f6f4ce6ab8827279cfffb92266"));
        assert_eq!(addresses[1], address!("70997970c51812dc3a010c7d01b50e0d17dc79c8"));
        assert_eq!(addresses[9], address!("a0ee7a142d267c1f36714e4a8f75612f20a79720"));
        let secret = b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
        assert_eq!(keys.secret(&addresses[0]), Some(secret));
    }

    #[test]
    fn signatures_recover_to_their_account() {
        let keys = Keys::of_mnemonic(MNEMONIC, 2);
        let address = keys.addresses().nth(1).unwrap();
        let signature = keys.sign_message(&address, b"hello").unwrap();
        let hash = eip191_hash_message(b"hello");
        assert_eq!(signature.recover_address_from_prehash(&hash).unwrap(), address);
        assert_eq!(keys.sign_hash(&Address::ZERO, hash), None);
    }
}
