# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion for bash. It needs nothing but bash; bash-completion loads it under the name of each program.

# The options of a program: with a '=' behind those that take a value.
_mcp_broker_options() {
        local common='--socket= --no-autostart --help --version -h -V'

        case $1 in
        mcp-add)
                echo "--name= --account= --scope= --client-id= --client-secret-file= --client-key-file= --client-key-id= --signing-alg=" \
                        "--issuer= --client-metadata-url= --identity= --present= --audience= --profile= --extra= --idp-token-endpoint= --idp-client-id=" \
                        "--no-resource --device --no-login --browser= --no-browser --quiet --delete= --delete-all --logout= --lock --unlock --json" \
                        "-q -d -D -x -X $common"
                ;;
        mcp-brokerctl) echo "--json --probe --passphrase-file= $common" ;;
        mcp-brokerd)
                echo "--foreground --socket= --state-dir= --key-slot= --config-dir= --vendor-dir= --libexec-dir= --help" \
                        "--version -f -a -s -c -h -V"
                ;;
        mcp-connect)
                echo "--account= --scope= --hold= --browser= --no-browser --header= --header-file= --ignore-tool=" \
                        "--transport= --protocol= --connect-timeout= --request-timeout= --max-message= --proxy= --ca-file= --no-report" \
                        "--log-file= --debug --print-config= --write-config= --entry= --helper $common"
                ;;
        mcp-list) echo "--json --wide -w $common" ;;
        mcp-token)
                echo "--account= --scope= --min-ttl= --on-behalf-of= --header --header-line --json --env --method= --url= --nonce= --no-login --browser= --no-browser" \
                        "$common"
                ;;
        esac
}

# Names, or URLs, of what a running daemon knows; none is started, and a busy one is not waited for. A server chooses its
# URL, and the shell reads what is completed: only plain characters get through.
_mcp_broker_servers() {
        timeout 2 mcp-list --no-autostart --wide 2>/dev/null </dev/null |
                awk -v urls="$1" 'NR > 1 { if (!urls && $1 != "-") print $1
                        for (i = 1; urls && i <= NF; i++) if ($i ~ /:\/\//) { print $i; break } }' |
                awk '/^[A-Za-z0-9_.@+:\/%,=-]+$/'
}

_mcp_broker_clients() {
        mcp-connect --print-config=help 2>/dev/null </dev/null | awk 'NR > 1 { print $1 }'
}

# What may stand behind an option.
_mcp_broker_values() {
        case $1 in
        --delete | -d | --logout) compgen -W "$(_mcp_broker_servers '')" -- "$2" ;;
        --print-config) compgen -W "help $(_mcp_broker_clients)" -- "$2" ;;
        --write-config) compgen -W "$(_mcp_broker_clients)" -- "$2" ;;
        --key-slot) compgen -W "file passphrase" -- "$2" ;;
        --transport) compgen -W "auto http-first http-only sse-first sse-only" -- "$2" ;;
        --protocol) compgen -W "auto legacy-first modern-first" -- "$2" ;;
        --present)
                compgen -W "browser auto client-credentials private-key-jwt client-assertion jwt-spiffe jwt-bearer token-exchange id-jag mtls" -- "$2"
                ;;
        --audience) compgen -W "issuer token-endpoint" -- "$2" ;;
        --profile) compgen -W "anthropic openai openrouter google-sts hydra entra" -- "$2" ;;
        --signing-alg) compgen -W "ES256 ES384 RS256 PS256 EdDSA Ed25519" -- "$2" ;;
        --browser) compgen -c -- "$2" ;;
        --*-file | --socket | -a) compgen -f -- "$2" ;;
        --*-dir) compgen -d -- "$2" ;;
        esac
}

# What may stand where no option does.
_mcp_broker_operands() {
        case $1 in
        mcp-add) compgen -W "$(_mcp_broker_servers urls)" -- "$2" ;;
        mcp-brokerctl) compgen -W "status doctor stop reload lock unlock" -- "$2" ;;
        mcp-brokerd) compgen -c -- "$2" ;;
        *) compgen -W "$(_mcp_broker_servers '')" -- "$2" ;;
        esac
}

# Does the option, as it stands alone, take the next word?
_mcp_broker_takes_word() {
        case $1:$2 in
        mcp-add:-d | mcp-brokerd:-a) return 0 ;;
        *:--*) [[ " $(_mcp_broker_options "$1") " == *" $2= "* ]] ;;
        *) return 1 ;;
        esac
}

_mcp_broker() {
        local program=${1##*/} line=${COMP_LINE:0:COMP_POINT} word before previous prefix='' c

        # bash splits at '=', ':' and '@'; names and URLs have them within.
        word=${line##*[[:space:]]}
        before=${line%"$word"}
        read -ra before <<<"$before"
        previous=${before[-1]:-}
        COMPREPLY=()
        case $word:$previous in
        --*-file=* | --*-dir=* | --socket=* | *:--*-file | *:--*-dir | *:--socket | *:-a) compopt -o filenames 2>/dev/null ;;
        esac
        if [[ $word == --*=* ]]; then
                mapfile -t COMPREPLY < <(_mcp_broker_values "${word%%=*}" "${word#*=}")
                COMPREPLY=("${COMPREPLY[@]/#/${word%%=*}=}")
                [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == "${word%%=*}=" ]] && COMPREPLY=()
        elif _mcp_broker_takes_word "$program" "$previous"; then
                mapfile -t COMPREPLY < <(_mcp_broker_values "$previous" "$word")
        elif [[ $word == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$(_mcp_broker_options "$program")" -- "$word")
        else
                mapfile -t COMPREPLY < <(_mcp_broker_operands "$program" "$word")
        fi
        [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
        # What stands before the last of those marks is on the line already; a '@' belongs to what follows it.
        for c in = : @; do
                [[ ${COMP_WORDBREAKS-} == *"$c"* && $word == *"$c"* ]] || continue
                [[ ${word%"$c"*}$c == "$prefix"* ]] && prefix=${word%"$c"*}$c
        done
        prefix=${prefix%@}
        [[ -n $prefix ]] && COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
        return 0
}

complete -F _mcp_broker mcp-add mcp-brokerctl mcp-brokerd mcp-connect mcp-list mcp-token
