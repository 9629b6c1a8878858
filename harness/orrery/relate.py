"""What the events of a finding have to do with each other: conflicts, store buffers, which write a load read, stale reads.

Works from the events alone, in their order. A store buffer is first in, first out; its CPU's flusher empties it. Not handled: loads
that straddle two writes (they are linked to none). Also here: which events a report shows, and how one is put into words.
"""
from __future__ import annotations

from dataclasses import dataclass

from .finding import EFFECTS, Decision, Event, Finding

BUFFER_MAX = 64    # stores that can wait; real buffers are far smaller
_RANGED = (1, 2)   # classes of objects that are memory: only these can overlap


@dataclass(frozen=True)
class Link:
    """An arrow between two events, by index. kind: "buffer" from a store to its flush, "read" from a write to a load on another CPU."""

    kind: str
    source: int
    target: int


@dataclass
class Relations:
    """conflict: the event's object is used by two CPUs in ways that depend on each other. stale: note by event index."""

    conflict: list[bool]
    links: list[Link]
    stale: dict[int, str]


def _range(event: Event) -> tuple[int, int]:
    length = max(event.bytes, 1) if event.object >> 60 in _RANGED else 1
    return event.object, event.object + length


def _depends(users: dict[str, set[int]]) -> bool:
    """Two CPUs, one of them writing; two adds commute."""
    writers, adders, readers = users["write"], users["add"], users["read"]
    everyone = writers | adders | readers
    return bool(writers) and len(everyone) > 1 or bool(adders) and len(adders | readers) > 1 and bool(readers)


def conflicts(events: list[Event]) -> list[bool]:
    """For each event: do two CPUs use some byte of its object, dependently? One sweep over the ends of all ranges."""
    bounds: dict[int, list[tuple[int, str, int]]] = {}   # address: (cpu, how, +1 begins or -1 ends)
    for event in events:
        how = "write" if event.buffered else event.effect
        if event.object:
            begin, end = _range(event)
            bounds.setdefault(begin, []).append((event.cpu, how, 1))
            bounds.setdefault(end, []).append((event.cpu, how, -1))
    count: dict[tuple[int, str], int] = {}
    users: dict[str, set[int]] = {how: set() for how in EFFECTS}
    before = {}          # address: conflicting pieces that begin below it
    pieces = 0
    for address in sorted(bounds):
        before[address] = pieces
        for cpu, how, delta in bounds[address]:
            count[cpu, how] = count.get((cpu, how), 0) + delta
            (users[how].add if count[cpu, how] else users[how].discard)(cpu)
        pieces += _depends(users)
    return [bool(e.object) and before[_range(e)[1]] > before[_range(e)[0]] for e in events]


class _Memory:
    """Store buffers and last writes while the events pass by."""

    def __init__(self, found: Finding) -> None:
        self.found = found
        self.waiting: dict[int, list[int]] = {}                     # CPU: its stores that wait, oldest first
        self.written: dict[tuple[int, int], tuple[int, int]] = {}   # (object, bytes): (event that reached memory, event that stored)

    def flush(self, index: int) -> int:
        """The store that this flush brings to memory; -1: unknown."""
        event = self.found.events[index]
        queue = self.waiting.get(event.cpu, [])
        at = next((i for i in queue if self.found.events[i].object == event.object), -1)
        if at >= 0:
            queue.remove(at)
        return at

    def stale(self, index: int) -> str:
        """Why the value that this event read is not the current one; empty: it is, as far as the buffers tell."""
        events, event = self.found.events, self.found.events[index]
        newest = max((i for cpu, queue in self.waiting.items() if cpu != event.cpu for i in queue if events[i].object == event.object), default=-1)
        origin = self.written.get((event.object, event.bytes))
        if newest < 0 or events[newest].after == event.before or origin and origin[1] > newest:
            return ""
        value = f"value of step {events[origin[1]].step}" if origin else "the initial value"
        return f"reads stale: {value}, current from step {events[newest].step} still in {self.found.agents.get(events[newest].cpu, 'CPU ?')}'s buffer"


