# shellcheck shell=bash
# shellcheck disable=SC2034 # what it finds is read by the scripts that source it
# What is up, and where: read by up, down and status. Needs common.sh, processes.sh and compose.sh.

STATE=$WARREN_HOME/state
RUN=$WARREN_HOME/run

# Names every address of a pool; `describe_native` and `describe_docker` fill them in.
MODE='' AMQP='' MANAGEMENT='' REDIS='' MONITOR='' PRODUCER='' WORKERS=0

remember() { # NAME=VALUE..., shell-quoted
  mkdir -p "$WARREN_HOME"
  local pair
  for pair in "$@"; do printf '%s=%q\n' "${pair%%=*}" "${pair#*=}"; done >"$STATE"
}

# Finds out what is up; false when nothing is.
discover() {
  describe_native || describe_docker
}

describe_native() {
  local MONITOR_PORT='' PRODUCER_PORT='' AMQP_URL='' MANAGEMENT_URL='' REDIS_URL='' pidfile
  [[ -f $STATE && -f $WARREN_HOME/servers/servers.env ]] || return 1
  # shellcheck source=/dev/null
  . "$STATE"
  # shellcheck source=/dev/null
  . "$WARREN_HOME/servers/servers.env"
  [[ $MODE == native ]] || return 1
  AMQP=$AMQP_URL MANAGEMENT=$MANAGEMENT_URL REDIS=$REDIS_URL
  MONITOR=http://127.0.0.1:$MONITOR_PORT PRODUCER=http://127.0.0.1:$PRODUCER_PORT
  WORKERS=0
  for pidfile in "$RUN"/worker-*.pid; do
    if alive "$pidfile"; then WORKERS=$((WORKERS + 1)); fi
  done
}

# Asks Docker, not a file: the pool may as well have been started by `docker compose up`.
describe_docker() {
  local COMPOSE_FILES='' login
  # shellcheck source=/dev/null
  if [[ -f $STATE ]]; then . "$STATE"; fi
  if [[ -n $COMPOSE_FILES ]]; then export COMPOSE_FILE=$COMPOSE_FILES; fi
  have docker && docker_answers && find_compose 2>/dev/null || return 1
  [[ -n $(compose_containers monitor) ]] || return 1
  MODE=docker
  login=$(container_env producer WARREN_AMQP__URL)
  login=${login#*://} login=${login%%@*}
  AMQP=amqp://$login@$(published rabbitmq 5672)/%2f
  MANAGEMENT=http://$login@$(published rabbitmq 15672)
  REDIS=redis://$(published redis 6379)/0
  MONITOR=http://$(published monitor 8080)
  PRODUCER=http://$(published producer 8081)
  WORKERS=$(compose_containers worker | grep -c . || true)
}
