#!/usr/bin/env python3
"""How long engine_newPayload takes while others call: p95 alone and under eth_call load, of the same blocks on fresh nodes.

    engine_load.py LAMINAR GENESIS [--blocks 100] [--txs 100] [--rounds 2] [--connections 64] [--most 1.5]

A first node builds the chain; then each node gets its payloads, one every 60 ms, alone or with wrk on its public port. Rounds take
turns. Fails if the p95 of the loaded rounds is more than MOST times that of the others. GENESIS is genesis_prague.json of the
acceptance scripts. wrk stands for callers on other machines: it takes only what is left of the cores. Needs wrk, and Python with
eth-account (that of `clsim prepare` has it).
"""
import argparse, base64, hashlib, hmac, http.client, json, shutil, signal, subprocess, sys, tempfile, time
from pathlib import Path
from eth_account import Account

ZERO = "0x" + "00" * 32
WORKER = "0x" + "ee" * 20
# Hashes memory as often as calldata says, then counts in the caller's slot.
CODE = "0x600035" "5b" "60206000206000526001900380600357" "50" "3354600101335500"
INTERVAL = 0.06


class Node:
    def __init__(self, laminar, genesis, folder):
        self.folder, self.log = folder, folder / "node.log"
        folder.mkdir(parents=True)
        self.process = subprocess.Popen(
            [laminar, "node", "--chain", genesis, "--datadir", folder / "data", "--ipcdisable", "--authrpc.port", "0",
             "--http", "--http.port", "0", "--txpool.max-account-slots", "10000"], stderr=open(self.log, "wb"))  # fmt: skip
        while "Listening on" not in (text := self.log.read_text()):
            if self.process.poll() is not None:
                sys.exit(text)
            time.sleep(0.05)
        address = lambda name: text.split(name + " on ")[1].split()[0]
        self.http, self.secret = address("Listening"), bytes.fromhex((folder / "data/jwt.hex").read_text().strip())
        self.engine = http.client.HTTPConnection(address("Engine API"))

    def call(self, method, *params):
        """Result, and seconds from the first byte sent to the last received."""
        text = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")
        message = text(b'{"typ":"JWT","alg":"HS256"}') + b"." + text(json.dumps(dict(iat=int(time.time()))).encode())
        token = message + b"." + text(hmac.new(self.secret, message, hashlib.sha256).digest())
        headers = {"content-type": "application/json", "authorization": "Bearer " + token.decode()}
        body = json.dumps(dict(jsonrpc="2.0", id=1, method=method, params=params))
        start = time.perf_counter()
        self.engine.request("POST", "/", body, headers)
        raw = self.engine.getresponse().read()
        seconds = time.perf_counter() - start
        answer = json.loads(raw)
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']}")
        return answer["result"], seconds

    def choose(self, head, attributes=None):
        state = dict(headBlockHash=head, safeBlockHash=ZERO, finalizedBlockHash=ZERO)
        updated, _ = self.call("engine_forkchoiceUpdatedV3", state, attributes)
        assert updated["payloadStatus"]["status"] == "VALID", updated
        return updated["payloadId"]

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def build(node, args):
    """Parameters of engine_newPayloadV4 for each block."""
    Account.enable_unaudited_hdwallet_features()
    phrase = "test " * 11 + "junk"
    path = "m/44'/60'/0'/0/{}"
    senders = [Account.from_mnemonic(phrase, account_path=path.format(index)) for index in range(10)]
    chain, nonces, payloads = int(node.call("eth_chainId")[0], 16), [0] * 10, []
    head = node.call("eth_getBlockByNumber", "0x0", False)[0]["hash"]
    for number in range(1, args.blocks + 1):
        for index in range(args.txs):
            who = index % 10
            # Calls that compute for some 120,000 gas; every fifth is a plain transfer.
            plain = index % 5 == 0
            tx = dict(chainId=chain, type=2, nonce=nonces[who], value=int(plain), gas=21_000 if plain else 200_000,
                      to=(0xBEEF0000 + index).to_bytes(20, "big") if plain else bytes.fromhex(WORKER[2:]), maxFeePerGas=10**11, maxPriorityFeePerGas=10**9,
                      data=b"" if plain else (1000).to_bytes(32, "big"))  # fmt: skip
            nonces[who] += 1
            node.call("eth_sendRawTransaction", "0x" + senders[who].sign_transaction(tx).raw_transaction.hex().removeprefix("0x"))
        attributes = dict(timestamp=hex(12 * number), prevRandao=ZERO, suggestedFeeRecipient="0x" + "fe" * 20, withdrawals=[], parentBeaconBlockRoot=ZERO)
        built, _ = node.call("engine_getPayloadV4", node.choose(head, attributes))
        payloads.append([built["executionPayload"], [], ZERO, built["executionRequests"]])
        status, _ = node.call("engine_newPayloadV4", *payloads[-1])
        assert status["status"] == "VALID", status
        head = status["latestValidHash"]
        node.choose(head)
    counts = sorted(len(params[0]["transactions"]) for params in payloads)
    gas = sum(int(params[0]["gasUsed"], 16) for params in payloads) / len(payloads) / 1e6
    print(f"{len(payloads)} blocks of {counts[0]} to {counts[-1]} transactions, {gas:.1f} Mgas on average", flush=True)
    return payloads


