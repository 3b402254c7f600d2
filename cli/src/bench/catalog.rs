//! The rows of the bench: their names, and what each executes.
//!
//! Place in the flow: first; everything else takes a [`Spec`].
//! Invariant: names are unique and stable, for people compare them over months; a change of what a row executes is a new name.

use super::{figures::Scope, state::StateWork, store::StoreWork};
use crate::engine::Prediction;
use anyhow::bail;
use laminar_fixtures::workload::{Params, Recipe, amm, erc20, hot_counter, one_sender, plain_transfers};

/// One row.
#[derive(Debug)]
pub(super) struct Spec {
    /// What it is called; the part before a slash is its group.
    pub(super) name: &'static str,
    /// What it shows, in one line.
    pub(super) about: &'static str,
    pub(super) work: Work,
}

/// What a row executes.
#[derive(Debug)]
pub(super) enum Work {
    /// All mainnet blocks with prestate of [`super::case::GAS_MIN`] or more.
    Mainnet(Prediction),
    /// All mainnet blocks with prestate, of which the worst is shown.
    Worst,
    /// One generated block.
    Generated(Generated),
    /// One generated block, from raw transactions to the state root.
    Path(Generated),
    /// Hashes and state roots, without blocks.
    State(StateWork),
    /// A store on disk.
    Store(StoreWork),
}

/// How to make a block.
#[derive(Debug)]
pub(super) struct Generated {
    pub(super) recipe: &'static Recipe,
    pub(super) params: Params,
}

const TRANSFERS: Generated =
    Generated { recipe: &plain_transfers::RECIPE, params: sized(plain_transfers::RECIPE.gigagas, 47_620) };
const ERC20: Generated = Generated { recipe: &erc20::RECIPE, params: sized(erc20::RECIPE.gigagas, 33_628) };
const AMM: Generated = Generated { recipe: &amm::RECIPE, params: sized(amm::RECIPE.gigagas, 6_413) };
const ONE_SENDER: Generated = Generated { recipe: &one_sender::RECIPE, params: one_sender::RECIPE.gigagas };
/// Every transaction increments the same slot.
const HOT_SLOT: Generated = Generated {
    recipe: &hot_counter::RECIPE,
    params: Params { contracts: 1, hot_percent: 100, rare_percent: 0, ..hot_counter::RECIPE.gigagas },
};
const ONE_POOL: Generated = Generated { recipe: &amm::RECIPE, params: Params { contracts: 1, ..AMM.params } };

/// As many distinct senders as transactions.
const fn sized(params: Params, txs: usize) -> Params {
    Params { txs, accounts: txs, ..params }
}

