#!/bin/sh
# A server is healthy if it answers a client that has logged in. While it loads data, it answers none.
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
