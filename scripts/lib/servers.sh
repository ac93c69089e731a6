# shellcheck shell=bash
# A private RabbitMQ and a private Redis: own ports, own data folder, own cookie, own epmd, loopback only.
# Nothing of a RabbitMQ or Redis that the machine already runs is read or touched.
# Needs common.sh, processes.sh and packages.sh.

servers_install() { install_packages rabbitmq-server redis-server python3; }

# servers_start DIR [AMQP_PORT [MANAGEMENT_PORT [REDIS_PORT]]]: without ports, free ones. Returns when both
# answer, and leaves their addresses in DIR/servers.env. Servers that already run in DIR are left alone.
servers_start() {
  local dir=$1
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  if alive "$dir/rabbitmq.pid" && alive "$dir/redis.pid"; then return 0; fi
  servers_stop "$dir"
  local amqp=${2:-$(free_port)} management=${3:-$(free_port)} redis=${4:-$(free_port)}
  redis_spawn "$dir" "$redis"
  rabbitmq_spawn "$dir" "$amqp" "$management"
  cat >"$dir/servers.env" <<ENV
AMQP_URL=amqp://guest:guest@127.0.0.1:$amqp/%2f
MANAGEMENT_URL=http://guest:guest@127.0.0.1:$management
REDIS_URL=redis://127.0.0.1:$redis/0
ENV
  redis_wait "$dir" "$redis"
  rabbitmq_wait "$dir" "$amqp" "$management"
}

# servers_stop DIR: both, and the epmd that came with RabbitMQ. The data stays.
servers_stop() {
  local dir=$1 epmd
  end "$dir/rabbitmq.pid" 30
  end "$dir/redis.pid" 15
  if [[ -f $dir/epmd.port ]]; then
    epmd=$(cat "$dir/epmd.port")
    epmd -port "$epmd" -kill >/dev/null 2>&1 || true
    rm -f "$dir/epmd.port"
  fi
  rm -f "$dir/servers.env"
}

redis_spawn() {
  local dir=$1 port=$2
  mkdir -p "$dir/redis"
  spawn "$dir/redis.pid" "$dir/log/redis.log" redis-server "$ROOT/deploy/redis.conf" \
    --port "$port" --bind 127.0.0.1 --protected-mode yes --dir "$dir/redis" --daemonize no
}

redis_wait() {
  wait_until 30 redis_answers "$1" "$2" && return 0
  server_failed redis "$1/log/redis.log"
}

# PONG only once the append-only file is read back.
redis_answers() { gone "$1/redis.pid" || [[ $(redis-cli -h 127.0.0.1 -p "$2" ping) == PONG ]]; }

rabbitmq_spawn() {
  local dir=$1 amqp=$2 management=$3 server home=$1/rabbitmq epmd
  server=$(rabbitmq_program) || { say "rabbitmq-server is not installed"; return 1; }
  epmd=$(free_port)
  echo "$epmd" >"$dir/epmd.port"
  mkdir -p "$home/home" "$home/conf.d" "$dir/log"
  # The settings that matter for tasks are the same as under Compose; only the addresses differ.
  { cat "$ROOT/deploy/rabbitmq.conf"
    echo "listeners.tcp.1 = 127.0.0.1:$amqp"
    echo "management.tcp.ip = 127.0.0.1"
    echo "management.tcp.port = $management"
  } >"$home/rabbitmq.conf"
  echo '[rabbitmq_management].' >"$home/enabled_plugins"
  : >"$home/env.conf"

  # Debian's own wrapper would change the user and the data folder, and any RABBITMQ_ variable of the
  # caller would reach into this instance: so an empty environment and the server's own script.
  # RUNNING_UNDER_SYSTEMD makes that script give way to Erlang: the pid is then the broker's own.
  spawn "$dir/rabbitmq.pid" "$dir/log/rabbitmq.log" env -i \
    PATH="$PATH" LANG=C.UTF-8 HOME="$home/home" RUNNING_UNDER_SYSTEMD=true \
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$epmd" \
    RABBITMQ_NODENAME=warren@localhost RABBITMQ_DIST_PORT="$(free_port)" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
    RABBITMQ_CONF_ENV_FILE="$home/env.conf" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
    RABBITMQ_CONFIG_FILES="$home/conf.d" RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" RABBITMQ_GENERATED_CONFIG_DIR="$home/generated" \
    RABBITMQ_SCHEMA_DIR="$home/schema" RABBITMQ_MNESIA_BASE="$home/data" \
    RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_LOGS=- \
    "$server"
}

rabbitmq_program() {
  local path
  for path in /usr/lib/rabbitmq/bin/rabbitmq-server /usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server; do
    [[ -x $path ]] && { echo "$path"; return; }
  done
  return 1
}

rabbitmq_wait() {
  local dir=$1 amqp=$2 management=$3
  if ! wait_until 90 rabbitmq_answers "$dir" "$amqp" "$management" || gone "$dir/rabbitmq.pid"; then
    server_failed rabbitmq "$dir/log/rabbitmq.log"
    return 1
  fi
  # The event log is a stream. A data folder that an older RabbitMQ made has them switched off.
  python3 "$LIB/pool.py" enable-feature "http://guest:guest@127.0.0.1:$management" stream_queue
}

# True as well when it has died, so that the wait ends at once.
rabbitmq_answers() {
  gone "$1/rabbitmq.pid" || { port_taken "$2" && python3 "$LIB/pool.py" get "http://guest:guest@127.0.0.1:$3/api/overview"; }
}

server_failed() {
  say "$1 did not start; the end of its log:"
  tail -n 15 "$2" >&2 || true
  return 1
}
