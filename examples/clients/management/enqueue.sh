#!/usr/bin/env bash
# Enqueues tasks with curl, through RabbitMQ's management API.
#
#   export MANAGEMENT_URL=http://warren:warren@127.0.0.1:15672
#   ./enqueue.sh --kind echo --payload '{"n": 1}'
#   ./enqueue.sh --kind echo --queue default --priority 9 --count 3 --id order-7 --delay 500
#
# Prints each task's id. The API publishes with confirm and mandatory, and answers once the broker has the message.
# It opens a connection for each message: good for a few tasks a second, not for thousands.
set -euo pipefail
: "${MANAGEMENT_URL:?is not set}"

kind='' queue=default priority=0 payload=null id='' count=1 exchange=warren.tasks vhost=%2f headers=''
while (($#)); do
  case $1 in
    --kind) kind=$2 ;;
    --queue) queue=$2 ;;
    --priority) priority=$2 ;;
    --payload) payload=$2 ;;
    --id) id=$2 ;; # by default a new UUID; with --count a number is added
    --count) count=$2 ;;
    --delay) headers+=",\"delay\":$2" ;;
    --header) headers+=",\"${2%%=*}\":\"${2#*=}\"" ;;
    --exchange) exchange=$2 ;; # empty: straight to the queue
    --vhost) vhost=$2 ;; # as in a URL: / is %2f
    *) echo "unknown option: $1" >&2; exit 2 ;;
  esac
  shift 2
done
[[ -n $kind ]] || { echo "--kind is missing" >&2; exit 2; }
key=$queue
[[ -n $exchange ]] || { exchange=amq.default; key=warren.q.$queue; }

for ((n = 0; n < count; n++)); do
  task=${id:-$(cat /proc/sys/kernel/random/uuid)}
  ((count == 1)) || task+=-$n
  # In Base64 the payload needs no escaping.
  answer=$(curl --silent --show-error --fail-with-body "$MANAGEMENT_URL/api/exchanges/$vhost/$exchange/publish" \
    --header 'content-type: application/json' --data @- <<JSON
{
  "routing_key": "$key",
  "properties": {
    "type": "$kind",
    "message_id": "$task",
    "priority": $priority,
    "delivery_mode": 2,
    "content_type": "application/json",
    "headers": {${headers#,}}
  },
  "payload": "$(printf %s "$payload" | base64 --wrap=0)",
  "payload_encoding": "base64"
}
JSON
  ) || { echo "$answer" >&2; exit 1; }
  [[ $answer == *'"routed":true'* ]] || { echo "no queue took task $task: $answer" >&2; exit 1; }
  echo "$task"
done
