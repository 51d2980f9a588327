#!/bin/sh
# Starts Redis (or Valkey) with the users of users.acl. Their passwords come from the environment.
#
#   REDIS_PASSWORD, REDIS_OPERATOR_PASSWORD, REDIS_REPLICA_PASSWORD, REDIS_SENTINEL_PASSWORD
#   REDIS_ADDRESS         address of this server
#   REDIS_PRIMARY         address of the primary, if no sentinel answers a new server; its own on the primary
#   REDIS_SENTINELS       addresses of the sentinels, separated by blanks
#   REDIS_SCHEME          redis+sentinel: ask the sentinels for the primary; rediss: use only TLS
#   REDIS_MAXMEMORY, REDIS_MIN_REPLICAS
#   REJOIN_NAMESPACE      namespace of the deployment, if it has one: its users reach no other
#   REDIS_DATA, REDIS_PORT, REDIS_SENTINEL_PORT, REDIS_SENTINELS_WITHIN_S   default: /data, 6379, 26379, 30
set -eu
umask 077
here=$(dirname "$0")
made=${TMPDIR:-/tmp}
data=${REDIS_DATA:-/data}

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

space=rj1
case ${REJOIN_NAMESPACE:-} in
'') ;;
*[!a-z0-9_-]*) refuse 'REJOIN_NAMESPACE may hold a-z, 0-9, - and _ only' ;;
*) space=rj1-$REJOIN_NAMESPACE ;;
esac

# Users without a password here keep a digest of zeros, with which no login works.
sed -e "/^user rejoin /s/#0\{64\}/#$(digest_of "$REDIS_PASSWORD")/" \
	-e "/^user rejoin-operator /s/#0\{64\}/#$(digest_of "$REDIS_OPERATOR_PASSWORD")/" \
	-e "/^user replica /s/#0\{64\}/#$(digest_of "$REDIS_REPLICA_PASSWORD")/" \
	-e "/^user sentinel /s/#0\{64\}/#$(digest_of "$REDIS_SENTINEL_PASSWORD")/" \
	-e "s/ ~rj1:/ ~$space:/" -e "s/ &rj1:/ \&$space:/" \
	"$here/users.acl" >"$made/users.acl"

# Prints what one sentinel knows: the number of the last failover (epoch) and the primary's address.
known_to() {
	printf '%s\n' 'sentinel get-master-addr-by-name rejoin' 'sentinel master rejoin' |
		REDISCLI_AUTH=$REDIS_SENTINEL_PASSWORD timeout 2 redis-cli -h "$1" -p "${REDIS_SENTINEL_PORT:-26379}" 2>/dev/null |
		awk 'NR == 1 { primary = $0 } name == "config-epoch" { print $0, primary } { name = $0 }'
}

# A majority must answer, and the last failover counts: a sentinel that missed it names the old primary.
primary_by_sentinels() {
	known=$(for sentinel in $REDIS_SENTINELS; do known_to "$sentinel"; done)
	# shellcheck disable=SC2086  # the addresses are separated by blanks
	set -- $REDIS_SENTINELS
	[ "$(printf '%s\n' "$known" | grep -c .)" -gt "$(($# / 2))" ] || return 1
	printf '%s\n' "$known" | sort -n | tail -n 1 | cut -d ' ' -f 2 | grep -x '[0-9.]*'
}

case $REDIS_SCHEME in
rediss+*) refuse 'TLS works with one Redis only; with sentinels set REDIS_SCHEME=redis+sentinel' ;;
*sentinel)
	# A server with data must not guess: as a wrong primary it would make the others drop their data.
	deadline=$(($(date +%s) + ${REDIS_SENTINELS_WITHIN_S:-30}))
	until primary=$(primary_by_sentinels); do
		if [ -z "$(ls -A "$data")" ]; then
			primary=$REDIS_PRIMARY
			break
		fi
		[ "$(date +%s)" -lt "$deadline" ] || refuse 'too few sentinels say who the primary is'
		sleep 1
	done
	;;
*) primary=$REDIS_PRIMARY ;;
esac

port=${REDIS_PORT:-6379}
# A copy, because a failover rewrites it.
cat "$here/redis.conf" >"$made/redis.conf"
set -- "$made/redis.conf" \
	--dir "$data" \
	--port "$port" \
	--aclfile "$made/users.acl" \
	--maxmemory "$REDIS_MAXMEMORY" \
	--min-replicas-to-write "$REDIS_MIN_REPLICAS" \
	--masteruser replica
case $REDIS_SCHEME in
rediss)
	[ -r /tls/redis.key ] || refuse "/tls/redis.key cannot be read; see TLS in deploy/README.md"
	set -- "$@" --port 0 --tls-port "$port" --tls-auth-clients no --tls-replication yes \
		--tls-cert-file /tls/redis.crt --tls-key-file /tls/redis.key --tls-ca-cert-file /tls/ca.crt
	;;
esac
if [ "$primary" != "$REDIS_ADDRESS" ]; then
	set -- "$@" --replicaof "$primary" 6379
fi
# In a file, because all users of the machine can see arguments.
printf 'masterauth %s\n' "$REDIS_REPLICA_PASSWORD" >"$made/masterauth.conf"
exec redis-server "$@" --include "$made/masterauth.conf"
