# SPDX-License-Identifier: Apache-2.0
# Completion of mcp-list for fish.

# What a running daemon knows; none is started, and a busy one is not waited for.
# A server chooses its URL: only plain characters get through.
function __mcp_broker_servers
    timeout 2 mcp-list --no-autostart --wide 2>/dev/null </dev/null | awk 'NR > 1 && $1 ~ /^[A-Za-z0-9_.@+:\/%,=-]+$/ && $1 != "-" { print $1 }'
end

complete -c mcp-list -f
complete -c mcp-list -a '(__mcp_broker_servers)'
complete -c mcp-list -l json -d 'as JSON'
complete -c mcp-list -s w -l wide -d 'do not cut columns'
complete -c mcp-list -l socket -rF -d 'socket of the daemon'
complete -c mcp-list -l no-autostart -d 'do not start a daemon where none runs'
complete -c mcp-list -s h -l help -d 'a summary of the options'
complete -c mcp-list -s V -l version -d 'the version'
