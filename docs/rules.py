#!/usr/bin/python3
"""Write the table of rules in docs/machine.md from sim/include/rule.h; with --check only compare. Example: docs/rules.py --check"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- from sim/include/rule.h by docs/rules.py -->\n", "<!-- end of the rules -->\n"


def table() -> str:
    """The rows, in the header's order."""
    rows = re.findall(r'X\((\w+), (\w+), "([^"]*)", "([^"]*)"\)', (ROOT / "sim/include/rule.h").read_text())
    out = ["| rule | broken when | source |", "|---|---|---|"]
    out += [f"| {area}-{name} | {text} | {source} |" for area, name, text, source in rows]
    return "\n".join(out) + "\n"


def main() -> int:
    path = ROOT / "docs/machine.md"
    before, begin, rest = path.read_text().partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        print(f"docs/machine.md: a marker is missing: {(BEGIN if not begin else END).strip()}")
        return 1
    if "--check" not in sys.argv:
        path.write_text(before + begin + table() + end + after)
    elif old != table():
        print("docs/machine.md: the table of rules is out of date: run docs/rules.py")
        return 1
    return 0


sys.exit(main())
