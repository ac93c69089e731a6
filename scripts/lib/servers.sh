# shellcheck shell=bash
# A private RabbitMQ and a private Redis: own ports, own data folder, own cookie, own epmd, loopback only.
# Nothing of a RabbitMQ or Redis that the machine already runs is read or touched.
# Needs common.sh, processes.sh and packages.sh.

servers_install() { install_packages rabbitmq-server redis-server python3; }

# servers_start DIR [AMQP_PORT [MANAGEMENT_PORT [REDIS_PORT]]]: without ports, those of the last time, else free
# ones. Starts what does not run, returns when both answer, and leaves their addresses in DIR/servers.env.
servers_start() {
  local dir=$1
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  local amqp=${2:-$(kept_port "$dir" AMQP)} management=${3:-$(kept_port "$dir" MANAGEMENT)} redis=${4:-$(kept_port "$dir" REDIS)}
  alive "$dir/redis.pid" || redis_spawn "$dir" "$redis"
  rabbitmq_alive "$dir" || rabbitmq_spawn "$dir" "$amqp" "$management"
  cat >"$dir/servers.env" <<ENV
AMQP_URL=amqp://guest:guest@127.0.0.1:$amqp/%2f
MANAGEMENT_URL=http://guest:guest@127.0.0.1:$management
REDIS_URL=redis://127.0.0.1:$redis/0
ENV
  redis_wait "$dir" "$redis"
  rabbitmq_wait "$dir" "$amqp" "$management"
}

# servers_restart DIR redis|rabbitmq: one of them that has died, with its port and its data. The other may be dead or
# frozen.
servers_restart() {
  local dir amqp management redis
  dir=$(cd "$1" && pwd)
  amqp=$(kept_port "$dir" AMQP) management=$(kept_port "$dir" MANAGEMENT) redis=$(kept_port "$dir" REDIS)
  case $2 in
    redis)
      alive "$dir/redis.pid" || redis_spawn "$dir" "$redis"
      redis_wait "$dir" "$redis"
      ;;
    rabbitmq)
      rabbitmq_alive "$dir" || rabbitmq_spawn "$dir" "$amqp" "$management"
      rabbitmq_wait "$dir" "$amqp" "$management"
      ;;
  esac
}

# kept_port DIR NAME: the port of the last start.
kept_port() {
  local port
  port=$(sed -n "s|^$2_URL=.*:\([0-9]*\).*|\1|p" "$1/servers.env" 2>/dev/null) || true
  echo "${port:-$(free_port)}"
}

# servers_stop DIR [SIGNAL]: both, and the epmd that came with RabbitMQ. The data stays. With the signal KILL
# nobody is asked first.
servers_stop() {
  local dir=$1 epmd
  if [[ ${2:-} == KILL ]]; then
    rabbitmq_signal "$dir" KILL
    redis_signal "$dir" KILL
  fi
  if [[ -f $dir/rabbitmq.container ]]; then
    docker rm --force --volumes "$(cat "$dir/rabbitmq.container")" >/dev/null 2>&1 || true
    rm -f "$dir/rabbitmq.container"
  fi
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
  wait_until 30 redis_answers "$1" "$2" && alive "$1/redis.pid" && return 0
  server_failed redis "$1/log/redis.log"
}

# redis_signal DIR KILL|STOP|CONT|TERM
redis_signal() {
  ! alive "$1/redis.pid" || kill "-$2" "$(pid_of "$1/redis.pid")"
  ending "$2" gone "$1/redis.pid"
}

# PONG only once the append-only file is read back.
redis_answers() { gone "$1/redis.pid" || [[ $(redis-cli -h 127.0.0.1 -p "$2" ping) == PONG ]]; }

# From Debian's package; or, with WARREN_RABBITMQ_IMAGE, the same node in a container on the host's network.
# With WARREN_RABBITMQ_PLAIN it goes without what deploy/ sets for Erlang.
rabbitmq_spawn() {
  local dir=$1 amqp=$2 management=$3 home=$1/rabbitmq epmd
  [[ -f $dir/epmd.port ]] || free_port >"$dir/epmd.port"
  epmd=$(cat "$dir/epmd.port")
  mkdir -p "$home/home" "$home/conf.d" "$dir/log"
  # The settings that matter for tasks are the same as under Compose; only the addresses differ.
  { cat "$ROOT/deploy/rabbitmq.conf"
    echo "listeners.tcp.1 = 127.0.0.1:$amqp"
    echo "management.tcp.ip = 127.0.0.1"
    echo "management.tcp.port = $management"
    # What makes it a member of a cluster (cluster.sh).
    if [[ -f $dir/more.conf ]]; then cat "$dir/more.conf"; fi
  } >"$home/rabbitmq.conf"
  echo '[rabbitmq_management].' >"$home/enabled_plugins"
  { if [[ -z ${WARREN_RABBITMQ_PLAIN:-} ]]; then cat "$ROOT/deploy/rabbitmq-env.conf"; fi
    # shellcheck disable=SC2016
    echo 'SERVER_ADDITIONAL_ERL_ARGS="${SERVER_ADDITIONAL_ERL_ARGS:-} -kernel inet_dist_use_interface {127,0,0,1}"'
  } >"$home/env.conf"
  local node=(
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$epmd" LANG=C.UTF-8
    RABBITMQ_NODENAME="$(node_name "$dir")" RABBITMQ_DIST_PORT="$(free_port)" RABBITMQ_LOGS=-
  )
  if [[ -n ${WARREN_RABBITMQ_IMAGE:-} ]]; then
    rabbitmq_spawn_container "$dir" "${node[@]}"
  else
    rabbitmq_spawn_native "$dir" "${node[@]}"
  fi
}

