"""What finds mutants, cheapest first: worlds, unit tests, scenarios, worlds explored for longer. The first finding ends it.

A check that fails on the unchanged kernel too finds nothing: it is tried there before it is believed, once.
Not handled: a check that fails by chance; there is none, all of them are deterministic.
"""
from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import Iterator

from . import manifest
from .base import ROOT, BadInput
from .mutant_tree import Done, Tree, run
from .mutants import Mutant

MUTANT_SECONDS = 600         # all of the suite, the build too
HANG_SECONDS = 30            # CPU time of a unit test group; all of them together take two
EXPLORER = "build/explore/orrery-explore"
UNIT = "build/plain/unit"
MACHINE = "build/orrery-unicorn"
SHORT = (["--strategy", "straight"], ["--strategy", "random", "--runs", "300"])
GROUP = re.compile(r'^(?:\w+_(?:GROUP|TABLE)\(|static struct unit_group \w+ = \{ ")(\w+)', re.M)
OWN_RUNS, OTHER_RUNS = 20000, 2000   # of the worlds named in the patch, of the others: together about two minutes


def _long(runs: int) -> tuple[list[str], ...]:
    return (["--strategy", "bounded", "--preemptions", "2", "--delays", "1", "--runs", str(2 * runs)], ["--strategy", "pct", "--depth", "3", "--runs", str(runs)])


@dataclass(frozen=True)
class Check:
    """One command, relative to a tree. by: what it is called in a report."""

    by: str
    target: str              # what has to be built for it
    argv: tuple[str, ...]
    cpu_seconds: int
    machine: bool = False    # a scenario: ./orrery of the checkout runs the tree's machine


@dataclass(frozen=True)
class Finding:
    """What found a mutant, and what it said."""

    by: str
    text: str


def explorer_exists() -> bool:
    """Is there a rule for it?"""
    return subprocess.run(["make", "-n", EXPLORER], cwd=ROOT, capture_output=True).returncode == 0


def targets() -> list[str]:
    """What the suite needs of the checkout itself."""
    return [UNIT, MACHINE, "user", *([EXPLORER] if explorer_exists() else [])]


# ---- The checks ----

@cache
def _world_names() -> list[str]:
    if not explorer_exists():
        return []
    if not (ROOT / EXPLORER).is_file():
        raise BadInput(f"{EXPLORER} is not built")
    done = subprocess.run([str(ROOT / EXPLORER), "list", "--json"], capture_output=True, text=True)
    try:
        return [row["test"] if isinstance(row, dict) else row for row in json.loads(done.stdout)]
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{EXPLORER} list --json: no list of tests: {_last(done.stdout + done.stderr)}") from None


def _worlds(names: list[str], ways: tuple[list[str], ...], cpu_seconds: int) -> Iterator[Check]:
    for way in ways:
        for name in names:
            yield Check(f"world {name}, {way[1]}", EXPLORER, (EXPLORER, "run", name, *way, "--json"), cpu_seconds)


