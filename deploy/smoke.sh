#!/bin/sh
# Builds the image, starts the stack under its own project name, holds a conversation, and kills its
# agent. Checks that the conversation is remembered and that the stack is closed to outsiders. Then
# removes everything. Needs only Docker.
#
#   sh deploy/smoke.sh [--keep] [--no-build]
#
#   COMPOSE        "docker compose" by default; docker-compose 1.29 works as well
#   BUILD_NETWORK  network of the build: host, if containers have no network
set -eu
cd "$(dirname "$0")/.."

COMPOSE=${COMPOSE:-docker compose}
PROJECT=${PROJECT:-rejoin-smoke}
keep='' build=yes
for option; do
	case $option in
	--keep) keep=yes ;;
	--no-build) build='' ;;
	*)
		sed -n '2,9s/^# \{0,1\}//p' "$0"
		exit 2
		;;
	esac
done

# Ports that are usually free. Ports from the environment win.
export PAGE_PORT="${PAGE_PORT:-18080}" LIVEKIT_PORT="${LIVEKIT_PORT:-17880}"
export LIVEKIT_TCP_PORT="${LIVEKIT_TCP_PORT:-17881}" LIVEKIT_UDP_PORT="${LIVEKIT_UDP_PORT:-17882}"
export LIVEKIT_TURN_PORT="${LIVEKIT_TURN_PORT:-13478}" AGENT_DRAIN_S="${AGENT_DRAIN_S:-3}"
export STORE_SUBNET="${STORE_SUBNET:-10.124.$(($$ % 250 + 1))}"
export MEDIA_SUBNET="${MEDIA_SUBNET:-10.125.$(($$ % 250 + 1))}"
export LIVEKIT_PUBLIC_URL="${LIVEKIT_PUBLIC_URL:-ws://localhost:$LIVEKIT_PORT}"

work=$(mktemp -d)
talker=''
failures=0

step() { printf '\n== %s\n' "$1"; }
good() { printf '  ok      %s\n' "$1"; }
bad() {
	printf '  FAILED  %s\n' "$1"
	failures=$((failures + 1))
}
check() {
	says=$1
	shift
	if "$@" >"$work/check" 2>&1; then good "$says"; else
		bad "$says"
		sed 's/^/          /' "$work/check" | tail -n 5
	fi
}
fails() { ! "$@"; }

compose() { $COMPOSE --project-name "$PROJECT" --env-file "$work/env" "$@"; }
container_of() { compose ps -q "$1" | head -n 1; }
all_containers() { docker ps -aq --filter "label=com.docker.compose.project=$PROJECT"; }

# shellcheck disable=SC2317  # called by the trap
finish() {
	status=$?
	trap - EXIT INT TERM
	exec 3>&- || true
	[ -z "$talker" ] || kill "$talker" 2>/dev/null || true
	docker rm --force "$PROJECT-visitor" >/dev/null 2>&1 || true
	if [ "$status" -ne 0 ] || [ "$failures" -gt 0 ]; then
		echo
		compose logs --tail 30 2>/dev/null || true
	fi
	if [ -z "$keep" ]; then
		step 'stop and remove'
		started=$(date +%s)
		compose down --volumes --remove-orphans >"$work/down" 2>&1 || sed 's/^/  /' "$work/down"
		check "nothing is left behind ($(($(date +%s) - started)) s)" fails grep -q . <<END
$(all_containers)
END
		rm -rf "$work"
	else
		printf '\nStill running: http://localhost:%s   settings: %s\n' "$PAGE_PORT" "$work/env"
		echo "Remove it with: $COMPOSE --project-name $PROJECT --env-file $work/env down --volumes"
	fi
	if [ "$status" -ne 0 ] || [ "$failures" -gt 0 ]; then
		printf '\nsmoke: FAILED (%s)\n' "$failures"
		exit 1
	fi
	printf '\nsmoke: all checks passed\n'
}
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until containers are healthy: SERVICE COUNT SECONDS
await_healthy() {
	deadline=$(($(date +%s) + $3))
	while :; do
		healthy=$(docker ps -q --filter "label=com.docker.compose.project=$PROJECT" \
			--filter "label=com.docker.compose.service=$1" --filter health=healthy | wc -l)
		[ "$healthy" -lt "$2" ] || break
		if [ "$(date +%s)" -gt "$deadline" ]; then
			bad "$1 is not healthy after $3 s"
			exit 1
		fi
		sleep 1
	done
	good "$1 is healthy ($2)"
}

# Sends a line to the visitor, and prints its answer.
tell() {
	lines=$(wc -l <"$work/said")
	printf '%s\n' "$1" >&3
	waited=0
	while [ "$(wc -l <"$work/said")" -le "$lines" ]; do
		waited=$((waited + 1))
		[ "$waited" -lt 700 ] || {
			echo 'failed: no answer from the visitor'
			return
		}
		sleep 0.1
	done
	tail -n 1 "$work/said"
}
# ask LINE EXPECTED-WORD
ask() {
	answer=$(tell "$1")
	case $answer in
	*"$2"*) good "$1 -> ${answer#answer }" ;;
	*)
		bad "$1 -> $answer (expected: $2)"
		exit 1
		;;
	esac
}

# Prints the id of the container whose agent has the conversation.
holder() {
	for each in $(compose ps -q agent); do
		if docker exec "$each" python -ISBc '
import json, sys, urllib.request
worker = json.load(urllib.request.urlopen("http://127.0.0.1:8081/worker", timeout=4))
sys.exit(not worker.get("active_jobs"))' 2>/dev/null; then
			echo "$each"
			return
		fi
	done
}
name_of() { docker inspect --format '{{.Name}}' "$1" | tr -d /; }

