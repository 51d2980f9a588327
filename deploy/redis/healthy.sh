#!/bin/sh
# Healthy is who answers somebody who is logged in: while the data is loaded nobody gets an answer.
set -eu
case ${1:-redis} in
sentinel)
	export REDISCLI_AUTH="$REDIS_SENTINEL_PASSWORD"
	set -- -p 26379
	;;
*)
	export REDISCLI_AUTH="$REDIS_PASSWORD"
	set -- --user rejoin
	case $REDIS_SCHEME in
	rediss) set -- "$@" --tls --cacert /tls/ca.crt ;;
	esac
	;;
esac
[ "$(timeout 3 redis-cli "$@" ping)" = PONG ]
