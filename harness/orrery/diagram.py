"""The space-time diagram of a finding, as SVG: one lane per agent, time downwards, arrows from a write to who reads it.

Drawn twice, with the events in conflict and with all of them; a checkbox shows one or the other. No script is needed to read it.
All outside text passes page.escape here. Rows beyond ROWS_MAX are left out, the oldest first, and the page says so.
"""
from __future__ import annotations

from bisect import bisect_left

from .finding import FLUSHER, Decision, Event, Finding
from .page import clip, escape
from .relate import Relations, Row, number, rows, value

ROWS_MAX = 20000
LABEL_MAX, NOTE_MAX, FUNCTION_MAX, FILE_MAX = 32, 120, 24, 28     # characters
GLYPH, BOLD = 7.3, 9.2                            # pixels of a character, at most
GUTTER, INDENT, ROW, NOTE, SWITCH, END = 56, 15, 26, 18, 44, 46


def _parts(event: Event) -> tuple[str, str, str]:
    shown = value(event, "\u2192") + (" waits" if event.buffered else " own" if event.own else "")
    return clip(event.op, 14), clip(event.name, LABEL_MAX), shown.strip()


def _where(event: Event) -> tuple[str, str]:
    return clip(event.function, FUNCTION_MAX), clip(event.source.rpartition("/")[2], FILE_MAX)


def _kind(event: Event) -> str:
    if event.op in ("store", "flush"):
        return "wait" if event.buffered else event.op
    return "load" if event.own else {"write": "store", "add": "store", "read": "load"}.get(event.effect, "other")


def _details(found: Finding, related: Relations, index: int) -> str:
    e = found.events[index]
    values = f"before {number(e.before)}, after {number(e.after)}" if e.object and e.bytes <= 8 else ""
    kind = f"object {e.object:#x}, {e.bytes} bytes" if e.object else ""
    extra = ("waits in its store buffer", "") if e.buffered else ("answered from its own store buffer", "") if e.own else ()
    return " \u00b7 ".join(part for part in (f"step {e.step}, {found.agents[e.agent]}: {e.op} {e.name}".rstrip(), values, *extra, related.stale.get(index, ""), kind,
                                             e.function, e.source) if part)


