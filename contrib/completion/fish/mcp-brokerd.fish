# SPDX-License-Identifier: Apache-2.0
# Completion of mcp-brokerd for fish.

# Its arguments: the options that take the next word, a short one first.
complete -c mcp-brokerd -xa '(__fish_complete_subcommand -a --socket --state-dir --key-slot --config-dir --vendor-dir --libexec-dir)'
complete -c mcp-brokerd -s f -l foreground -d 'stay in the foreground'
complete -c mcp-brokerd -s a -l socket -rF -d 'listen there'
complete -c mcp-brokerd -s s -d 'print for sh'
complete -c mcp-brokerd -s c -d 'print for csh'
complete -c mcp-brokerd -l state-dir -xa '(__fish_complete_directories)' -d 'keep the state there'
complete -c mcp-brokerd -l key-slot -xa 'file passphrase' -d 'how a new store is opened'
complete -c mcp-brokerd -l config-dir -xa '(__fish_complete_directories)' -d 'configuration of the user'
complete -c mcp-brokerd -l vendor-dir -xa '(__fish_complete_directories)' -d 'configuration of the vendor'
complete -c mcp-brokerd -l libexec-dir -xa '(__fish_complete_directories)' -d 'where the helpers are'
complete -c mcp-brokerd -s h -l help -d 'a summary of the options'
complete -c mcp-brokerd -s V -l version -d 'the version'
