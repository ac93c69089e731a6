# shellcheck shell=bash
# Starts and ends processes that outlive the script. A pid file holds the pid and the time at which that
# process started, so that a pid which has come to somebody else is never signalled.

# spawn PIDFILE LOG COMMAND...
spawn() {
  local pidfile=$1 log=$2 pid
  shift 2
  mkdir -p "$(dirname "$pidfile")" "$(dirname "$log")"
  # A session of its own: Ctrl-C in the terminal is meant for the script alone.
  setsid "$@" >>"$log" 2>&1 </dev/null &
  pid=$!
  disown "$pid"
  echo "$pid $(started_at "$pid")" >"$pidfile"
}

# State and start time from /proc; the command's name may hold spaces, so count from behind its bracket.
started_at() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # shellcheck disable=SC2086 # the fields are meant to be split
  set -- ${stat##*) }
  [[ $1 != Z ]] && echo "${20}"
}

pid_of() { cut -d' ' -f1 "$1"; }

alive() {
  local pid began
  [[ -f $1 ]] && read -r pid began <"$1" && [[ -n $began && $(started_at "$pid") == "$began" ]]
}

# end PIDFILE SECONDS: SIGTERM, then SIGKILL after the grace. Nothing to end is fine.
end() {
  local pid
  if alive "$1"; then
    pid=$(pid_of "$1")
    kill -TERM "$pid" 2>/dev/null || true
    wait_until "$2" gone "$1" || kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$1"
}

gone() { ! alive "$1"; }
