# SPDX-License-Identifier: Apache-2.0
"""What the host does in each scenario. A script that returns has seen what it should; what else happens is an exception."""
import hashlib

from host import Refused, minimal_arguments

ARGUMENTS = {"add_numbers": {"a": 2, "b": 3}}


class Missed(Exception):
    """The host was not shown what it should have been."""


def plain(host, _context):
    host.open()
    tools = list(host.each("tools"))
    if not tools:
        raise Missed("the server has no tools")
    for tool in tools[:1]:
        host.call(tool["name"], ARGUMENTS.get(tool["name"], {}))


def refused(host, context):
    """Where no token can come of it, the host is told so by an error, at whatever request."""
    try:
        plain(host, context)
    except Refused:
        return
    raise Missed("no request was refused")


def list_tools(host, _context):
    host.open()
    list(host.each("tools"))


def migration(host, context):
    plain(host, context)
    for tool in list(host.each("tools"))[:1]:
        host.call(tool["name"])


def everything(host, _context):
    host.open()
    for tool in list(host.each("tools")):
        host.call(tool["name"], minimal_arguments(tool))
    for resource in list(host.each("resources")):
        host.request("resources/read", {"uri": resource["uri"]})
    for prompt in list(host.each("prompts")):
        host.request("prompts/get", {"name": prompt["name"]})


def every_tool(host, _context):
    host.open()
    for tool in list(host.each("tools")):
        host.call(tool["name"], minimal_arguments(tool))


def given_calls(host, context):
    host.open()
    list(host.each("tools"))
    for call in context["toolCalls"]:
        host.call(call["name"], call["arguments"])


def schema_echo(host, _context):
    host.open()
    tool = next(t for t in host.each("tools") if t["name"] == "json_schema_2020_12_tool")
    host.call("json_schema_echo", {"schema": tool["inputSchema"]})


def elicitation(host, _context):
    host.open()
    list(host.each("tools"))
    host.call("test_client_elicitation_defaults")


# --- answers that ask back ---------------------------------------------------------------------------------------------

def confirm(result):
    return {key: {"action": "accept", "content": {"confirmed": True}} for key in result["inputRequests"]}


def input_required(host, _context):
    host.open()
    list(host.each("tools"))
    if not host.modern:
        return input_required_of_a_legacy_host(host)
    first = host.call("test_mrtr_echo_state")
    host.call("test_mrtr_unrelated")
    host.call("test_mrtr_echo_state", inputResponses=confirm(first), requestState=first["requestState"])
    first = host.call("test_mrtr_no_state")
    if "requestState" in first:
        raise Missed("the bridge has added a requestState")
    host.call("test_mrtr_no_state", inputResponses=confirm(first))
    result = host.call("test_mrtr_no_result_type")
    if "resultType" in result:
        raise Missed("the bridge has added a resultType")


def input_required_of_a_legacy_host(host):
    """The bridge puts the question as elicitation/create; another request is under way meanwhile."""
    asked = []

    def answer(_params):
        asked.append(1)
        if len(asked) == 1:
            host.call("test_mrtr_unrelated")
        return {"action": "accept", "content": {"confirmed": True}}

    host.answers["elicitation/create"] = answer
    for tool in ("test_mrtr_echo_state", "test_mrtr_no_state", "test_mrtr_no_result_type"):
        host.call(tool)
    if len(asked) != 2:
        raise Missed(f"the host was asked {len(asked)} times, not twice")


# --- skills: is what was read what the list promised? --------------------------------------------------------------------

def front_matter(text):
    lines = text.split("---\n")[1].splitlines()
    return dict(line.split(": ", 1) for line in lines)


def differences(entry, resource, text):
    data = text.encode()
    found = []
    if len(data) != resource["size"]:
        found.append("size")
    if "sha256:" + hashlib.sha256(data).hexdigest() != resource["digest"]:
        found.append("digest")
    if front_matter(text) != entry["frontmatter"]:
        found.append("frontmatter")
    return found


def list_skills(host, _context):
    host.open()
    if not host.request("skills/list")["skills"]:
        raise Missed("the server has no skills")


def skill_that_differs(*expected):
    """The host stops at the first file: it differs in just this, so the bridge has changed nothing else."""
    def script(host, _context):
        host.open()
        entry = host.request("skills/list")["skills"][0]
        resource = entry["resources"][0]
        text = host.request("resources/read", {"uri": resource["uri"]})["contents"][0]["text"]
        found = differences(entry, resource, text)
        if found != list(expected):
            raise Missed(f"SKILL.md differs in {found}, not in {expected}")
    return script


SCRIPTS = {
    "initialize": list_tools,
    "elicitation-sep1034-client-defaults": elicitation,
    "request-metadata": list_tools,
    "auth/scope-retry-limit": refused,
    "auth/resource-mismatch": refused,
    "auth/iss-supported-missing": refused,
    "auth/iss-wrong-issuer": refused,
    "auth/iss-unexpected": refused,
    "auth/iss-normalized": refused,
    "auth/metadata-issuer-mismatch": refused,
    "auth/authorization-server-migration": migration,
    "http-standard-headers": everything,
    "http-custom-headers": given_calls,
    "http-invalid-tool-headers": every_tool,
    "json-schema-ref-no-deref": list_tools,
    "json-schema-2020-12-preservation": schema_echo,
    "sep-2322-client-request-state": input_required,
    "sep-2640-client-no-prefetch": list_skills,
    "sep-2640-client-verify-digest": skill_that_differs("digest"),
    "sep-2640-client-verify-size": skill_that_differs("size", "digest"),
    "sep-2640-client-verify-frontmatter": skill_that_differs("frontmatter"),
}
CAPABILITIES = {
    "elicitation-sep1034-client-defaults": {"elicitation": {}},
    "sep-2322-client-request-state": {"elicitation": {}},
    "request-metadata": {"roots": {}, "sampling": {}, "elicitation": {}},
}


def script_of(scenario):
    return SCRIPTS.get(scenario, plain)
