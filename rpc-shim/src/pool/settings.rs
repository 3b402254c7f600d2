//! What the pool takes and how much of it.
//!
//! Place in the flow: the command's flags become one of these; the pool reads it.
//! Invariant: nothing here decides whether a transaction is valid in a block, only whether it may wait for one.

/// In which order senders' transactions are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The highest tip first, the earlier arrival first among equals.
    #[default]
    Fees,
    /// The earliest arrival first.
    Fifo,
}

/// What happens to a transaction that offers less than the next block's base fee or blob base fee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BelowBaseFee {
    /// It waits for a lower one.
    #[default]
    Waits,
    /// It is refused: on a development chain waiting looks like being stuck.
    IsRefused,
}

/// What happens to a blob transaction that comes with one proof a blob when the fork asks for one a cell (EIP-7594).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LegacySidecars {
    /// It is refused.
    #[default]
    AreRefused,
    /// The proofs of its cells are computed: some 200 ms of one core for each blob.
    AreConverted,
}

/// The pool's limits and prices. Percentages and limits are geth's where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much more a replacement must pay, in percent.
    pub price_bump_percent: u32,
    /// How much more a replacement with blobs must pay, in percent.
    pub blob_price_bump_percent: u32,
    /// Transactions in the pool.
    pub transactions_max: usize,
    /// Bytes of all transactions in the pool, sidecars included.
    pub bytes_max: usize,
    /// Transactions of one remote sender.
    pub sender_max: usize,
    /// Length of one transaction in bytes, sidecar excluded.
    pub transaction_len_max: usize,
    /// Transactions of one delegated account (EIP-7702), whose balance others can move; `None` for as many as of others.
    pub delegated_max: Option<usize>,
    /// The least tip of a remote transaction, in wei per gas.
    pub tip_min_wei: u128,
    /// The least gas price of any transaction, in wei per gas.
    pub price_min_wei: u128,
    /// The most that a local transaction may cost in fees, in wei; zero for no cap.
    pub fee_cap_wei: u128,
    /// Whether transactions may wait for a lower base fee.
    pub below_base_fee: BelowBaseFee,
    /// The order of offers.
    pub order: Order,
    /// Whether sidecars of before Osaka are taken after it.
    pub legacy_sidecars: LegacySidecars,
    /// Blob transactions that are kept after they were mined, for the case that their block is reorged out.
    pub mined_blobs_max: usize,
    /// Transactions that are simulated before their block comes, and as many that wait for it; zero for none.
    pub simulations_max: usize,
}

impl Default for Settings {
    /// A node on a network.
    fn default() -> Self {
        Self {
            price_bump_percent: 10,
            blob_price_bump_percent: 100,
            transactions_max: 20_000,
            bytes_max: 256 << 20,
            sender_max: 64,
            transaction_len_max: 128 << 10,
            delegated_max: Some(1),
            tip_min_wei: 1,
            price_min_wei: 0,
            fee_cap_wei: 1_000_000_000_000_000_000,
            below_base_fee: BelowBaseFee::Waits,
            order: Order::Fees,
            legacy_sidecars: LegacySidecars::AreRefused,
            mined_blobs_max: 64,
            simulations_max: 16_384,
        }
    }
}

impl Settings {
    /// A development chain: whatever can be mined is taken, and nothing is left waiting in silence.
    pub fn dev() -> Self {
        Self {
            transactions_max: 200_000,
            bytes_max: 1 << 30,
            sender_max: usize::MAX,
            transaction_len_max: 8 << 20,
            delegated_max: None,
            tip_min_wei: 0,
            fee_cap_wei: 0,
            below_base_fee: BelowBaseFee::IsRefused,
            ..Self::default()
        }
    }
}
