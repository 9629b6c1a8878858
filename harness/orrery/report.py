"""The report of a finding: as text for a terminal, as a page for a browser (diagram.py draws it). What each shows: docs/exploration.md."""
from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from . import diagram, page
from .finding import Decision, Event, Finding, check
from .relate import Relations, relations, rows, summary, value

CELL_MAX = 56     # characters of a column
NAME_MAX = 28
LINE = 100


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[:width - 3] + "..."


def _cell(event: Event) -> str:
    words = [_cut(event.op, 16), _cut(event.name, NAME_MAX), value(event), "(waits)" if event.buffered else "", "(own)" if event.own else ""]
    return " ".join(w for w in words if w)


def _source(event: Event) -> str:
    return "  ".join(part for part in (event.function, event.source) if part)


def _columns(found: Finding, related: Relations) -> str:
    shown = rows(found, related, False)
    present = {found.events[r].agent for r in shown if isinstance(r, int)}
    agents = [a for a in found.agents if a in present]
    width = {a: min(CELL_MAX, max([len(found.agents[a])] + [len(_cell(found.events[r])) for r in shown if isinstance(r, int) and found.events[r].agent == a]))
             for a in agents}
    lines = [f"{'step':>6}  " + "  ".join(f"{_cut(found.agents[a], width[a]):{width[a]}}" for a in agents) + "  source"]
    lines.append("-" * len(lines[0]))
    for row in shown:
        if isinstance(row, Decision):
            lines.append(f"{row.step:6}  {'==>' if row.critical else '-->'} {_cut(row.text, LINE)}{'   [critical]' if row.critical else ''}")
            continue
        event = found.events[row]
        cells = (f"{_cut(_cell(event), width[a]) if a == event.agent else '.':{width[a]}}" for a in agents)
        lines.append((f"{event.step:6}  " + "  ".join(cells) + f"  {_cut(_source(event), LINE)}").rstrip())
        if row in related.stale:
            lines.append(f"{'':8}^ {found.agents[event.agent]} {_cut(related.stale[row], 2 * LINE)}")
    left = len(found.events) - sum(isinstance(r, int) for r in shown)
    return "\n".join(lines) + (f"\n(not shown: {left} events that are in no conflict)" if left else "")


def text(events: dict[str, Any]) -> str:
    """The report for a terminal. BadInput names the field that makes no sense."""
    found = check(events)
    related = relations(found)
    parts = [f"{found.test}: {found.verdict}" + (f" ({found.rule})" if found.rule else "")]
    parts[0] += "".join("\n" + textwrap.fill(line, LINE, initial_indent="  ", subsequent_indent="  ") for line in found.message.splitlines())
    if found.question:
        parts[0] += "\n" + textwrap.fill(found.question, LINE, initial_indent="  question: ", subsequent_indent="            ")
    parts[0] += f"\n  again: {found.command}"
    facts = summary(found)
    limits = [f"{what} {much}" for what, much in facts if what in ("bound", "store buffer", "model")]
    if limits:
        parts[0] += "\n  " + "; ".join(limits)
    parts += [f"stack {index + 1}:\n{textwrap.indent(stack.rstrip(), '  ')}" for index, stack in enumerate(found.stacks)]
    if found.events or found.decisions:
        parts.append(_columns(found, related))
    footer = [f"{what} {much}" for what, much in facts if what not in ("bound", "store buffer", "model")]
    if footer:
        parts.append("; ".join(footer))
    return "\n\n".join(parts) + "\n"


def _facts(found: Finding) -> str:
    items = "".join(f"<div><dt>{page.escape(what)}</dt><dd>{page.escape(much)}</dd></div>" for what, much in summary(found))
    return f'<dl class="facts">{items}</dl>' if items else ""


def _schedule(found: Finding) -> str:
    if not found.decisions:
        return "<p>No decision differs from the default: the straight run fails.</p>"
    items = "".join(f'<li{" class=critical" if d.critical else ""}><span class="step">step {d.step}</span> <code>{page.escape(page.clip(d.text, 200))}</code>'
                    f'{" <strong>critical</strong>" if d.critical else ""}</li>' for d in found.decisions[:diagram.ROWS_MAX])
    count = f"{len(found.decisions)} decision{'s' if len(found.decisions) > 1 else ''}"
    return (f'<details{" open" if len(found.decisions) <= 12 else ""}><summary>Schedule: {count} that differ{"s" if len(found.decisions) == 1 else ""} from '
            f'the default</summary><ol class="schedule">{items}</ol></details>')


def html(events: dict[str, Any]) -> str:
    """The report as one page that needs nothing else. BadInput names the field that makes no sense."""
    found = check(events)
    related = relations(found)
    rule = f' <span class="rule">{page.escape(page.clip(found.rule, 80))}</span>' if found.rule else ""
    stacks = "".join(f'<section><h3>Stack {i + 1}</h3><pre tabindex="0">{page.escape(s)}</pre></section>' for i, s in enumerate(found.stacks))
    body = f"""<header><p class="kind">Finding</p><h1>{page.escape(page.clip(found.test, 120))}</h1>
<p class="question">{page.escape(found.question)}</p></header>
<section class="verdict"><h2>{page.escape(page.clip(found.verdict, 120))}{rule}</h2><p class="message">{page.escape(found.message)}</p></section>
<p class="again">Again: <code tabindex="0">{page.escape(found.command)}</code></p>
{f'<div class="stacks">{stacks}</div>' if stacks else ''}
{_schedule(found)}
{diagram.figure(found, related)}
<footer>{_facts(found)}</footer>"""
    here = Path(__file__).resolve().parent
    return page.frame(f"{found.test}: {found.verdict}", body, (here / "report.css").read_text(), (here / "report.js").read_text())
