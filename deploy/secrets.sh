#!/bin/sh
# Makes the secrets that docker-compose.yml needs, and writes them to .env. Secrets that are set stay.
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

# Random bytes: as base64 that is safe in a URL, as plain base64, as hexadecimal.
for_url() { head -c "$1" /dev/urandom | base64 | tr -d '\n=' | tr '+/' '-_'; }
plain() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }
hex() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# Prints the value of a name in the file; nothing for an example value.
value_of() {
	sed -n "s/^$1=//p" "$file" | tail -n 1 | sed -e 's/^"\(.*\)"$/\1/' -e "s/^'\(.*\)'$/\1/" -e '/^change-me/d'
}

# Replaces an example value, or a line that is commented out.
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

# Makes a secret if it is missing: NAME FEWEST-SAFE-CHARACTERS COMMAND-THAT-MAKES-IT
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

# The same for a password that goes into a URL and into files of Redis.
need_plain() {
	case $(value_of "$1") in
	*[!A-Za-z0-9._~-]*) fail "$1 has characters that break a URL; use letters, digits and . _ ~ - or remove its line, and run this again" ;;
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

# A lost key is lost data. So these two are made together, or neither is made.
keys=$(value_of REJOIN_ENCRYPTION_KEYS) primary=$(value_of REJOIN_PRIMARY_KEY)
if [ -z "$keys$primary" ]; then
	primary=k-$(date -u +%Y-%m-%d)
	put REJOIN_ENCRYPTION_KEYS "$primary:$(plain 32)"
	put REJOIN_PRIMARY_KEY "$primary"
elif [ -z "$keys" ] || [ -z "$primary" ]; then
	fail 'REJOIN_ENCRYPTION_KEYS or REJOIN_PRIMARY_KEY is missing; put it back'
fi
need REJOIN_PSEUDONYM_KEY 44 plain 32
