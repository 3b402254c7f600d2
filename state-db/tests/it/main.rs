//! Tries and states against foreign code, official tests and real blocks.

mod archive;
mod eth_trie_oracle;
mod memory_state;
mod official_tries;
mod witness_blocks;
