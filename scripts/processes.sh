# Sourced by demo and run: what both need to start programs and to be sure that they end.

# start PROGRAM ARGS...: starts it in the background and sets `started` to its pid.
# A session of its own keeps the terminal's Ctrl-C from it: the script stops the programs itself, in order,
# and a second signal would mean "now" to them. The shell would let it ignore SIGINT for good; env undoes that.
start() {
    env --default-signal=INT,QUIT setsid "$@" </dev/null &
    started=$!
}

# unnoted PIDS: the newest program, where its pid is none of PIDS: a signal can come before the script has noted it.
unnoted() {
    case " $* " in
    *" ${!:-} "*) ;;
    *) echo "$!" ;;
    esac
}

alive() {
    kill -0 "$1" 2>/dev/null
}

# serves PID FILE: waits until the manager PID has written FILE; fails if it dies first or needs over 20 s.
serves() {
    local tenths
    for ((tenths = 0; tenths < 200; tenths++)); do
        [ -e "$2" ] && return 0
        alive "$1" || return 1
        sleep 0.1
    done
    return 1
}

# address NAME FILE: what the manager wrote there for NAME, rpc or http.
address() {
    sed -n "s/^$1 //p" "$2"
}

# stop SIGNAL PID: asks PID to end and waits for it. After 40 s (a pool drains for 25) it is killed. Whatever it
# left behind in its session's group goes too.
stop() {
    local tenths
    kill "-$1" "$2" 2>/dev/null || true
    for ((tenths = 0; tenths < 400; tenths++)); do
        alive "$2" || break
        sleep 0.1 || true
    done
    kill -KILL -- "-$2" 2>/dev/null || true
}
