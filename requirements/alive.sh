#!/usr/bin/env bash
# usage: alive.sh LOG COMMAND...
# Run a command, its output into LOG, and show that it is alive: on a terminal the seconds and the
# last line of the output, elsewhere one line a minute. If it fails, show its errors.
set -u
log=$1
shift

show() {
	local due=60 last
	while sleep 1 && kill -0 $$ 2>/dev/null; do
		last=$(tail -n 1 "$log" | tr -d '\r' | cut -c 1-70)
		if [ -t 2 ]; then
			printf '\r\033[K%4d s  %s' "$SECONDS" "$last" >&2
		elif ((SECONDS >= due)); then
			printf '%4d s  %s\n' "$SECONDS" "$last" >&2
			((due += 60))
		fi
	done
}

: >"$log"
show &
trap 'kill %1 2>/dev/null; [ ! -t 2 ] || printf "\r\033[K" >&2' EXIT
"$@" >"$log" 2>&1
status=$?
if ((status)); then
	{ grep -i '^ *error' "$log" || tail -n 5 "$log"; } | tail -n 5 >&2
	echo "The whole output is in $log." >&2
fi
exit $status
