//! What is kept of refused blocks, through the method.

use crate::{
    calls::ask,
    forge::{Contents, chain, draft, forge, wallet},
};
use alloy_consensus::TxLegacy;
use alloy_primitives::{B256, Bytes};
use laminar_executor::recover::decode_block;
use laminar_rpc_shim::{
    api::{Context, Limits, module},
    node::{Delivered, ImportError, Node},
};
use serde_json::{Value, json};
use std::sync::Arc;

async fn bad_blocks(node: &Arc<Node>) -> Vec<Value> {
    let methods = module(Context::new(Arc::clone(node), Limits::default()));
    let answer = ask(&methods, "debug_getBadBlocks", &json!([])).await;
    answer["result"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

#[tokio::test]
async fn refused_blocks_are_told_whatever_step_refused_them() {
    let node = chain("Shanghai");
    assert!(bad_blocks(&node).await.is_empty());
    let maker = chain("Shanghai");
    let genesis = maker.head().hash();
    let to = alloy_primitives::TxKind::Call(wallet().address());
    let tx = TxLegacy { chain_id: Some(1), gas_price: 100, gas_limit: 21_000, to, ..TxLegacy::default() };
    let transactions = vec![wallet().sign(tx)];
    let good = forge(&maker, genesis, Contents { transactions: transactions.clone(), ..Contents::default() });

    // Before execution, after it, after the root was made; and a block that may be fine.
    let mut spoiled = vec![good.clone(), good.clone(), good.clone()];
    spoiled[0].header.gas_limit = 1;
    spoiled[1].header.gas_used += 1;
    spoiled[2].header.state_root = B256::repeat_byte(1);
    for block in &spoiled {
        let refused = node.import(Delivered::new(block.clone())).unwrap_err();
        assert!(matches!(refused, ImportError::Invalid(_)), "{refused}");
        node.import(Delivered::new(block.clone())).unwrap_err();
    }
    let mut orphan = good.clone();
    orphan.header.parent_hash = B256::repeat_byte(2);
    node.import(Delivered::new(orphan)).unwrap_err();
    node.import(Delivered::new(good)).unwrap();

    let told = bad_blocks(&node).await;
    assert_eq!(told.len(), spoiled.len());
    for block in &spoiled {
        let hash = block.header.hash_slow();
        let entry = told.iter().find(|entry| entry["hash"] == json!(hash)).unwrap();
        let rlp: Bytes = serde_json::from_value(entry["rlp"].clone()).unwrap();
        assert_eq!(decode_block(&rlp).unwrap(), *block);
        assert_eq!((&entry["block"]["hash"], &entry["block"]["number"]), (&json!(hash), &json!("0x1")));
        assert_eq!(entry["block"]["transactions"][0]["from"], json!(wallet().address()));
    }
}

#[tokio::test]
async fn only_the_last_ones_are_kept() {
    let node = chain("Shanghai");
    let genesis = node.head().hash();
    for miner in 0..30 {
        let block = draft(&node, genesis, Contents { miner, ..Contents::default() });
        node.import(Delivered::new(block)).unwrap_err();
    }
    assert_eq!(bad_blocks(&node).await.len(), 10);
}
