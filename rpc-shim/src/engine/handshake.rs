//! What both sides tell each other about themselves.
//!
//! Place in the flow: asked by consensus clients when they connect and now and then afterwards; changes nothing.
//! Invariant: the list of capabilities is that of the methods which are registered.
//! Source: execution-apis `src/engine/{common,identification,paris}.md`.

use alloy_primitives::{B256, U256};
use alloy_rpc_types_engine::TransitionConfiguration;
use laminar_executor::chain_spec::ChainSpec;
use serde::{Deserialize, Serialize};

/// Our two letters; none of those that the specification reserves.
const CLIENT_CODE: &str = "LM";

/// First four bytes of the commit, where the build knows it.
const COMMIT: &str = match option_env!("LAMINAR_COMMIT") {
    Some(commit) => commit,
    None => "00000000",
};

/// `ClientVersionV1`. The code is any two letters, so it is text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientVersion {
    /// Two letters.
    pub code: String,
    /// The name for people.
    pub name: String,
    /// The version of the build.
    pub version: String,
    /// First four bytes of the commit, in hexadecimal.
    pub commit: String,
}

impl ClientVersion {
    /// Ours.
    pub fn laminar() -> Self {
        Self {
            code: CLIENT_CODE.to_owned(),
            name: "Laminar".to_owned(),
            version: format!("v{}", env!("CARGO_PKG_VERSION")),
            commit: COMMIT.to_owned(),
        }
    }
}

/// `engine_exchangeTransitionConfigurationV1`: our side of it. A caller whose terminal total difficulty differs is warned about.
pub(super) fn transition_configuration(spec: &ChainSpec, theirs: &TransitionConfiguration) -> TransitionConfiguration {
    // A chain that never leaves proof of work has not decided yet; the specification names this number for that.
    let undecided = U256::MAX - U256::from(1023);
    let ours = TransitionConfiguration {
        terminal_total_difficulty: spec.terminal_total_difficulty().unwrap_or(undecided),
        terminal_block_hash: B256::ZERO,
        terminal_block_number: 0,
    };
    if theirs.terminal_total_difficulty != ours.terminal_total_difficulty {
        let (expected, found) = (ours.terminal_total_difficulty, theirs.terminal_total_difficulty);
        tracing::warn!(target: "laminar::engine", %expected, %found, "terminal total difficulties differ");
    }
    ours
}
