"""The page of a trace: what exited, how often, when, and how long its VMM took, from what `orrery-trace show` and `stat` say of it.

Tables and the drawing of exits over time are markup; the timeline is drawn by trace_report.js from one block of data: columns with a number for
each exit, in order of time. `text` holds every text once, the columns its index; start and mark_start are written as differences.
"""
from __future__ import annotations

import argparse
import json
import math
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

from . import page
from . import trace as traces
from .base import Parser
from .run import bad
from .trace_turns import Trace, Turn, load

COLOURS = 8                  # of exit reasons; the last one is for all others
BARS = 120
SLOWEST = 20
CHANGES_MAX = 20000          # exits up to which registers are embedded
MARKS_MAX = 200000           # kernel events up to which they are


def duration(ticks: float, khz: int) -> str:
    """A time with its unit, four digits."""
    ns = ticks * 1e6 / khz
    size, unit = next(((s, u) for s, u in ((1e9, "s"), (1e6, "ms"), (1e3, "\u00b5s")) if ns >= s), (1, "ns"))
    value = ns / size
    return f"{value:.0f} ns" if size == 1 else f"{value:.{4 - len(str(int(value)))}f} {unit}"


def percentile(values: list[int], share: float) -> int:
    """The smallest of the sorted values that at least this share of them does not exceed."""
    return values[max(0, math.ceil(share * len(values)) - 1)]


@dataclass
class Reason:
    """All exits of one reason."""

    name: str
    count: int = 0
    handled: list[int] = field(default_factory=list)   # ticks in the handler, sorted
    slowest: int = -1                                  # index of the exit
    colour: int = COLOURS - 1


def by_reason(trace: Trace) -> list[Reason]:
    """The most frequent first; the first seven have a colour of their own."""
    found: dict[str, Reason] = {}
    for index, turn in enumerate(trace.turns):
        row = found.setdefault(turn.reason, Reason(turn.reason))
        row.count += 1
        if turn.handler is not None:
            row.handled.append(turn.handler)
            if row.slowest < 0 or turn.handler > (trace.turns[row.slowest].handler or 0):
                row.slowest = index
    rows = sorted(found.values(), key=lambda r: (-r.count, r.name))
    for place, row in enumerate(rows):
        row.handled.sort()
        row.colour = min(place, COLOURS - 1)
    return rows


class Texts:
    """Each text once."""

    def __init__(self) -> None:
        self.all: list[str] = [""]
        self._index = {"": 0}

    def __call__(self, text: str) -> int:
        if text not in self._index:
            self._index[text] = len(self.all)
            self.all.append(text)
        return self._index[text]


def differences(values: Iterable[int]) -> list[int]:
    last, out = 0, []
    for value in values:
        out.append(value - last)
        last = value
    return out


def block(trace: Trace, rows: list[Reason]) -> dict[str, Any]:
    """What the timeline is drawn from."""
    text, turns = Texts(), trace.turns
    lanes = sorted({(t.cpu, t.vcpu) for t in turns})
    reason = {row.name: place for place, row in enumerate(rows)}
    marks = trace.marks if len(trace.marks) <= MARKS_MAX else []
    whole = len(turns) <= CHANGES_MAX
    none = [0] * len(turns)
    return {
        "total": trace.ticks, "begin": trace.begin, "end": trace.end, "khz": trace.khz, "command": f"./orrery trace show {shlex.quote(str(trace.folder))}",
        "reasons": [row.name for row in rows], "colour": [row.colour for row in rows],
        "cpus": sorted({cpu for cpu, _ in lanes} | {m.cpu for m in marks}), "lanes": lanes,
        "lane": [lanes.index((t.cpu, t.vcpu)) for t in turns], "start": differences(t.tsc for t in turns),
        "handler": [-1 if t.handler is None else t.handler for t in turns], "guest": [-1 if t.guest is None else t.guest for t in turns],
        "reason": [reason[t.reason] for t in turns], "number": [t.number for t in turns], "rip": [text(t.rip) for t in turns],
        "details": [text(t.details) for t in turns], "changes": [text(t.changes) for t in turns] if whole else none,
        "values": [text(t.values) for t in turns] if whole else none, "answer": [text(t.answer) for t in turns] if whole else none,
        "mark_start": differences(m.tsc for m in marks), "mark_cpu": [m.cpu for m in marks], "mark_text": [text(m.text) for m in marks], "text": text.all,
    }