step 'settings'
cp .env.example "$work/env"
check 'the example alone is refused, and the message says what to do' sh -c \
	"$COMPOSE --env-file '$work/env' config 2>&1 | grep -q 'make secrets'"
sh deploy/secrets.sh "$work/env" | sed 's/^/  /'
cp "$work/env" "$work/env.first"
sh deploy/secrets.sh "$work/env"
check 'a second run changes no secret' cmp "$work/env" "$work/env.first"

if [ -n "$build" ]; then
	step 'build'
	compose build agent >"$work/build" 2>&1 || {
		tail -n 30 "$work/build"
		exit 1
	}
	good "$(docker images --format '{{.Repository}}:{{.Tag}}  {{.Size}}' "${REJOIN_IMAGE:-rejoin}" | head -n 1)"
fi

step 'start'
started=$(date +%s)
compose up -d --no-build >"$work/up" 2>&1 || {
	tail -n 30 "$work/up"
	exit 1
}
await_healthy redis 1 60
await_healthy livekit 1 60
await_healthy gateway 1 60
await_healthy agent 2 120
good "from nothing to ready: $(($(date +%s) - started)) s"
check 'the gateway reaches Redis and LiveKit' compose exec -T gateway \
	python -ISB deploy/healthy.py http://127.0.0.1:8080/readyz

step 'talk'
mkfifo "$work/told"
: >"$work/said"
# On the host's network if possible: through the published ports, like a browser.
case $(uname -s) in
Linux) set -- --network host --env "SMOKE_GATEWAY=http://127.0.0.1:$PAGE_PORT" ;;
*) set -- --network "${PROJECT}_media" --env SMOKE_GATEWAY=http://gateway:8080 \
	--env SMOKE_LIVEKIT=ws://livekit:7880 ;;
esac
docker run --rm --interactive --name "$PROJECT-visitor" "$@" "${REJOIN_IMAGE:-rejoin:0.1.0}" \
	python deploy/smoke/talk.py <"$work/told" >"$work/said" 2>"$work/visitor" &
talker=$!
exec 3>"$work/told"
ask join 'joined new'
ask 'ask my name is Zebulon' Zebulon
ask 'ask what is my name' Zebulon

step 'kill the agent that holds the conversation'
first=$(holder)
[ -n "$first" ] || {
	bad 'no agent reports the conversation'
	exit 1
}
docker kill "$first" >/dev/null
good "killed $(name_of "$first")"
ask 'ask what is my name' Zebulon
second=$(holder)
check "$(name_of "$second") has taken over" test "$first" != "$second"
docker start "$first" >/dev/null
await_healthy agent 2 120

step 'stop the agent that holds the conversation now'
docker restart -t 60 "$second" >/dev/null
ask 'ask what is my name' Zebulon
third=$(holder)
check "$(name_of "$third") has taken over" test "$second" != "$third"
await_healthy agent 2 120

step 'come back'
ask leave left
ask join 'joined resumed'
ask 'ask what is my name' Zebulon

step 'restart Redis'
redis=$(container_of redis)
docker restart -t 30 "$redis" >/dev/null
await_healthy redis 1 60
ask 'ask what is my name' Zebulon
ask leave left
ask join 'joined resumed'
ask 'ask what is my name' Zebulon

step 'Redis'
check 'publishes no port' fails grep -q . <<END
$(docker port "$redis")
END
refused() { docker exec "$redis" redis-cli "$@" 2>&1 | grep -q -e NOAUTH -e WRONGPASS -e NOPERM; }
check 'refuses a client without a login' refused ping
check 'refuses a wrong password' refused --user rejoin --pass guessed ping
limited() {
	docker exec "$redis" sh -c \
		"REDISCLI_AUTH=\$REDIS_PASSWORD redis-cli --user rejoin $1" 2>&1 | grep -q NOPERM
}
check 'does not let our user list keys' limited 'keys "*"'
check 'does not let our user change a setting' limited 'config set maxmemory 0'
check 'keeps an append-only file, and evicts nothing' compose run --rm -T session-store doctor

step 'closed where it should be'
for id in $(all_containers); do
	name=$(name_of "$id")
	[ "$name" != "$PROJECT-visitor" ] || continue
	facts=$(docker inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{gt .HostConfig.Memory 0}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Init}} {{.Config.User}} {{index .HostConfig.LogConfig.Config "max-size"}}' "$id")
	case $facts in
	'true [ALL] [no-new-privileges:true] true unless-stopped true '[1-9]*:[0-9]*' 10m') good "$name" ;;
	*) bad "$name: $facts" ;;
	esac
done
check 'the gateway cannot write its own files' fails compose exec -T gateway touch /srv/rejoin/x
published=$(docker ps --filter "label=com.docker.compose.project=$PROJECT" --format '{{.Names}} {{.Ports}}' |
	grep -e '->' | cut -d ' ' -f 1 | sed 's/.*smoke[-_]\(.*\)[-_][0-9]*$/\1/' | sort | tr '\n' ' ')
check "only the gateway and LiveKit are published: $published" test "$published" = 'gateway livekit '
compose logs --no-color >"$work/logs" 2>&1
check "no log contains the name ($(wc -l <"$work/logs") lines)" fails grep -qi zebulon "$work/logs"
