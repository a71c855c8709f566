# Completion of redlockctl(1) and redlockd(8) for fish.

function __redlockctl_ask -a method member # that member of each element
    set -l socket
    set -l words (commandline -opc)
    if set -l i (contains -i -- -s $words)
        set socket -s $words[(math $i + 1)]
    end
    redlockctl $socket -j $method 2>/dev/null | string match -ar "\"$member\":(?:\"[^\"\\\\]*\"|[0-9]+)" |
        string replace "\"$member\":" '' | string trim -c '"'
end

set -l commands run hold status nodes sessions locks waiters ping call top why doctor drain kill metrics reload certify break help
set -l none "not __fish_seen_subcommand_from $commands"

complete -c redlockctl -f
complete -c redlockctl -n $none -s s -l socket -r -F -d 'Where the broker listens'
complete -c redlockctl -n $none -s j -l json -d 'Results as they came'
complete -c redlockctl -n $none -l no-legend -d 'Tables without their first line'
complete -c redlockctl -n $none -s V -l version -d 'The version'
complete -c redlockctl -n $none -s h -l help -d 'A summary'
complete -c redlockctl -n $none -a run -d 'Run a command while keys are locked'
complete -c redlockctl -n $none -a hold -d 'Hold keys until the input ends'
complete -c redlockctl -n $none -a status -d 'What the broker is doing'
complete -c redlockctl -n $none -a nodes -d 'The Redis nodes'
complete -c redlockctl -n $none -a sessions -d 'The connected clients'
complete -c redlockctl -n $none -a locks -d 'The locks that are held'
complete -c redlockctl -n $none -a waiters -d 'Who waits for a key'
complete -c redlockctl -n $none -a ping -d 'A sign of life'
complete -c redlockctl -n $none -a top -d 'A live screen'
complete -c redlockctl -n $none -a why -d 'What each node has under a key'
complete -c redlockctl -n $none -a doctor -d 'What is unsafe, weak or slow'
complete -c redlockctl -n $none -a drain -d 'No new locks'
complete -c redlockctl -n $none -a kill -d 'End a connection'
complete -c redlockctl -n $none -a break -d 'Take a lock away'
complete -c redlockctl -n $none -a certify -d 'End the quarantine of a node'
complete -c redlockctl -n $none -a help -d 'What a command does'
complete -c redlockctl -n $none -a metrics -d 'What the broker counts'
complete -c redlockctl -n $none -a reload -d 'Read the configuration again'
complete -c redlockctl -n $none -a call -d 'One request'
complete -c redlockctl -n "not $none" -l help -d 'What the command does'
complete -c redlockctl -n '__fish_seen_subcommand_from locks run hold why break' -a '(__redlockctl_ask locks key)' -d Key
complete -c redlockctl -n '__fish_seen_subcommand_from waiters' -a '(__redlockctl_ask waiters key)' -d Key
complete -c redlockctl -n '__fish_seen_subcommand_from kill' -a '(__redlockctl_ask sessions session)' -d Session
complete -c redlockctl -n '__fish_seen_subcommand_from certify' -a '(__redlockctl_ask nodes name)' -d Node
complete -c redlockctl -n '__fish_seen_subcommand_from help' -a "$commands" -d Command
complete -c redlockctl -n '__fish_seen_subcommand_from status' -l check -d 'One line and an exit status, for monitoring'
complete -c redlockctl -n '__fish_seen_subcommand_from top' -s b -l batch -d 'Print one page'
complete -c redlockctl -n '__fish_seen_subcommand_from drain' -l off -d 'Grant new locks again'
complete -c redlockctl -n '__fish_seen_subcommand_from kill break certify' -s y -l yes -d 'Do not ask'
complete -c redlockctl -n '__fish_seen_subcommand_from metrics' -s o -r -F -d 'Into a file'
complete -c redlockctl -n '__fish_seen_subcommand_from call' -a 'add extend free reset list cancel subscribe hello ping status nodes sessions locks waiters why metrics reload drain kill break certify' -d Method
complete -c redlockctl -n '__fish_seen_subcommand_from run hold' -s n -l nonblock -d 'Try once'
complete -c redlockctl -n '__fish_seen_subcommand_from run hold' -s w -l wait -x -d 'Wait so many seconds at most'
complete -c redlockctl -n '__fish_seen_subcommand_from run hold' -s t -l ttl -x -d 'Ttl, milliseconds'
complete -c redlockctl -n '__fish_seen_subcommand_from run hold' -s E -l conflict-exit-code -x -d 'Exit status where the locks are not acquired'
complete -c redlockctl -n '__fish_seen_subcommand_from run hold' -s v -l verbose -d 'Say what is waited for'
complete -c redlockctl -n '__fish_seen_subcommand_from run' -s c -l command -x -d 'A command for /bin/sh'
complete -c redlockctl -n '__fish_seen_subcommand_from run' -l on-lost -x -a 'term kill warn' -d 'What the command gets when the lock is lost'
complete -c redlockctl -n '__fish_seen_subcommand_from run' -l grace -x -d 'Seconds from SIGTERM to SIGKILL at most'

complete -c redlockd -f
complete -c redlockd -s c -l config -r -F -d 'The configuration'
complete -c redlockd -s s -l socket -r -F -d 'Where to listen'
complete -c redlockd -s t -l test -d 'Check the configuration'
complete -c redlockd -s T -l test-nodes -d 'And connect to every node'
complete -c redlockd -s l -l log -x -a 'error warn info debug' -d 'Level of the log'
complete -c redlockd -s V -l version -d 'The version'
complete -c redlockd -s h -l help -d 'A summary'
