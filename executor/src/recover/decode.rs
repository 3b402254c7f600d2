//! Bytes to typed blocks and transactions, with nothing left over.
//!
//! Place in the flow: the door for raw blocks.
//! Invariant: what decodes encodes back to the same bytes.

use crate::{
    rule::Rule,
    types::{Block, Transaction},
};
use alloy_eips::eip2718::Decodable2718;
use alloy_rlp::Decodable;

/// Decodes the RLP of a block: `[header, transactions, ommers, withdrawals?]`, typed transactions as byte strings.
///
/// # Errors
/// [`Rule::Encoding`] if the bytes are anything else or are followed by others.
pub fn decode_block(bytes: &[u8]) -> Result<Block, Rule> {
    let mut rest = bytes;
    let block = Block::decode(&mut rest).map_err(|error| malformed(&error))?;
    finish(rest, block)
}

/// Decodes one transaction in its EIP-2718 form, as `eth_sendRawTransaction` takes it.
///
/// # Errors
/// [`Rule::Encoding`] if the bytes are anything else or are followed by others.
pub fn decode_transaction(bytes: &[u8]) -> Result<Transaction, Rule> {
    let mut rest = bytes;
    let transaction = Transaction::decode_2718(&mut rest).map_err(|error| malformed(&error))?;
    finish(rest, transaction)
}

fn malformed(error: &impl ToString) -> Rule {
    Rule::Encoding { what: error.to_string() }
}

fn finish<T>(rest: &[u8], value: T) -> Result<T, Rule> {
    if rest.is_empty() {
        return Ok(value);
    }
    Err(Rule::Encoding { what: format!("{} bytes after the end", rest.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_rlp::Encodable;

    #[test]
    fn decoded_block_encodes_back() {
        let mut bytes = Vec::new();
        Block::default().encode(&mut bytes);
        let block = decode_block(&bytes).unwrap();
        assert_eq!(alloy_rlp::encode(&block), bytes);
    }

    #[test]
    fn bytes_after_the_end_and_truncated_bytes_are_refused() {
        let mut bytes = alloy_rlp::encode(Block::default());
        for end in 0..bytes.len() {
            assert!(matches!(decode_block(&bytes[..end]), Err(Rule::Encoding { .. })), "{end}");
        }
        bytes.push(0);
        assert_eq!(decode_block(&bytes), Err(Rule::Encoding { what: "1 bytes after the end".to_owned() }));
        assert!(decode_transaction(&[0x7f, 1, 2]).is_err());
    }
}
