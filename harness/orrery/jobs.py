"""Job lists of a search, and what their results are together.

Invariant: neither the list nor the sum depends on who runs the jobs, or how many at a time. What is reported is the first job of the list that fails
(or is stale); counts are sums over the jobs up to it. random and pct: intervals of run indexes. bounded: first PROBE_RUNS runs in one job, which ends
most small searches; then a job per prefix. dpor and straight: one job.
Not the same as in one process: `distinct` is a sum, so orders that two jobs meet count twice; `coverage` is an estimate of estimates.
"""
from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from . import job as worker
from .base import BadInput

INTERVAL = 5000        # runs of a job of random and pct
RUNS = 20000           # of random and pct, unless --runs says more or less
PROBE_RUNS = 2000
SPLIT = 8              # answers of a prefix
STATUS = {"clean": 0, "bug": 1, "stale": 2, "budget": 3}
_SUMS = ("runs", "complete", "blocked", "steps", "distinct")


@dataclass(frozen=True)
class Search:
    """One test under one strategy. options: for the explorer as they are. runs 0: the strategy's own."""

    binary: Path
    test: str
    strategy: str
    options: tuple[str, ...] = ()
    runs: int = 0
    first: int = 0


@dataclass(frozen=True)
class Job:
    """A call of the explorer. share: of the whole search, for the estimate of what is covered."""

    argv: tuple[str, ...]
    share: float = 1.0


@dataclass
class Pool(Protocol):
    """Who runs jobs: Local, or cluster.Cluster."""

    def run(self, binary: Path, jobs: list[Job], deadline: float | None, tell: Callable[[int, str], None]) -> Iterator[dict[str, Any]]:
        """The results of job.execute in the order of the list; when the caller asks for no more, the rest is stopped. tell(jobs done, words) while it goes on."""


class Local:
    """One job at a time, in this process's charge."""

    def run(self, binary: Path, jobs: list[Job], deadline: float | None, tell: Callable[[int, str], None]) -> Iterator[dict[str, Any]]:
        """See Pool."""
        wanted = worker.digest(str(binary))
        for done, one in enumerate(jobs):
            def stop(line: str) -> bool:
                tell(done, line)
                return deadline is not None and time.monotonic() >= deadline
            yield {"status": None} if deadline is not None and time.monotonic() >= deadline else worker.execute(str(binary), wanted, one.argv, stop)


def _argv(search: Search, *more: str) -> tuple[str, ...]:
    return ("run", search.test, "--strategy", search.strategy, *search.options, "--json", "--progress", *more)


def _intervals(search: Search) -> list[Job]:
    total = search.runs or RUNS
    return [Job(_argv(search, "--first", str(search.first + at), "--runs", str(min(INTERVAL, total - at)))) for at in range(0, total, INTERVAL)]


def _shares(prefixes: list[tuple[int, ...]]) -> list[float]:
    """Knuth's estimate: at each answer the alternatives have equal parts of what is below it."""
    children: dict[tuple[int, ...], set[int]] = {}
    for prefix in prefixes:
        for depth, answer in enumerate(prefix):
            children.setdefault(prefix[:depth], set()).add(answer)

    def share(prefix: tuple[int, ...]) -> float:
        part = 1.0
        for depth in range(len(prefix)):
            part /= len(children[prefix[:depth]])
        return part
    return [share(prefix) for prefix in prefixes]


def _prefixes(search: Search, runs: int) -> list[Job]:
    """runs 0: to the end; else they are shared out, and prefixes for which none is left get no job."""
    done = subprocess.run([str(search.binary), "run", search.test, "--strategy", search.strategy, *search.options, "--split", str(SPLIT)], capture_output=True, text=True)
    if done.returncode == STATUS["stale"]:
        raise BadInput(_words(done.stderr) or f"{search.test}: cannot be split")
    prefixes = [tuple(json.loads(line)["prefix"]) for line in done.stdout.splitlines()]
    jobs = []
    for index, (prefix, share) in enumerate(zip(prefixes, _shares(prefixes))):
        budget = runs // len(prefixes) + (index < runs % len(prefixes))
        if not runs or budget:
            jobs.append(Job(_argv(search, "--prefix", ",".join(map(str, prefix)), *(("--runs", str(budget)) if runs else ())), share))
    return jobs


def _words(text: str) -> str:
    """The last line of the explorer's stderr that is no progress."""
    lines = [line for line in text.splitlines() if line.startswith(("orrery-explore: ", "explore: "))]
    return lines[-1].partition(": ")[2] if lines else ""

_NOTHING = dict.fromkeys(("end", "rule", "message", "model", "seed", "bound", "reached", "store_buffer", "schedule", "hash"))   # of a search nobody began


