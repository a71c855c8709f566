# Completion of redlockctl(1) and redlockd(8) for bash.

_redlockctl_ask() { # _redlockctl_ask METHOD MEMBER: that member of each element, from the broker that -s names
    local socket=() i
    for ((i = 1; i < COMP_CWORD; ++i)); do
        [[ ${COMP_WORDS[i]} == -s ]] && socket=(-s "${COMP_WORDS[i + 1]}")
    done
    redlockctl "${socket[@]}" -j "$1" 2>/dev/null | grep -oE "\"$2\":(\"[^\"\\\\]*\"|[0-9]+)" | cut -d : -f 2- | tr -d '"'
}

_redlockctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i command=
    local commands='run hold status nodes sessions locks waiters ping call top why doctor drain kill metrics reload certify
        break help'
    local methods='add extend free reset list cancel subscribe hello ping status nodes sessions locks waiters why metrics reload
        drain kill break certify'
    local options='-n --nonblock -w --wait -t --ttl -E --conflict-exit-code -v --verbose'

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
            mapfile -t COMPREPLY < <(compgen -W '-s --socket -j --json --no-legend -V --version -h --help' -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
        fi
        ;;
    run:--on-lost) mapfile -t COMPREPLY < <(compgen -W 'term kill warn' -- "$cur") ;;
    run:--) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    run:-[wtEc] | run:--wait | run:--ttl | run:--conflict-exit-code | run:--command | run:--grace) ;;
    hold:-[wtE] | hold:--wait | hold:--ttl | hold:--conflict-exit-code) ;;
    *)
        if [[ $cur == -* ]]; then
            case $command in
            run) options+=' -c --command --on-lost --grace --' ;;
            hold) ;;
            status) options='--check' ;;
            top) options='-b --batch' ;;
            drain) options='--off' ;;
            kill | break | certify) options='-y --yes' ;;
            metrics) options='-o' ;;
            *) options= ;;
            esac
            mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$cur")
            return
        fi
        case $command in
        call) [[ $prev == call ]] && mapfile -t COMPREPLY < <(compgen -W "$methods" -- "$cur") ;;
        help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur") ;;
        kill) mapfile -t COMPREPLY < <(compgen -W "$(_redlockctl_ask sessions session)" -- "$cur") ;;
        certify) mapfile -t COMPREPLY < <(compgen -W "$(_redlockctl_ask nodes name)" -- "$cur") ;;
        waiters) mapfile -t COMPREPLY < <(compgen -W "$(_redlockctl_ask waiters key)" -- "$cur") ;;
        run | hold | locks | why | break)
            mapfile -t COMPREPLY < <(compgen -W "$(_redlockctl_ask locks key)" -- "$cur")
            ;;
        esac
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
