#!/usr/bin/env bash
# run.sh LAMINAR [PYTHON]: ethers, viem, web3.py, Uniswap V2, cast and forge against `laminar node --dev` and against anvil, and the
# gas of both compared; then browser/run.sh, a page in Chromium against ours, if there is a Chromium.
#
# Installs the npm packages of package.json beside itself (node_modules) if they are missing; PYTHON is an interpreter with `web3`
# (pip install web3), without which web3.py is skipped. Everything runs on loopback. Exit code 0: every client passed on our node and
# every transaction used the same gas on both.
set -euo pipefail
laminar="$(realpath "$1")"
python="${2:-}"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$here"
# Uniswap V2 from its published artifacts, where the common acceptance scripts lie beside the repository.
uniswap="$here/../../../../shared/acceptance/univ2.mjs"
if [[ ! -d node_modules ]]; then npm install --no-audit --no-fund; fi
work="$(mktemp -d)"
# The first block of both chains, in seconds: times stand in calldata, whose bytes cost gas by what they are.
start=$(($(date +%s) + 3600))
bin=node_modules/@foundry-rs
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

"$laminar" node --dev --quiet -p 18745 2>"$work/laminar.log" &
pids+=($!)
"$bin/anvil-linux-amd64/bin/anvil" --silent -p 18746 >"$work/anvil.log" 2>&1 &
pids+=($!)

cast() { "$bin/cast-linux-amd64/bin/cast" "$@"; }

ready() {
    local attempt
    for attempt in $(seq 100); do
        if cast chain-id --rpc-url "$1" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "no node at $1" >&2
    return 1
}

# cast: alloy's client; blobs too, which the others need libraries for.
cast_client() {
    local url=$1 key=0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a gas
    head -c 1000 /dev/zero >"$work/blob"
    for fields in --legacy "" --access-list "--blob --path $work/blob"; do
        # shellcheck disable=SC2086
        gas="$(cast send --json --private-key "$key" --rpc-url "$url" \
            0x00000000000000000000000000000000000000dd --value 1 $fields | grep -o '"gasUsed":"[^"]*"')"
        echo "gas cast${fields%% --path*} $gas"
    done
    test "$(cast balance --rpc-url "$url" 0x00000000000000000000000000000000000000dd)" != 0
    echo "cast ok"
}

# forge: a test on a fork of the node, and a script whose transactions it sends.
forge_client() {
    local url=$1 key=0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba gas
    local forge="$here/$bin/forge-linux-amd64/bin/forge"
    (
        cd foundry
        "$forge" test --offline --use ./solcw --fork-url "$url" >"$work/forge.log" 2>&1 || { cat "$work/forge.log"; exit 1; }
        "$forge" script --offline --use ./solcw script/Count.s.sol --rpc-url "$url" --private-key "$key" --broadcast --slow \
            >"$work/forge.log" 2>&1 || { cat "$work/forge.log"; exit 1; }
        gas="$(grep -ho '"gasUsed": *"[^"]*"' broadcast/Count.s.sol/31337/run-latest.json | tr -d ' \n')"
        echo "gas forge $gas"
        rm -rf broadcast cache out
    )
    echo "forge ok"
}

clients() {
    local url=$1
    ready "$url"
    # The same times on both, since contracts may read them.
    cast rpc --rpc-url "$url" evm_setNextBlockTimestamp "$start" >/dev/null
    cast rpc --rpc-url "$url" anvil_setBlockTimestampInterval 1 >/dev/null
    node ethers.mjs "$url"
    node viem.mjs "$url"
    if [[ -n $python ]]; then
        node compile.mjs >"$work/counter.json"
        "$python" web3_py.py "$url" "$work/counter.json"
    fi
    if [[ -e $uniswap ]]; then
        cp "$uniswap" .univ2.mjs
        node .univ2.mjs "$url" | grep -v '^client' | sed 's/^/gas uniswap /'
    fi
    cast_client "$url"
    forge_client "$url"
}

clients http://127.0.0.1:18745 | tee "$work/ours"
clients http://127.0.0.1:18746 >"$work/theirs"
if ! diff <(grep '^gas' "$work/ours") <(grep '^gas' "$work/theirs"); then
    echo "gas differs from anvil's" >&2
    exit 1
fi
if [[ -x ${CHROMIUM:=/usr/bin/chromium} ]]; then
    browser/run.sh "$laminar" "$CHROMIUM"
else
    echo "skipped: no Chromium at $CHROMIUM"
fi
echo "clients ok: $(grep -c '^gas' "$work/ours") transactions with the same gas as on anvil"