def embed(data: dict[str, Any]) -> str:
    """A block of data that no text in it can end."""
    return '<script type="application/json" id="data">' + json.dumps(data, separators=(",", ":")).replace("<", "\\u003c") + "</script>"


def over_time(trace: Trace, rows: list[Reason]) -> str:
    """Exits over time, as bars of the reasons' colours."""
    colour = {row.name: row.colour for row in rows}
    bars = [[0] * COLOURS for _ in range(BARS)]
    span = trace.end - trace.begin
    for turn in trace.turns:
        bars[min((turn.tsc - trace.begin) * BARS // span, BARS - 1)][colour[turn.reason]] += 1
    most = max(map(sum, bars), default=0) or 1
    drawn = []
    for place, bar in enumerate(bars):
        top = 100.0
        for kind, count in enumerate(bar):
            if count:
                height = 100 * count / most
                top -= height
                drawn.append(f'<rect class="r{kind}" x="{place * 1000 / BARS:.2f}" y="{top:.2f}" width="{1000 / BARS - .8:.2f}" height="{height:.2f}"/>')
    each = duration(span / BARS, trace.khz)
    return (f'<section><h2>Exits over time</h2><svg class="overtime" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
            f'aria-label="Exits over time: at most {most:,} in {page.escape(each)}">{"".join(drawn)}<rect id="window" class="window whole" x="0" y="0" width="1000" height="100"/></svg>'
            f'<p class="ends"><span>{page.escape(duration(trace.begin, trace.khz))}</span><span>a bar is {page.escape(each)}; the highest has {most:,} exit{"s" if most > 1 else ""}</span>'
            f'<span>{page.escape(duration(trace.end, trace.khz))}</span></p></section>')


def table(head: Iterable[tuple[str, bool]], body: Iterable[str]) -> str:
    cells = "".join(f'<th scope="col"{" class=number" if number else ""}>{name}</th>' for name, number in head)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def swatch(colour: int) -> str:
    return f'<span class="swatch"><svg viewBox="0 0 1 1" aria-hidden="true"><rect class="r{colour}" width="1" height="1"/></svg></span>'


def reasons(trace: Trace, rows: list[Reason]) -> str:
    """The table by reason: how many, and how long from the exit to the entry after it."""
    def times(row: Reason) -> str:
        if not row.handled:
            return '<td class="number"></td>' * 4
        shown = [page.escape(duration(t, trace.khz)) for t in (sum(row.handled), percentile(row.handled, .5), percentile(row.handled, .99), row.handled[-1])]
        return ("".join(f'<td class="number">{t}</td>' for t in shown[:3])
                + f'<td class="number"><button type="button" data-exit="{row.slowest}">{shown[3]}</button></td>')

    body = (f'<tr><td>{swatch(row.colour)}<button type="button" data-reason="{place}" aria-pressed="false">{page.escape(row.name)}</button></td>'
            f'<td class="number count">{row.count:,}</td><td class="number">{100 * row.count / len(trace.turns):.1f}\u202f%</td>{times(row)}</tr>'
            for place, row in enumerate(rows))
    head = (("Reason", False), ("Exits", True), ("Share", True), ("Handler, in all", True), ("median", True), ("99th percentile", True), ("longest", True))
    return (f'<section><h2>By reason</h2><p class="note">A handler\u2019s time goes from the exit to the entry after it, whatever else its CPU did meanwhile. '
            f'A click on a reason shows that one alone in the timeline.</p>{table(head, body)}</section>')


def slowest(trace: Trace) -> str:
    order = sorted((i for i, t in enumerate(trace.turns) if t.handler is not None), key=lambda i: (-(trace.turns[i].handler or 0), i))[:SLOWEST]
    if not order:
        return ""

    def row(index: int, t: Turn) -> str:
        return (f'<tr><td class="number"><button type="button" data-exit="{index}">{t.number:,}</button></td><td class="number">{t.vcpu}</td><td>{page.escape(t.reason)}</td>'
                f'<td><code>{page.escape(page.clip(t.details, 80))}</code></td><td class="number">{page.escape(duration(t.tsc, trace.khz))}</td>'
                f'<td class="number">{page.escape(duration(t.handler or 0, trace.khz))}</td></tr>')

    head = (("Exit", True), ("vCPU", True), ("Reason", False), ("Details", False), ("at", True), ("Handler", True))
    return f'<section><h2>Slowest handlers</h2>{table(head, (row(i, trace.turns[i]) for i in order))}</section>'


def timeline(trace: Trace) -> str:
    buttons = (("in", "+", "Zoom in"), ("out", "\u2212", "Zoom out"), ("whole", "All", "The whole trace"), ("left", "\u2190", "Earlier"), ("right", "\u2192", "Later"),
               ("previous", "Previous exit", "The exit before this one, of the same vCPU"), ("next", "Next exit", "The exit after this one, of the same vCPU"))
    tools = "".join(f'<button type="button" data-act="{act}" title="{title}" aria-label="{title}">{text}</button>' for act, text, title in buttons)
    left = [] if len(trace.turns) <= CHANGES_MAX else [f"registers of exits (more than {CHANGES_MAX:,}: the command below an exit shows them)"]
    left += [] if len(trace.marks) <= MARKS_MAX else [f"kernel events ({len(trace.marks):,})"]
    cut = f'<p class="note">Not on this page: {" and ".join(left)}.</p>' if left else ""
    return f"""<section><h2>Timeline</h2>
<p class="note">Colour: the handler of an exit. Thin bar: the guest runs. Drag to move, <kbd>Ctrl</kbd> and wheel or two fingers to zoom; keys <kbd>+</kbd> <kbd>\u2212</kbd>
<kbd>\u2190</kbd> <kbd>\u2192</kbd> <kbd>0</kbd>, <kbd>p</kbd> and <kbd>n</kbd> for the exit before and after; a click shows an exit.</p>{cut}
<div id="tools">{tools}<span id="view" role="status"></span></div>
<div id="box"><canvas id="timeline" tabindex="0" role="application" aria-label="Timeline of exits, one lane per vCPU. Arrow keys move, plus and minus zoom, n and p choose exits."></canvas></div>
<div id="detail" aria-live="polite"><p class="note">No exit is chosen.</p></div></section>"""


def summary(trace: Trace) -> str:
    facts = [("exits", f"{len(trace.turns):,}"), ("vCPUs", str(len({t.vcpu for t in trace.turns}))), ("CPUs", str(len({t.cpu for t in trace.turns} | {m.cpu for m in trace.marks}))), ("duration", duration(trace.ticks, trace.khz)),
             ("in the guest", duration(sum(t.guest or 0 for t in trace.turns), trace.khz)), ("in handlers", duration(sum(t.handler or 0 for t in trace.turns), trace.khz)),
             ("kernel events", f"{len(trace.marks):,}"), ("events lost", f"{trace.lost:,}"), *trace.facts]
    items = "".join(f"<div><dt>{page.escape(what)}</dt><dd>{page.escape(much)}</dd></div>" for what, much in facts)
    return f'<dl class="facts">{items}</dl>' + "".join(f'<p class="warning">{page.escape(text)}</p>' for text in trace.warnings)


def html(trace: Trace) -> str:
    """The whole page."""
    rows = by_reason(trace)
    middle = over_time(trace, rows) + reasons(trace, rows) + timeline(trace) + slowest(trace) + embed(block(trace, rows)) if trace.turns else "<p>There is no exit in it.</p>"
    body = f"""<header><p class="kind">Trace</p><h1>{page.escape(page.clip(trace.title, 120))}</h1>
<p class="origin">{page.escape(page.clip(trace.origin, 300))}</p></header>
{summary(trace)}
{middle}"""
    here = Path(__file__).resolve().parent
    return page.frame(f"{trace.title}: trace", body, (here / "trace_report.css").read_text(), (here / "trace_report.js").read_text() if trace.turns else "")


def run(words: list[str]) -> int:
    """./orrery trace report; 2 if the trace is broken, whose page shows what could be read."""
    p = Parser(prog="orrery trace report", description="A page of a trace: exits over time and by reason, a timeline, the slowest handlers.",
               epilog="example: ./orrery trace report build/recording -o trace.html\nexit status: 0, 2 bad input; of a broken trace what could be read is shown",
               formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("trace", type=Path, metavar="TRACE", help="a folder, or one stream")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.html", help="the page; it needs nothing but itself")
    args = p.parse_args(words)
    traces.prepare()
    trace = load(args.trace)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(html(trace), encoding="utf-8")
    for line in trace.broken:
        bad(line)
    return 2 if trace.broken else 0
