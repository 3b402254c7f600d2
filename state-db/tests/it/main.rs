//! Tries and states against foreign code, official tests and real blocks.

mod archive;
mod eth_trie_oracle;
mod large_blocks;
mod memory_state;
mod node_table;
mod official_tries;
mod random_blocks;
mod store;
mod witness_blocks;
