"""hostile.py LAMINAR: everything that a client may do wrong, against a development chain that mines all the while.

A watcher asks for the chain id and mines a block ten times a second during each case; each must be answered in time. At the end the
node's memory is within bounds, its log has no panic, and SIGTERM ends it with success. Needs Python 3 and nothing else; loopback only.
"""

import base64
import http.client
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# Seconds that the watcher may wait for an answer while other clients do their worst.
ANSWER_MAX = 10.0
# MiB that the node may use at any time.
MEMORY_MAX = 2048
# Open files of this script and of the node, of which each connection is one.
FILES = 4096
ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
# JUMPDEST, PUSH0, JUMP.
ENDLESS = "0x5b5f56"
# Like it, but with a log in each turn.
LOGS = "0x5b5f5fa05f56"


class Node:
    def __init__(self, laminar):
        self.log = tempfile.TemporaryFile("w+")
        files = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
        flags = ["--ipcdisable", "-p", "0", "--no-mining", "--rpc.max-connections", "1100", "--rpc.max-request-size", "4"]
        self.process = subprocess.Popen([laminar, "node", "--dev", *flags], stderr=self.log, preexec_fn=files)
        address = None
        while not address:
            time.sleep(0.05)
            assert self.process.poll() is None, self.said()
            address = re.search(r"Listening on (.*):(\d+)", self.said())
        self.address = (address[1], int(address[2]))

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def memory(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read())[1]) // 1024

    def connect(self):
        stream = socket.create_connection(self.address, timeout=60)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def post(self, body, timeout=60):
        """Status and body; None where the node hung up."""
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()

    def call(self, method, *params, timeout=60):
        status, body = self.post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}), timeout)
        assert status == 200, (method, status)
        return json.loads(body)

    def upgrade(self):
        """A WebSocket connection."""
        stream = self.connect()
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        stream.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = stream.recv(1)
            assert part, "refused"
            answer += part
        assert b" 101 " in answer, answer
        return stream


def frame(text, opcode=1):
    data = text.encode() if isinstance(text, str) else text
    length = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + len(data).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + data


def request(method, *params):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


