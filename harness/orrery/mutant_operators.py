"""How mutants are generated: one small change of a source that a tired engineer could make, by a list of operators.

A source is read as text: comments and strings are blanked, calls are found by their parentheses, statements by their lines. Deterministic: the same
source gives the same edits in the same order. Not handled: headers, macros. An edit need not compile, nor change anything: mutate.py looks.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Iterator


@dataclass(frozen=True)
class Edit:
    """Replace text[start:end]."""

    operator: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Call:
    """name(args) at text[start:end]; statement: it stands alone, and end is behind its semicolon."""

    name: str
    args: list[str]
    start: int
    end: int
    statement: bool


@dataclass(frozen=True)
class Line:
    """A whole simple statement on a line of its own, without the indentation."""

    start: int
    end: int
    indent: int
    text: str
    declares: bool


_KEYWORD = re.compile(r"(if|else|for|while|do|switch|case|default|return|break|continue|goto)\b")
_DECLARES = re.compile(r"(const |static |struct \w+ |enum \w+ |u8 |u16 |u32 |u64 |bool |void )")
_HEAD = re.compile(r"[a-z].*?\b(\w+)\(")


class Source:
    """A C source and what is found in it by position."""

    def __init__(self, text: str) -> None:
        self.text = text
        blank = lambda m: re.sub(r"[^\n]", " ", m.group())  # noqa: E731
        self.mask = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)
        self.functions = list(self._functions())
        self.lines = list(self._lines())

    def _functions(self) -> Iterator[tuple[int, int, str]]:
        at, start, name = 0, 0, ""
        for line in self.mask.splitlines(keepends=True):
            if line.startswith("{"):
                start = at
            elif line.startswith("}") and start:
                yield start, at, name
                start = 0
            elif not start and (match := _HEAD.match(line)):
                name = match.group(1)
            at += len(line)

    def _lines(self) -> Iterator[Line]:
        at = 0
        for line in self.mask.splitlines(keepends=True):
            text = line.strip()
            if text.endswith(";") and text != ";" and text.count("(") == text.count(")") and text.count("{") == text.count("}") and not _KEYWORD.match(text):
                indent = len(line) - len(line.lstrip())
                yield Line(at + indent, at + indent + len(text), indent, self.text[at + indent:at + indent + len(text)], bool(_DECLARES.match(text)))
            at += len(line)

    def function(self, at: int) -> str:
        """Name of the function around a position; empty: none."""
        return next((name for start, end, name in self.functions if start <= at < end), "")

    def private(self, at: int) -> bool:
        """In a function that makes something nobody else can see yet: there order and atomics do not matter."""
        return re.search(r"_(init|create|enable|make|parse)$", self.function(at)) is not None

    def closing(self, at: int) -> int:
        """Position behind the parenthesis that closes the one at `at`."""
        depth = 0
        for i in range(at, len(self.mask)):
            depth += {"(": 1, ")": -1}.get(self.mask[i], 0)
            if not depth:
                return i + 1
        return len(self.mask)

    def args(self, start: int, end: int) -> list[str]:
        """The arguments between two parentheses, split at commas that stand in no others."""
        found, depth, first = [], 0, start
        for i in range(start, end):
            depth += {"(": 1, ")": -1, "{": 1, "}": -1}.get(self.mask[i], 0)
            if self.mask[i] == "," and not depth:
                found.append(self.text[first:i].strip())
                first = i + 1
        return [*found, self.text[first:end].strip()]

    def calls(self, names: str) -> Iterator[Call]:
        """Calls inside functions of what the regular expression matches."""
        for match in re.finditer(rf"(?<![\w>.])({names})\(", self.mask):
            if not self.function(match.start()):
                continue
            end = self.closing(match.end() - 1)
            alone = not self.mask[self.mask.rfind("\n", 0, match.start()) + 1:match.start()].strip() and self.mask[end:end + 1] == ";"
            yield Call(match.group(1), self.args(match.end(), end - 1), match.start(), end + alone, alone)


def _drop(operator: str, names: str) -> Callable[[Source], Iterator[Edit]]:
    def edits(s: Source) -> Iterator[Edit]:
        return (Edit(operator, c.start, c.end, ";") for c in s.calls(names) if c.statement)
    return edits


def _flush(s: Source) -> Iterator[Edit]:
    """A flush is skipped and said to be done."""
    for c in s.calls(r"mach_inv\w+|mach_vmclear|tlb_\w*request|tlb_owed|tlb_complete"):
        if not c.statement:
            yield Edit("skip-flush", c.start, c.end, "true" if c.name.startswith("mach") or c.name == "tlb_complete" else "0ul")
    yield from _drop("skip-flush", r"tlb_batch_add|tlb_handle|invalidate|mach_cr3_write|mach_inv\w+|[\w>-]+virt->flush")(s)


def _plain(s: Source) -> Iterator[Edit]:
    for c in s.calls(r"atomic_load(?:32)?|atomic_store(?:32)?"):
        value = f" = {c.args[1]};" if c.name.startswith("atomic_store") else ""
        if (not value or c.statement) and not s.private(c.start):
            yield Edit("plain-store" if value else "plain-load", c.start, c.end, f"({c.args[0]})->v{value}")


_OPERATION = {"add": "+", "or": "|", "and": "&"}


def _split(s: Source) -> Iterator[Edit]:
    """A locked read-modify-write becomes a load and a store."""
    for c in s.calls(r"atomic_(?:add|or|and|fetch_add|fetch_or|fetch_and|xchg|cas)"):
        at, value, kind = c.args[0], c.args[-1], c.name.removeprefix("atomic_").removeprefix("fetch_")
        new = f"mutant_was {_OPERATION[kind]} ({value})" if kind in _OPERATION else f"({value})"
        head = f"atomic_u64 *mutant_at = ({at}); const u64 mutant_was = atomic_load(mutant_at);"
        if kind == "cas":
            body = (f"u64 *mutant_old = ({c.args[1]}); const bool mutant_same = mutant_was == *mutant_old; "
                    f"if (mutant_same) atomic_store(mutant_at, {new}); else *mutant_old = mutant_was; mutant_same;")
        else:
            body = f"atomic_store(mutant_at, {new}); mutant_was;"
        yield Edit("split-rmw", c.start, c.end, "({ " + head + " " + body + " })" + (";" if c.statement else ""))
        if kind == "xchg" and c.statement:
            yield Edit("weaken-rmw", c.start, c.end, f"atomic_store({at}, {value});")


def _adjacent(s: Source) -> Iterator[tuple[Line, Line]]:
    for one, two in zip(s.lines, s.lines[1:]):
        if one.indent == two.indent and s.function(one.start) and not s.mask[one.end:two.start].strip() and s.text[one.end:two.start].count("\n") == 1:
            yield one, two


def _exchange(s: Source, operator: str, one: Line, two: Line) -> Edit:
    return Edit(operator, one.start, two.end, two.text + s.text[one.end:two.start] + one.text)


def _swap(s: Source) -> Iterator[Edit]:
    """Two neighbours, one of them atomic or a call that others can see, change places."""
    shared = re.compile(r".*\b(atomic_(?!load)|mach_(msr|cr3|dev)_write\w*|apic_|epoch_defer\(|object_unref\(|pd_drop\(|derive_(add|remove)\(|sched_send\(|clear\()")
    store = re.compile(r"[*\w>.\[\]()-]*(->|\.|\[|\*)[*\w>.\[\]()-]* [|&+-]?= ")
    for one, two in _adjacent(s):
        if one.declares or two.declares or s.private(one.start) or "lock_" in one.text + two.text or not (shared.match(one.text) or shared.match(two.text)):
            continue
        if all(shared.match(x.text) or store.match(x.text) for x in (one, two)):
            yield _exchange(s, "swap", one, two)


def _lock(s: Source) -> Iterator[Edit]:
    """The section begins a statement late, ends one early, or has a hole."""
    for one, two in _adjacent(s):
        if one.text.startswith("lock_take(") and not two.text.startswith("lock_"):
            yield _exchange(s, "take-late", one, two)
        if two.text.startswith("lock_drop(") and not one.text.startswith("lock_"):
            yield _exchange(s, "drop-early", one, two)
    for i, take in enumerate(s.lines):
        if not take.text.startswith("lock_take("):
            continue
        drop = take.text.replace("lock_take", "lock_drop")
        inside = []
        for line in s.lines[i + 1:]:
            if line.text == drop or s.function(line.start) != s.function(take.start):
                break
            inside.append(line)
        same = [line for line in inside[1:] if line.indent == take.indent]
        if same:
            middle = same[len(same) // 2]
            yield Edit("lock-hole", middle.start, middle.start, drop + " " + take.text + " ")


def _epoch(s: Source) -> Iterator[Edit]:
    for c in s.calls("epoch_defer"):
        if c.statement:
            yield Edit("skip-epoch", c.start, c.end, f"({c.args[1]})->release({c.args[0]}, {c.args[1]});")
            if c.args[2] != "0":
                yield Edit("skip-generation", c.start, c.end, f"epoch_defer({c.args[0]}, {c.args[1]}, 0);")


def _look(s: Source) -> Iterator[Edit]:
    """What was looked at again, behind a barrier or under a lock, is taken as it is hoped to be."""
    for match in re.finditer(r"const bool \w+ = ([^;]*\([^;]*);", s.mask):
        if s.function(match.start()):
            for value in ("false", "true"):
                yield Edit(f"look-{value}", match.start(1), match.end(1), value)


def _check(s: Source) -> Iterator[Edit]:
    """A check before an early end is dropped."""
    for match in re.finditer(r"\bif (\()", s.mask):
        end = s.closing(match.start(1))
        if s.function(match.start()) and re.match(r"\s+(return|break|continue)\b", s.mask[end:]):
            yield Edit("drop-check", match.start(1), end, "(0 && " + s.text[match.start(1):end] + ")")


def _bound(s: Source) -> Iterator[Edit]:
    """One turn of a loop more, or less where there was one more."""
    for match in re.finditer(r"\b(for|while) (\()", s.mask):
        end = s.closing(match.start(2))
        parts = [match.end(), end]
        if match.group(1) == "for":
            semicolons = [i for i in range(match.end(), end) if s.mask[i] == ";"]
            parts = semicolons[:2] if len(semicolons) >= 2 else parts
        found = re.search(r"(?<=[\w)\]] )(<=|<|>=|>)(?= )", s.mask[parts[0]:parts[1]])
        if found and s.function(match.start()):
            at, sign = parts[0] + found.start(), found.group()
            yield Edit("off-by-one", at, at + len(sign), sign[0] if sign.endswith("=") else sign + "=")


OPERATORS: tuple[Callable[[Source], Iterator[Edit]], ...] = (
    _drop("drop-fence", r"mach_fence|atomic_fence"), _flush, _plain, _split,
    _drop("drop-store", r"atomic_(?:store|store32|store_relaxed|xchg|or|and|add)"), _swap, _lock,
    _drop("drop-reference", r"object_ref|object_unref|pd_hold|pd_drop"), _drop("drop-ipi", "apic_ipi"),
    _drop("drop-wake", r"ec_wake|sched_wake|sched_ready|sched_send|wake_\w+"), _epoch, _look, _check, _bound)


def edits(source: Source) -> list[Edit]:
    """All edits of a source, in the order of the operators."""
    return [edit for operator in OPERATORS for edit in operator(source)]
