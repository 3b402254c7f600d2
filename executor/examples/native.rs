//! The native way: a block and any state that threads may read in, what a host keeps out.
//!
//! `cargo run -p laminar-executor --example native [PATH]` runs the sample blocks, or the witness blocks at a path, and compares
//! with alloy-evm's own executor.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "an example prints, and stops at what cannot be")]

mod host;

use alloy_evm::EthEvmFactory;
use laminar_executor::{BlockExecutor, Config, Mode, plugin::execute_block};

fn main() {
    // The threads live as long as the executor: make one, keep it.
    let executor = BlockExecutor::new(Config { mode: Mode::Parallel, ..Config::default() }).expect("threads");
    let given = std::env::args_os().nth(1);
    for case in given.map_or_else(host::sample_blocks, |path| host::witness_blocks(path.into())) {
        let ours = execute_block(&executor, case.rules, &case.block, &*case.parent).expect("a valid block");
        let (result, state) = case.execute(EthEvmFactory::default()).expect("a valid block");
        assert_eq!(ours.result, result, "{}", case.name);
        assert_eq!(ours.state.state.len(), state.state.len(), "{}", case.name);
        println!(
            "{}: {} transactions, {} gas, {} runs on {} workers",
            case.name,
            ours.result.receipts.len(),
            ours.result.gas_used,
            ours.stats.incarnations,
            ours.stats.workers,
        );
    }
}
