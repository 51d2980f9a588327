#!/bin/sh
# Makes the secrets that docker-compose.yml needs, and writes them into .env. What is set stays.
#
#   sh deploy/secrets.sh [FILE]
set -eu
umask 077
here=$(dirname "$0")
file=${1:-$here/../.env}

fail() {
	echo "secrets: $1" >&2
	exit 1
}

# Bytes as base64 that may stand in a URL; as plain base64; as hexadecimal.
for_url() { head -c "$1" /dev/urandom | base64 | tr -d '\n=' | tr '+/' '-_'; }
plain() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }
hex() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# What the file says of a name; nothing for an example.
value_of() {
	sed -n "s/^$1=//p" "$file" | tail -n 1 | sed -e 's/^"\(.*\)"$/\1/' -e "s/^'\(.*\)'$/\1/" -e '/^change-me/d'
}

# Writes a value in the place of an example, or of the line that is commented out.
put() {
	NAME=$1 VALUE=$2 awk '
		BEGIN { name = ENVIRON["NAME"]; line = name "=" ENVIRON["VALUE"] }
		index($0, name "=") == 1 || (index($0, "#" name "=") == 1 && !put) {
			if (!put) print line
			put = 1
			next
		}
		{ print }
		END { if (!put) print line }
	' "$file" >"$file.new"
	mv "$file.new" "$file"
	echo "secrets: made $1"
}

# A name, the fewest characters that are safe, and how it is made.
need() {
	name=$1 least=$2
	shift 2
	value=$(value_of "$name")
	if [ -z "$value" ]; then
		put "$name" "$("$@")"
	elif [ "${#value}" -lt "$least" ]; then
		fail "$name has fewer than $least characters; remove its line, and run this again"
	fi
}

# The same for what goes into a URL and into files of Redis, as it is.
need_plain() {
	case $(value_of "$1") in
	*[!A-Za-z0-9._~-]*) fail "$1 has characters that break a URL; take letters, digits and . _ ~ - or remove its line, and run this again" ;;
	esac
	need "$1" 24 for_url 33
}

livekit_key() { printf 'rejoin-%s' "$(hex 6)"; }

if [ ! -e "$file" ]; then
	cp "$here/../.env.example" "$file"
	echo "secrets: made $file"
fi
chmod 600 "$file"

need LIVEKIT_API_KEY 8 livekit_key
need LIVEKIT_API_SECRET 32 for_url 33
need_plain REDIS_PASSWORD
need_plain REDIS_OPERATOR_PASSWORD
need_plain REDIS_REPLICA_PASSWORD
need_plain REDIS_SENTINEL_PASSWORD
need GRAFANA_PASSWORD 12 for_url 18

# A lost key is lost data, so keys that belong together are made together, or not at all.
keys=$(value_of REJOIN_ENCRYPTION_KEYS) primary=$(value_of REJOIN_PRIMARY_KEY)
if [ -z "$keys$primary" ]; then
	primary=k-$(date -u +%Y-%m-%d)
	put REJOIN_ENCRYPTION_KEYS "$primary:$(plain 32)"
	put REJOIN_PRIMARY_KEY "$primary"
elif [ -z "$keys" ] || [ -z "$primary" ]; then
	fail 'of REJOIN_ENCRYPTION_KEYS and REJOIN_PRIMARY_KEY one is missing; put it back'
fi
need REJOIN_PSEUDONYM_KEY 44 plain 32