class Drawing:
    """One SVG. Positions first (they depend on all rows), then marks from back to front."""

    def __init__(self, found: Finding, related: Relations, shown: list[Row]) -> None:
        self.found, self.related, self.shown = found, related, shown
        self.back: list[str] = []
        self.arrows: list[str] = []
        self.front: list[str] = []
        self.message = clip(found.message.partition("\n")[0], NOTE_MAX)
        self._lanes()
        self._times()

    def _lanes(self) -> None:
        events = self.found.events
        labels = {a: 8 + min(len(n), LABEL_MAX) for a, n in self.found.agents.items()}
        present = {events[r].agent if isinstance(r, int) else r.agent for r in self.shown}
        source = 0
        for event in (events[r] for r in self.shown if isinstance(r, int)):
            labels[event.agent] = max(labels[event.agent], len(" ".join(_parts(event))))
            source = max(source, len(" ".join(_where(event))))
        self.agents = [a for a in self.found.agents if a in present]
        self.x: dict[int, float] = {}
        at = float(GUTTER)
        for agent in self.agents:
            self.x[agent] = at + 12
            at += 12 + INDENT + GLYPH * labels[agent] + 14
        self.margin = at + 12
        self.width = self.margin + GLYPH * source + 12
        for row in self.shown:
            decision = isinstance(row, Decision)
            x, text = (self.x[row.agent], row.text + " (critical)") if decision else (self.x[events[row].agent], self.related.stale.get(row, ""))
            self.width = max(self.width, x + INDENT + GLYPH * min(len(text), NOTE_MAX + 11) + 12)
        self.width = max(self.width, self._last_x() + INDENT + BOLD * len(self.message) + 12)

    def _last_x(self) -> float:
        """The lane where the run ended."""
        return next((self.x[self.found.events[r].agent] for r in reversed(self.shown) if isinstance(r, int)), self.x[self.agents[0]])

    def _times(self) -> None:
        self.y: list[float] = []          # of each row
        self.event_y: dict[int, float] = {}
        at = 8.0
        for row in self.shown:
            if isinstance(row, int):
                self.event_y[row] = at + ROW / 2
                self.y.append(at + ROW / 2)
                at += ROW + (NOTE if row in self.related.stale else 0)
            else:
                self.y.append(at + SWITCH - 14)
                at += SWITCH
        self.end_y = at + 14
        self.height = at + END

    def _event(self, index: int, first: bool) -> None:
        e, x, y = self.found.events[index], self.x[self.found.events[index].agent], self.event_y[index]
        op, name, shown = _parts(e)
        stale = " stale" if index in self.related.stale else ""
        mark = {"wait": '<rect class="mark" x="-4" y="-4" width="8" height="8"/>', "flush": '<rect class="mark" x="-4" y="-4" width="8" height="8"/>',
                "other": '<circle class="mark" r="2.5"/>'}.get(_kind(e), '<circle class="mark" r="4.5"/>')
        where = "".join(f'<tspan class="{c}">{escape(t)}</tspan> ' for c, t in zip(("function", "file"), _where(e)) if t)
        note = f'<text class="note" x="{INDENT}" y="{4 + NOTE}">{escape(clip(self.related.stale[index], NOTE_MAX))}</text>' if stale else ""
        self.front.append(
            f'<g class="event {_kind(e)}{stale}" transform="translate({x:.1f} {y:.1f})" tabindex="{0 if first else -1}" role="listitem" data-object="{e.object:x}" '
            f'aria-label="{escape(_details(self.found, self.related, index))}"><rect class="hit" x="{-x:.1f}" y="-12" width="{self.width:.1f}" height="24"/>'
            f'<text class="step" x="{GUTTER - 14 - x:.1f}" y="4">{e.step}</text>{mark}'
            f'<text class="label" x="{INDENT}" y="4"><tspan class="op">{escape(op)}</tspan> <tspan class="name">{escape(name)}</tspan> <tspan class="value">{escape(shown)}</tspan></text>'
            f'<text class="source" x="{self.margin - x:.1f}" y="4">{where.strip()}</text>{note}</g>')

    def _turn(self, d: Decision) -> tuple[int, int]:
        """Who acted last and who goes on; the same agent twice if the decision is not about that."""
        at = bisect_left(self.found.events, d.step, key=lambda e: e.step)
        if d.kind.upper() != "STEP" or not at:
            return d.agent, d.agent
        here = self.found.events[at].agent if at < len(self.found.events) and self.found.events[at].step == d.step else d.agent
        return self.found.events[at - 1].agent, here

    def _switch(self, d: Decision, before: int, after: int, y: float) -> None:
        """A decision: a line from the lane that was left to the one that goes on; else a mark in its agent's lane."""
        critical = " critical" if d.critical else ""
        moves = before in self.x and after in self.x and before != after
        left = min(self.x[before], self.x[after]) if moves else self.x[d.agent]
        if critical:
            self.back.append(f'<rect class="band" x="0" y="{y - SWITCH + 16:.1f}" width="{self.width:.1f}" height="{SWITCH - 6}"/>')
        if moves:
            shift = 6 if self.x[after] > self.x[before] else -6
            mark = f'<path class="turn" d="M{self.x[before]:.1f} {y:.1f}H{self.x[after] - shift:.1f}" marker-end="url(#tip{"-critical" if critical else ""})"/>'
        else:
            mark = f'<path class="mark" d="M{left:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"/>'
        text = clip(d.text, NOTE_MAX)
        self.front.append(f'<g class="decision{critical}" role="listitem" aria-label="{escape(f"decision before step {d.step}: {text}" + (", critical" if critical else ""))}">'
                          f'<text class="step" x="{GUTTER - 14}" y="{y - 9:.1f}">{d.step}</text>{mark}<text class="answer" x="{left + INDENT:.1f}" y="{y - 9:.1f}">{escape(text)}'
                          f'{" <tspan>critical</tspan>" if critical else ""}</text></g>')

    def _busy(self, agent: int | None, start: float, end: float) -> None:
        if end > start and agent in self.x:
            self.back.append(f'<line class="busy" x1="{self.x[agent]:.1f}" y1="{start:.1f}" x2="{self.x[agent]:.1f}" y2="{end:.1f}"/>')

    def _rows(self) -> None:
        """Marks in order, and thick lines where a CPU runs."""
        events, running, since, last, first = self.found.events, None, 0.0, 0.0, True
        for row, y in zip(self.shown, self.y):
            if isinstance(row, int):
                agent = events[row].agent
                self._event(row, first)
                first = False
                if agent < FLUSHER and agent != running:
                    self._busy(running, since, last)
                    running, since = agent, y
                last = y
                continue
            before, after = self._turn(row)
            self._switch(row, before, after, y)
            if before != after:
                self._busy(running, since, y if running == before else last)
                running, since, last = (after if after < FLUSHER else None), y, y
        self._busy(running, since, self.end_y)

    def _links(self) -> None:
        for link in self.related.links:
            if link.source in self.event_y and link.target in self.event_y:
                x1, y1 = self.x[self.found.events[link.source].agent], self.event_y[link.source]
                x2, y2 = self.x[self.found.events[link.target].agent], self.event_y[link.target]
                s, gap = (1 if x2 > x1 else -1), ROW / 2    # straight, but leaves and arrives between rows, so that no label is struck through
                self.arrows.append(f'<path class="link {link.kind}" d="M{x1 + 3 * s:.1f} {y1 + 6:.1f}Q{x1 + 4 * s:.1f} {y1 + gap:.1f} {x1 + 14 * s:.1f} {y1 + gap:.1f}'
                                   f'L{x2 - 16 * s:.1f} {y2 - gap:.1f}Q{x2 - 9 * s:.1f} {y2 - gap:.1f} {x2 - 6 * s:.1f} {y2 - 5:.1f}" marker-end="url(#tip-link)"/>')

    def svg(self, name: str) -> str:
        """The drawing with its head, in a box that scrolls."""
        size = f'width="{self.width:.0f}" height='
        heads = "".join(f'<text class="lane" x="{self.x[a] - 5:.1f}" y="21">{escape(clip(self.found.agents[a], LABEL_MAX))}</text>' for a in self.agents)
        lives = "".join(f'<line class="life{" buffer" if a >= FLUSHER else ""}" x1="{self.x[a]:.1f}" y1="0" x2="{self.x[a]:.1f}" y2="{self.end_y:.1f}"/>' for a in self.agents)
        self._rows()
        self._links()
        end = ""
        if self.message:
            x = self._last_x()
            end = (f'<g class="end"><path d="M{x - 5:.1f} {self.end_y - 5:.1f}l10 10m0 -10l-10 10"/>'
                   f'<text x="{x + INDENT:.1f}" y="{self.end_y + 4:.1f}">{escape(self.message)}</text></g>')
        return (f'<div class="drawing {name}"><svg class="head" {size}"32" aria-hidden="true"><text class="step" x="{GUTTER - 14}" y="21">step</text>{heads}'
                f'<text class="lane" x="{self.margin:.1f}" y="21">Source</text></svg>\n<svg class="body" {size}"{self.height:.0f}" role="list" '
                f'aria-label="Events in order of time">{"".join(self.back)}{lives}{"".join(self.arrows)}{"".join(self.front)}{end}</svg></div>')


