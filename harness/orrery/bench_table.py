"""Tables of ./orrery bench: for the terminal, and in bench/RESULTS.md between the marks of their name."""
from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .base import ROOT
from .bench_rows import KERNELS, Row

if TYPE_CHECKING:
    from .bench import Result

RESULTS = ROOT / "bench" / "RESULTS.md"
END = "<!-- end -->"


def _number(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1024:,.1f} KB"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def _ours(r: Result) -> str:
    """Least, and most where samples differ."""
    text = _number(r.figure.least, r.row.unit)
    return text if r.figure.most == r.figure.least else f"{text} .. {_number(r.figure.most, r.row.unit)}"


def _verdict(row: Row, value: float) -> str:
    return "goal" if row.met(value) else "gate" if row.better(value) else "no"


def table(head: list[str], rows: list[list[str]], left: tuple[int, ...] = (0,)) -> str:
    """Markdown, columns aligned: these to the left, the others to the right."""
    width = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    lines = [" | ".join(cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, width))) for line in [head, *rows]]
    rule = " | ".join("-" * w if i in left else "-" * (w - 1) + ":" for i, w in enumerate(width))
    return "\n".join(f"| {line} |" for line in [lines[0], rule, *lines[1:]])


def _figures(results: list[Result]) -> str:
    names = [k for k in KERNELS if any(k in r.row.others for r in results)]
    rows = [[r.row.id, r.row.machine, r.row.unit, _ours(r), *(_number(r.row.others[k], r.row.unit) if k in r.row.others else "" for k in names),
             _number(r.row.gate, r.row.unit), _number(r.row.goal, r.row.unit), _verdict(r.row, r.figure.least)] for r in results]
    return table(["row", "machine", "unit", "ours", *names, "gate", "goal", "met"], rows)


def _counts(results: list[Result]) -> str:
    counted = [(r.row.id, r.counts) for r in results if r.counts]
    if not counted:
        return ""
    names = [n for n in counted[0][1] if any(c[n] for _, c in counted)]
    rows = [[id_, *(str(c[n]) if c[n] else "" for n in names)] for id_, c in counted]
    return "\n\nDear instructions, counted in the process:\n\n" + table(["row", *names], rows)


def text(results: list[Result]) -> str:
    """What the command prints."""
    extra = [f"- `{r.row.id}`: " + ", ".join(f"{name} {_number(value, '')}" for name, value in r.extra.items()) for r in results if r.extra]
    return _figures(results) + _counts(results) + ("\n\n" + "\n".join(extra) if extra else "")


def put(command: str, title: str, table_text: str) -> None:
    """Put a table into the page, where that of the last time is."""
    begin = f"<!-- {command} -->"
    block = f"{begin}\n## {title}: `{command} --write`\n\n`docs/performance.md` says what the rows are.\n\n{table_text}\n{END}"
    page = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else "# Results\n\nEach table names the command that made it.\n"
    if begin in page:
        page = re.sub(re.escape(begin) + ".*?" + re.escape(END), lambda _: block, page, flags=re.S)
    else:
        page += f"\n{block}\n"
    RESULTS.write_text(page, encoding="utf-8")


def write(results: list[Result], hosted: bool) -> None:
    """The rows of bench or of bench --hosted."""
    command, title = ("./orrery bench --hosted", "The process") if hosted else ("./orrery bench", "Path lengths")
    put(command, title, text(results))