def _groups() -> dict[str, list[str]]:
    """The groups of unit tests, by the file they stand in, by whatever macro."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("*_test.c")):
        found.setdefault(path.stem, []).extend(GROUP.findall(path.read_text()))
    return found


def _units(mutant: Mutant) -> Iterator[Check]:
    """The groups of the mutated file first. The runner takes a part of a name: what ran with another is not run again."""
    groups = _groups()
    every = [name for names in groups.values() for name in names]
    near = [name for stem in mutant.stems() for file, names in groups.items() if file.startswith(stem) for name in names]
    ran: set[str] = set()
    for name in [*near, *every]:
        if name not in ran:
            ran.update(other for other in every if name in other)
            yield Check(f"unit {name}", UNIT, (UNIT, name), HANG_SECONDS)


def _scenarios() -> Iterator[Check]:
    for name in manifest.names():
        m = manifest.load(name)
        for vendor in ("vmx", "svm") if "sim" in m.machines else ():
            yield Check(f"scenario {name} {vendor}", MACHINE, (str(ROOT / "orrery"), "run", name, "--vendor", vendor), 60 + int(m.seconds), machine=True)


def checks(mutant: Mutant) -> Iterator[Check]:
    """All of the suite, in order."""
    every = _world_names()
    unknown = [name for name in mutant.worlds() if every and name not in every]
    if unknown:
        raise BadInput(f"{mutant.path}: no world is called '{unknown[0]}'")
    first = [name for name in every if name in mutant.worlds()]
    rest = [name for name in every if name not in first]
    for names in (first, rest):
        yield from _worlds(names, SHORT, HANG_SECONDS)
    yield from _units(mutant)
    yield from _scenarios()
    for names, runs in ((first, OWN_RUNS), (rest, OTHER_RUNS)):
        yield from _worlds(names, _long(runs), MUTANT_SECONDS)


# ---- What a check says ----

def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.M)
    return match.group(1).strip() if match else ""


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _after(text: str) -> str:
    return f": {text}" if text else ""


def judge(check: Check, done: Done) -> str:
    """The finding's text; empty: nothing was found."""
    if done.hung:
        return "hang: stopped at a limit of time or output"
    if done.status < 0:
        return f"crash: signal {-done.status}" + _after(_last(done.output))
    if not done.status:
        return ""
    if check.target == EXPLORER:
        if done.status != 1:
            return "" if done.status == 3 else f"crash: exit status {done.status}" if done.status > 3 else "not explored: exit status 2"
        try:
            said = json.loads(done.output.strip().splitlines()[-1])
            rule, message = said["rule"], str(said["message"])
            return message if not rule or str(rule) in message else f"{rule}: {message}"
        except (ValueError, KeyError, IndexError, TypeError):
            return _last(done.output) or "a bug"
    if check.machine:
        return _first(r"finding: (.*)$", done.output) or _first(r": FAILED: (.*)$", done.output) or _last(done.output)
    test = _first(r"^\[  (?:FAILED |ERROR  ) \] (\w+)\s*$", done.output)
    where = _first(r"^\[   LINE   \] --- (\S+:\d+)", done.output)
    return (test or f"exit status {done.status}") + (f" ({where})" if where else "")


class Suite:
    """Runs the checks; remembers which the unchanged kernel passes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._good: set[str] = set()

    @staticmethod
    def _run(check: Check, tree: Tree | None, seconds: float) -> Done:
        root = tree.path if tree else ROOT
        argv = list(check.argv) if check.machine else [str(root / check.argv[0]), *check.argv[1:]]
        env = {"ORRERY_NO_BUILD": "1", "ORRERY_SIM": str(root / MACHINE)} if check.machine else None
        return run(argv, root, seconds, check.cpu_seconds, env)

    def _confirm(self, check: Check) -> None:
        """The unchanged kernel passes it, or it says nothing about mutants."""
        with self._lock:
            if check.by in self._good:
                return
            said = judge(check, self._run(check, None, MUTANT_SECONDS))
            if said:
                raise BadInput(f"the unchanged kernel fails {check.by}: {said}")
            self._good.add(check.by)

    def find(self, mutant: Mutant, tree: Tree) -> Finding | None:
        """The first finding; None: the mutant survives. mutant_tree.Refused: there is no such kernel."""
        end = time.monotonic() + MUTANT_SECONDS
        tree.apply(mutant)
        for check in checks(mutant):
            tree.build(check.target, seconds=max(1.0, end - time.monotonic()))
            left = end - time.monotonic()
            if left <= 0:
                return None
            done = self._run(check, tree, min(left, 4 * check.cpu_seconds))
            if done.hung and time.monotonic() >= end:
                return None   # the suite's limit, not the check's
            text = judge(check, done)
            if text:
                self._confirm(check)
                return Finding(check.by, text)
        return None
