#!/usr/bin/env bash
# Writes each line of standard input, a JSON value, as an event:
#
#	write.sh STREAM TYPE <lines
#
# Each event has its id before it is sent. Where nobody knows whether a write has come through, since the daemon or the
# store went away meanwhile, it is sent again with the same id: the store recognises it and stores it once.
set -u
stream=${1:?usage: write.sh STREAM TYPE} type=${2:?usage: write.sh STREAM TYPE}
socket=${ESBRIDGE_SOCKET:-/run/esbridge/esbridge.sock}

write_event() {
	local request answer
	request='{"op":"execute","message":"WriteEvents","body":{"event_stream_id":'$(jq -n --arg s "$stream" '$s')',"events":
		[{"event_id":"'$(</proc/sys/kernel/random/uuid)'","event_type":'$(jq -n --arg t "$type" '$t')',"data":'$1'}]}}'
	while :; do
		answer=$(tr -d '\n' <<<"$request" | socat -t 30 - "UNIX-CONNECT:$socket" 2>/dev/null)
		case $(jq -r 'if .ok then "stored" elif .error then .error.retry else "lost" end' <<<"${answer:-"{}"}") in
		stored) return 0 ;;
		false) echo "write.sh: $(jq -r .error.message <<<"$answer")" >&2; return 1 ;;
		esac
		sleep 0.5
	done
}

while IFS= read -r line; do
	write_event "$line" || exit 1
done
