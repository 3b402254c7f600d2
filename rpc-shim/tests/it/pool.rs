//! The pool's rules: geth's words for each refusal, changes of the head, who stays, blobs.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip4844, TxLegacy};
use alloy_eips::{
    eip2718::Encodable2718,
    eip4844::{BlobTransactionSidecar, kzg_to_versioned_hash},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::{Address, B256, FixedBytes, TxKind, U256};
use laminar_executor::{Transaction, chain_spec::ChainSpec};
use laminar_fixtures::wallet::Wallet;
use laminar_rpc_shim::pool::{Head, HeadChange, Origin, Pool, PoolError, PoolEvent, Pooled, Settings};
use laminar_state_db::{Account, MemoryState};
use revm::context::BlockEnv;
use std::{mem::discriminant, sync::Arc};

const RECIPIENT: Address = Address::repeat_byte(0x99);

pub(crate) fn sender(seed: u8) -> Address {
    Address::repeat_byte(seed)
}

pub(crate) fn head_on(network: &str, base_fee: u64, accounts: &[(Address, u64, u64)]) -> Head {
    let mut state = MemoryState::default();
    for (address, nonce, wei) in accounts {
        let account = Account { nonce: *nonce, balance: U256::from(*wei), ..Account::default() };
        state.insert_account(*address, account);
    }
    let rules = ChainSpec::for_test_network(network, []).unwrap().rules_at(1, 1);
    let blob_fee = rules.blob_params.map(|_| 1);
    Head {
        hash: B256::ZERO,
        rules,
        base_fee,
        blob_fee,
        gas_limit: 30_000_000,
        next: BlockEnv::default(),
        accounts: Arc::new(state),
    }
}

pub(crate) fn head(base_fee: u64, accounts: &[(Address, u64, u64)]) -> Head {
    head_on("Osaka", base_fee, accounts)
}

/// A transfer that nobody signed: the pool takes senders as given.
pub(crate) fn transfer(from: Address, nonce: u64, fee: u128, tip: u128, wei: u64) -> Transaction {
    TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(RECIPIENT),
        value: U256::from(wei),
        ..TxEip1559::default()
    }
    .into_signed(Pooled::impersonation(from))
    .into()
}

pub(crate) fn pooled(head: &Head, from: Address, tx: Transaction, origin: Origin) -> Pooled {
    Pooled::sent_by(from, tx, None, &head.rules, origin).unwrap()
}

type Tamper = fn(&mut TxEip1559);

/// A pool on which one sender has ether and nonce 3.
fn pool(settings: Settings) -> Pool {
    Pool::new(settings, head(100, &[(sender(1), 3, 1_000_000_000_000)]))
}

