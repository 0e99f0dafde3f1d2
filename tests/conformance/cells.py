# SPDX-License-Identifier: Apache-2.0
"""The file `cells`, and what the suites themselves list."""
import fnmatch
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
TAGS = ("25", "26", "old", "stable")
WIRES = {"25": "2025-11-25", "26": "2026-07-28"}


class Cell:
    def __init__(self, tag, scenario, checks):
        self.tag, self.scenario, self.checks = tag, scenario, checks
        self.name = f"{tag}:{scenario}"


def read_lines(name):
    for number, line in enumerate((HERE / name).read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def expand(words, groups):
    return [check for word in words for check in (expand(groups[word], groups) if word in groups else [word])]


def read_cells():
    groups, cells, current = {}, [], None
    for number, line in read_lines("cells"):
        words = line.split()
        if line.startswith("="):
            groups.setdefault(words[0][1:], []).extend(words[1:])
        elif line.startswith(" "):
            only = re.fullmatch(r"\((\w+)\)", words[0])
            for cell in current:
                if not only or only[1] == cell.tag:
                    cell.checks += expand(words[1:] if only else words, groups)
        else:
            scenario, tags = line.split(":")
            if not set(tags.split()) <= set(TAGS):
                raise ValueError(f"cells:{number}: {tags}: there are {TAGS}")
            current = [Cell(tag, scenario, []) for tag in tags.split()]
            cells += current
    empty = [cell.name for cell in cells if not cell.checks]
    if empty:
        raise ValueError(f"cells: no checks for {empty}")
    return sorted(cells, key=lambda cell: TAGS.index(cell.tag))


def chosen(cells, patterns):
    return [c for c in cells if not patterns or any(fnmatch.fnmatch(c.name, p) for p in patterns)]


def listed(node, suite, tag):
    """The names of the cells that a suite has by its own account."""
    text = subprocess.run([node, suite, "list", "--client"], stdout=subprocess.PIPE, text=True, check=True).stdout
    names = set()
    for scenario, versions in re.findall(r"^ +- (\S+) \[(.*)\]$", text, re.M):
        if tag == "stable":
            names.add(f"stable:{scenario}")
            continue
        # An extension is on no revision's time line: it is to work on both wires.
        wires = [t for t, version in WIRES.items() if versions == "extension" or version in versions.split(",")]
        names |= {f"{t}:{scenario}" for t in wires or ["old"]}
    return names
