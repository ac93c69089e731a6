# shellcheck shell=bash
# A private cluster of three RabbitMQ nodes on one machine, and a private Redis. Each node has a folder of its own,
# DIR/node1 to DIR/node3, which is a folder as servers.sh makes it: what is for one broker works for each node.
# Needs common.sh, processes.sh, packages.sh and servers.sh.

CLUSTER=(1 2 3)

# cluster_start DIR: starts what does not run, on the ports that it had before. Leaves the addresses in
# DIR/servers.env, those of the nodes in their order, and returns when all nodes are members and answer.
cluster_start() {
  local dir=$1 n amqp=() management=() redis fresh=''
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  [[ -d $dir/node1 ]] || fresh=yes
  [[ -f $dir/epmd.port ]] || free_port >"$dir/epmd.port"
  redis=$(kept_port "$dir" REDIS)
  for n in "${CLUSTER[@]}"; do
    amqp+=("$(kept_port "$dir/node$n" AMQP)") management+=("$(kept_port "$dir/node$n" MANAGEMENT)")
  done
  { echo "AMQP_URL=$(commas 'amqp://guest:guest@127.0.0.1:PORT/%2f' "${amqp[@]}")"
    echo "MANAGEMENT_URL=$(commas 'http://guest:guest@127.0.0.1:PORT' "${management[@]}")"
    echo "REDIS_URL=redis://127.0.0.1:$redis/0"
  } >"$dir/servers.env"

  alive "$dir/redis.pid" || redis_spawn "$dir" "$redis"
  for n in "${CLUSTER[@]}"; do
    cluster_node "$dir" "$n" "${amqp[n - 1]}" "${management[n - 1]}"
    # The first one founds the cluster, the others look for it when they start for the first time.
    if [[ -n $fresh && $n == 1 ]]; then rabbitmq_wait "$dir/node1" "${amqp[0]}" "${management[0]}"; fi
  done
  redis_wait "$dir" "$redis"
  for n in "${CLUSTER[@]}"; do rabbitmq_wait "$dir/node$n" "${amqp[n - 1]}" "${management[n - 1]}"; done
  wait_until 60 cluster_complete "${management[0]}" || { say "the nodes do not see each other"; return 1; }
}

# commas PATTERN PORT...: the pattern with each port in turn.
commas() {
  local pattern=$1 port all=''
  shift
  for port in "$@"; do all+=${all:+,}${pattern/PORT/$port}; done
  echo "$all"
}

# cluster_node DIR N AMQP_PORT MANAGEMENT_PORT: starts this node unless it runs.
cluster_node() {
  local node=$1/node$2 peer
  if rabbitmq_alive "$node"; then return 0; fi
  mkdir -p "$node/rabbitmq/home"
  cp "$1/epmd.port" "$node/epmd.port"
  echo "warren$2@localhost" >"$node/node.name"
  # All of them must know the same one. Erlang wants it to be its user's alone.
  (umask 077 && echo "WARREN$(cat "$1/epmd.port")" >"$node/rabbitmq/home/.erlang.cookie")
  { echo 'cluster_formation.peer_discovery_backend = classic_config'
    for peer in "${CLUSTER[@]}"; do echo "cluster_formation.classic_config.nodes.$peer = warren$peer@localhost"; done
    # A node that sees fewer than half of the others stops taking messages.
    echo 'cluster_partition_handling = pause_minority'
    # 512 MiB by default, of disk and of memory, for each node.
    echo 'raft.wal_max_size_bytes = 8388608'
  } >"$node/more.conf"
  printf 'AMQP_URL=amqp://guest:guest@127.0.0.1:%s/%%2f\nMANAGEMENT_URL=http://guest:guest@127.0.0.1:%s\n' "$3" "$4" \
    >"$node/servers.env"
  rabbitmq_spawn "$node" "$3" "$4"
}

# cluster_stop DIR [SIGNAL]: all nodes at once, for each waits for its own end; then Redis.
cluster_stop() {
  local node stopping=()
  for node in "$1"/node[0-9]; do
    servers_stop "$node" "${@:2}" &
    stopping+=($!)
  done
  wait "${stopping[@]}"
  servers_stop "$1" "${@:2}"
}

# Does this node see all of them?
cluster_complete() {
  local running
  running=$(python3 "$LIB/pool.py" get "http://guest:guest@127.0.0.1:$1/api/nodes" | grep -o '"running": true' | wc -l)
  ((running == ${#CLUSTER[@]}))
}
