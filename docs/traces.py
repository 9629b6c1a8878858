#!/usr/bin/python3
"""Write the tables of the trace format in docs/traces.md from kernel/include/abi/trace.h and trace_words.h; with --check only compare."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ABI = ROOT / "kernel/include/abi"
BEGIN, END = "<!-- from kernel/include/abi/trace.h and trace_words.h by docs/traces.py -->\n", "<!-- end of the format -->\n"


def rows(pattern: str, file: str = "trace.h") -> list[tuple[str, ...]]:
    return re.findall(pattern, (ABI / file).read_text())


def structure(name: str) -> list[tuple[str, str, str]]:
    """Type, name and comment of the fields of a structure; several names of one line share its comment."""
    text = (ABI / "trace.h").read_text()
    body = re.search(rf"^struct {name} \{{\n(.*?)^\}}", text, re.M | re.S)
    found = []
    for kind, names, comment in re.findall(r"^    (\w+) ([^;]+);(?: *([^\n]*))?$", body.group(1) if body else "", re.M):
        comment = re.sub(r"^/\* ?| ?\*/$", "", comment.strip())
        found += [(kind, one.strip(), comment) for one in names.split(",")]
    return found


def tables() -> str:
    """All of them."""
    out = ["Packet header:", "", "| field | type | |", "|---|---|---|"]
    out += [f"| {name} | {kind} | {text} |" for kind, name, text in structure("trace_packet")]
    out += ["", "Event header:", "", "| field | type | |", "|---|---|---|"]
    out += [f"| {name} | {kind} | {text} |" for kind, name, text in structure("trace_event")]
    fields = {name: ", ".join(f"{kind} {field}" for kind, field in re.findall(r"F\((\w+), (\w+)\)", line)) for name, line in rows(r"#define TRACE_FIELDS_(\w+)\(F\)(.*)")}
    out += ["", "Events; from 7 on only with `trace=all`. x32 and x64 are numbers that are shown in hexadecimal; `ec`, `from`, `to` are physical addresses of ECs, 0 is none:", "", "| id | event | fields | tail | what it says |", "|---|---|---|---|---|"]
    out += [f"| {number} | {name} | {fields[name]} | {tail.lower() if tail != 'NONE' else ''} | {text} |" for number, name, tail, text in rows(r'X\((\d+), (\w+), (NONE|DELTA|BYTES), "([^"]*)"\)')]
    out += ["", "Kinds of `value`, and what its `address` is:", "", "| kind | name | address |", "|---|---|---|"]
    values = re.search(r"#define TRACE_VALUE_LIST\(X\)(.*?)\nenum", (ABI / "trace.h").read_text(), re.S)
    out += [f"| {number} | {name} | {text} |" for number, name, text in re.findall(r'X\((\d+), (\w+), "([^"]*)"\)', values.group(1) if values else "")]
    out += ["", "Words of a vCPU:", "", "| word | name | word | name | word | name | word | name |", "|---|---|---|---|---|---|---|---|"]
    words = rows(r"X\((\d+), (\w+)\)", "trace_words.h")
    height = -(-len(words) // 4)
    for i in range(height):
        cells = [words[at] if (at := i + column * height) < len(words) else ("", "") for column in range(4)]
        out.append("| " + " | ".join(f"{number} | {name}" for number, name in cells) + " |")
    return "\n".join(out) + "\n"


def main() -> int:
    path = ROOT / "docs/traces.md"
    before, begin, rest = path.read_text().partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        print(f"docs/traces.md: a marker is missing: {(BEGIN if not begin else END).strip()}")
        return 1
    if "--check" not in sys.argv:
        path.write_text(before + begin + tables() + end + after)
    elif old != tables():
        print("docs/traces.md: the tables of the format are out of date: run docs/traces.py")
        return 1
    return 0


sys.exit(main())