/// All rows, in the order in which they run.
static ROWS: [Spec; 21] = [
    Spec {
        name: "mainnet/none",
        about: "mainnet blocks of 4 Mgas or more, nothing predicted",
        work: Work::Mainnet(Prediction::None),
    },
    Spec {
        name: "mainnet/presimulate",
        about: "the same blocks, each transaction simulated first, inside the block's time",
        work: Work::Mainnet(Prediction::Presimulate),
    },
    Spec {
        name: "mainnet/ahead",
        about: "the same blocks, simulations ready before the block came",
        work: Work::Mainnet(Prediction::Ahead),
    },
    Spec {
        name: "mainnet/bal",
        about: "the same blocks with their block access lists (EIP-7928)",
        work: Work::Mainnet(Prediction::Bal),
    },
    Spec {
        name: "mainnet/worst",
        about: "the mainnet block of any size that gains least, nothing predicted",
        work: Work::Worst,
    },
    Spec {
        name: "transfers",
        about: "47,620 plain transfers between distinct accounts",
        work: Work::Generated(TRANSFERS),
    },
    Spec {
        name: "erc20",
        about: "33,628 transfers of one token between distinct holders",
        work: Work::Generated(ERC20),
    },
    Spec { name: "amm", about: "6,413 swaps over 1,000 pools of one router", work: Work::Generated(AMM) },
    Spec {
        name: "one-sender",
        about: "27,000 transactions of one account: a chain",
        work: Work::Generated(ONE_SENDER),
    },
    Spec { name: "hot-slot", about: "33,000 increments of one slot: a chain", work: Work::Generated(HOT_SLOT) },
    Spec { name: "one-pool", about: "6,413 swaps on one pool: a chain", work: Work::Generated(ONE_POOL) },
    Spec {
        name: "path/transfers",
        about: "the transfers, from signatures to the state root",
        work: Work::Path(TRANSFERS),
    },
    Spec {
        name: "path/erc20",
        about: "the token transfers, from signatures to the state root",
        work: Work::Path(ERC20),
    },
    Spec {
        name: "keccak/32",
        about: "hashes of 32 bytes in batches, against one after the other",
        work: Work::State(StateWork::Keccak { len: 32 }),
    },
    Spec {
        name: "keccak/532",
        about: "hashes of full branch nodes in batches, against one after the other",
        work: Work::State(StateWork::Keccak { len: 532 }),
    },
    Spec {
        name: "root/sorted",
        about: "root of 100,000 sorted accounts from scratch, against alloy-trie's state_root",
        work: Work::State(StateWork::Sorted),
    },
    Spec {
        name: "root/updates",
        about: "10,000 random updates of 1,000,000 accounts, against one thread with scalar hashing",
        work: Work::State(StateWork::Updates),
    },
    Spec {
        name: "root/witnesses",
        about: "state roots after the mainnet blocks with witness, against one thread with scalar hashing",
        work: Work::State(StateWork::Witnesses),
    },
    Spec {
        name: "import/transfers",
        about: "20 blocks of 10,000 plain transfers over {accounts} accounts, from raw bytes to durable",
        work: Work::Store(StoreWork::Import(&plain_transfers::RECIPE)),
    },
    Spec {
        name: "import/erc20",
        about: "20 blocks of 10,000 transfers of one token over {accounts} accounts and holders, likewise",
        work: Work::Store(StoreWork::Import(&erc20::RECIPE)),
    },
    Spec {
        name: "reads",
        about: "200,000 accounts of {accounts} on disk, in no order, cache off, against raw MDBX get",
        work: Work::Store(StoreWork::Reads),
    },
];

impl Spec {
    /// What the row does, over so many accounts where it makes a store.
    pub(super) fn about(&self, accounts: usize) -> String {
        self.about.replace("{accounts}", &accounts.to_string())
    }

    /// How much of a block's way the row times.
    pub(super) const fn scope(&self) -> Scope {
        match self.work {
            Work::Mainnet(_) | Work::Worst | Work::Generated(_) => Scope::Execution,
            Work::Path(_) => Scope::Path,
            Work::State(_) => Scope::State,
            Work::Store(_) => Scope::Store,
        }
    }
}

/// The rows that any of `names` names or begins; all rows if there are no names.
///
/// # Errors
/// A name fits no row.
pub(super) fn select(names: &[String]) -> anyhow::Result<Vec<&'static Spec>> {
    if let Some(name) = names.iter().find(|name| ROWS.iter().all(|row| !row.name.starts_with(*name))) {
        let all: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        bail!("unknown row: expected {}, found {name}", all.join(", "));
    }
    let is_wanted = |row: &&Spec| names.is_empty() || names.iter().any(|name| row.name.starts_with(name));
    Ok(ROWS.iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        select(&names).unwrap().iter().map(|row| row.name).collect()
    }

    #[test]
    fn rows_are_selected_by_name_or_beginning_in_their_own_order() {
        assert_eq!(selected(&[]).len(), ROWS.len());
        assert_eq!(selected(&["path/erc20", "mainnet/n"]), ["mainnet/none", "path/erc20"]);
        assert_eq!(selected(&["one"]), ["one-sender", "one-pool"]);
        assert_eq!(selected(&["mainnet"]).len(), 5);
    }

    #[test]
    fn unknown_name_is_refused_and_the_rows_are_named() {
        let error = select(&["mainnet".to_owned(), "swap".to_owned()]).unwrap_err().to_string();
        assert!(error.ends_with("found swap") && error.contains("mainnet/ahead, mainnet/bal"), "{error}");
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
    }
}
