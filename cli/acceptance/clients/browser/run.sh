#!/usr/bin/env bash
# run.sh LAMINAR [CHROMIUM]: a page in a headless Chromium against `laminar node --dev`: a wallet in the page signs and sends, and sees
# the receipts over WebSocket; pages of other origins, and those under other names, get no answer.
#
# Installs the npm packages of package.json beside itself if they are missing. CHROMIUM is /usr/bin/chromium (Debian's package) unless
# said otherwise. Everything runs on loopback. Exit code 0: all as promised; 2: there is no Chromium.
set -euo pipefail
laminar="$(realpath "$1")"
chromium="${2:-/usr/bin/chromium}"
cd "$(dirname "${BASH_SOURCE[0]}")"
if [[ ! -x $chromium ]]; then
    echo "no Chromium at $chromium" >&2
    exit 2
fi
if [[ ! -d node_modules ]]; then npm install --no-package-lock --no-audit --no-fund --silent; fi
log="$(mktemp)"
"$laminar" node --dev --quiet -p 18747 --http.corsdomain http://127.0.0.1:18748 --ws.origins http://127.0.0.1:18748 2>"$log" &
node=$!
trap 'kill "$node" 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 100); do
    if node -e 'fetch("http://127.0.0.1:18747").then(() => process.exit(0), () => process.exit(1))'; then break; fi
    sleep 0.1
done
node browser.mjs "$chromium" http://127.0.0.1:18747 18748
if grep -q panicked "$log"; then
    cat "$log" >&2
    exit 1
fi
