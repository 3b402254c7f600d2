#!/usr/bin/env python3
"""Kills a node again and again while the consensus specification leads it; every time it must go on where it was.

    clsim_kill.py LAMINAR CLSIM.PY GENESIS FOLDER [--kills 20] [--fork electra] [--epochs 8] [--seed N]

Called by `clsim kill`. clsim.py speaks to two ports of this process, which hand its calls on to the node. Half of the kills (SIGKILL)
come at a random moment, the other half within milliseconds after a call of the Engine API was handed on. After each restart, before the
next call of clsim.py is handed on, the node must have
  - the head of the last fork choice that it answered VALID, or of one that was not answered yet,
  - every block that was ever named as finalised, at its height, and the newest of them as `finalized`.
What a node may forget, the consensus side says again, as consensus clients and wallets do: payloads that no fork choice named
(newPayload), payloads being built (forkchoiceUpdated with attributes), transactions of the pool. Runs of clsim.py follow each
other until there were enough kills. At the end the folder is verified: `laminar db verify`.
"""
import argparse, base64, hashlib, hmac, http.client, http.server, json, random, shutil, signal, subprocess, sys, threading, time
from pathlib import Path

START_MAX = 60
RESENT_MAX = 200
ZERO = "0x" + "00" * 32


def free_port():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        return server.server_port


class Lost(Exception):
    """The node forgot what it may not forget."""


class Node:
    """The node's process, and what it owes to whoever leads it."""

    def __init__(self, args, folder):
        self.args, self.folder, self.secret = args, folder, folder / "jwt.hex"
        self.ports = {"engine": free_port(), "rpc": free_port()}
        self.kills, self.again = 0, dict(payloads=0, builds=0, transactions=0)
        self.heads, self.finalized = [], {}
        self.payloads, self.transactions, self.build = [], [], None
        self.ids = {}  # what clsim.py calls a build process: what the node calls it now
        self.start()

    def start(self):
        self.log = open(self.folder / "node.log", "ab")
        self.process = subprocess.Popen(
            [self.args.laminar, "node", "--chain", self.args.genesis, "--datadir", self.folder / "data", "--ipcdisable",
             "--authrpc.port", str(self.ports["engine"]), "--authrpc.jwtsecret", self.secret,
             "--http", "--http.port", str(self.ports["rpc"])], stderr=self.log)  # fmt: skip
        deadline = time.time() + START_MAX
        while True:
            try:
                return self.call("eth_blockNumber", [])
            except OSError:
                if self.process.poll() is not None:
                    raise
                if time.time() > deadline:
                    raise Lost("the node does not start") from None
                time.sleep(0.02)

    def post(self, port, body):
        """Hands a request on; OSError if the node is gone."""
        headers = {"content-type": "application/json"}
        if port == "engine":
            headers["authorization"] = "Bearer " + self.token()
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=60)
        try:
            connection.request("POST", "/", json.dumps(body), headers)
            return json.loads(connection.getresponse().read())
        except http.client.HTTPException as error:
            raise OSError("cut off") from error
        finally:
            connection.close()

    def call(self, method, params, port="rpc"):
        answer = self.post(port, dict(jsonrpc="2.0", id=1, method=method, params=params))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def token(self):
        if not self.secret.exists():
            raise OSError("no secret yet")
        text = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")
        message = text(b'{"typ":"JWT","alg":"HS256"}') + b"." + text(json.dumps(dict(iat=int(time.time()))).encode())
        key = bytes.fromhex(self.secret.read_text().strip().removeprefix("0x"))
        return (message + b"." + text(hmac.new(key, message, hashlib.sha256).digest())).decode()

    def bury(self):
        """Called when it does not answer: it must have been killed."""
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            raise Lost("the node lives and does not answer") from None
        self.log.close()
        if code != -signal.SIGKILL:
            raise Lost(f"the node ended by itself: {code}")
        self.kills += 1

    def restart(self):
        """Buries it and starts it again, as often as it is killed meanwhile."""
        while True:
            self.bury()
            try:
                self.start()
                self.check()
                return self.send_again()
            except OSError:
                pass

    def send_again(self):
        for raw in self.transactions[-RESENT_MAX:]:
            answer = self.post("rpc", dict(jsonrpc="2.0", id=1, method="eth_sendRawTransaction", params=[raw]))
            self.again["transactions"] += "result" in answer

    def check(self):
        head = self.call("eth_getBlockByNumber", ["latest", False])
        if self.heads and head["hash"] not in self.heads:
            raise Lost(f"head {head['number']} {head['hash']}, expected one of {self.heads}")
        for number, block in self.finalized.items():
            found = self.call("eth_getBlockByNumber", [number, False])
            if not found or found["hash"] != block:
                raise Lost(f"finalised block {number} {block}, found {found and found['hash']}")
        if self.finalized:
            newest = max(self.finalized, key=lambda number: int(number, 16))
            tag = self.call("eth_getBlockByNumber", ["finalized", False])
            # A newer one may have been named by a fork choice that was not answered.
            if not tag or int(tag["number"], 16) < int(newest, 16):
                raise Lost(f"finalized is {tag and tag['number']}, expected {newest}")