@dataclass
class Merge:
    """The results of jobs, added in the order of the list."""

    search: Search
    jobs: int = 0
    first: dict[str, Any] = field(default_factory=dict)       # the result of the first job: what was asked
    decided: dict[str, Any] = field(default_factory=dict)     # of the one that ends the search
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0))
    points: list[int] = field(default_factory=list)
    reached: list[dict[str, int]] = field(default_factory=list)
    spent: bool = False                                       # a job of the last stage spent its budget, or there was no time for it
    covered: float | None = 0.0

    def stage(self) -> None:
        """What follows replaces what was searched before: it decides whether the search is complete."""
        self.spent, self.covered, self.reached = False, 0.0, []

    def add(self, one: Job, result: dict[str, Any]) -> bool:
        """True: the search has ended."""
        if "refused" in result:
            raise BadInput(result["refused"])
        if result["status"] is None:
            self.spent = True
            return True
        said = _parse(one, self.search, result)
        if said.get("end") == "crash":
            said = dict.fromkeys(self.first, None) | said
        self.first = self.first or said
        self.jobs += 1
        for key in _SUMS:
            self.sums[key] += said.get(key) or 0
        points = said.get("points") or {}
        self.points += [points[key] for key in ("min", "max") if points.get(key)]
        if said["status"] in ("bug", "stale"):
            self.decided = said
            return True
        if said["reached"]:
            self.reached.append(said["reached"])
        self.spent |= said["status"] == "budget"
        self._cover(said, one.share)
        return False

    def _cover(self, said: dict[str, Any], share: float) -> None:
        known = 1.0 if said["status"] == "clean" else said["coverage"]
        if self.search.strategy in ("random", "pct"):
            share = said["runs"]
        self.covered = None if known is None or self.covered is None else self.covered + share * known

    def result(self, seconds: float) -> dict[str, Any]:
        """As the explorer's JSON (docs/exploration.md), and jobs, rate."""
        status = self.decided.get("status") or ("budget" if self.spent else "clean")
        found = _NOTHING | self.first | self.decided | {"test": self.search.test, "strategy": self.search.strategy, "status": status, "first": self.search.first} | self.sums
        found["points"] = {"min": min(self.points, default=0), "max": max(self.points, default=0)}
        if not self.decided and self.reached:
            found["reached"] = {key: min(reached[key] for reached in self.reached) for key in self.reached[0]}
        covered = self.covered
        if covered is not None and self.search.strategy in ("random", "pct"):
            covered /= max(1, self.sums["runs"])
        found["coverage"] = round(covered, 6) if status == "budget" and covered is not None else None
        return found | {"jobs": self.jobs, "rate": round(self.sums["runs"] / seconds) if seconds > 0 else None}


def _parse(one: Job, search: Search, result: dict[str, Any]) -> dict[str, Any]:
    """The explorer's JSON; how it ended otherwise is a finding if it crashed, else bad input."""
    if result["status"] in STATUS.values():
        try:
            return json.loads(result["out"])
        except ValueError:
            raise BadInput(_words(result["err"]) or f"{search.test}: the explorer says nothing: {_line(search.binary, one)}") from None
    how = result.get("how") or (f"signal {-result['status']}" if result["status"] < 0 else f"exit status {result['status']}")
    return {"status": "bug", "end": "crash", "rule": None, "message": f"the explorer was ended by {how}: {_line(search.binary, one)}", "schedule": None, "hash": None,
            "seed": None, "model": None, "bound": None, "reached": None, "store_buffer": None}


def _line(binary: Path, one: Job) -> str:
    return f"{binary} {' '.join(arg for arg in one.argv if arg != '--progress')}"


def run(search: Search, pool: Pool, deadline: float | None = None, tell: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """All jobs of a search, merged. deadline: time.monotonic() at which it is over, with status budget."""
    start, merge = time.monotonic(), Merge(search)

    def stage(jobs: list[Job], what: str) -> bool:
        merge.stage()

        def show(done: int, line: str) -> None:
            runs, seconds = merge.sums["runs"], max(1e-3, time.monotonic() - start)
            share = merge.covered / max(1, runs) if merge.covered and what == "jobs" else merge.covered
            words = f"{done} of {len(jobs)} {what}, {runs} runs, {runs / seconds:.0f} a second" + (f", about {100 * share:.1f} % covered" if share else "")
            tell(f"{search.test}, {search.strategy}: " + (line if len(jobs) == 1 else words + (f"; now {line}" if line else "")))
        results = pool.run(search.binary, jobs, deadline, show)
        try:
            return any(merge.add(one, result) for one, result in zip(jobs, results))
        finally:
            results.close()   # type: ignore[attr-defined]

    if search.strategy in ("random", "pct"):
        stage(_intervals(search), "jobs")
    elif search.strategy == "bounded":
        probe = min(PROBE_RUNS, search.runs or PROBE_RUNS)
        ended = stage([Job(_argv(search, "--runs", str(probe)))], "jobs")
        left = search.runs - probe
        if not ended and merge.spent and (left > 0 or not search.runs):
            jobs = _prefixes(search, max(0, left))
            stage(jobs, "prefixes")
            merge.spent |= 0 < left < len(jobs)
    else:
        stage([Job(_argv(search, *(("--runs", str(search.runs)) if search.runs else ())))], "jobs")
    return merge.result(time.monotonic() - start)
