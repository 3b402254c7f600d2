//! The driver: any `BlockExecutorFactory` of alloy-evm, with workers that run ahead and its own executor that commits in order.
//!
//! `cargo run -p laminar-executor --example driver [PATH]` runs the sample blocks, or the witness blocks at a path, and compares
//! with the same factory's executor alone.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "an example prints, and stops at what cannot be")]

mod host;

use alloy_evm::EthEvmFactory;
use laminar_executor::{
    Pinning,
    plugin::{HostBlock, drive_block},
    schedule::Pool,
};
use std::num::NonZeroUsize;

fn main() {
    // The threads live as long as the pool: make one, keep it.
    let pool = Pool::new(NonZeroUsize::new(2).expect("not zero"), Pinning::Free).expect("threads");
    let given = std::env::args_os().nth(1);
    for case in given.map_or_else(host::sample_blocks, |path| host::witness_blocks(path.into())) {
        let factory = case.factory(EthEvmFactory::default());
        let block = HostBlock { env: case.env(), context: case.context(), txs: &case.txs };
        let driven = drive_block(&factory, &pool, block, &*case.parent).expect("a valid block");

        let (result, state) = case.execute(EthEvmFactory::default()).expect("a valid block");
        assert_eq!(driven.result, result, "{}", case.name);
        assert_eq!(driven.state.state, state.state, "{}", case.name);
        println!("{}: {} of {} transactions were run ahead", case.name, driven.adopted, case.txs.len());
    }
}
