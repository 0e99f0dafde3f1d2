# SPDX-License-Identifier: Apache-2.0
# Completion of mcp-token for fish.

# What a running daemon knows; none is started, and a busy one is not waited for.
# A server chooses its URL: only plain characters get through.
function __mcp_broker_servers
    timeout 2 mcp-list --no-autostart --wide 2>/dev/null </dev/null | awk 'NR > 1 && $1 ~ /^[A-Za-z0-9_.@+:\/%,=-]+$/ && $1 != "-" { print $1 }'
end

complete -c mcp-token -f
complete -c mcp-token -a '(__mcp_broker_servers)'
complete -c mcp-token -l account -x -d 'of several logins at one URL, this one'
complete -c mcp-token -l scope -x -d 'only these scopes'
complete -c mcp-token -l on-behalf-of -x -d 'for whom it is asked'
complete -c mcp-token -l min-ttl -x -d 'it should live for at least so long'
complete -c mcp-token -l header -d 'a JSON object of headers'
complete -c mcp-token -l header-line -d 'a header field for curl'
complete -c mcp-token -l method -xa 'GET POST DELETE' -d 'of the one request that the header is for'
complete -c mcp-token -l url -x -d 'where that request goes'
complete -c mcp-token -l nonce -x -d 'what the server said last in DPoP-Nonce'
complete -c mcp-token -l json -d 'everything that is known of the token'
complete -c mcp-token -l env -d 'variables for a shell'
complete -c mcp-token -l no-login -d 'fail rather than start a login'
complete -c mcp-token -l browser -xa '(__fish_complete_command)' -d 'the browser to start'
complete -c mcp-token -l no-browser -d 'print the address only'
complete -c mcp-token -l socket -rF -d 'socket of the daemon'
complete -c mcp-token -l no-autostart -d 'do not start a daemon where none runs'
complete -c mcp-token -s h -l help -d 'a summary of the options'
complete -c mcp-token -s V -l version -d 'the version'
