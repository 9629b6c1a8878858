"""`orrery explore`: a test's schedules, searched by one process or many; findings replayed. What each option means: docs/exploration.md.

Exit status: 0 clean, 1 a bug, 2 stale, nondeterministic or bad input (one line), 3 budget spent.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from . import explore_finding, jobs, mutants, seeded
from .base import ROOT, BadInput, make
from .cluster import Cluster
from .explore_finding import Files
from .mutant_suite import EXPLORER
from .mutant_tree import Refused, Tree

STRATEGIES = ("straight", "random", "pct", "bounded", "dpor")
JOBS_MAX = 256
EXAMPLE = """examples: ./orrery explore message                                 within the test's own bound, or without one where that ends
          ./orrery explore lost_wakeup --model tso --strategy pct --depth 2 --jobs 2
          ./orrery explore --replay build/findings/FILE.schedule --gdb-at 12
          ./orrery explore --all --budget 600                      every test: straight, pct, then its bound
exit status: 0 clean, 1 a bug, 2 stale, nondeterministic or bad input, 3 budget spent"""


def _number(low: int, high: int) -> Any:
    def read(text: str) -> int:
        try:
            value = int(text, 0)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not in {low} .. {high}")
        return value
    return read


def options(p: argparse.ArgumentParser) -> None:
    """The verb's options."""
    p.epilog = EXAMPLE
    p.add_argument("test", nargs="?", metavar="TEST", help="a name that --list shows")
    for name, text in (("list", "the tests there are"), ("all", "every test: straight, pct, then bounded (dpor where a test is small enough)"),
                       ("selftest", "does the explorer find what is known to be there? All seeded bugs, or --mutant")):
        p.add_argument(f"--{name}", action="store_true", help=text)
    p.add_argument("--replay", type=Path, metavar="FILE", help="make the run of a schedule file again")
    p.add_argument("--strategy", choices=STRATEGIES, help="default: dpor where the test is small enough and no bound is given, else bounded")
    for name, letter in (("preemptions", "P"), ("delays", "D"), ("faults", "F")):
        p.add_argument(f"--{name}", type=_number(0, 255), metavar=letter, help=f"bound of {name} (default: the test's)")
    p.add_argument("--runs", type=_number(1, 1 << 53), metavar="N", help=f"at most so many (default: random and pct {jobs.RUNS}, else no limit)")
    p.add_argument("--seed", type=_number(0, (1 << 53) - 1), metavar="S", help="random, pct, --mode continue (default: 1)")
    p.add_argument("--depth", type=_number(1, 9), metavar="D", help="pct: changes of priority and one (default: 3)")
    p.add_argument("--model", choices=("sc", "tso"), help="without or with store buffers (default: the test's)")
    p.add_argument("--mutant", metavar="NAME", help="a changed kernel, which ./orrery mutate --list names; a schedule file says itself which it needs")
    p.add_argument("--mode", choices=("strict", "tolerant", "continue"), help="replay: the same run, the code has changed since, or its neighbours (default: strict)")
    p.add_argument("--gdb-at", type=_number(0, (1 << 32) - 2), metavar="STEP", help="replay: a debugger, stopped before this step")
    p.add_argument("--budget", type=_number(1, 1 << 31), metavar="SECONDS", help="stop after so long, with status 3")
    p.add_argument("--jobs", type=_number(1, JOBS_MAX), metavar="J", help="processes (default: 1); more than one need python3-distributed")
    p.add_argument("--scheduler", default="local", metavar="tcp://HOST:PORT|local", help="a Dask scheduler whose workers do it")
    p.add_argument("-o", dest="schedule", type=Path, metavar="SCHEDULE", help="schedule file of a finding (default: build/findings/TEST-HASH.schedule)")
    p.add_argument("--report", type=Path, metavar="FILE.html", help="page of a finding (default: build/findings/TEST-HASH.html)")
    p.add_argument("--events", type=Path, metavar="FILE", help="events file of a finding")
    p.add_argument("--json", action="store_true", help="a line of JSON per search instead of text")


# ---- What makes no sense together ----

_SEARCH = ("strategy", "preemptions", "delays", "faults", "depth", "model")
_KINDS = {"list": ("json",), "selftest": ("json", "mutant"),
          "replay": ("runs", "seed", "mode", "gdb_at", "mutant", "report", "events", "schedule", "json"),
          "all": ("runs", "seed", "depth", "model", "mutant", "budget", "jobs", "json"),
          "test": (*_SEARCH, "runs", "seed", "mutant", "budget", "jobs", "report", "events", "schedule", "json")}
_OF_STRATEGY = {"preemptions": ("bounded",), "delays": ("bounded",), "faults": ("bounded", "random", "pct"), "depth": ("pct",), "seed": ("random", "pct")}


def _option(name: str) -> str:
    return "-o" if name == "schedule" else "--" + name.replace("_", "-")


