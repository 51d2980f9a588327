#!/bin/sh
# Starts Redis, or Valkey, with the users of users.acl and their passwords from the environment.
#
#   REDIS_PASSWORD, REDIS_OPERATOR_PASSWORD, REDIS_REPLICA_PASSWORD, REDIS_SENTINEL_PASSWORD
#   REDIS_ADDRESS         this server's own
#   REDIS_PRIMARY         address of whom to follow when no sentinel knows better; its own: nobody
#   REDIS_SENTINELS       addresses of those who know better, separated by blanks
#   REDIS_SCHEME          with redis+sentinel it asks them; with rediss it speaks TLS, and nothing else
#   REDIS_MAXMEMORY, REDIS_MIN_REPLICAS
#   REDIS_DATA, REDIS_PORT   /data and 6379
set -eu
umask 077
here=$(dirname "$0")
made=${TMPDIR:-/tmp}

refuse() {
	echo "redis: $1" >&2
	exit 1
}

for name in REDIS_PASSWORD REDIS_OPERATOR_PASSWORD REDIS_REPLICA_PASSWORD REDIS_SENTINEL_PASSWORD; do
	value=''
	eval "value=\${$name:-}"
	case $value in
	'' | change-me*) refuse "$name is not set; run make secrets" ;;
	esac
done

digest_of() {
	printf %s "$1" | sha256sum | cut -d ' ' -f 1
}

# Users whose password is not known here keep a digest of nothing: nobody can log in.
sed -e "/^user rejoin /s/#0\{64\}/#$(digest_of "$REDIS_PASSWORD")/" \
	-e "/^user rejoin-operator /s/#0\{64\}/#$(digest_of "$REDIS_OPERATOR_PASSWORD")/" \
	-e "/^user replica /s/#0\{64\}/#$(digest_of "$REDIS_REPLICA_PASSWORD")/" \
	-e "/^user sentinel /s/#0\{64\}/#$(digest_of "$REDIS_SENTINEL_PASSWORD")/" \
	"$here/users.acl" >"$made/users.acl"

# After a failover the one that starts again must not take itself for the primary.
primary_by() {
	REDISCLI_AUTH=$REDIS_SENTINEL_PASSWORD timeout 2 redis-cli -h "$1" -p 26379 \
		sentinel get-master-addr-by-name rejoin 2>/dev/null | head -n 1 | grep -x '[0-9.]*'
}
primary=$REDIS_PRIMARY
case $REDIS_SCHEME in
*sentinel)
	for sentinel in $REDIS_SENTINELS; do
		if answer=$(primary_by "$sentinel"); then
			primary=$answer
			break
		fi
	done
	;;
esac

port=${REDIS_PORT:-6379}
set -- "$here/redis.conf" \
	--dir "${REDIS_DATA:-/data}" \
	--port "$port" \
	--aclfile "$made/users.acl" \
	--maxmemory "$REDIS_MAXMEMORY" \
	--min-replicas-to-write "$REDIS_MIN_REPLICAS" \
	--masteruser replica
case $REDIS_SCHEME in
rediss+*) refuse 'TLS is for one Redis; with sentinels set REDIS_SCHEME=redis+sentinel' ;;
rediss)
	[ -r /tls/redis.key ] || refuse "/tls/redis.key cannot be read; see TLS in deploy/README.md"
	set -- "$@" --port 0 --tls-port "$port" --tls-auth-clients no --tls-replication yes \
		--tls-cert-file /tls/redis.crt --tls-key-file /tls/redis.key --tls-ca-cert-file /tls/ca.crt
	;;
esac
if [ "$primary" != "$REDIS_ADDRESS" ]; then
	set -- "$@" --replicaof "$primary" 6379
fi
# In a file, since arguments are seen by everybody on the machine.
printf 'masterauth %s\n' "$REDIS_REPLICA_PASSWORD" >"$made/masterauth.conf"
exec redis-server "$@" --include "$made/masterauth.conf"
