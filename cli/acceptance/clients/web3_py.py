"""web3_py.py URL COUNTER.json: web3.py against a development chain; `node compile.mjs` writes the JSON. Prints `gas NAME N` lines."""

import json
import sys

from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractCustomError, ContractLogicError, ContractPanicError

url, compiled = sys.argv[1], json.load(open(sys.argv[2]))
w3 = Web3(HTTPProvider(url))
account = Account.from_key("0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6")
w3.eth.default_account = account.address
chain = w3.eth.chain_id


def send(name, tx):
    tx = {"from": account.address, "nonce": w3.eth.get_transaction_count(account.address), "chainId": chain, **tx}
    if "gas" not in tx:
        tx["gas"] = w3.eth.estimate_gas(tx)
    signed = account.sign_transaction(tx)
    receipt = w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.02)
    assert receipt.status == 1, name
    print("gas", f"web3py.{name}", receipt.gasUsed)
    return receipt


fees = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9}
factory = w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
deployed = send("deploy", factory.constructor(7).build_transaction({**fees, "gas": 1_000_000}))
counter = w3.eth.contract(address=deployed.contractAddress, abi=compiled["abi"])
events = w3.eth.filter({"address": counter.address})
pending = w3.eth.filter("pending")
receipt = send("add", counter.functions.add(5).build_transaction({**fees, "gas": 200_000}))
assert counter.functions.value().call() == 12
[event] = counter.events.Counted().process_receipt(receipt)
assert event.args.value == 12 and event.args.by == account.address
assert len(events.get_new_entries()) == 1 and receipt.transactionHash in pending.get_new_entries()

for call, error in [
    (counter.functions.add(101), ContractCustomError),
    (counter.functions.refuse(), ContractLogicError),
    (counter.functions.panics(0), ContractPanicError),
]:
    try:
        call.call()
    except error:
        continue
    raise AssertionError(f"{call} did not fail with {error}")

to = Web3.to_checksum_address("0x" + "cc" * 20)
send("legacy", {"to": to, "value": 1, "gasPrice": 10**11})
send("accessList", {"to": to, "value": 1, "gasPrice": 10**11, "accessList": [{"address": to, "storageKeys": []}]})
send("fee", {"to": to, "value": 1, **fees})
nonce = w3.eth.get_transaction_count(account.address)
authorization = account.sign_authorization({"chainId": chain, "address": counter.address, "nonce": nonce + 1})
send("setCode", {"to": to, "authorizationList": [authorization], "gas": 100_000, **fees})
assert w3.eth.get_code(account.address).hex() == "ef0100" + counter.address[2:].lower()
assert w3.eth.get_block("latest").transactions and w3.eth.fee_history(2, "latest", [50])
assert w3.eth.get_proof(counter.address, ["0x" + "0" * 64]).storageProof[0].value == b"\x0c"
print("web3.py ok")
