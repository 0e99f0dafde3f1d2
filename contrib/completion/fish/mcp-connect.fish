# SPDX-License-Identifier: Apache-2.0
# Completion of mcp-connect for fish.

# What a running daemon knows; none is started, and a busy one is not waited for.
# A server chooses its URL: only plain characters get through.
function __mcp_broker_servers
    timeout 2 mcp-list --no-autostart --wide 2>/dev/null </dev/null | awk 'NR > 1 && $1 ~ /^[A-Za-z0-9_.@+:\/%,=-]+$/ && $1 != "-" { print $1 }'
end

function __mcp_broker_clients
    mcp-connect --print-config=help 2>/dev/null </dev/null | awk 'NR > 1 { print $1 }'
end

complete -c mcp-connect -f
complete -c mcp-connect -a '(__mcp_broker_servers)'
complete -c mcp-connect -l account -x -d 'of several logins at one URL, this one'
complete -c mcp-connect -l scope -x -d 'only these scopes'
complete -c mcp-connect -l hold -x -d 'how long a request waits for a login'
complete -c mcp-connect -l browser -xa '(__fish_complete_command)' -d 'the browser to start'
complete -c mcp-connect -l no-browser -d 'print the address of a login only'
complete -c mcp-connect -l header -x -d 'one more header field'
complete -c mcp-connect -l header-file -rF -d 'header fields, one a line'
complete -c mcp-connect -l ignore-tool -x -d 'leave these tools out'
complete -c mcp-connect -l transport -xa 'auto http-first http-only sse-first sse-only' -d 'which transport'
complete -c mcp-connect -l protocol -xa 'auto legacy-first modern-first' -d 'which era of MCP comes first'
complete -c mcp-connect -l connect-timeout -x -d 'time to be connected'
complete -c mcp-connect -l request-timeout -x -d 'time for a whole request'
complete -c mcp-connect -l max-message -x -d 'bytes of one message'
complete -c mcp-connect -l proxy -x -d 'a proxy'
complete -c mcp-connect -l ca-file -rF -d 'more certificates to trust'
complete -c mcp-connect -l no-report -d 'do not report tool calls'
complete -c mcp-connect -l log-file -rF -d 'write messages there too'
complete -c mcp-connect -l debug -d 'say more'
complete -c mcp-connect -l print-config -xa 'help (__mcp_broker_clients)' -d 'print what this client needs'
complete -c mcp-connect -l write-config -xa '(__mcp_broker_clients)' -d 'write the configuration of this client'
complete -c mcp-connect -l entry -x -d 'what to call the server there'
complete -c mcp-connect -l helper -d 'the client takes headers from mcp-token'
complete -c mcp-connect -l socket -rF -d 'socket of the daemon'
complete -c mcp-connect -l no-autostart -d 'do not start a daemon where none runs'
complete -c mcp-connect -s h -l help -d 'a summary of the options'
complete -c mcp-connect -s V -l version -d 'the version'