def play(node, payloads):
    """Milliseconds of each newPayload."""
    times = []
    for params in payloads:
        start = time.perf_counter()
        status, seconds = node.call("engine_newPayloadV4", *params)
        assert status["status"] == "VALID", status
        times.append(seconds * 1e3)
        node.choose(params[0]["blockHash"])
        time.sleep(max(0, INTERVAL - (time.perf_counter() - start)))
    return times


def load(node, args, folder):
    """wrk with eth_call of the worker's contract."""
    call = json.dumps(dict(jsonrpc="2.0", id=1, method="eth_call", params=[dict(to=WORKER, data="0x" + f"{200:064x}"), "latest"]))
    script = folder / "call.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\nwrk.body = '{call}'\n")
    seconds = int(args.blocks * INTERVAL) + 20
    return subprocess.Popen(["nice", "-n19", "wrk", "-t1", f"-c{args.connections}", f"-d{seconds}s", "-s", script, f"http://{node.http}"],
                            stdout=subprocess.PIPE, text=True)  # fmt: skip


def p(times, share):
    return sorted(times)[int(len(times) * share)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("laminar")
    parser.add_argument("genesis")
    for name, value in dict(blocks=100, txs=100, rounds=2, connections=64).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--most", type=float, default=1.5)
    parser.add_argument("--chain", help="file that keeps the payloads")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    genesis = json.loads(Path(args.genesis).read_text())
    genesis["alloc"][WORKER] = dict(balance="0x0", code=CODE)
    (folder / "genesis.json").write_text(json.dumps(genesis))
    start = lambda name: Node(args.laminar, folder / "genesis.json", folder / name)
    times = {"alone": [], "loaded": []}
    if args.chain and Path(args.chain).exists():
        payloads = json.loads(Path(args.chain).read_text())
    else:
        builder = start("builder")
        payloads = build(builder, args)
        builder.stop()
        if args.chain:
            Path(args.chain).write_text(json.dumps(payloads))
    for number in range(args.rounds):
        for kind in times:
            node = start(f"{kind}-{number}")
            wrk = load(node, args, folder) if kind == "loaded" else None
            if wrk:
                time.sleep(1)
            round_times = play(node, payloads)
            times[kind] += round_times
            answered = ""
            if wrk:
                wrk.send_signal(signal.SIGINT)
                answered = " ".join(line.strip() for line in wrk.communicate()[0].splitlines() if "requests in" in line)
            node.stop()
            print(f"{kind}: p50 {p(round_times, .5):.1f} ms, p95 {p(round_times, .95):.1f} ms {answered}", flush=True)
    shutil.rmtree(folder)
    ratio = p(times["loaded"], 0.95) / p(times["alone"], 0.95)
    print(f"p95 loaded is {ratio:.2f} times p95 alone")
    sys.exit(0 if ratio <= args.most else 1)


if __name__ == "__main__":
    main()
