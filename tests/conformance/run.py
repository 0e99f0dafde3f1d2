#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every scenario of the public MCP conformance suites for clients, one at a time and strict. See README.md. Output is TAP."""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
from bridges import KINDS  # noqa: E402
from cells import TAGS, WIRES, chosen, listed, read_cells  # noqa: E402
from driver import start_time  # noqa: E402
from harness import BUILD, Tap, program  # noqa: E402

HOME = BUILD / "conformance"
NODE = next((HOME / "node").glob("node_modules/node-linux-*/bin/node"), HOME / "node/none")
Outcome = collections.namedtuple("Outcome", "cell problems suite_is_content seconds results")


def suite_of(tag):
    package = "stable" if tag == "stable" else "next"
    return str(HOME / package / "node_modules/@modelcontextprotocol/conformance/dist/index.js")


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", metavar="PATTERN", help="only these, as 25:auth/* or *:sse-retry")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="so many at a time")
    parser.add_argument("--bridge", default=os.environ.get("CONFORMANCE_BRIDGE", "mcp-connect"), metavar="COMMAND",
                        help="mcp-connect (as built), mcp-remote (of npm), or a command that is given the URL")
    parser.add_argument("--best", action="store_true", help="mcp-remote with all of its options that help")
    parser.add_argument("--host", choices=("wire", "legacy", "modern"), default="wire", help="the host's era: that of the wire, or this")
    parser.add_argument("--person", type=float, default=0, metavar="SECONDS", help="the person at the browser takes so long")
    parser.add_argument("--timeout", type=float, default=30, metavar="SECONDS", help="for each cell")
    parser.add_argument("--report", metavar="FILE", help="write what became of each cell, as JSON")
    parser.add_argument("--no-selftest", action="store_true", help="do not try first whether bad bridges are found out")
    return parser.parse_args()


# --- one cell ----------------------------------------------------------------------------------------------------------

class Play:
    """How a bridge is tried: what the driver is told, and where results go."""

    def __init__(self, arguments, bridge=None, name=None, timeout=None):
        bridge = bridge or shlex.split(arguments.bridge)
        self.kind = os.path.basename(bridge[0]) if os.path.basename(bridge[0]) in KINDS else "plain"
        if bridge[0] == "mcp-connect":
            bridge[0] = program(bridge[0])
        self.bridge = bridge
        self.timeout = timeout or arguments.timeout
        self.wishes = {"kind": self.kind, "bridge": bridge, "best": arguments.best,
                       "host": arguments.host, "person_seconds": arguments.person, "node": str(NODE)}
        manner = [self.kind] + ["best"] * arguments.best + [arguments.host] * (arguments.host != "wire")
        self.results = HOME / "results" / (name or "-".join(manner))

    def run(self, cell):
        begin = time.monotonic()
        results = self.results / cell.tag / cell.scenario.replace("/", "-")
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir(parents=True)
        # The suite splits its command at blanks, so that stands where there are none.
        with tempfile.TemporaryDirectory(prefix="mcpb-") as work:
            work = pathlib.Path(work)
            wishes = {**self.wishes, "pids": str(work / "pids")}
            (work / "play.json").write_text(json.dumps(wishes))
            driver = work / "driver"
            words = shlex.join([sys.executable, str(HERE / "driver.py"), str(work / "play.json")])
            driver.write_text(f"#!/bin/sh\nexec {words} \"$@\"\n")
            driver.chmod(0o755)
            status = self.run_suite(cell, driver, results)
            of_suite = judge(cell, results, status)
            problems = of_suite + judge_bridge(results) + left_behind(work / "pids")
        return Outcome(cell, problems, not of_suite, time.monotonic() - begin, results)

    def run_suite(self, cell, driver, results):
        command = [str(NODE), suite_of(cell.tag), "client", "--command", str(driver), "--scenario", cell.scenario,
                   "--timeout", str(int(self.timeout * 1000)), "-o", str(results)]
        if cell.tag in WIRES:
            command += ["--spec-version", WIRES[cell.tag], "--force"]
        with open(results / "suite.log", "wb") as log:
            # A group of its own: what of it is left when the time is over can be ended without a look at anybody else's.
            suite = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                     env={**os.environ, "PATH": f"{NODE.parent}:{os.environ['PATH']}"})
            try:
                return suite.wait(1.5 * self.timeout)
            except subprocess.TimeoutExpired:
                os.killpg(suite.pid, signal.SIGKILL)
                suite.wait()
                return "the suite did not end: something holds what the driver's stdout and stderr were"


def judge(cell, results, status):
    """Why the cell has not passed. The suite's word is needed, and not enough: a client that does nothing fails no check."""
    problems = [] if status == 0 else [status if isinstance(status, str) else f"the suite's exit status is {status}"]
    found = list(results.rglob("checks.json"))
    if len(found) != 1:
        return problems + ["the suite has left no checks.json"]
    checks = json.loads(found[0].read_text())
    for check in checks:
        if check["status"] in ("FAILURE", "WARNING"):
            problems.append(f"{check['status']} {check['id']}: {check.get('errorMessage') or check.get('description')}")
    for wanted in cell.checks:
        name, _, inner = wanted.partition(":")
        states = {c["status"] for c in checks if c["id"] == name and inner in ("", c["name"])}
        if states != {"SUCCESS"} and not states & {"FAILURE", "WARNING"}:
            problems.append(f"{wanted} is {'/'.join(sorted(states)) or 'missing'}, not SUCCESS")
    return problems


def judge_bridge(results):
    """What the driver has found. Where the suite allows a client to fail, it has not looked at that."""
    lines = [line for path in results.rglob("stderr.txt") for line in path.read_text(errors="replace").splitlines()]
    return [line.partition(" problem: ")[2] for line in lines if line.startswith("driver: problem: ")]


def left_behind(pids):
    """The driver ends what it has started. What it could not is ended here, and is a fault."""
    problems = []
    for line in pids.read_text().splitlines() if pids.exists() else ():
        pid, started = line.split()
        try:
            if start_time(int(pid)) == started:
                os.kill(int(pid), signal.SIGKILL)
                problems.append(f"process {pid} was left behind")
        except (FileNotFoundError, ProcessLookupError):
            pass
    return problems


# --- all of them -------------------------------------------------------------------------------------------------------

def missing():
    """What has to be there before anything can be said."""
    paths = [NODE, *(pathlib.Path(suite_of(tag)) for tag in ("25", "stable"))]
    return [str(path) for path in paths if not path.exists()]


def all_scenarios_are_cells(tap, cells):
    ours = {cell.name for cell in cells}
    theirs = listed(str(NODE), suite_of("25"), "25") | listed(str(NODE), suite_of("stable"), "stable")
    tap.ok(ours == theirs, "every scenario of the suites is a cell",
           f"the file lacks {sorted(theirs - ours)}; in no suite are {sorted(ours - theirs)}")


FAULTS = {
    "honest": "a bridge that only relays passes",
    "mute": "a bridge that ends at once passes nothing",
    "chatty": "a bridge that writes what is no JSON to its stdout fails",
    "forger": "a bridge that answers what nobody asked fails",
    "lingering": "a bridge that does not end with its input fails",
    "parting": "a bridge that leaves a process behind fails",
}


def bad_bridges_are_found_out(tap, arguments, cells):
    """Or a cell that passes would mean nothing."""
    cell = next(c for c in cells if c.name == "25:initialize")

    def play(fault):
        bridge = [sys.executable, str(HERE / "badbridge.py"), fault]
        return Play(arguments, bridge, f"selftest-{fault}", arguments.timeout / 2).run(cell)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for fault, outcome in zip(FAULTS, pool.map(play, FAULTS)):
            tap.ok(bool(outcome.problems) == (fault != "honest"), FAULTS[fault], "\n".join(outcome.problems))


def table(outcomes, cells):
    said = {outcome.cell.name: outcome for outcome in outcomes}
    names = {cell.name for cell in cells}
    met = {outcome.cell.scenario for outcome in outcomes}
    rows = [s for s in dict.fromkeys(cell.scenario for cell in cells) if s in met]
    width = max(map(len, rows))
    lines = [f"{'':{width}}" + "".join(f"{tag:>14}" for tag in TAGS)]
    for scenario in rows:
        line = f"{scenario:{width}}"
        for tag in TAGS:
            outcome = said.get(f"{tag}:{scenario}")
            if outcome:
                word = "pass" if not outcome.problems else "FAIL*" if outcome.suite_is_content else "FAIL"
                word = f"{word:5} {outcome.seconds:5.1f} s"
            elif f"{tag}:{scenario}" in names:
                word = "not run"
            else:
                word = ""
            line += f"{word:>14}"
        lines.append(line.rstrip())
    good = sum(not outcome.problems for outcome in outcomes)
    lines.append(f"{good} of {len(outcomes)} cells pass; {len(names)} are there")
    if any(outcome.problems and outcome.suite_is_content for outcome in outcomes):
        lines.append("* the suite is content, the host is not: see README.md")
    return lines


def report(path, outcomes):
    pathlib.Path(path).write_text(json.dumps({o.cell.name: {"problems": o.problems, "seconds": round(o.seconds, 1),
                                                              "suite_is_content": o.suite_is_content} for o in outcomes}, indent=1) + "\n")


def main():
    arguments = options()
    cells, tap = read_cells(), Tap()
    lacking = missing()
    if lacking:
        tap.skip("the conformance suites", f"not installed: {' '.join(lacking)} (contrib/check conformance installs them)")
        print("1..1")
        return 0
    play = Play(arguments)
    if play.kind == "mcp-connect" and not os.path.exists(play.bridge[0]):
        print(f"Bail out! There is no {play.bridge[0]}")
        return 1
    everything = not arguments.cells
    if everything:
        all_scenarios_are_cells(tap, cells)
    if everything and not arguments.no_selftest:
        bad_bridges_are_found_out(tap, arguments, cells)
    wanted = chosen(cells, arguments.cells)
    if not wanted:
        print("Bail out! No cell is meant")
        return 1
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for outcome in pool.map(play.run, wanted):
            outcomes.append(outcome)
            tap.ok(not outcome.problems, outcome.cell.name, "\n".join([*outcome.problems, f"see {outcome.results}"]))
    for line in table(outcomes, cells):
        print(f"# {line}")
    if arguments.report:
        report(arguments.report, outcomes)
    print(f"1..{tap.n}", flush=True)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
