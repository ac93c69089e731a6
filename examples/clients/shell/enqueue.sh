#!/usr/bin/env bash
# Enqueues tasks with amqp-publish (Debian package amqp-tools).
#
#   export AMQP_URL=amqp://warren:warren@127.0.0.1:5672/%2f
#   ./enqueue.sh --kind echo --payload '{"n": 1}'
#   ./enqueue.sh --kind echo --queue default --count 3 --delay 500 --header max_attempts=3
#
# amqp-publish sets neither type nor message_id nor priority: the kind travels as the header `task`, the worker
# gives the task an id, and the priority is 0. It does not ask for confirms either: exit code 0 says that the
# message was sent, not that a queue has it.
set -euo pipefail
: "${AMQP_URL:?is not set}"

kind='' queue=default payload=null count=1 exchange=warren.tasks headers=()
while (($#)); do
  case $1 in
    --kind) kind=$2 ;;
    --queue) queue=$2 ;;
    --payload) payload=$2 ;;
    --count) count=$2 ;;
    --delay) headers+=(--header "delay: $2") ;;
    --header) headers+=(--header "${2%%=*}: ${2#*=}") ;;
    --exchange) exchange=$2 ;; # empty: straight to the queue
    *) echo "unknown option: $1" >&2; exit 2 ;;
  esac
  shift 2
done
[[ -n $kind ]] || { echo "--kind is missing" >&2; exit 2; }
key=$queue
[[ -n $exchange ]] || key=warren.q.$queue

for ((n = 0; n < count; n++)); do
  amqp-publish --url="$AMQP_URL" --exchange="$exchange" --routing-key="$key" --persistent \
    --content-type=application/json --header="task: $kind" "${headers[@]}" --body="$payload"
done
