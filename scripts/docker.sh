# Sourced by the docker-* scripts: the names that they share. NAME=other has a second set of them beside the first.
name=${NAME:-qmanager}
image=${IMAGE:-qmanager}

fail() {
    echo "${0##*/}: $1" >&2
    exit 1
}

command -v docker >/dev/null || fail "docker is not installed"
case $name in
[!A-Za-z0-9]* | *[!A-Za-z0-9_.-]*) fail "NAME is made of letters, digits, dots, underscores and hyphens, and begins with one of the first two, not '$name'" ;;
esac

# run_in_network OPTIONS...: docker run with what every container of ours has: nothing to write on but its volumes
# and /tmp, no privileges, and as long to end as a pool may take for it.
run_in_network() {
    docker run --network "$name" --label "qmanager=$name" \
        --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --stop-timeout 40 "$@"
}