# rabbitmq_spawn_native DIR VARIABLE=VALUE...
rabbitmq_spawn_native() {
  local dir=$1 home=$1/rabbitmq server
  shift
  server=$(rabbitmq_program) || { say "rabbitmq-server is not installed"; return 1; }
  # Debian's own wrapper would change the user and the data folder, and any RABBITMQ_ variable of the
  # caller would reach into this instance: so an empty environment and the server's own script.
  # RUNNING_UNDER_SYSTEMD makes that script give way to Erlang: the pid is then the broker's own.
  spawn "$dir/rabbitmq.pid" "$dir/log/rabbitmq.log" env -i \
    PATH="$PATH" HOME="$home/home" RUNNING_UNDER_SYSTEMD=true "$@" \
    RABBITMQ_CONF_ENV_FILE="$home/env.conf" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
    RABBITMQ_CONFIG_FILES="$home/conf.d" RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" RABBITMQ_GENERATED_CONFIG_DIR="$home/generated" \
    RABBITMQ_SCHEMA_DIR="$home/schema" RABBITMQ_MNESIA_BASE="$home/data" RABBITMQ_LOG_BASE="$dir/log" \
    "$server"
}

# rabbitmq_spawn_container DIR VARIABLE=VALUE...: made once, then started again with its data.
rabbitmq_spawn_container() {
  local dir=$1 home=$1/rabbitmq variable options=()
  shift
  if [[ -f $dir/rabbitmq.container ]]; then
    docker start "$(cat "$dir/rabbitmq.container")" >/dev/null
    return
  fi
  for variable in "$@"; do options+=(--env "$variable"); done
  if [[ -f $home/home/.erlang.cookie ]]; then
    options+=(--env RABBITMQ_ERLANG_COOKIE="$(cat "$home/home/.erlang.cookie")")
  fi
  docker run --detach --network host "${options[@]}" \
    --volume "$home/rabbitmq.conf:/etc/rabbitmq/conf.d/90-warren.conf:ro" \
    --volume "$home/env.conf:/etc/rabbitmq/rabbitmq-env.conf:ro" \
    --volume "$home/enabled_plugins:/etc/rabbitmq/enabled_plugins:ro" \
    "$WARREN_RABBITMQ_IMAGE" >"$dir/rabbitmq.container"
}

rabbitmq_alive() {
  if [[ -f $1/rabbitmq.container ]]; then
    [[ $(docker inspect -f '{{.State.Running}}' "$(cat "$1/rabbitmq.container")") == true ]]
  else
    alive "$1/rabbitmq.pid"
  fi
}

rabbitmq_dead() { ! rabbitmq_alive "$1"; }

# ending SIGNAL COMMAND...: after a signal to end, waits until the command finds that it has. Who has been told is there
# for a moment more, and whoever starts it again within that would take it for alive.
ending() { [[ ! $1 =~ ^(KILL|TERM)$ ]] || wait_until 30 "${@:2}"; }

# rabbitmq_signal DIR KILL|STOP|CONT|TERM: to the whole broker, wherever it runs.
rabbitmq_signal() {
  rabbitmq_alive "$1" || return 0
  if [[ ! -f $1/rabbitmq.container ]]; then
    kill "-$2" "$(pid_of "$1/rabbitmq.pid")"
    ending "$2" rabbitmq_dead "$1"
    return
  fi
  local container
  container=$(cat "$1/rabbitmq.container")
  case $2 in
    STOP) docker pause "$container" ;;
    CONT) docker unpause "$container" ;;
    *) docker kill --signal "$2" "$container" && ending "$2" rabbitmq_dead "$1" ;;
  esac >/dev/null
}

# rabbitmq_control DIR ARGUMENTS...: rabbitmqctl for this broker.
rabbitmq_control() {
  local dir=$1 program
  shift
  if [[ -f $dir/rabbitmq.container ]]; then
    docker exec --user rabbitmq "$(cat "$dir/rabbitmq.container")" rabbitmqctl "$@"
    return
  fi
  program=$(rabbitmq_program)
  env -i PATH="$PATH" LANG=C.UTF-8 HOME="$dir/rabbitmq/home" RABBITMQ_CONF_ENV_FILE="$dir/rabbitmq/env.conf" \
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$(cat "$dir/epmd.port")" \
    "${program%-server}ctl" --node "$(node_name "$dir")" "$@"
}

node_name() { cat "$1/node.name" 2>/dev/null || echo warren@localhost; }

rabbitmq_program() {
  local path
  for path in /usr/lib/rabbitmq/bin/rabbitmq-server /usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server; do
    [[ -x $path ]] && { echo "$path"; return; }
  done
  return 1
}

rabbitmq_wait() {
  local dir=$1 amqp=$2 management=$3
  if ! wait_until 90 rabbitmq_answers "$dir" "$amqp" "$management" || ! rabbitmq_alive "$dir"; then
    server_failed rabbitmq "$dir/log/rabbitmq.log"
    return 1
  fi
  # The event log is a stream. A data folder that an older RabbitMQ made has them switched off.
  python3 "$LIB/pool.py" enable-feature "http://guest:guest@127.0.0.1:$management" stream_queue
}

# True as well when it has died, so that the wait ends at once.
rabbitmq_answers() {
  ! rabbitmq_alive "$1" || { port_taken "$2" && python3 "$LIB/pool.py" get "http://guest:guest@127.0.0.1:$3/api/overview"; }
}

server_failed() {
  say "$1 did not start; the end of its log:"
  tail -n 15 "$2" >&2 || true
  return 1
}