def _kind(args: argparse.Namespace) -> str:
    """What is asked for: one of _KINDS; BadInput if options do not go together."""
    kinds = [kind for kind in _KINDS if getattr(args, kind)]
    if len(kinds) != 1:
        raise BadInput("explore: one of TEST, --list, --all, --selftest and --replay FILE" + (f", not {' and '.join(kinds)}" if kinds else ""))
    for name in {name for names in _KINDS.values() for name in names} - set(_KINDS[kinds[0]]):
        if getattr(args, name) not in (None, False):
            raise BadInput(f"explore: {_option(name)} does not go with " + ("a test" if kinds[0] == "test" else f"--{kinds[0]}"))
    if args.scheduler != "local" and ("jobs" not in _KINDS[kinds[0]] or not args.scheduler.startswith(("tcp://", "tls://"))):
        raise BadInput(f"explore: --scheduler {args.scheduler}: takes local or tcp://HOST:PORT, where something is searched")
    if kinds[0] == "replay" and args.mode != "continue" and (args.runs or args.seed is not None):
        raise BadInput("explore: --runs and --seed are of --mode continue here")
    if args.gdb_at is not None and (args.json or args.mode == "continue"):
        raise BadInput("explore: --gdb-at goes with --mode strict or tolerant, without --json")
    return kinds[0]


# ---- The explorer ----

def _mutant(name: str) -> mutants.Mutant:
    for one in mutants.listed():
        if one.name == name:
            return one
    for one in mutants.generated():
        if one.name == name:
            return one
    raise BadInput(f"no mutant is called '{name}'; ./orrery mutate --list shows all")


@contextmanager
def explorer(mutant: str | None) -> Iterator[Path]:
    """The binary, built; that of a mutant stands in a scratch tree, which goes at the end."""
    if mutant in (None, "-"):
        own = os.environ.get("ORRERY_EXPLORER")   # another one, by its path
        if not own and not os.environ.get("ORRERY_NO_BUILD"):
            make(EXPLORER)
        yield Path(own or ROOT / EXPLORER)
        return
    chosen = _mutant(mutant)
    with Tree(f"explore-{chosen.name}", quiet=chosen.kind == "generated") as tree:
        try:
            tree.apply(chosen)
            tree.explored(chosen.name)
            tree.build(EXPLORER)
        except Refused as error:
            raise BadInput(f"{chosen.path or chosen.name}: {error}") from None
        yield tree.path / EXPLORER


def tests(binary: Path) -> list[dict[str, Any]]:
    """What `list --json` says."""
    done = subprocess.run([str(binary), "list", "--json"], capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"{binary}: list: exit status {done.returncode}")
    return json.loads(done.stdout)


def search_of(binary: Path, test: dict[str, Any], strategy: str, **more: Any) -> jobs.Search:
    """A search of a test; more: options by their names, None where not given."""
    given = [(name, more.get(name)) for name in ("preemptions", "delays", "faults", "seed", "depth", "model")]
    flags = [word for name, value in given if value is not None and strategy in _OF_STRATEGY.get(name, (strategy,)) for word in (f"--{name}", str(value))]
    return jobs.Search(binary, test["test"], strategy, tuple(flags), more.get("runs") or 0)


def whole(binary: Path, known: list[dict[str, Any]], **more: Any) -> list[jobs.Search]:
    """Every test, cheapest strategy first."""
    return [search_of(binary, test, strategy or ("dpor" if test["unbounded"] else "bounded"), **more) for strategy in ("straight", "pct", None) for test in known]


def _searches(args: argparse.Namespace, binary: Path) -> list[jobs.Search]:
    known, more = tests(binary), {name: getattr(args, name) for name in (*_SEARCH[1:], "seed", "runs")}
    if args.all:
        return whole(binary, known, **more)
    named = [test for test in known if test["test"] == args.test]
    if not named:
        raise BadInput(f"explore: no test is called '{args.test}'; ./orrery explore --list shows all")
    bounded = any(getattr(args, name) is not None for name in ("preemptions", "delays", "faults"))
    strategy = args.strategy or ("dpor" if named[0]["unbounded"] and not bounded else "bounded")
    for name, of in _OF_STRATEGY.items():
        if getattr(args, name) is not None and strategy not in of:
            raise BadInput(f"explore: {_option(name)} is no option of {strategy}")
    return [search_of(binary, named[0], strategy, **more)]


# ---- The verb ----

def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _status(found: list[dict[str, Any]], asked: int, every: bool) -> int:
    """A bug before what is stale, that before a budget. Of a whole exploration straight and pct runs are no complete searches, and need not be."""
    seen = {one["status"] for one in found if not (every and one["strategy"] == "pct" and one["status"] == "budget")}
    for name in ("bug", "stale", "budget"):
        if name in seen:
            return jobs.STATUS[name]
    return jobs.STATUS["clean"] if len(found) == asked else jobs.STATUS["budget"]


