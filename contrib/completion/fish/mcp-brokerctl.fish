# SPDX-License-Identifier: Apache-2.0
# Completion of mcp-brokerctl for fish.

complete -c mcp-brokerctl -f
complete -c mcp-brokerctl -a 'status doctor stop reload lock unlock'
complete -c mcp-brokerctl -l json -d 'status or doctor as JSON'
complete -c mcp-brokerctl -l probe -d 'doctor: also try the metadata service'
complete -c mcp-brokerctl -l passphrase-file -rF -d 'the passphrase is the first line of this file'
complete -c mcp-brokerctl -l socket -rF -d 'socket of the daemon'
complete -c mcp-brokerctl -l no-autostart -d 'do not start a daemon where none runs'
complete -c mcp-brokerctl -s h -l help -d 'a summary of the options'
complete -c mcp-brokerctl -s V -l version -d 'the version'
