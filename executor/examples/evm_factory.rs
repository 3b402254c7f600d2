//! The EVM factory: a host keeps its own loop and its own block executor; workers run the block's transactions ahead of it.
//!
//! `cargo run -p laminar-executor --example evm_factory [PATH]` runs the sample blocks, or the witness blocks at a path, and
//! compares with alloy-evm's own executor without us.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "an example prints, and stops at what cannot be")]

mod host;

use alloy_evm::{EthEvmFactory, ToTxEnv};
use laminar_executor::plugin::AheadEvmFactory;
use std::{num::NonZeroUsize, sync::Arc};

fn main() {
    // Installed once, where the host makes its own factory.
    let workers = NonZeroUsize::new(2).expect("not zero");
    let factory = AheadEvmFactory::new(EthEvmFactory::default(), workers).expect("threads");
    let given = std::env::args_os().nth(1);
    for case in given.map_or_else(host::sample_blocks, |path| host::witness_blocks(path.into())) {
        // One call when a block comes in: its environment, its transactions, and a state that outlives the call.
        let txs = case.txs.iter().map(|tx| tx.to_tx_env()).collect();
        let announcement = factory.announce(case.env(), txs, Arc::clone(&case.parent));
        // From here on the host does what it always did.
        let (result, state) = case.execute(factory.clone()).expect("a valid block");
        let adopted = announcement.adopted();
        drop(announcement);

        let (plain_result, plain_state) = case.execute(EthEvmFactory::default()).expect("a valid block");
        assert_eq!(result, plain_result, "{}", case.name);
        assert_eq!(state.state, plain_state.state, "{}", case.name);
        println!("{}: {adopted} of {} transactions answered from runs ahead", case.name, case.txs.len());
    }
}
