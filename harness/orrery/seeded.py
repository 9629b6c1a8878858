"""The gates of the seeded bugs, for `orrery explore --selftest`: each is found by PCT within 20,000 runs of depth 3 at most, by bounded search at its least
bound and not one below, where the unchanged kernel is clean; its schedule has no more decisions than the bound allows and one, and still shows the bug
after an edit of the kernel that has nothing to do with it (tests/mutants/unrelated.patch).
"""
from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import mutants
from .base import BadInput
from .mutant_suite import EXPLORER
from .mutant_tree import Refused, Tree

UNRELATED = mutants.MUTANTS / "unrelated.patch"
PCT_RUNS = 20000


@dataclass(frozen=True)
class Gate:
    """One line of the table."""

    name: str
    good: bool
    wanted: str
    got: str


@dataclass(frozen=True)
class Bound:
    preemptions: int
    delays: int

    def flags(self) -> tuple[str, ...]:
        return "--strategy", "bounded", "--preemptions", str(self.preemptions), "--delays", str(self.delays), "--model", "tso"

    def below(self) -> list[Bound]:
        less = [Bound(self.preemptions - 1, self.delays), Bound(self.preemptions, self.delays - 1)]
        return [b for b in less if b.preemptions >= 0 and b.delays >= 0]

    def __str__(self) -> str:
        return f"{self.preemptions}/{self.delays}"


def explore(binary: Path, *argv: str) -> tuple[int, dict[str, object]]:
    """(exit status, the line of JSON)."""
    done = subprocess.run([str(binary), *argv, "--json"], capture_output=True, text=True, errors="replace")
    try:
        return done.returncode, json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise BadInput(f"{binary.name} {' '.join(argv)}: exit status {done.returncode}: {done.stderr.strip()[-200:]}") from None


def said(status: int, result: dict[str, object]) -> str:
    return f"{('clean', 'found', 'stale', 'budget')[status] if status in range(4) else status}, {result.get('runs')} runs"


def decisions(schedule: str) -> int:
    return len(re.findall(r"^step \d+:", schedule, re.M))


def by_pct(binary: Path, mutant: mutants.Mutant) -> Gate:
    status, result = 0, {}
    for world in mutant.worlds():
        for depth in ("3", "2"):
            status, result = explore(binary, "run", world, "--strategy", "pct", "--depth", depth, "--runs", str(PCT_RUNS), "--model", "tso")
            if status == 1:
                return Gate(f"{mutant.name}: pct", True, f"found within {PCT_RUNS} runs", f"{said(status, result)}, {world}, depth {depth}")
    return Gate(f"{mutant.name}: pct", False, f"found within {PCT_RUNS} runs", said(status, result))


def by_bound(binary: Path, clean: Path, mutant: mutants.Mutant, bound: Bound, schedule: Path) -> Iterator[Gate]:
    world = mutant.worlds()[0]
    status, result = explore(binary, "run", world, *bound.flags(), "-o", str(schedule))
    yield Gate(f"{mutant.name}: bound {bound}", status == 1, "found", said(status, result))
    if status == 1:
        most, count = bound.preemptions + bound.delays + 1, decisions(schedule.read_text())
        yield Gate(f"{mutant.name}: minimised", count <= most, f"at most {most} decisions", str(count))
    for less in bound.below():
        status, result = explore(binary, "run", world, *less.flags())
        yield Gate(f"{mutant.name}: bound {less}", status == 0, "not found", said(status, result))
    status, result = explore(clean, "run", world, *bound.flags())
    yield Gate(f"{mutant.name}: unchanged kernel at {bound}", status == 0, "clean", said(status, result))


def bound_of(mutant: mutants.Mutant) -> Bound | None:
    try:
        return Bound(int(mutant.header["preemptions"]), int(mutant.header["delays"])) if mutant.worlds() else None
    except ValueError:
        return None


def gates(clean: Path, only: str | None = None) -> Iterator[Gate]:
    """Every gate of every listed mutant (or of one); clean: the explorer of the unchanged kernel, built."""
    for mutant in mutants.listed():
        if only and mutant.name != only:
            continue
        bound = bound_of(mutant)
        unbounded = mutant.header["preemptions"] == "-"   # tests/mutants/README.md says why
        if unbounded and not mutant.worlds():
            continue
        if not bound and not unbounded:
            yield Gate(f"{mutant.name}: pinned", False, "its worlds and its least bound in its header", "none")
            continue
        with Tree(f"seeded-{mutant.name}", quiet=False) as tree, tempfile.TemporaryDirectory() as scratch:
            schedule = Path(scratch) / "finding.schedule"
            try:
                tree.apply(mutant)
                tree.explored(mutant.name)
                tree.build(EXPLORER)
                yield by_pct(tree.path / EXPLORER, mutant)
                if bound:
                    yield from by_bound(tree.path / EXPLORER, clean, mutant, bound, schedule)
                if schedule.is_file():
                    tree.apply(mutants.from_file(UNRELATED))
                    tree.rebuild(EXPLORER)
                    status, _ = explore(tree.path / EXPLORER, "replay", str(schedule), "--mode", "tolerant")
                    yield Gate(f"{mutant.name}: replay after an unrelated edit", status == 1, "the finding", ("clean", "the finding", "stale")[min(status, 2)])
            except Refused as error:
                yield Gate(f"{mutant.name}: builds", False, "a kernel", str(error))