def _tip(name: str) -> str:
    return f'<marker id="tip{name}" class="tip{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" markerUnits="userSpaceOnUse"><path d="M0 .5L8 4L0 7.5z"/></marker>'


_DOT, _BOX = '<circle class="mark" r="4.5"/>', '<rect class="mark" x="-4" y="-4" width="8" height="8"/>'
_ARROW = '<path class="link {}" d="M-9 0H7" marker-end="url(#tip-link)"/>'
LEGEND = ((_DOT, "load", "reads"), (_DOT, "store", "changes memory"), (_BOX, "wait", "store that waits in its buffer"), (_BOX, "flush", "its flush"),
          (_DOT, "load stale", "reads a stale value"), (_ARROW.format("buffer"), "buffer", "from store to flush"), (_ARROW.format("read"), "read", "to the load that reads it"))


def _legend(found: Finding, related: Relations) -> str:
    used = {_kind(e) for e in found.events} | {link.kind for link in related.links} | ({"load stale"} if related.stale else set())
    return "".join(f'<li><svg width="22" height="14" viewBox="-11 -7 22 14" aria-hidden="true"><g class="event {kind}">{mark}</g></svg>{text}</li>'
                   for mark, kind, text in LEGEND if kind in used)


def figure(found: Finding, related: Relations) -> str:
    """The diagram with its checkbox, details line and legend; empty without events."""
    few, every = rows(found, related, False), rows(found, related, True)
    if not every:
        return ""
    hidden = len(every) - len(few)
    cut = f"<p class=\"cut\">Only the last {ROWS_MAX:,} of {len(every):,} rows are drawn.</p>" if len(every) > ROWS_MAX else ""
    box = (f'<input type="checkbox" id="everything"> <label for="everything">Show all {len(found.events):,} events, also the {hidden:,} that are in no conflict</label>'
           if hidden else "")
    return f"""<figure>
<h2>What happened</h2>
{box}{cut}
<svg class="defs" width="0" height="0" aria-hidden="true"><defs>{_tip("")}{_tip("-critical")}{_tip("-link")}</defs></svg>
{Drawing(found, related, few[-ROWS_MAX:]).svg("few")}
{Drawing(found, related, every[-ROWS_MAX:]).svg("every") if hidden else ""}
<p id="detail" role="status">Point at an event, or tab to it and use the arrow keys.</p>
<figcaption><ul>{_legend(found, related)}</ul></figcaption>
</figure>"""