class Watcher(threading.Thread):
    """Asks and mines until the end; the longest wait of each case."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.longest, self.memory, self.failed, self.ends = node, 0.0, 0, None, False

    def run(self):
        while not self.ends:
            start = time.time()
            try:
                for method in ["eth_chainId", "evm_mine"]:
                    answer = self.node.call(method, timeout=ANSWER_MAX)
                    assert "result" in answer, answer
            except Exception as error:
                self.failed = self.failed or error
            self.longest = max(self.longest, time.time() - start)
            self.memory = max(self.memory, self.node.memory())
            time.sleep(0.1)


def together(count, work):
    """Runs `work` in threads; its first error."""
    errors = []

    def run(at):
        try:
            work(at)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(at,)) for at in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if errors:
        raise errors[0]


def random_bytes(node):
    source = random.Random(6)
    for _ in range(500):
        stream = node.connect()
        try:
            stream.sendall(source.randbytes(source.randrange(1, 2000)))
        except ConnectionError:
            pass
        stream.close()
    for _ in range(200):
        stream = node.upgrade()
        try:
            stream.sendall(source.randbytes(200))
        except ConnectionError:
            pass
        stream.close()
    for _ in range(500):
        node.post(source.randbytes(source.randrange(300)))


def deep_nesting(node):
    for body in ["[" * 2_000_000, '{"a":' * 500_000, request("eth_call", "X").replace('"X"', "[" * 100_000 + "]" * 100_000)]:
        status, answer = node.post(body)
        assert status == 200 and b'"error"' in answer, (status, answer[:200])
    stream = node.upgrade()
    stream.sendall(frame("[" * 60_000))
    assert b"error" in stream.recv(1000)


def huge_batches(node):
    call = request("eth_getBlockByNumber", "latest", True)
    _, answer = node.post("[" + ",".join([call] * 1000) + "]")
    assert len(json.loads(answer)) == 1000
    status, answer = node.post("[" + ",".join([call] * 1001) + "]")
    assert b'"result"' not in answer, status
    assert node.post(b" " * (5 << 20))[0] in (413, None)
    endless = request("eth_call", {"data": ENDLESS, "gas": hex(2**64 - 1)}, "latest")
    _, answer = node.post("[" + ",".join([endless] * 1000) + "]", 120)
    assert b'"result"' not in answer


def wrong_types(node):
    values = [None, True, -1, 1.5, 2**64, "", "0x", "-0x1", "0x" + "f" * 5000, "9" * 100_000, [], {}, [[]], {"x": {}}]
    for method in ["eth_getBalance", "eth_getBlockByNumber", "eth_getLogs", "eth_feeHistory", "eth_call", "evm_increaseTime"]:
        for value in values:
            for params in [[value], [value, value], [ALICE, value, value]]:
                answer = node.call(method, *params)
                assert "result" in answer or answer["error"]["code"] < 0, answer


def slow_clients(node):
    held = []
    for at in range(300):
        stream = node.connect()
        stream.sendall([b"POST / HT", b"POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\n{", b"POST / HTTP/1.1\r\nhost: localhost\r\n"][at % 3])
        held.append(stream)
    # Answers of megabytes that nobody reads.
    big = "[" + ",".join([request("eth_getBlockByNumber", "latest", True)] * 1000) + "]"
    for _ in range(20):
        stream = node.connect()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(big)}\r\n\r\n"
        stream.sendall(head.encode() + big.encode())
        held.append(stream)
    for _ in range(20):
        time.sleep(0.1)
        for stream in held[:300]:
            try:
                stream.sendall(b" ")
            except OSError:
                pass
    [stream.close() for stream in held]


def thousand_connections(node):
    held = [node.connect() for _ in range(1000)]
    time.sleep(1)
    assert node.call("eth_chainId")["result"] == "0x7a69"
    # More than there may be: they get nothing, and those that are there stay.
    more = [node.connect() for _ in range(300)]
    time.sleep(1)
    [stream.close() for stream in more + held]


def subscriptions(node):
    """Floods of subscriptions whose clients do not read."""
    held = []
    for _ in range(20):
        stream = node.upgrade()
        for at in range(1100):
            kind = [["newHeads"], ["newPendingTransactions"], ["logs", {}]][at % 3]
            stream.sendall(frame(request("eth_subscribe", *kind)))
        held.append(stream)
    for _ in range(100):
        node.call("eth_sendTransaction", {"from": ALICE, "data": "0x5f5fa0", "gas": "0x186a0"})
        node.call("evm_mine")
    [stream.close() for stream in held]


def gas_burners(node):
    endless = {"data": ENDLESS, "gas": hex(2**64 - 1)}
    calls = [
        ("eth_call", endless, "latest"),
        ("eth_estimateGas", endless, "latest"),
        ("eth_createAccessList", endless, "latest"),
        ("debug_traceCall", endless, "latest", {}),
        ("debug_traceCall", endless, "latest", {"enableMemory": True}),
        ("debug_traceCall", {"data": LOGS}, "latest", {"tracer": "callTracer", "tracerConfig": {"withLog": True}}),
        ("trace_call", endless, ["trace", "vmTrace", "stateDiff"], "latest"),
        ("eth_simulateV1", {"blockStateCalls": [{"calls": [endless] * 50}] * 20}, "latest"),
    ]
    together(64, lambda at: node.call(*calls[at % len(calls)], timeout=120))


def everything_asked_for(node):
    most = hex(2**64 - 1)
    for _ in range(20):
        node.call("eth_sendTransaction", {"from": ALICE, "data": LOGS, "gas": "0x1c9c380"})
        node.call("evm_mine")
    calls = [
        ("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}),
        ("eth_getLogs", {"fromBlock": "0x0", "toBlock": most}),
        ("eth_feeHistory", most, "latest", [0.5] * 1000),
        ("trace_filter", {"fromBlock": "0x0", "toBlock": "latest"}),
        ("eth_simulateV1", {"blockStateCalls": [{}] * 1000}, "latest"),
        ("debug_traceBlockByNumber", "latest", {}),
        ("eth_getProof", ALICE, ["0x1"] * 20_000, "latest"),
        ("ots_searchTransactionsBefore", ALICE, 0, 2**32),
        ("anvil_mine", most, most),
        ("evm_setIntervalMining", 2**64 - 1),
        ("evm_setAutomine", False),
    ]
    together(len(calls) * 4, lambda at: node.call(*calls[at % len(calls)], timeout=120))


CASES = [
    random_bytes,
    deep_nesting,
    huge_batches,
    wrong_types,
    slow_clients,
    thousand_connections,
    subscriptions,
    gas_burners,
    everything_asked_for,
]


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    node = Node(sys.argv[1])
    try:
        watcher = Watcher(node)
        watcher.start()
        for case in CASES:
            watcher.longest = watcher.memory = 0
            start = time.time()
            case(node)
            time.sleep(0.3)
            seconds = time.time() - start
            print(f"{case.__name__:22} {seconds:5.1f} s, longest wait {watcher.longest:.2f} s, memory {watcher.memory} MiB", flush=True)
            assert watcher.failed is None, watcher.failed
            assert watcher.memory <= MEMORY_MAX, "too much memory"
        watcher.ends = True
        watcher.join()
        print(f"after it all: {node.memory()} MiB, block {int(node.call('eth_blockNumber')['result'], 16)}")
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(20) == 0, "ends with success"
    finally:
        node.process.kill()
    said = node.said()
    assert "panic" not in said and "bug" not in said, said
    print(f"hostile clients ok: {len(CASES)} cases")


main()
