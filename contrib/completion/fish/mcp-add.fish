# SPDX-License-Identifier: Apache-2.0
# Completion of mcp-add for fish.

# What a running daemon knows; none is started, and a busy one is not waited for.
# A server chooses its URL: only plain characters get through.
function __mcp_broker_urls
    timeout 2 mcp-list --no-autostart --wide 2>/dev/null </dev/null | awk 'NR > 1 { for (i = 1; i <= NF; i++) if ($i ~ /:\/\//) { if ($i ~ /^[A-Za-z0-9_.@+:\/%,=-]+$/) print $i; break } }'
end

# What a running daemon knows; none is started, and a busy one is not waited for.
# A server chooses its URL: only plain characters get through.
function __mcp_broker_servers
    timeout 2 mcp-list --no-autostart --wide 2>/dev/null </dev/null | awk 'NR > 1 && $1 ~ /^[A-Za-z0-9_.@+:\/%,=-]+$/ && $1 != "-" { print $1 }'
end

complete -c mcp-add -f
complete -c mcp-add -a '(__mcp_broker_urls)'
complete -c mcp-add -l name -x -d 'what to call it'
complete -c mcp-add -l account -x -d 'one of several logins at the same URL'
complete -c mcp-add -l scope -x -d 'ask for this scope'
complete -c mcp-add -l client-id -x -d 'a client that was registered by hand'
complete -c mcp-add -l client-secret-file -rF -d 'its secret is the first line of this file'
complete -c mcp-add -l client-key-file -rF -d 'its private key, in place of a secret'
complete -c mcp-add -l client-key-id -x -d 'what the authorization server calls that key'
complete -c mcp-add -l signing-alg -xa 'ES256 ES384 RS256 PS256 EdDSA Ed25519' -d 'what it signs with'
complete -c mcp-add -l identity -x -d 'the provider of the identity to be shown'
complete -c mcp-add -l present -xa 'browser auto client-credentials private-key-jwt client-assertion jwt-spiffe jwt-bearer token-exchange id-jag mtls' -d 'how it is shown'
complete -c mcp-add -l audience -xa 'issuer token-endpoint' -d 'for whom it is'
complete -c mcp-add -l profile -xa 'anthropic openai openrouter google-sts hydra entra' -d 'of an authorization server that wants the same in other words'
complete -c mcp-add -l extra -x -d 'what it wants besides, NAME=VALUE'
complete -c mcp-add -l idp-token-endpoint -x -d 'of the identity provider'
complete -c mcp-add -l idp-client-id -x -d 'as what client we are known there'
complete -c mcp-add -l issuer -x -d 'the authorization server that must be used'
complete -c mcp-add -l client-metadata-url -x -d 'our client ID metadata document'
complete -c mcp-add -l no-resource -d 'do not name the server to the authorization server'
complete -c mcp-add -l device -d 'log in with a code, in a browser on any machine'
complete -c mcp-add -l no-login -d 'add only'
complete -c mcp-add -l browser -xa '(__fish_complete_command)' -d 'the browser to start'
complete -c mcp-add -l no-browser -d 'print the address only'
complete -c mcp-add -s q -l quiet -d 'print the address and errors only'
complete -c mcp-add -s d -l delete -xa '(__mcp_broker_servers)' -d 'forget this server'
complete -c mcp-add -s D -l delete-all -d 'forget all servers'
complete -c mcp-add -l logout -xa '(__mcp_broker_servers)' -d 'forget the login of this server'
complete -c mcp-add -s x -l lock -d 'lock the broker'
complete -c mcp-add -s X -l unlock -d 'unlock it'
complete -c mcp-add -l json -d 'print what was done as JSON'
complete -c mcp-add -l socket -rF -d 'socket of the daemon'
complete -c mcp-add -l no-autostart -d 'do not start a daemon where none runs'
complete -c mcp-add -s h -l help -d 'a summary of the options'
complete -c mcp-add -s V -l version -d 'the version'
