//! EIP-6110: deposits, read from the logs of the deposit contract.
//!
//! Place in the flow: after the withdrawals, from Prague on; reads receipts, not the state.
//! Invariant: a log of the contract with the deposit signature has exactly the layout below, or the block is invalid.
//!
//! Data of a deposit log: five byte strings, ABI-encoded; all words are 32 bytes, big-endian.
//!
//! | offset | length | meaning |
//! | --- | --- | --- |
//! | 0 | 160 | offsets of the five strings: 160, 256, 320, 384, 512 |
//! | 160 | 32 + 64 | length 48, public key, zero padding |
//! | 256 | 32 + 32 | length 32, withdrawal credentials |
//! | 320 | 32 + 32 | length 8, amount in gwei (little-endian), padding |
//! | 384 | 32 + 96 | length 96, signature |
//! | 512 | 32 + 32 | length 8, index (little-endian), padding |

use crate::{
    error::ExecuteError,
    rule::Rule,
    types::{Receipt, TxIndex},
};
use alloy_primitives::{Address, B256, U256, b256};

/// Keccak-256 of `DepositEvent(bytes,bytes,bytes,bytes,bytes)`.
const DEPOSIT_EVENT_TOPIC: B256 = b256!("0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
/// Length of a deposit log's data.
const EVENT_LEN: usize = 576;
/// Length of a deposit request without its type.
const REQUEST_LEN: usize = 192;

/// One string of the event.
struct Part {
    offset: usize,
    len: usize,
    wrong_offset: &'static str,
    wrong_len: &'static str,
}

const PARTS: [Part; 5] = [
    Part { offset: 160, len: 48, wrong_offset: "offset of the public key", wrong_len: "length of the public key" },
    Part { offset: 256, len: 32, wrong_offset: "offset of the credentials", wrong_len: "length of the credentials" },
    Part { offset: 320, len: 8, wrong_offset: "offset of the amount", wrong_len: "length of the amount" },
    Part { offset: 384, len: 96, wrong_offset: "offset of the signature", wrong_len: "length of the signature" },
    Part { offset: 512, len: 8, wrong_offset: "offset of the index", wrong_len: "length of the index" },
];

/// The deposit requests of a block, one after the other, 192 bytes each, without the type byte.
///
/// # Errors
/// [`Rule::DepositLayout`] with the transaction whose log breaks the layout.
pub(super) fn deposits(contract: Address, receipts: &[Receipt]) -> Result<Vec<u8>, ExecuteError> {
    let mut out = Vec::new();
    for (position, receipt) in receipts.iter().enumerate() {
        // CONSENSUS: EIP-6110, other events of the contract (Sepolia's emits some) do not count.
        let logs = receipt
            .logs
            .iter()
            .filter(|log| log.address == contract && log.data.topics().first() == Some(&DEPOSIT_EVENT_TOPIC));
        for log in logs {
            append_request(&log.data.data, &mut out)
                .map_err(|rule| ExecuteError::invalid_tx(TxIndex::from_usize(position), rule))?;
        }
    }
    Ok(out)
}

/// Appends `public key || credentials || amount || signature || index` of one event.
fn append_request(data: &[u8], out: &mut Vec<u8>) -> Result<(), Rule> {
    if data.len() != EVENT_LEN {
        return Err(Rule::DepositLayout { what: "length of the data" });
    }
    for (position, part) in PARTS.iter().enumerate() {
        if word(data, position * 32) != Some(U256::from(part.offset)) {
            return Err(Rule::DepositLayout { what: part.wrong_offset });
        }
        if word(data, part.offset) != Some(U256::from(part.len)) {
            return Err(Rule::DepositLayout { what: part.wrong_len });
        }
    }
    out.reserve(REQUEST_LEN);
    for part in &PARTS {
        let start = part.offset + 32;
        out.extend_from_slice(data.get(start..start + part.len).unwrap_or_default());
    }
    Ok(())
}

/// The big-endian word at an offset.
fn word(data: &[u8], offset: usize) -> Option<U256> {
    data.get(offset..offset + 32).map(U256::from_be_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::TxType;
    use alloy_eips::eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS as CONTRACT;
    use alloy_primitives::{Log, LogData};

    fn event() -> Vec<u8> {
        let mut data = vec![0; EVENT_LEN];
        for (position, part) in PARTS.iter().enumerate() {
            data[position * 32..][..32].copy_from_slice(&U256::from(part.offset).to_be_bytes::<32>());
            data[part.offset..][..32].copy_from_slice(&U256::from(part.len).to_be_bytes::<32>());
            data[part.offset + 32..][..part.len].fill(position as u8 + 1);
        }
        data
    }

    fn log(address: Address, topic: B256, data: Vec<u8>) -> Log {
        Log { address, data: LogData::new_unchecked(vec![topic], data.into()) }
    }

    fn receipt(logs: Vec<Log>) -> Receipt {
        Receipt { tx_type: TxType::Legacy, success: true, cumulative_gas_used: 0, logs }
    }

    fn refusal(data: Vec<u8>) -> Option<(Option<TxIndex>, Rule)> {
        let receipts = [receipt(vec![]), receipt(vec![log(CONTRACT, DEPOSIT_EVENT_TOPIC, data)])];
        match deposits(CONTRACT, &receipts) {
            Err(ExecuteError::InvalidBlock { index, rule }) => Some((index, rule)),
            _ => None,
        }
    }

    #[test]
    fn deposits_are_concatenated_in_block_order() {
        let deposit = || log(CONTRACT, DEPOSIT_EVENT_TOPIC, event());
        let receipts = [receipt(vec![deposit()]), receipt(vec![]), receipt(vec![deposit(), deposit()])];
        let bytes = deposits(CONTRACT, &receipts).unwrap();
        assert_eq!(bytes.len(), 3 * REQUEST_LEN);
        let mut expected = vec![1; 48];
        expected.extend([[2; 32].as_slice(), &[3; 8], &[4; 96], &[5; 8]].concat());
        assert_eq!(bytes[REQUEST_LEN..2 * REQUEST_LEN], expected);
    }

    #[test]
    fn logs_of_others_and_other_events_do_not_count() {
        let odd = vec![1, 2, 3];
        let mut untitled = log(CONTRACT, B256::ZERO, odd.clone());
        untitled.data = LogData::new_unchecked(vec![], odd.clone().into());
        let logs = vec![log(Address::ZERO, DEPOSIT_EVENT_TOPIC, odd.clone()), log(CONTRACT, B256::ZERO, odd), untitled];
        assert_eq!(deposits(CONTRACT, &[receipt(logs)]).unwrap(), Vec::<u8>::new());
    }

    #[test]
    fn every_word_of_the_layout_is_checked() {
        assert_eq!(refusal(event()), None);
        for (position, part) in PARTS.iter().enumerate() {
            for offset in [position * 32, part.offset] {
                for byte in [0, 31] {
                    let mut data = event();
                    data[offset + byte] ^= 1;
                    let (index, rule) = refusal(data).expect("the layout is broken");
                    assert_eq!(index, Some(TxIndex(1)));
                    assert_eq!(rule.exception(), "BlockException.INVALID_DEPOSIT_EVENT_LAYOUT");
                }
            }
        }
    }

    #[test]
    fn data_must_have_the_exact_length() {
        for len in [0, EVENT_LEN - 1, EVENT_LEN + 1, EVENT_LEN + 32] {
            let mut data = event();
            data.resize(len, 0);
            assert_eq!(refusal(data).unwrap().1, Rule::DepositLayout { what: "length of the data" });
        }
    }

    #[test]
    fn padding_is_free() {
        let mut data = event();
        data[160 + 32 + 48] = 1;
        assert_eq!(refusal(data), None);
    }
}
