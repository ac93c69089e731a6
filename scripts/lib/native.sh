# shellcheck shell=bash
# The pool without Docker: private servers from the system's packages and the programs built here.
# Needs common.sh, processes.sh, servers.sh and state.sh; its settings are the variables that scripts/up parses.

SERVERS=$WARREN_HOME/servers
BIN=${CARGO_TARGET_DIR:-$ROOT/target}/release

native_build() {
  have cargo || { say "cargo is missing: https://rustup.rs says how to get it"; return 1; }
  cargo build --release --manifest-path "$ROOT/Cargo.toml" --locked -p warren-producer -p warren-worker -p warren-monitor
}

# The servers keep running when they already do: a second `up` is a new build of the programs, not of the data.
native_servers() { servers_start "$SERVERS" "$AMQP_PORT" "$MANAGEMENT_PORT" "$REDIS_PORT"; }

native_programs() {
  local AMQP_URL='' REDIS_URL='' n port=$WORKER_PORT
  # shellcheck source=/dev/null
  . "$SERVERS/servers.env"
  # What deploy/rabbitmq.conf allows: a worker cannot ask the broker for it.
  export WARREN_AMQP__URL=$AMQP_URL WARREN_AMQP__CONSUMER_TIMEOUT=24h WARREN_REDIS__URL=$REDIS_URL
  program producer "127.0.0.1:$PRODUCER_PORT" "${PRODUCER_CONFIG:-}" "$BIN/warren-producer" serve
  program monitor "127.0.0.1:$MONITOR_PORT" '' "$BIN/warren-monitor" serve
  for ((n = 1; n <= WORKERS_WANTED; n++)); do
    while port_taken "$port"; do port=$((port + 1)); done
    program "worker-$n" "127.0.0.1:$port" "$WORKER_CONFIG" "$BIN/warren-worker" run
    port=$((port + 1))
  done
}

# program NAME LISTEN CONFIG COMMAND...: where it listens is kept, for that is what its readiness is asked by.
program() {
  local name=$1 listen=$2 config=$3
  shift 3
  echo "http://$listen" >"$RUN/$name.url"
  ( export WARREN_HTTP__LISTEN=$listen
    if [[ -n $config ]]; then export WARREN_CONFIG=$config; fi
    spawn "$RUN/$name.pid" "$WARREN_HOME/log/$name.log" "$@" )
}

native_ready() {
  local url name
  for url in "$RUN"/*.url; do
    name=$(basename "$url" .url)
    if ! wait_until 60 answers_or_died "$name" || gone "$RUN/$name.pid"; then
      say "$name is not ready; the end of its log ($WARREN_HOME/log/$name.log):"
      tail -n 15 "$WARREN_HOME/log/$name.log" >&2
      return 1
    fi
  done
}

answers_or_died() {
  gone "$RUN/$1.pid" || python3 "$LIB/pool.py" ready "$(cat "$RUN/$1.url")"
}

# All at once, for each worker may need its whole grace; the monitor last, to see them go.
native_stop_programs() {
  local pidfile stopping=()
  for pidfile in "$RUN"/worker-*.pid "$RUN/producer.pid"; do
    [[ -f $pidfile ]] || continue
    end "$pidfile" 40 &
    stopping+=($!)
  done
  if ((${#stopping[@]})); then wait "${stopping[@]}"; fi
  end "$RUN/monitor.pid" 20
  rm -f "$RUN"/*.url
}

native_stop() {
  native_stop_programs
  servers_stop "$SERVERS"
}
