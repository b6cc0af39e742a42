#!/usr/bin/env bash
# Runs a command for each event of a persistent group, with the event's data on its standard input and the rest of it in
# ES_NUMBER and ES_TYPE:
#
#	consume.sh STREAM GROUP COMMAND...
#
# The event is acknowledged when the command succeeds; when it fails the group is asked for it again. After a restart of
# this script, the daemon or the store, what was not acknowledged comes again: the command may see an event twice.
set -u
stream=${1:?usage: consume.sh STREAM GROUP COMMAND...} group=${2:?usage: consume.sh STREAM GROUP COMMAND...}
socket=${ESBRIDGE_SOCKET:-/run/esbridge/esbridge.sock}
shift 2
trap '' PIPE # the daemon may go while something is written to it: the next read tells

# What of a line is needed: what kind it is, the ack_id or why, and of an event its number, type and data.
fields='.push // if .error then "error" else "ok" end, .ack_id // .reason // .error.message,
	.event.event_number, .event.event_type, (.event.data | tojson)'

# talk COMMAND...: reads what the daemon says, and answers on 3
talk() {
	local line said
	jq -nc --arg s "$stream" --arg g "$group" '{op:"subscribe",id:1,sub:"work",stream:$s,group:$g,in_flight:10}' >&3
	while IFS= read -r line; do
		mapfile -t said < <(jq -r "$fields" <<<"$line")
		case ${said[0]} in
		event)
			local answer=nack
			ES_NUMBER=${said[2]} ES_TYPE=${said[3]} "$@" 3>&- <<<"${said[4]}" && answer=ack
			echo '{"op":"'$answer'","sub":"work","events":["'"${said[1]}"'"]}' >&3
			;;
		dropped | error) echo "consume.sh: ${said[0]}: ${said[1]}" >&2 ;;
		esac
	done
}

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/requests"
while :; do
	socat - "UNIX-CONNECT:$socket" <"$folder/requests" | talk "$@" 3>"$folder/requests"
	sleep 0.5
done
