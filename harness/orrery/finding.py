"""The events file of a finding (docs/exploration.md, "Events file"): JSON to a checked Finding; every error names the field.

Invariant: no string of a Finding holds a control character (other than the newlines of message and stacks), a half surrogate, or a
character that turns the direction of writing, and none is longer than TEXT_MAX; numbers are in range; agents are known. Strings may
still hold markup. Not checked: that the events are what a machine can do.
"""
from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .base import BadInput

FILE_MAX = 64 << 20
EVENTS_MAX = 1 << 18        # as sim/include/event.h
AGENTS_MAX = 128
FLUSHER = 64                # agent FLUSHER + i empties the store buffer of CPU i
TEXT_MAX = 4000
EFFECTS = ("none", "read", "add", "write")
CLASSES = ("", "RAM ", "memory ", "APIC ", "VMCS ", "CPU ")   # of objects, by their bits 60 to 63

_HARMFUL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff\ud800-\udfff]")
_HEX = re.compile(r"(0x)?[0-9a-fA-F]{1,16}\Z")


@dataclass(frozen=True)
class Event:
    """One access or act of an agent."""

    step: int
    agent: int
    op: str
    effect: str
    object: int
    name: str
    bytes: int
    before: int
    after: int
    own: bool
    function: str
    file: str
    line: int
    stale: str

    @property
    def cpu(self) -> int:
        """The CPU that acts, itself or through its store buffer."""
        return self.agent % FLUSHER

    @property
    def buffered(self) -> bool:
        """A store that nobody else sees yet."""
        return self.op == "store" and self.effect == "none"

    @property
    def source(self) -> str:
        """file:line; empty when unknown."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file


@dataclass(frozen=True)
class Decision:
    """An answer that differs from the default."""

    step: int
    kind: str
    agent: int
    text: str
    critical: bool


@dataclass
class Finding:
    """A whole events file. stats and bound hold what the file has of the known keys."""

    test: str
    question: str
    verdict: str
    rule: str
    message: str
    stacks: list[str]
    command: str
    bound: dict[str, int]
    stats: dict[str, Any]
    agents: dict[int, str]
    events: list[Event] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


def harmless(text: str, lines: bool = False, limit: int = TEXT_MAX) -> str:
    """Control characters, half surrogates and the like as \\xNN or \\uNNNN; what is too long is cut."""
    def name(match: re.Match[str]) -> str:
        code = ord(match.group())
        return "\n" if lines and code == 10 else " " if code == 9 else "\ufffd" if code == 0xFFFD else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    shown = _HARMFUL.sub(name, text[:limit])
    return shown + "..." if len(text) > limit else shown


def _member(where: str, table: Any, key: str) -> Any:
    if not isinstance(table, dict):
        raise BadInput(f"{where.rstrip('.') or 'the file'}: must be an object")
    if key not in table:
        raise BadInput(f"{where}{key}: missing")
    return table[key]


def _string(where: str, table: Any, key: str, null: bool = False, lines: bool = False) -> str:
    value = _member(where, table, key)
    if value is None and null:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{where}{key}: must be a text" + (" or null" if null else ""))
    return harmless(value, lines)


def _natural(where: str, table: Any, key: str, bits: int = 32) -> int:
    value = _member(where, table, key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << bits:
        raise BadInput(f"{where}{key}: must be a whole number from 0 to 2^{bits} - 1")
    return value


def _word(where: str, table: Any, key: str) -> int:
    value = _member(where, table, key)
    if isinstance(value, str):
        if not _HEX.match(value):
            raise BadInput(f"{where}{key}: must be a number or 1 to 16 hexadecimal digits")
        return int(value, 16)
    return _natural(where, table, key, 64)


def _flag(where: str, table: Any, key: str) -> bool:
    value = _member(where, table, key)
    if not isinstance(value, bool) and not (isinstance(value, int) and value in (0, 1)):
        raise BadInput(f"{where}{key}: must be true or false")
    return bool(value)


def _list(table: Any, key: str, limit: int) -> list[Any]:
    value = _member("", table, key)
    if not isinstance(value, list) or len(value) > limit:
        raise BadInput(f"{key}: must be a list of at most {limit}")
    return value


def _agent(where: str, table: Any, agents: dict[int, str]) -> int:
    agent = _natural(where, table, "agent")
    if agent not in agents:
        raise BadInput(f"{where}agent: {agent} is not in agents")
    return agent


def _op(where: str, table: Any) -> str:
    return _string(where, table, "op").lower().replace("_", "-")   # as in sim_op_name


def _effect(where: str, table: Any) -> str:
    value = _member(where, table, "effect")
    if isinstance(value, str) and value.lower() in EFFECTS:
        return value.lower()
    raise BadInput(f"{where}effect: must be one of {', '.join(EFFECTS)}")


class Labels:
    """Names of ranges of objects; where they overlap, the smallest range that was named names it."""

    def __init__(self, rows: list[Any]) -> None:
        self._known: dict[int, str] = {}
        self._ranges = []
        for index, row in enumerate(rows):
            where = f"labels[{index}]."
            self._ranges.append((_natural(where, row, "bytes", 64), _word(where, row, "object"), _string(where, row, "name")))
        self._ranges.sort()

    def name(self, obj: int) -> str:
        """The name of an object; its class and address if it has none."""
        if obj not in self._known:
            kind, address = obj >> 60, obj & ((1 << 60) - 1)
            plain = (CLASSES[kind] if kind < len(CLASSES) else f"class {kind} ") + (str(address) if kind in (3, 5) else f"{address:#x}")
            self._known[obj] = next((name + (f"+{obj - start}" if obj > start else "") for size, start, name in self._ranges
                                     if start <= obj < start + max(size, 1)), plain if obj else "")
        return self._known[obj]


def _event(index: int, row: Any, agents: dict[int, str], labels: Labels) -> Event:
    where = f"events[{index}]."
    obj = _word(where, row, "object")
    return Event(_natural(where, row, "step"), _agent(where, row, agents), _op(where, row), _effect(where, row), obj,
                 _string(where, row, "name", null=True) or labels.name(obj), _natural(where, row, "bytes"), _word(where, row, "before"), _word(where, row, "after"),
                 _flag(where, row, "own"), _string(where, row, "function", null=True), _string(where, row, "file", null=True), _natural(where, row, "line"),
                 _string(where, row, "stale", null=True))


def _decision(index: int, row: Any, agents: dict[int, str]) -> Decision:
    where = f"decisions[{index}]."
    return Decision(_natural(where, row, "step"), _string(where, row, "kind"), _agent(where, row, agents), _string(where, row, "text"), _flag(where, row, "critical"))


def _agents(data: Any) -> dict[int, str]:
    agents: dict[int, str] = {}
    for index, row in enumerate(_list(data, "agents", AGENTS_MAX)):
        where = f"agents[{index}]."
        agent = _natural(where, row, "id")
        if agent >= AGENTS_MAX or agent in agents:
            raise BadInput(f"{where}id: {agent} " + ("is there twice" if agent in agents else f"is not below {AGENTS_MAX}"))
        agents[agent] = _string(where, row, "name")
    return dict(sorted(agents.items(), key=lambda item: (item[0] % FLUSHER, item[0])))   # a buffer beside its CPU


def _table(data: Any, key: str) -> dict[str, Any]:
    """The known members of bound or stats: all may be absent or null."""
    table = _member("", data, key)
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise BadInput(f"{key}: must be an object or null")
    found: dict[str, Any] = {}
    for name in ("preemptions", "delays", "faults", "store_buffer", "runs", "complete", "blocked", "steps", "distinct", "seed"):
        if table.get(name) is not None and not (name == "complete" and isinstance(table[name], bool)):
            found[name] = _natural(key + ".", table, name, 64)
    for name in ("strategy", "model"):
        if table.get(name) is not None:
            found[name] = _string(key + ".", table, name)
    for name in ("rate", "coverage"):
        if (value := table.get(name)) is not None:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1 << 64:
                raise BadInput(f"{key}.{name}: must be a number from 0")
            found[name] = value
    if table.get("points") is not None:
        found["points"] = tuple(_natural(f"{key}.points.", table["points"], end) for end in ("min", "max"))
    return found


def check(data: Any) -> Finding:
    """A Finding of what json.loads returned; else BadInput that names the field."""
    agents = _agents(data)
    stacks = _list(data, "stacks", 64)
    for index, stack in enumerate(stacks):
        if not isinstance(stack, str):
            raise BadInput(f"stacks[{index}]: must be a text")
    found = Finding(_string("", data, "test"), _string("", data, "question", null=True), _string("", data, "verdict"), _string("", data, "rule", null=True),
                    _string("", data, "message", null=True, lines=True), [harmless(s, lines=True) for s in stacks], _string("", data, "command"),
                    _table(data, "bound"), _table(data, "stats"), agents)
    labels = Labels(_list(data, "labels", 4096))
    found.events = [_event(i, row, agents, labels) for i, row in enumerate(_list(data, "events", EVENTS_MAX))]
    for index in range(1, len(found.events)):
        if found.events[index].step < found.events[index - 1].step:
            raise BadInput(f"events[{index}].step: {found.events[index].step} comes after {found.events[index - 1].step}")
    found.decisions = sorted((_decision(i, row, agents) for i, row in enumerate(_list(data, "decisions", EVENTS_MAX))), key=lambda d: d.step)
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def load(path: Path) -> dict[str, Any]:
    """The object in a file, for check(). Bytes that are no UTF-8 are replaced."""
    with path.open("rb") as stream:
        data = stream.read(FILE_MAX + 1)
    if len(data) > FILE_MAX:
        raise BadInput(f"{path}: larger than {FILE_MAX >> 20} MB")
    try:
        return json.loads(data.decode("utf-8", "replace"), parse_constant=_no_constant)
    except RecursionError:
        raise BadInput(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"{path}: not JSON: {harmless(str(error), limit=200)}") from None
