//! The pool against a naive model, geth's words for each refusal, and changes of the head.

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
use proptest::prelude::*;
use revm::context::BlockEnv;
use std::{cmp::Reverse, mem::discriminant, sync::Arc};

const RECIPIENT: Address = Address::repeat_byte(0x99);

fn sender(seed: u8) -> Address {
    Address::repeat_byte(seed)
}

fn head_on(network: &str, base_fee: u64, accounts: &[(Address, u64, u64)]) -> Head {
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

fn head(base_fee: u64, accounts: &[(Address, u64, u64)]) -> Head {
    head_on("Osaka", base_fee, accounts)
}

/// A transfer that nobody signed: the pool takes senders as given.
fn transfer(from: Address, nonce: u64, fee: u128, tip: u128, wei: u64) -> Transaction {
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

fn pooled(head: &Head, from: Address, tx: Transaction, origin: Origin) -> Pooled {
    Pooled::sent_by(from, tx, None, &head.rules, origin).unwrap()
}

/// A transaction in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    sender: u8,
    nonce: u64,
    fee: u128,
    tip: u128,
    wei: u64,
    arrival: u64,
}

impl Known {
    fn cost(&self) -> u128 {
        21_000 * self.fee + u128::from(self.wei)
    }

    fn tip_at(&self, base_fee: u64) -> u128 {
        self.tip.min(self.fee - u128::from(base_fee))
    }

    fn hash(&self) -> B256 {
        *transfer(sender(self.sender), self.nonce, self.fee, self.tip, self.wei).tx_hash()
    }
}

/// The pool by its definition, found anew for every question.
#[derive(Debug, Default)]
struct Model {
    accounts: [(u64, u64); 3],
    base_fee: u64,
    known: Vec<Known>,
    arrivals: u64,
    sender_max: usize,
    all_max: usize,
}

impl Model {
    fn of(&self, sender: u8) -> Vec<Known> {
        let mut own: Vec<_> = self.known.iter().filter(|tx| tx.sender == sender).copied().collect();
        own.sort_by_key(|tx| tx.nonce);
        own
    }

    fn ready(&self, sender: u8) -> Vec<Known> {
        let (nonce, balance) = self.accounts[usize::from(sender)];
        let (mut ready, mut sum) = (Vec::new(), 0);
        for (want, tx) in (nonce..).zip(self.of(sender)) {
            sum += tx.cost();
            if tx.nonce != want || sum > u128::from(balance) {
                break;
            }
            ready.push(tx);
        }
        ready
    }

    fn add(&mut self, tx: Known) -> Result<(), &'static str> {
        let (nonce, balance) = self.accounts[usize::from(tx.sender)];
        let balance = u128::from(balance);
        let same = |known: &Known| (known.sender, known.nonce) == (tx.sender, tx.nonce);
        let old = self.known.iter().find(|known| same(known)).copied();
        if old.is_some_and(|old| (old.fee, old.tip, old.wei) == (tx.fee, tx.tip, tx.wei)) {
            return Err("already known");
        }
        if tx.tip > tx.fee {
            return Err("max priority fee per gas higher");
        }
        if tx.nonce < nonce {
            return Err("nonce too low");
        }
        let queued: u128 = self.ready(tx.sender).iter().filter(|known| !same(known)).map(Known::cost).sum();
        if tx.cost() > balance || queued + tx.cost() > balance {
            return Err("insufficient funds for gas * price + value");
        }
        if old.is_none() && self.of(tx.sender).len() >= self.sender_max {
            return Err("account limit exceeded");
        }
        let pays = |old: u128, new: u128| new > old && new >= old * 110 / 100;
        if old.is_some_and(|old| !pays(old.fee, tx.fee) || !pays(old.tip, tx.tip)) {
            return Err("replacement transaction underpriced");
        }
        if old.is_none() && self.known.len() >= self.all_max {
            let cheapest = *self.known.iter().min_by_key(|tx| (tx.fee, tx.tip, Reverse(tx.arrival))).unwrap();
            if (cheapest.fee, cheapest.tip) >= (tx.fee, tx.tip) {
                return Err("transaction underpriced");
            }
            self.known.retain(|known| *known != cheapest);
        }
        self.known.retain(|known| !same(known));
        self.known.push(Known { arrival: self.arrivals, ..tx });
        self.arrivals += 1;
        Ok(())
    }

    fn drop_impossible(&mut self) {
        let accounts = self.accounts;
        self.known.retain(|tx| {
            let (nonce, balance) = accounts[usize::from(tx.sender)];
            tx.nonce >= nonce && tx.cost() <= u128::from(balance)
        });
    }

    fn best(&self) -> Vec<B256> {
        let pays = |tx: &Known| tx.fee >= u128::from(self.base_fee);
        let run = |sender| {
            let mut run: Vec<_> = self.ready(sender).into_iter().take_while(pays).collect();
            run.reverse();
            run
        };
        let mut runs: Vec<Vec<Known>> = (0..3).map(run).collect();
        let mut best = Vec::new();
        loop {
            let rank = |tx: &Known| (tx.tip_at(self.base_fee), Reverse(tx.arrival));
            let next = runs.iter_mut().filter(|run| !run.is_empty()).max_by_key(|run| rank(run.last().unwrap()));
            let Some(run) = next else { return best };
            best.push(run.pop().unwrap().hash());
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Add { sender: u8, nonce: u64, fee: u128, tip: u128, wei: u64 },
    Head { sender: u8, nonce: u64, balance: u64, base_fee: u64 },
    Remove(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let add = (0_u8..3, 0_u64..5, 1_u128..40, 0_u128..12, 0_u64..3);
    let head = (0_u8..3, 0_u64..2, 0_u64..4, 0_u64..12);
    prop_oneof![
        8 => add.prop_map(|(sender, nonce, fee, tip, wei)| Op::Add { sender, nonce, fee, tip, wei }),
        2 => head.prop_map(|(sender, nonce, balance, base_fee)| Op::Head { sender, nonce, balance, base_fee }),
        1 => (0_usize..8).prop_map(Op::Remove),
    ]
}

fn check(ops: Vec<Op>) {
    let mut model = Model { accounts: [(0, 3_000_000); 3], sender_max: 4, all_max: 7, ..Model::default() };
    let settings = Settings {
        sender_max: model.sender_max,
        transactions_max: model.all_max,
        tip_min_wei: 0,
        ..Settings::default()
    };
    let head_of = |model: &Model| {
        let accounts: Vec<_> = (0..3).map(|seed| (sender(seed), model.accounts[usize::from(seed)])).collect();
        head(model.base_fee, &accounts.iter().map(|(a, (nonce, wei))| (*a, *nonce, *wei)).collect::<Vec<_>>())
    };
    let pool = Pool::new(settings, head_of(&model));
    for op in ops {
        match op {
            Op::Add { sender: from, nonce, fee, tip, wei } => {
                let tx = transfer(sender(from), nonce, fee, tip, wei);
                let got = pool.add(pooled(&pool.head(), sender(from), tx, Origin::Remote));
                let want = model.add(Known { sender: from, nonce, fee, tip, wei, arrival: 0 });
                match (&got, want) {
                    (Ok(_), Ok(())) => {}
                    (Err(error), Err(text)) => assert!(error.to_string().starts_with(text), "{error}, not {text}"),
                    _ => panic!("{got:?}, expected {want:?}"),
                }
            }
            Op::Head { sender: from, nonce, balance, base_fee } => {
                let account = &mut model.accounts[usize::from(from)];
                *account = (account.0 + nonce, 400_000 + balance * 500_000);
                model.base_fee = base_fee;
                model.drop_impossible();
                let touched = base_fee.is_multiple_of(2).then(|| vec![sender(from)]);
                pool.set_head(head_of(&model), HeadChange { touched, ..HeadChange::default() }).unwrap();
            }
            Op::Remove(at) => {
                let Some(tx) = model.known.get(at).copied() else { continue };
                model.known.remove(at);
                assert!(pool.remove(&tx.hash(), None).is_some());
            }
        }
        let content = pool.content();
        for from in 0..3 {
            let hashes = |txs: Vec<Known>| txs.iter().map(Known::hash).collect::<Vec<_>>();
            let found =
                |side: Option<&Vec<Arc<Pooled>>>| side.into_iter().flatten().map(|tx| tx.hash()).collect::<Vec<_>>();
            let ready = model.ready(from);
            let waiting = model.of(from).split_off(ready.len());
            assert_eq!(found(content.pending.get(&sender(from))), hashes(ready.clone()));
            assert_eq!(found(content.queued.get(&sender(from))), hashes(waiting));
            let next = model.accounts[usize::from(from)].0 + ready.len() as u64;
            assert_eq!(pool.next_nonce(&sender(from)), (!model.of(from).is_empty()).then_some(next));
        }
        let best: Vec<_> = pool.best(u64::MAX, usize::MAX).iter().map(|tx| tx.hash()).collect();
        assert_eq!(best, model.best());
        let (pending, queued) = pool.status();
        assert_eq!(pending + queued, model.known.len());
    }
    assert_eq!(pool.clear(None), model.known.len());
    assert_eq!(pool.status(), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_is_what_its_definition_says(ops in prop::collection::vec(op(), 1..60)) {
        check(ops);
    }
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
