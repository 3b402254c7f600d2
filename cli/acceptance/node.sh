# Starts and ends a node for the scripts of this folder; to be sourced.
#
# start_node LAMINAR FOLDER FLAGS...: sets node_pid, engine_url and http_url; the node writes to FOLDER/node.log, and its secret is
# FOLDER/jwt.hex. Ports are free ones. stop_node: ends it and waits for it.

# Seconds that a node may take until it listens.
START_MAX=60

start_node() {
    local laminar=$1 folder=$2 waited=0
    shift 2
    : >"$folder/node.log"
    "$laminar" node --authrpc.port 0 --authrpc.jwtsecret "$folder/jwt.hex" --http --http.port 0 "$@" 2>"$folder/node.log" &
    node_pid=$!
    until grep -q '^Listening on' "$folder/node.log"; do
        if ! kill -0 "$node_pid" 2>/dev/null || ((waited >= 10 * START_MAX)); then
            cat "$folder/node.log"
            printf 'the node does not start\n'
            return 1
        fi
        sleep 0.1
        waited=$((waited + 1))
    done
    engine_url="http://$(sed -n 's/^Engine API on //p' "$folder/node.log")"
    # shellcheck disable=SC2034  # read by whoever sources this
    http_url="http://$(sed -n 's/^Listening on //p' "$folder/node.log")"
}

stop_node() {
    if [[ -n ${node_pid:-} ]]; then
        kill "$node_pid" 2>/dev/null || true
        wait "$node_pid" || true
        node_pid=""
    fi
}
