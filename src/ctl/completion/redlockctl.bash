# Completion of redlockctl(1) and redlockd(8) for bash.

_redlockctl_ask() { # _redlockctl_ask METHOD MEMBER: that member of each element, from the broker that -s names
    local socket=() i
    for ((i = 1; i < COMP_CWORD; ++i)); do
        [[ ${COMP_WORDS[i]} == -s ]] && socket=(-s "${COMP_WORDS[i + 1]}")
    done
    redlockctl "${socket[@]}" -j "$1" 2>/dev/null | grep -o "\"$2\":\"[^\"\\\\]*\"" | cut -d '"' -f 4
}

_redlockctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i command=
    local commands='run status nodes sessions locks waiters ping metrics reload call'
    local methods='add extend free reset list cancel subscribe hello ping status nodes sessions locks waiters metrics reload'

    for ((i = 1; i < COMP_CWORD; ++i)); do
        case ${COMP_WORDS[i]} in
        -s | --socket) ((++i)) ;;
        -*) ;;
        *)
            command=${COMP_WORDS[i]}
            break
            ;;
        esac
    done
    COMPREPLY=()
    case $command:$prev in
    :-s | :--socket | metrics:-o) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    :*)
        if [[ $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W '-s --socket -j --json -V --version -h --help' -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
        fi
        ;;
    locks:locks | waiters:waiters)
        mapfile -t COMPREPLY < <(compgen -W "$(_redlockctl_ask "$command" key)" -- "$cur")
        ;;
    metrics:*) mapfile -t COMPREPLY < <(compgen -W '-o' -- "$cur") ;;
    call:call) mapfile -t COMPREPLY < <(compgen -W "$methods" -- "$cur") ;;
    run:-[wtE]) ;;
    run:*)
        if [[ $prev == -- ]]; then
            mapfile -t COMPREPLY < <(compgen -c -- "$cur")
        elif [[ $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W '-n -w -t -E --' -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_redlockctl_ask locks key)" -- "$cur")
        fi
        ;;
    esac
}
complete -F _redlockctl redlockctl

_redlockd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

    case $prev in
    -c | --config | -s | --socket) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    -l | --log) mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$cur") ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W '-c --config -s --socket -t --test -T --test-nodes -l --log -V --version
            -h --help' -- "$cur")
        ;;
    esac
}
complete -F _redlockd redlockd
