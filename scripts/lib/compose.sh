# shellcheck shell=bash
# The pool under Docker Compose: v2's plugin, or Debian's older docker-compose 1.29. Needs common.sh.

docker_answers() { docker info >/dev/null 2>&1; }

# Which Compose there is, as the array COMPOSE. A set COMPOSE_FILE or COMPOSE_PROJECT_NAME works as always.
find_compose() {
  if [[ -n ${WARREN_SCRIPT_COMPOSE:-} ]]; then
    # To try the other one where both are installed.
    read -ra COMPOSE <<<"$WARREN_SCRIPT_COMPOSE"
  elif docker compose version >/dev/null 2>&1; then
    COMPOSE=(docker compose)
  elif have docker-compose; then
    COMPOSE=(docker-compose)
  else
    say "Docker answers, but there is neither 'docker compose' nor 'docker-compose'"
    return 1
  fi
  # 1.29 builds through the old builder otherwise, which knows no cache mounts.
  export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
}

compose() { (cd "$ROOT" && "${COMPOSE[@]}" "$@"); }

# compose_setting NAME DEFAULT: from the environment, else from .env, else the default, as Compose itself does.
compose_setting() {
  local line
  if [[ -n ${!1:-} ]]; then echo "${!1}"; return; fi
  line=$(grep -E "^$1=." "$ROOT/.env" 2>/dev/null | tail -n 1) || true
  if [[ -n $line ]]; then echo "${line#*=}"; else echo "$2"; fi
}

compose_containers() { compose ps -q "$@" 2>/dev/null || true; }

# health_of CONTAINER: healthy, starting, unhealthy, or its state where it has no health check.
health_of() {
  docker inspect -f '{{if and .State.Running .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$1"
}

# 1.29 has no `up --wait`, and v2's gives up without a word why: so one wait of our own for both.
compose_wait() {
  local deadline=$((SECONDS + $1)) container waiting
  while :; do
    waiting=''
    # With the stopped ones: a container that has died is not healthy.
    for container in $(compose_containers -a); do
      [[ $(health_of "$container") == healthy ]] || waiting=$container
    done
    [[ -n $waiting || -z $(compose_containers) ]] || return 0
    if ((SECONDS >= deadline)); then
      say "still not healthy after $1 s: $(docker inspect -f '{{.Name}} {{.State.Status}}' "$waiting")"
      docker inspect -f '{{with .State.Health}}{{range .Log}}{{.Output}}{{end}}{{end}}' "$waiting" | tail -n 5 >&2
      docker logs --tail 20 "$waiting" >&2 2>&1
      return 1
    fi
    sleep 1
  done
}

# published SERVICE PORT: the address on this machine, as 127.0.0.1:8080.
published() { compose port "$1" "$2" 2>/dev/null | tail -n 1; }

# container_env SERVICE NAME: what the service's own process sees, .env and defaults resolved.
container_env() {
  docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' "$(compose_containers "$1" | head -n 1)" |
    sed -n "s/^$2=//p"
}
