//! Scratch timing.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use laminar_executor::{
    BlockExecutor, Config, Knowledge, Mode, Predict, chain_spec::ChainSpec, env::PreparedBlock,
    recover::recover_senders, sequential,
};
use laminar_fixtures::Fixture;
use laminar_state_db::{Account, MemoryState};
use std::time::Instant;

fn median(v: &mut Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let reps: usize = std::env::args().nth(2).map_or(9, |s| s.parse().unwrap());
    let only: Option<u64> = std::env::args().nth(3).and_then(|s| s.parse().ok());
    let mk = |threads: usize, mode, predict| {
        BlockExecutor::new(Config {
            threads: threads.try_into().unwrap(),
            mode,
            predict,
            block_access_list: false,
            timeline: false,
        })
        .unwrap()
    };
    let engines = [
        ("seq", mk(1, Mode::Sequential, Predict::None)),
        ("p1-none", mk(1, Mode::Parallel, Predict::None)),
        ("p2-none", mk(2, Mode::Parallel, Predict::None)),
        ("p2-pre", mk(2, Mode::Parallel, Predict::Presimulate)),
        ("p2-ahead", mk(2, Mode::Parallel, Predict::Ahead)),
        ("p2-bal", mk(2, Mode::Parallel, Predict::BlockAccessList)),
        ("p1-ahead", mk(1, Mode::Parallel, Predict::Ahead)),
    ];
    let bal = BlockExecutor::new(Config {
        threads: 1.try_into().unwrap(),
        mode: Mode::Sequential,
        predict: Predict::None,
        block_access_list: true,
        timeline: false,
    })
    .unwrap();
    let mut totals = vec![0.0; engines.len() + 1];
    print!("{:>9} {:>5} {:>6} {:>8}", "block", "txs", "Mgas", "lean ms");
    for (n, _) in &engines {
        print!(" {n:>9}");
    }
    println!("  abort adopt");
    for loaded in laminar_fixtures::open(path.as_ref()).unwrap() {
        let Fixture::Prestate(f) = loaded.unwrap().fixture else { continue };
        if f.block.header.gas_used < 4_000_000 {
            continue;
        }
        if only.is_some_and(|o| o != f.block.header.number) {
            continue;
        }
        let mut state = MemoryState::default();
        for (a, acc) in &f.accounts {
            let code_hash = state.insert_code(acc.code.clone());
            state.insert_account(*a, Account { nonce: acc.nonce, balance: acc.balance, code_hash });
            for (s, v) in &acc.storage {
                state.insert_slot(*a, *s, *v);
            }
        }
        for (n, h) in &f.block_hashes {
            state.insert_block_hash(*n, *h);
        }
        let rules = ChainSpec::mainnet().rules_for(&f.block.header);
        let senders = recover_senders(&f.block.body.transactions, &rules).unwrap();
        let prepared = PreparedBlock::new(rules, &f.block, &senders).unwrap();
        let list = bal.execute(&f.block, &prepared, &state, Knowledge::Nothing).unwrap().block_access_list.unwrap();
        let mut times = vec![vec![]; engines.len() + 1];
        let mut stats = vec![Default::default(); engines.len()];
        for _ in 0..reps {
            let t = Instant::now();
            let r = sequential::execute(&f.block, &prepared, &state).unwrap();
            times[0].push(t.elapsed().as_secs_f64() * 1e3);
            drop(r);
            for (i, (_, e)) in engines.iter().enumerate() {
                let known = match e.config().predict {
                    Predict::Ahead => Knowledge::Simulations(e.simulate(&prepared, &state)),
                    Predict::BlockAccessList => Knowledge::BlockAccessList(list.clone()),
                    _ => Knowledge::Nothing,
                };
                let t = Instant::now();
                let o = e.execute(&f.block, &prepared, &state, known).unwrap();
                times[i + 1].push(t.elapsed().as_secs_f64() * 1e3);
                stats[i] = o.stats.clone();
                drop(o);
            }
        }
        let m: Vec<f64> = times.iter_mut().map(median).collect();
        for (t, v) in totals.iter_mut().zip(&m) {
            *t += v;
        }
        print!(
            "{:>9} {:>5} {:>6.1} {:>8.3}",
            f.block.header.number,
            prepared.txs.len(),
            f.block.header.gas_used as f64 / 1e6,
            m[0]
        );
        for v in &m[1..] {
            print!(" {:>5.2}", m[0] / v);
        }
        println!(
            "  {:?} {:?}",
            stats.iter().map(|s: &laminar_executor::Stats| s.aborted).collect::<Vec<_>>(),
            stats.iter().map(|s| s.adopted).collect::<Vec<_>>()
        );
    }
    print!("total {:.2} ms:", totals[0]);
    for (v, (n, _)) in totals[1..].iter().zip(&engines) {
        print!(" {n} x{:.3}", totals[0] / v);
    }
    println!();
}