#[test]
fn refusals_are_worded_like_geths() {
    let pool = pool(Settings::default());
    let change = |change: Tamper| {
        let mut tx = TxEip1559 {
            chain_id: 1,
            nonce: 3,
            gas_limit: 21_000,
            max_fee_per_gas: 200,
            max_priority_fee_per_gas: 2,
            to: TxKind::Call(RECIPIENT),
            ..TxEip1559::default()
        };
        change(&mut tx);
        let tx: Transaction = tx.into_signed(Pooled::impersonation(sender(1))).into();
        let tx = Pooled::sent_by(sender(1), tx, None, &pool.head().rules, Origin::Remote);
        tx.and_then(|tx| pool.add(tx)).map_err(|error| error.to_string())
    };
    assert!(change(|_| ()).is_ok());
    let cases: [(Tamper, &str); 14] = [
        (|_| (), "already known"),
        (|tx| tx.nonce = 2, "nonce too low: next nonce 3, tx nonce 2"),
        (|tx| tx.max_fee_per_gas = 201, "replacement transaction underpriced"),
        (
            |tx| tx.value = U256::from(u64::MAX),
            "insufficient funds for gas * price + value: balance 1000000000000, tx cost",
        ),
        (
            |tx| (tx.nonce, tx.value) = (4, U256::from(999_994_000_000_u64)),
            "insufficient funds for gas * price + value: balance 1000000000000, queued cost 4200000, tx cost",
        ),
        (|tx| tx.gas_limit = 20_999, "intrinsic gas too low: gas 20999, minimum needed 21000"),
        (|tx| tx.input = vec![1; 100].into(), "intrinsic gas too low: gas 21000, minimum needed 22600"),
        (
            |tx| (tx.input, tx.gas_limit) = (vec![1; 100].into(), 24_000),
            "insufficient gas for floor data gas cost: gas 24000, minimum needed 25000",
        ),
        (|tx| tx.max_priority_fee_per_gas = 201, "max priority fee per gas higher than max fee per gas"),
        (|tx| tx.max_priority_fee_per_gas = 0, "transaction gas price below minimum: gas tip cap 0, minimum needed 1"),
        (|tx| tx.gas_limit = 30_000_001, "exceeds block gas limit"),
        (|tx| tx.gas_limit = 20_000_000, "transaction gas limit too high (cap: 16777216, tx: 20000000)"),
        (|tx| tx.chain_id = 5, "invalid chain id for signer: have 5 want 1"),
        (
            |tx| (tx.to, tx.input, tx.gas_limit) = (TxKind::Create, vec![0; 50_000].into(), 5_000_000),
            "max initcode size exceeded: code size 50000, limit 49152",
        ),
    ];
    for (tamper, text) in cases {
        let error = change(tamper).unwrap_err();
        assert!(error.starts_with(text), "expected {text:?}, found {error:?}");
    }
    assert!(change(|tx| (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (220, 3)).is_ok());
    assert_eq!(pool.status(), (1, 0));
    let limit = discriminant(&PoolError::Encoding { what: String::new() });
    assert_eq!(discriminant(&pool.add_raw(&[0xf8, 1, 2], Origin::Local).unwrap_err()), limit);
}

#[test]
fn a_development_pool_refuses_what_would_wait_for_a_lower_base_fee() {
    let tx = || transfer(sender(1), 3, 99, 1, 0);
    let network = pool(Settings::default());
    assert!(network.add(pooled(&network.head(), sender(1), tx(), Origin::Remote)).is_ok());
    assert!(network.best(u64::MAX, usize::MAX).is_empty());
    let dev = pool(Settings::dev());
    let error = dev.add(pooled(&dev.head(), sender(1), tx(), Origin::Local)).unwrap_err();
    assert_eq!(error.to_string(), "max fee per gas less than block base fee: maxFeePerGas: 99, baseFee: 100");
}

#[test]
fn mined_transactions_leave_and_unmined_ones_return() {
    let pool = pool(Settings::default());
    let mut events = pool.subscribe();
    let txs: Vec<_> = (3..6).map(|nonce| transfer(sender(1), nonce, 200, 2, nonce)).collect();
    for tx in &txs {
        pool.add(pooled(&pool.head(), sender(1), tx.clone(), Origin::Remote)).unwrap();
    }
    let mined = txs[..2].iter().map(|tx| *tx.tx_hash()).collect();
    let after = head(100, &[(sender(1), 5, 900_000_000_000)]);
    pool.set_head(after, HeadChange { included: mined, ..HeadChange::default() }).unwrap();
    assert_eq!((pool.status(), pool.next_nonce(&sender(1))), ((1, 0), Some(6)));
    let before = head(100, &[(sender(1), 3, 1_000_000_000_000)]);
    let returned = txs[..2].iter().map(|tx| (tx.clone(), sender(1))).collect();
    pool.set_head(before, HeadChange { returned, ..HeadChange::default() }).unwrap();
    assert_eq!((pool.status(), pool.next_nonce(&sender(1))), ((3, 0), Some(6)));
    let hashes: Vec<_> = pool.best(u64::MAX, usize::MAX).iter().map(|tx| tx.hash()).collect();
    assert_eq!(hashes, txs.iter().map(|tx| *tx.tx_hash()).collect::<Vec<_>>());
    let first = std::iter::from_fn(|| events.try_recv().ok()).take(3);
    assert!(
        first
            .zip(&txs)
            .all(|(event, tx)| { matches!(event, PoolEvent::Pending(pending) if pending.hash() == *tx.tx_hash()) })
    );
}

#[test]
fn local_transactions_are_not_evicted() {
    let accounts: Vec<_> = (1..6).map(|seed| (sender(seed), 0, 1_000_000_000)).collect();
    let settings = Settings { transactions_max: 2, ..Settings::default() };
    let pool = Pool::new(settings, head(1, &accounts));
    let add = |seed: u8, fee: u128, origin| {
        pool.add(pooled(&pool.head(), sender(seed), transfer(sender(seed), 0, fee, 1, 0), origin))
    };
    assert!(add(1, 10, Origin::Local).is_ok() && add(2, 20, Origin::Remote).is_ok());
    assert_eq!(add(3, 20, Origin::Remote).unwrap_err(), PoolError::Underpriced);
    assert!(add(3, 30, Origin::Remote).is_ok(), "pays more than the cheapest remote one");
    assert!(add(4, 5, Origin::Local).is_ok(), "a local one takes a remote one's place at any price");
    assert_eq!(add(5, 900, Origin::Remote).unwrap_err(), PoolError::Full);
    assert_eq!(pool.content().pending.keys().copied().collect::<Vec<_>>(), [sender(1), sender(4)]);
}

#[test]
fn contracts_do_not_send_and_delegated_accounts_send_a_little() {
    let mut state = MemoryState::default();
    let delegation = [&[0xef, 1, 0][..], RECIPIENT.as_slice()].concat();
    for (seed, code) in [(1, vec![0x00]), (2, delegation)] {
        let code_hash = state.insert_code(code.into());
        state.insert_account(sender(seed), Account { nonce: 0, balance: U256::from(1_000_000_000), code_hash });
    }
    let pool = Pool::new(Settings::default(), Head { accounts: Arc::new(state), ..head(1, &[]) });
    let tx =
        |seed: u8, nonce| pooled(&pool.head(), sender(seed), transfer(sender(seed), nonce, 10, 1, 0), Origin::Remote);
    assert!(matches!(pool.add(tx(1, 0)), Err(PoolError::SenderIsContract { .. })));
    assert!(pool.add(tx(2, 0)).is_ok());
    assert_eq!(pool.add(tx(2, 1)), Err(PoolError::DelegatedLimit));
    let rules = pool.head().rules;
    let impersonated = Pooled::impersonated(sender(1), transfer(sender(1), 0, 10, 1, 0), &rules).unwrap();
    assert!(pool.add(impersonated).is_ok(), "a development node may send in a contract's name");
}

#[test]
fn raw_transactions_are_decoded_and_their_senders_recovered() {
    let wallet = Wallet::derive(3, 0);
    let pool = Pool::new(Settings::default(), head(1, &[(wallet.address(), 0, 1_000_000_000)]));
    let tx = wallet.sign(TxLegacy {
        chain_id: Some(1),
        gas_price: 10,
        gas_limit: 21_000,
        to: TxKind::Call(RECIPIENT),
        ..TxLegacy::default()
    });
    let raw = tx.encoded_2718();
    assert_eq!(pool.add_raw(&raw, Origin::Local), Ok(*tx.tx_hash()));
    assert_eq!(pool.get(tx.tx_hash()).unwrap().sender(), wallet.address());
    assert_eq!(pool.add_raw(&raw, Origin::Local), Err(PoolError::AlreadyKnown));
    for cut in 0..raw.len() {
        assert!(pool.add_raw(&raw[..cut], Origin::Local).is_err());
    }
}

/// A blob of zeroes: its commitment and all its proofs are the point at infinity.
pub(crate) fn blobs(count: usize, cells: bool) -> BlobTransactionSidecarVariant {
    let mut infinity = FixedBytes::<48>::ZERO;
    infinity[0] = 0xc0;
    let (blobs, commitments) = (vec![Default::default(); count], vec![infinity; count]);
    if cells {
        let cell_proofs = vec![infinity; count * CELLS_PER_EXT_BLOB];
        BlobTransactionSidecarVariant::Eip7594(BlobTransactionSidecarEip7594 { blobs, commitments, cell_proofs })
    } else {
        let proofs = vec![infinity; count];
        BlobTransactionSidecarVariant::Eip4844(BlobTransactionSidecar { blobs, commitments, proofs })
    }
}

#[test]
fn blobs_must_be_those_of_the_transaction_in_the_form_of_the_fork() {
    let wallet = Wallet::derive(3, 1);
    let check = |network: &str, sidecar: BlobTransactionSidecarVariant, tamper: fn(&mut TxEip4844)| {
        let hashes = sidecar.commitments().iter().map(|c| kzg_to_versioned_hash(c.as_slice())).collect();
        let mut tx = TxEip4844 {
            chain_id: 1,
            gas_limit: 21_000,
            max_fee_per_gas: 10,
            max_priority_fee_per_gas: 1,
            max_fee_per_blob_gas: 10,
            to: RECIPIENT,
            blob_versioned_hashes: hashes,
            ..TxEip4844::default()
        };
        tamper(&mut tx);
        let signature = wallet.sign_hash(tx.signature_hash());
        let signed = tx.with_sidecar(sidecar).into_signed(signature);
        let mut raw = Vec::new();
        signed.encode_2718(&mut raw);
        let pool = Pool::new(Settings::default(), head_on(network, 1, &[(wallet.address(), 0, u64::MAX)]));
        pool.add_raw(&raw, Origin::Local).map(|hash| {
            let tx = pool.get(&hash).unwrap();
            let found = pool.blobs(&tx.env().blob_hashes);
            assert!(tx.is_blob() && found.iter().all(Option::is_some));
        })
    };
    assert_eq!(check("Cancun", blobs(1, false), |_| ()), Ok(()));
    assert_eq!(check("Osaka", blobs(2, true), |_| ()), Ok(()));
    assert!(matches!(check("Osaka", blobs(1, false), |_| ()), Err(PoolError::Sidecar { .. })));
    assert!(matches!(check("Cancun", blobs(1, true), |_| ()), Err(PoolError::Sidecar { .. })));
    assert!(matches!(check("Osaka", blobs(7, true), |_| ()), Err(PoolError::TooManyBlobs { found: 7, limit: 6 })));
    let wrong = check("Cancun", blobs(1, false), |tx| tx.blob_versioned_hashes[0][31] ^= 1);
    assert!(matches!(wrong, Err(PoolError::Sidecar { .. })));
    let mut unproved = blobs(1, false);
    if let BlobTransactionSidecarVariant::Eip4844(sidecar) = &mut unproved {
        sidecar.blobs[0][31] = 1;
    }
    assert!(matches!(check("Cancun", unproved, |_| ()), Err(PoolError::Sidecar { .. })));
}
