# shellcheck shell=bash
# What every script shares: where the project is, how to speak to the user, and how to wait.
# Sourced, never run. Promises: nothing is coloured or animated unless standard error is a terminal
# and NO_COLOR is unset; everything but results goes to standard error.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Everything that a script writes lies here; a second pool beside the first one gets a folder of its own.
WARREN_HOME=${WARREN_SCRIPT_HOME:-$ROOT/.warren}
# shellcheck disable=SC2034 # for the scripts that source this
LIB=$ROOT/scripts/lib

if [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' PLAIN=$'\e[0m' ANIMATED=1
else
  BOLD='' DIM='' RED='' GREEN='' YELLOW='' PLAIN='' ANIMATED=''
fi

say()  { printf '%s\n' "$*" >&2; }
warn() { printf '%swarning:%s %s\n' "$YELLOW" "$PLAIN" "$*" >&2; }
# Exit codes: 1 something failed, 2 the command line is wrong, 3 nothing is up, 4 a port is taken, 77 (as in
# automake) skipped, for something that it needs is not there.
fail() { printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2; exit 1; }
usage_error() { printf '%serror:%s %s (see --help)\n' "$RED" "$PLAIN" "$*" >&2; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }

# The comment at the head of the calling script is its help: one text, which cannot drift apart.
print_help() { sed -n '2,/^[^#]/{/^# shellcheck /d;s/^# \{0,1\}//p;}' "$1"; }

# One summary line a step, in the order in which they ran.
STEPS=()

# step TITLE COMMAND...: runs it with its output in a log, shows how long it takes, and on failure the
# end of that log. Returns what the command returns.
step() {
  local title=$1 began=$SECONDS status=0 log
  shift
  mkdir -p "$WARREN_HOME/log"
  log=${title//[^a-zA-Z0-9]/-}
  log=$WARREN_HOME/log/step-${log:0:40}.log
  if [[ -n $ANIMATED ]]; then
    # In a subshell of its own, so that `set -e` inside the command still ends it at the first error.
    ( set -euo pipefail; "$@" ) >"$log" 2>&1 </dev/null &
    spin "$title" $! "$log" || status=$?
  else
    say "... $title"
    set +e
    ( set -euo pipefail; "$@" ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
  fi
  step_done "$title" $status $((SECONDS - began))
  if ((status != 0)); then
    tail -n 25 "$log" | sed 's/^/    /' >&2
    say "    the whole output: ${log#"$PWD"/}"
  fi
  return "$status"
}

# loud_step TITLE COMMAND...: as step, for commands whose output the user wants to see.
loud_step() {
  local title=$1 began=$SECONDS status=0
  shift
  say "${BOLD}==> $title$PLAIN"
  set +e
  ( set -euo pipefail; "$@" ) >&2 </dev/null
  status=$?
  set -e
  step_done "$title" $status $((SECONDS - began))
  ((status == 77)) || return "$status"
}

step_done() {
  local mark
  case $2 in
    0) mark="${GREEN}ok$PLAIN     " ;;
    77) mark="${YELLOW}SKIPPED$PLAIN" ;;
    *) mark="${RED}FAILED$PLAIN " ;;
  esac
  STEPS+=("$(printf '%s %5ss  %s' "$mark" "$3" "$1")")
  printf '%s %s %s(%ss)%s\n' "$mark" "$1" "$DIM" "$3" "$PLAIN" >&2
}

spin() {
  local title=$1 pid=$2 log=$3 began=$SECONDS frame=0 frames='-\|/' width note
  while kill -0 "$pid" 2>/dev/null; do
    width=$(tput cols 2>/dev/null || echo 80)
    note=$(tail -c 400 "$log" 2>/dev/null | tr -d '\r\033' | tail -n 1 | cut -c1-$((width > 60 ? width - 50 : 10)))
    printf '\r\e[K%s %s %ss %s%s%s' "${frames:frame++%4:1}" "$title" $((SECONDS - began)) "$DIM" "$note" "$PLAIN" >&2
    sleep 0.2
  done
  printf '\r\e[K' >&2
  wait "$pid"
}

summary() {
  local line
  say ""
  say "${BOLD}$1$PLAIN ($((SECONDS / 60)) min $((SECONDS % 60)) s)"
  for line in "${STEPS[@]}"; do say "  $line"; done
}

# wait_until SECONDS COMMAND...: true as soon as the command is; false when the time is over.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}

# Is anything listening on this port of the loopback?
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port that nobody listens on, from below the range out of which the system hands out ports of its own. Nobody else gets it
# within the next minutes, by when whoever asked for it listens.
free_port() {
  local claims=${TMPDIR:-/tmp}/warren-ports-$UID port
  mkdir -p "$claims"
  find "$claims" -type f -mmin +2 -delete 2>/dev/null || true # another may have been quicker
  while :; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    (set -o noclobber && : >"$claims/$port") 2>/dev/null || continue
    port_taken "$port" || { echo "$port"; return; }
  done
}

# want_port PORT WHAT FLAG: stops with the port and its flag by name when somebody else has it.
want_port() {
  port_taken "$1" || return 0
  printf '%serror:%s port %s, wanted for %s, is taken; choose another with %s\n' "$RED" "$PLAIN" "$1" "$2" "$3" >&2
  exit 4
}

is_number() { [[ $1 =~ ^[0-9]+$ ]]; }