def relations(found: Finding) -> Relations:
    """One pass over the events."""
    memory, links, stale = _Memory(found), [], {}
    seen: set[tuple[int, int]] = set()          # (write, CPU that read it): only its first load is linked
    for index, event in enumerate(found.events):
        key = (event.object, event.bytes)
        if event.buffered:
            queue = memory.waiting.setdefault(event.cpu, [])
            queue.append(index)
            del queue[:-BUFFER_MAX]
            continue
        origin = index
        if event.op == "flush":
            origin = memory.flush(index)
            if origin >= 0:
                links.append(Link("buffer", origin, index))
        elif event.effect == "read" or event.op in ("rmw", "add", "accept"):
            write = memory.written.get(key)
            if write and found.events[write[0]].cpu != event.cpu and (write[0], event.cpu) not in seen and not event.own:
                seen.add((write[0], event.cpu))
                links.append(Link("read", write[0], index))
            note = "" if event.own else memory.stale(index)
            if note:
                stale[index] = note
        if event.stale:
            stale[index] = event.stale
        if event.effect in ("write", "add") and event.object:
            memory.written[key] = (index, origin if origin >= 0 else index)
    return Relations(conflicts(found.events), links, stale)


Row = int | Decision    # index of an event, or a decision before the events of its step
FEW = 40                # events shown when nothing is in conflict


def rows(found: Finding, related: Relations, everything: bool) -> list[Row]:
    """What a report shows, in order: all decisions; the events in conflict, or the last ones if there are none, or everything."""
    shown = [i for i in range(len(found.events)) if everything or related.conflict[i] or i in related.stale]
    if not shown:
        shown = list(range(max(0, len(found.events) - FEW), len(found.events)))
    merged: list[Row] = []
    waiting = 0
    for index in shown:
        while waiting < len(found.decisions) and found.decisions[waiting].step <= found.events[index].step:
            merged.append(found.decisions[waiting])
            waiting += 1
        merged.append(index)
    return merged + found.decisions[waiting:]


def number(value: int) -> str:
    """Small numbers decimal, others (addresses, table words) hexadecimal."""
    return str(value) if value < 4096 else f"{value:#x}"


def value(event: Event, arrow: str = "->") -> str:
    """What an event did to its object, or saw."""
    if event.bytes > 8:
        return f"{event.bytes} bytes"
    if not event.object or event.effect == "none" and event.op not in ("load", "store") and event.before == event.after:
        return ""
    if event.buffered and event.before == event.after:
        return f"{arrow} {number(event.after)}"    # the old value is not known before the flush
    if event.effect == "read" or event.before == event.after:
        return f"= {number(event.after)}"
    return f"{number(event.before)} {arrow} {number(event.after)}"


def summary(found: Finding) -> list[tuple[str, str]]:
    """Bound and statistics as (what, how much). A search is never called more than its bound says."""
    facts: list[tuple[str, str]] = []
    bound, stats = found.bound, found.stats
    if bound:
        limits = [f"{bound[key]} {key[:-1] if bound[key] == 1 else key}" for key in ("preemptions", "delays", "faults") if key in bound]
        facts.append(("bound", "at most " + ", ".join(limits) if limits else "none given"))
    entries = bound.get("store_buffer", stats.get("store_buffer"))
    facts += [("store buffer", f"{entries} entries")] if entries is not None else []
    facts += [(key, str(stats[key])) for key in ("model", "strategy", "seed") if key in stats]
    for key in ("runs", "complete", "blocked", "distinct"):
        if key in stats:
            rate = f" ({stats['rate']:,.0f}/s)" if key == "runs" and "rate" in stats else ""
            facts.append((key, f"{stats[key]:,}{rate}"))
    if "points" in stats:
        low, high = stats["points"]
        mean = f"{stats['steps'] / stats['runs']:,.1f}" if stats.get("runs") and "steps" in stats else "?"
        facts.append(("points, min/avg/max", f"{low:,} / {mean} / {high:,}"))
    if stats:
        facts.append(("coverage", f"{stats['coverage']:.1%}, estimated" if "coverage" in stats else "unknown"))
    return facts
