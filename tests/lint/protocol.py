#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""doc/PROTOCOL.md says what the source says: errors, methods, parameters, limits; and its examples are well formed."""

import json
import os
import pathlib
import re
import sys

SOURCE = pathlib.Path(os.environ.get("top_srcdir", "."))
DOC = (SOURCE / "doc/PROTOCOL.md").read_text()
BLOCK = re.compile(r"^```mcp([^\n]*)\n(.*?)^```$", re.M | re.S)


def read(path):
    return (SOURCE / path).read_text()


def errors():
    source = re.findall(r'X\([A-Z_]+, "([a-z_]+)", (-?\d+), (\d+)\)', read("src/base/error.h"))
    doc = re.findall(r"^\| `([a-z_]+)` \| (-?\d+) \| (\d+) \|", DOC, re.M)
    return source, doc


def methods():
    source = re.findall(r'X\([A-Z_]+, "([a-z.]+)", METHOD_([A-Z]+)\)', read("src/wire/methods.h"))
    doc = re.findall(r"^### ([a-z]+\.[a-z]+) \(([a-z]+)\)$", DOC, re.M)
    return sorted((name, kind.lower()) for name, kind in source), sorted(doc)


def parameters():
    names = dict(re.findall(r'X\(([A-Z_]+), "([a-z.]+)", METHOD_', read("src/wire/methods.h")))
    source = {name: [] for name in names.values()}
    table = read("src/rpc/params.c").split("param_table[", 1)[1].split("\n};", 1)[0]
    for constant, rows in re.findall(r"\[METHOD_([A-Z_]+)\] = \{(.*?)\} \}", table, re.S):
        source[names[constant]] = re.findall(r'\{ "([a-z_]+)", PARAM_[A-Z]+, (true|false)', rows)
    doc = {}
    for name, text in re.findall(r"^### ([a-z]+\.[a-z]+) \([a-z]+\)$(.*?)(?=^##)", DOC, re.M | re.S):
        rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]*?)(\??) \|", text, re.M)
        doc[name] = [(row, "false" if maybe else "true") for row, _, maybe in rows]
    return source, doc


def limits():
    source = read("src/base/limits.h")
    doc = re.findall(r"\(`(LIMIT_[A-Z_]+)`\) \| (\d+) \|", DOC)
    wrong = []
    for name, value in doc:
        found = re.search(rf"#define {name} ([^/\n]+)", source)
        text = found.group(1).strip() if found else ""
        # Products of numbers and nothing else are reckoned.
        if not re.fullmatch(r"[\d *()]+", text) or eval(text) != int(value):  # pylint: disable=eval-used
            wrong.append((name, value, text))
    return [], wrong if doc else ["no limits found"]


def examples():
    codes = {name: int(number) for name, number, _ in errors()[0]}
    wrong = []
    for _, body in BLOCK.findall(DOC):
        for line in body.splitlines():
            kind, _, text = line.partition(": ")
            if kind not in ("C", "S", "open"):
                wrong.append(line)
            if kind != "S" or text == "end":
                continue
            message = json.loads(text)
            error = message.get("error")
            if error and codes.get(error["data"]["code"]) != error["code"]:
                wrong.append(line)
    return [], wrong


def main():
    claims = [
        ("the table of errors is that of base/error.h", errors),
        ("each method has its section and class", methods),
        ("each method's parameters are those of rpc/params.c", parameters),
        ("the limits are those of base/limits.h", limits),
        ("the examples are well formed", examples),
    ]
    failed = 0
    print(f"1..{len(claims)}")
    for n, (text, claim) in enumerate(claims, 1):
        source, doc = claim()
        good = source == doc and (source or doc or claim in (limits, examples))
        print(f"{'ok' if good else 'not ok'} {n} - {text}")
        if not good:
            failed = 1
            print(f"# source: {source}\n# document: {doc}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
