# Completion of redlockctl(1) and redlockd(8) for fish.

function __redlockctl_keys
    set -l socket
    set -l words (commandline -opc)
    if set -l i (contains -i -- -s $words)
        set socket -s $words[(math $i + 1)]
    end
    redlockctl $socket -j locks 2>/dev/null | string match -ar '"key":"([^"\\\\]*)"' | string match -vr '^"key"'
end

set -l commands run status nodes sessions locks waiters ping metrics reload call
set -l none "not __fish_seen_subcommand_from $commands"

complete -c redlockctl -f
complete -c redlockctl -n $none -s s -l socket -r -F -d 'Where the broker listens'
complete -c redlockctl -n $none -s j -l json -d 'Results as they came'
complete -c redlockctl -n $none -s V -l version -d 'The version'
complete -c redlockctl -n $none -s h -l help -d 'A summary'
complete -c redlockctl -n $none -a run -d 'Run a command while keys are locked'
complete -c redlockctl -n $none -a status -d 'What the broker is doing'
complete -c redlockctl -n $none -a nodes -d 'The Redis nodes'
complete -c redlockctl -n $none -a sessions -d 'The connected clients'
complete -c redlockctl -n $none -a locks -d 'The locks that are held'
complete -c redlockctl -n $none -a waiters -d 'Who waits for a key'
complete -c redlockctl -n $none -a ping -d 'A sign of life'
complete -c redlockctl -n $none -a metrics -d 'What the broker counts'
complete -c redlockctl -n $none -a reload -d 'Read the configuration again'
complete -c redlockctl -n $none -a call -d 'One request'
complete -c redlockctl -n '__fish_seen_subcommand_from locks waiters run' -a '(__redlockctl_keys)' -d Key
complete -c redlockctl -n '__fish_seen_subcommand_from metrics' -s o -r -F -d 'Into a file'
complete -c redlockctl -n '__fish_seen_subcommand_from call' -a 'add extend free reset list cancel subscribe hello ping status nodes sessions locks waiters metrics reload' -d Method
complete -c redlockctl -n '__fish_seen_subcommand_from run' -s n -d 'Try once'
complete -c redlockctl -n '__fish_seen_subcommand_from run' -s w -x -d 'Wait so many seconds at most'
complete -c redlockctl -n '__fish_seen_subcommand_from run' -s t -x -d 'Ttl, milliseconds'
complete -c redlockctl -n '__fish_seen_subcommand_from run' -s E -x -d 'Exit status where the locks are not acquired'

complete -c redlockd -f
complete -c redlockd -s c -l config -r -F -d 'The configuration'
complete -c redlockd -s s -l socket -r -F -d 'Where to listen'
complete -c redlockd -s t -l test -d 'Check the configuration'
complete -c redlockd -s T -l test-nodes -d 'And connect to every node'
complete -c redlockd -s l -l log -x -a 'error warn info debug' -d 'Level of the log'
complete -c redlockd -s V -l version -d 'The version'
complete -c redlockd -s h -l help -d 'A summary'
