"""A trace as turns: each exit with the entry after it, and the kernel's events beside them; from the lines of `orrery-trace show --json`."""
from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import trace as traces
from .base import BadInput


@dataclass
class Turn:
    """An exit, what its VMM took from outside, the entry that ends it. Times in ticks; tsc since the first event."""

    number: int
    vcpu: int
    cpu: int
    tsc: int
    reason: str
    details: str = ""
    rip: str = ""
    guest: int | None = None      # ticks from the entry before to this exit
    handler: int | None = None    # to the entry after it
    changes: str = ""             # lines: field, tab, value
    values: str = ""
    answer: str = ""


@dataclass
class Mark:
    """An event of the kernel."""

    tsc: int
    cpu: int
    text: str


@dataclass
class Trace:
    """What a page of a trace shows."""

    folder: Path
    title: str
    origin: str
    khz: int = 1000000
    begin: int = 0                # the part with exits, from `begin` to `end`, of the `ticks` of all
    end: int = 0
    ticks: int = 0
    lost: int = 0
    turns: list[Turn] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)   # what the reader complained about


def _details(event: dict[str, Any]) -> str:
    return " ".join(str(value) if name == "direction" else f"{name} {value}" for name, value in event.get("details", {}).items())


def _changes(event: dict[str, Any]) -> str:
    return "\n".join(f"{name}\t{value}" for name, value in event.get("changes", {}).items())


_COMMON = ("event", "sequence", "tsc", "cpu", "name", "number", "result", "status", "vector", "kind")


def _mark(event: dict[str, Any]) -> str:
    """A kernel event in one line: what it is, then its other fields."""
    head = [event["event"]] + [str(event[key]) for key in ("name", "result", "vector", "kind") if key in event]
    return " ".join(head) + "".join(f", {key} {value}" for key, value in event.items() if key not in _COMMON)


class _Reader:
    """Events in order of their sequence become turns and marks."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.begin: int | None = None
        self.open: dict[int, Turn] = {}        # by vCPU: exits without an entry yet
        self.entered: dict[int, int] = {}      # by vCPU: when its guest was entered
        self.rip: dict[int, str] = {}

    def exit(self, event: dict[str, Any], at: int) -> None:
        vcpu = event["vcpu"]
        self.rip[vcpu] = event.get("changes", {}).get("rip", self.rip.get(vcpu, ""))
        since = self.entered.pop(vcpu, None)
        turn = Turn(event["n"], vcpu, event["cpu"], at, event.get("reason", "unknown"), _details(event), self.rip[vcpu], None if since is None else at - since, None,
                    _changes(event))
        self.open[vcpu] = turn
        self.trace.turns.append(turn)

    def entry(self, event: dict[str, Any], at: int) -> None:
        vcpu = event["vcpu"]
        self.rip[vcpu] = event.get("changes", {}).get("rip", self.rip.get(vcpu, ""))
        self.entered[vcpu] = at
        turn = self.open.pop(vcpu, None)
        if turn:
            turn.handler = at - turn.tsc
            turn.answer = "\n".join(part for part in (f"injects\t{event['inject_text']}" if "inject_text" in event else "", _changes(event)) if part)

    def value(self, event: dict[str, Any]) -> None:
        turn = self.open.get(event["vcpu"])
        if turn:
            turn.values += ("\n" if turn.values else "") + f"{event['kind']}\t{event['address']}\t{event['data']}"

    def event(self, event: dict[str, Any]) -> None:
        kind, trace = event["event"], self.trace
        self.begin = event["tsc"] if self.begin is None else self.begin
        at = max(event["tsc"] - self.begin, 0)   # CPUs' clocks may differ a little
        trace.ticks = max(trace.ticks, at)
        if kind == "exit":
            self.exit(event, at)
        elif kind == "entry":
            self.entry(event, at)
        elif kind == "state":
            self.rip[event["vcpu"]] = event.get("changes", {}).get("rip", self.rip.get(event["vcpu"], ""))
        elif kind == "value":
            self.value(event)
        else:
            if kind == "machine":
                trace.khz = event["tsc_khz"] or trace.khz
            trace.marks.append(Mark(at, event["cpu"], _mark(event)))



def _events(folder: Path, reader: _Reader) -> list[str]:
    """Hand all events to the reader; what the tool complained about, if the trace could not be read to its end."""
    with subprocess.Popen([str(traces.BINARY), "show", str(folder), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tool:
        assert tool.stdout and tool.stderr
        for line in tool.stdout:
            reader.event(json.loads(line))
        complaints = [line.removeprefix("orrery: ") for line in tool.stderr.read().splitlines()]
    if tool.returncode and not reader.trace.marks and not reader.trace.turns:
        raise BadInput(complaints[0] if complaints else f"{folder}: orrery-trace ended with status {tool.returncode}")
    return complaints


def _origin(env: dict[str, str]) -> str:
    """Where a trace comes from, in words, from the environment its metadata tells."""
    parts = [f"imported from {env['origin']}" if "origin" in env else f"recorded on {env['machine']}" if "machine" in env else ""]
    parts += [env.get("vendor", "").upper(), f"{env['cpus']} CPUs" if "cpus" in env and env["cpus"] != "1" else "", f"seed {env['seed']}" if "seed" in env else ""]
    return ", ".join(part for part in parts if part)


# Of the environment: what the page says anyway.
_TOLD = ("format", "format_version", "scenario", "machine", "vendor", "cpus", "seed", "origin", "lossy", "missing", "exits", "events_lost")


def load(folder: Path) -> Trace:
    """The trace of a folder, or of one stream, as far as it can be read; `warnings` say what is missing."""
    env = traces.environment(folder) if folder.is_dir() else {}
    trace = Trace(folder, env.get("scenario") or folder.resolve().name, _origin(env))
    trace.broken = _events(folder, _Reader(trace))
    figures = json.loads(subprocess.run([str(traces.BINARY), "stat", str(folder), "--json"], capture_output=True, text=True).stdout)
    trace.lost = figures["lost"]
    trace.facts = [("bytes per exit", f"{figures['bytes_per_exit']:g}"), *((key.replace("_", " "), value) for key, value in env.items() if key not in _TOLD)]
    trace.warnings = [f"Broken: {line}" for line in trace.broken]
    if trace.lost:
        trace.warnings.append(f"{trace.lost:,} events were lost while it was recorded.")
    elif not figures["whole"] and not trace.broken and "origin" not in env:
        trace.warnings.append("It has no end: what came after the last event here is not known.")
    if "missing" in env:
        trace.warnings.append(f"What it was made of lacks: {', '.join(env['missing'].split())}.")
    if env.get("origin") == "iris":
        trace.warnings.append("It has no time either: durations here only count events.")
    if trace.turns:
        trace.begin = max(min(turn.tsc - (turn.guest or 0) for turn in trace.turns), 0)
        trace.end = max(max(turn.tsc + (turn.handler or 0) for turn in trace.turns), trace.begin + 1)
    return trace