def _search(args: argparse.Namespace) -> int:
    deadline = time.monotonic() + args.budget if args.budget else None
    with ExitStack() as stack:
        binary = stack.enter_context(explorer(args.mutant))
        wanted = _searches(args, binary)
        alone = (args.jobs or 1) == 1 and args.scheduler == "local"
        pool: jobs.Pool = jobs.Local() if alone else stack.enter_context(Cluster(args.jobs or 1, None if args.scheduler == "local" else args.scheduler))
        found = []
        for search in wanted:
            if deadline and time.monotonic() >= deadline and found:
                break
            found.append(jobs.run(search, pool, deadline, _tell))
            _tell("")
            _show(binary, found[-1], args)
    return _status(found, len(wanted), args.all)


def _show(binary: Path, found: dict[str, Any], args: argparse.Namespace) -> None:
    bug = found["status"] == "bug"
    text = explore_finding.save(binary, found, Files(args.schedule, args.report, args.events)) if bug else explore_finding.headline(found) + "\n"
    print(json.dumps(found) if args.json else text, end="\n" if args.json else "", flush=True)


def _schedule_mutant(path: Path) -> str:
    """The kernel a schedule file needs; whether it is one at all the explorer finds out."""
    with path.open("rb") as stream:
        head = stream.read(4096).decode(errors="replace").split("\n\n")[0]
    return next((line.split()[1] for line in head.splitlines() if line.startswith("mutant ") and len(line.split()) == 2), "-")


def _replay(args: argparse.Namespace) -> int:
    with explorer(args.mutant or _schedule_mutant(args.replay)) as binary, tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        if args.gdb_at is not None:
            return explore_finding.debug(binary, args.replay, args.mode or "strict", args.gdb_at)
        events = Path(scratch) / "events.json"
        argv = ["replay", str(args.replay), "--mode", args.mode or "strict", "--events", str(events), "--json"]
        argv += [word for name in ("runs", "seed") if getattr(args, name) is not None for word in (f"--{name}", str(getattr(args, name)))]
        done = subprocess.run([str(binary), *argv], capture_output=True, text=True, errors="replace")
        if not done.stdout:
            raise BadInput((done.stderr.strip().splitlines() or [f"the explorer ended with status {done.returncode}"])[-1].removeprefix("orrery-explore: "))
        found = json.loads(done.stdout)
        text = explore_finding.headline(found) + "\n"
        if events.is_file():
            again = f"./orrery explore --replay {explore_finding.shown(args.replay)}" + (f" --mode {args.mode}" if args.mode else "")
            text = explore_finding.render(explore_finding.finding.load(events), found, again, Files(events=args.events), args.report)
        if args.schedule and found["schedule"]:
            args.schedule.write_text(found["schedule"])
        print(json.dumps(found) if args.json else text, end="\n" if args.json else "")
        return done.returncode


def _gates(binary: Path, mutant: str | None) -> Iterator[dict[str, Any]]:
    """The explorer's own first: if one of them is broken the others say nothing. With a mutant only that one's."""
    own: list[dict[str, Any]] = []
    if not mutant:
        done = subprocess.run([str(binary), "selftest", "--json"], capture_output=True, text=True, errors="replace")
        try:
            own = json.loads(done.stdout)
        except ValueError:
            raise BadInput(f"{binary}: selftest: exit status {done.returncode}") from None
    yield from own
    if all(row["good"] for row in own):
        yield from ({"gate": gate.name, "good": gate.good, "wanted": gate.wanted, "got": gate.got} for gate in seeded.gates(binary, mutant))


def _selftest(args: argparse.Namespace) -> int:
    if args.mutant and args.mutant not in [one.name for one in mutants.listed()]:
        raise BadInput(f"explore: --selftest: no listed mutant is called '{args.mutant}'; they are in tests/mutants/listed")
    with explorer(None) as binary:
        rows = []
        for row in _gates(binary, args.mutant):
            rows.append(row)
            if not args.json:
                print(f"{'good' if row['good'] else 'BROKEN':6} {row['gate']:48} wanted {row['wanted']}, got {row['got']}", flush=True)
    broken = sum(not row["good"] for row in rows)
    print(json.dumps(rows) if args.json else f"{len(rows)} gates, {broken} broken")
    return 1 if broken or not rows else 0


def run(args: argparse.Namespace) -> int:
    """The verb."""
    kind = _kind(args)
    if kind == "replay":
        return _replay(args)
    if kind in ("test", "all"):
        return _search(args)
    if kind == "selftest":
        return _selftest(args)
    with explorer(None) as binary:
        sys.stdout.flush()
        return subprocess.run([str(binary), "list", *(["--json"] if args.json else [])]).returncode