class Killer:
    """Hands calls on to the node, and kills it in between."""

    def __init__(self, node, rng):
        self.node, self.rng, self.lock = node, rng, threading.RLock()
        self.armed, self.stopped, self.lost = False, threading.Event(), None

    def run(self):
        while not self.stopped.wait(self.rng.uniform(0.3, 2.5)):
            if self.rng.random() < 0.5:
                self.armed = True
            else:
                self.node.process.kill()

    def forward(self, port, request):
        """The answer that clsim.py gets; whoever calls waits while the node is down."""
        with self.lock:
            try:
                while True:
                    try:
                        self.before(request)
                        answer = self.send(port, request)
                        return self.after(port, request, answer)
                    except OSError:
                        self.node.restart()
            except Lost as lost:
                self.lost = lost
                return dict(jsonrpc="2.0", id=request["id"], error=dict(code=1, message=str(lost)))

    def send(self, port, request):
        request = dict(request)
        if request["method"].startswith("engine_getPayload"):
            request["params"] = [self.node.ids.get(request["params"][0], request["params"][0])]
        if self.armed and port == "engine":
            self.armed = False
            threading.Timer(self.rng.uniform(0, 0.008), self.node.process.kill).start()
        return self.node.post(port, request)

    def before(self, request):
        node, method, params = self.node, request["method"], request["params"]
        if method.startswith("engine_forkchoiceUpdated") and params[0]["headBlockHash"] not in node.heads:
            node.heads = node.heads[-1:] + [params[0]["headBlockHash"]]
        elif method == "eth_sendRawTransaction" and params[0] not in node.transactions:
            node.transactions.append(params[0])

    def after(self, port, request, answer):
        """Notes what the node owes from now on; asks again where it forgot what it may forget."""
        node, method, params, result = self.node, request["method"], request["params"], answer.get("result")
        if method.startswith("engine_newPayload") and result and result["status"] == "VALID":
            node.payloads.append(request)
        elif method.startswith("engine_newPayload") and result and result["status"] == "SYNCING":
            raise Lost(f"the parent of a payload, the head, is not known: {params[0]['blockNumber']}")
        elif method.startswith("engine_forkchoiceUpdated") and result:
            return self.chosen(port, request, answer)
        elif method.startswith("engine_getPayload") and answer.get("error", {}).get("code") == -38001:
            node.again["builds"] += 1
            first, build = params[0], node.build
            node.ids[first] = self.forward(port, build)["result"]["payloadId"]
            time.sleep(0.1)
            return self.forward(port, request)
        elif method == "eth_sendRawTransaction" and "already known" in str(answer.get("error")):
            return dict(jsonrpc="2.0", id=request["id"], result=ZERO)
        return answer

    def chosen(self, port, request, answer):
        node, (state, attributes) = self.node, request["params"]
        if answer["result"]["payloadStatus"]["status"] == "SYNCING":
            wanted = [delivered for delivered in node.payloads if delivered["params"][0]["blockHash"] == state["headBlockHash"]]
            if not wanted:
                raise Lost(f"head {state['headBlockHash']} is not known, and it was chosen before")
            node.again["payloads"] += 1
            self.forward(port, wanted[0])
            return self.forward(port, request)
        node.heads, node.payloads = [state["headBlockHash"]], []
        if attributes:
            node.build = request
        if state["finalizedBlockHash"] != ZERO:
            block = node.call("eth_getBlockByHash", [state["finalizedBlockHash"], False])
            node.finalized[block["number"]] = block["hash"]
        return answer


def serve(killer, port):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(killer.forward(port, request)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def play(args, folder, rng):
    """One chain from its genesis to its end; the number of kills."""
    folder.mkdir(parents=True)
    node = Node(args, folder)
    killer = Killer(node, rng)
    urls = {port: serve(killer, port) for port in ("engine", "rpc")}
    threading.Thread(target=killer.run, daemon=True).start()
    try:
        ended = subprocess.run(
            [sys.executable, args.clsim, "--engine", urls["engine"], "--jwt", node.secret, "--rpc", urls["rpc"],
             "--fork", args.fork, "--epochs", str(args.epochs), "--txs", "50", "--probe"])  # fmt: skip
        killer.stopped.set()
        killer.armed = False
        with killer.lock:
            if node.process.poll() is not None and not killer.lost:
                node.restart()
        print(f"killed {node.kills} times; said again: {node.again}", flush=True)
        if killer.lost or ended.returncode != 0:
            sys.exit(f"FAIL: {killer.lost or 'clsim.py'}; see {folder}")
        node.process.kill()
        node.process.wait()
        subprocess.run([args.laminar, "db", "verify", "--datadir", folder / "data"], check=True)
        return node.kills
    finally:
        node.process.kill()
        node.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("laminar", "clsim", "genesis", "folder"):
        parser.add_argument(name)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--fork", default="electra")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    rng, kills, runs = random.Random(args.seed), 0, 0
    while kills < args.kills:
        folder = Path(args.folder) / f"run-{runs}"
        kills, runs = kills + play(args, folder, rng), runs + 1
        shutil.rmtree(folder)
    print(f"PASS: {kills} kills in {runs} runs")


if __name__ == "__main__":
    main()
