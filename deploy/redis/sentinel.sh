#!/bin/sh
# Starts a sentinel. Sentinel keeps its state in /data/sentinel.conf, which it rewrites itself.
#
#   REDIS_SENTINEL_PASSWORD   for its login at Redis, and for all logins at the sentinels
#   REDIS_PRIMARY             address of the primary at the very first start
#   REDIS_DATA, REDIS_SENTINEL_PORT   default: /data, 26379
set -eu
umask 077
data=${REDIS_DATA:-/data}
config=$data/sentinel.conf

case ${REDIS_SENTINEL_PASSWORD:-} in
'' | change-me*)
	echo 'sentinel: REDIS_SENTINEL_PASSWORD is not set; run make secrets' >&2
	exit 1
	;;
esac

if [ ! -f "$config" ]; then
	cat >"$config" <<END
port ${REDIS_SENTINEL_PORT:-26379}
dir $data
sentinel monitor rejoin $REDIS_PRIMARY 6379 2
sentinel auth-user rejoin sentinel
sentinel down-after-milliseconds rejoin 4000
sentinel failover-timeout rejoin 10000
sentinel parallel-syncs rejoin 1
END
fi

# The file may hold earlier passwords. Sentinel also writes its own into `user default`.
{
	sed -e '/^requirepass /d' -e '/^user default /d' \
		-e '/^sentinel auth-pass /d' -e '/^sentinel sentinel-pass /d' "$config"
	cat <<END
sentinel auth-pass rejoin $REDIS_SENTINEL_PASSWORD
requirepass $REDIS_SENTINEL_PASSWORD
sentinel sentinel-pass $REDIS_SENTINEL_PASSWORD
END
} >"$config.new"
mv "$config.new" "$config"
exec redis-server "$config" --sentinel
