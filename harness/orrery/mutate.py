"""`orrery mutate`: does the suite find bugs? Each mutant of the kernel is built in a scratch tree and the suite runs against it.

Exit status: 0 every listed mutant and nine of ten generated ones are found (--patch: the patch is found), 1 not, 2 bad input (one line).
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from . import mutant_suite, mutants
from .base import ROOT, BadInput, make
from .mutant_suite import Finding, Suite
from .mutant_tree import TREES, Objects, Refused, Tree, stop_all
from .mutants import Mutant

DEFAULT_GENERATED = 60
EXAMPLE = """examples: ./orrery mutate                                 every listed mutant and 60 generated ones
          ./orrery mutate second-look-dropped --json
          ./orrery mutate --patch change.patch            is this change of kernel/ found?
exit status: 0 every listed mutant and nine of ten generated ones are found (--patch: it is found), 1 not, 2 bad input"""


def options(p: argparse.ArgumentParser) -> None:
    """The verb's options."""
    p.epilog = EXAMPLE
    p.add_argument("names", nargs="*", metavar="NAME", help="only these (names that --list shows)")
    p.add_argument("--listed", action="store_true", help="the listed ones only: tests/mutants/listed")
    p.add_argument("--generated", type=int, metavar="N", help=f"N generated ones only (default: {DEFAULT_GENERATED} beside the listed ones)")
    p.add_argument("--all", action="store_true", help="every generated one")
    p.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="J", help="mutants at a time (default: CPUs)")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.add_argument("--list", action="store_true", help="print names, files and lines, and run nothing")
    p.add_argument("--patch", type=Path, metavar="FILE", help="a patch of kernel/ instead, for -p1: 0 found, 1 survived, 2 it does not apply or build")


@dataclass
class Report:
    """What was run and what came out."""

    found: list[tuple[Mutant, Finding]] = field(default_factory=list)
    survivors: list[Mutant] = field(default_factory=list)
    equivalent: list[Mutant] = field(default_factory=list)
    same_code: int = 0           # generated ones that the compiler makes nothing different of, or cannot compile

    def count(self, kind: str) -> dict[str, int]:
        """{total, killed} of listed or generated."""
        killed = sum(m.kind == kind for m, _ in self.found)
        return {"total": killed + sum(m.kind == kind for m in self.survivors), "killed": killed}

    def ok(self) -> bool:
        """Every listed one, nine of ten generated ones."""
        listed, generated = self.count("listed"), self.count("generated")
        return listed["killed"] == listed["total"] and 10 * generated["killed"] >= 9 * generated["total"]

    def as_json(self) -> dict[str, object]:
        """The stable object that --json prints."""
        return {"listed": self.count("listed"), "generated": self.count("generated"),
                "survivors": [{"name": m.name, "patch": _shown(_patch_file(m)), "file": m.file, "line": m.line} for m in self.survivors],
                "killed": [{"name": m.name, "by": f.by, "finding": f.text} for m, f in self.found],
                "equivalent": [{"name": m.name, "reason": mutants.equivalent()[m.name]} for m in self.equivalent], "same_code": self.same_code}


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _patch_file(m: Mutant) -> Path:
    """Where the mutant's patch stands: that of a generated survivor is written for the reader."""
    if m.path:
        return m.path
    path = TREES / (m.name.replace(":", "_") + ".patch")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(m.text)
    return path


# ---- Which ones ----

def _viable(candidates: list[Mutant], count: int, report: Report) -> list[Mutant]:
    """The first `count` that change the code, each change once; those known to be equivalent go to the report."""
    found: list[Mutant] = []
    seen: set[tuple[str, bytes]] = set()
    with Objects(quiet=True) as objects:
        for m in candidates:
            if len(found) == count:
                break
            if m.name in mutants.equivalent():
                report.equivalent.append(m)
                continue
            code = objects.compile(m)
            if not code or (m.file, code) in seen:
                report.same_code += 1
                continue
            seen.add((m.file, code))
            found.append(m)
            _progress(f"{len(found)} of {count} generated mutants compiled")
    return found


def _named(names: list[str]) -> list[Mutant]:
    known = {m.name: m for m in [*mutants.listed(), *mutants.generated()]}
    for name in names:
        if name not in known:
            raise BadInput(f"no mutant is called '{name}'; ./orrery mutate --list shows all")
    return [known[name] for name in dict.fromkeys(names)]


def _selected(args: argparse.Namespace, report: Report) -> list[Mutant]:
    if args.names:
        return _named(args.names)
    some = args.generated is not None or args.all
    count = len(mutants.generated()) if args.all else DEFAULT_GENERATED if args.generated is None else args.generated
    listed = mutants.listed() if args.listed or not some else []
    return listed + (_viable(mutants.spread(mutants.generated()), count, report) if some or not args.listed else [])


# ---- Running them ----

_print_lock = threading.Lock()


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _line(m: Mutant, found: Finding | None, as_json: bool) -> None:
    with _print_lock:
        _progress("")
        if not as_json:
            print(f"{m.name}: " + (f"found by {found.by}: {found.text}" if found else f"SURVIVED ({m.file}:{m.line})"), flush=True)


def _try(m: Mutant, suite: Suite) -> Finding | None:
    with Tree(m.name, quiet=m.kind == "generated") as tree:
        return suite.find(m, tree)


def _run_all(chosen: list[Mutant], jobs: int, report: Report, as_json: bool) -> None:
    suite = Suite()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_try, m, suite): m for m in chosen}
        try:
            for done, future in enumerate(as_completed(futures), 1):   # lines as they come, the report in order
                m = futures[future]
                try:
                    _line(m, future.result(), as_json)
                except Refused as error:
                    raise BadInput(f"{m.path or m.name}: {error}") from None
                _progress(f"{done} of {len(chosen)} done")
            for future, m in futures.items():
                found = future.result()
                if found:
                    report.found.append((m, found))
                else:
                    report.survivors.append(m)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop_all()
            raise


def _prepare() -> None:
    """The checkout itself has to be built: its objects are what scratch trees begin with."""
    if not os.environ.get("ORRERY_NO_BUILD"):
        make(*mutant_suite.targets())


def _list(as_json: bool) -> int:
    every = [*mutants.listed(), *mutants.generated()]
    if as_json:
        print(json.dumps([{"name": m.name, "kind": m.kind, "file": m.file, "line": m.line, "equivalent": mutants.equivalent().get(m.name)} for m in every]))
    for m in every if not as_json else ():
        print(f"{m.name:48} {m.file}:{m.line}" + ("  equivalent" if m.name in mutants.equivalent() else ""))
    return 0


def _report(report: Report, as_json: bool) -> int:
    if as_json:
        print(json.dumps(report.as_json()))
        return 0 if report.ok() else 1
    for kind in ("listed", "generated"):
        count = report.count(kind)
        if count["total"]:
            print(f"{kind}: {count['killed']} of {count['total']} found")
    for m in report.survivors:
        print(f"survivor: {m.name}: {_shown(_patch_file(m))}")
    if report.equivalent or report.same_code:
        print(f"not counted: {len(report.equivalent)} known to be equivalent, {report.same_code} without other code")
    return 0 if report.ok() else 1


def _patch(m: Mutant, as_json: bool) -> int:
    report = Report()
    try:
        with Objects(quiet=False) as objects:
            unchanged = objects.unchanged(m)
    except Refused as error:
        raise BadInput(f"{m.path}: {error}") from None
    if unchanged:
        report.survivors.append(m)
        _line(m, None, as_json)
    else:
        _run_all([m], 1, report, as_json)
    if as_json:
        print(json.dumps(report.as_json()))
    return 0 if report.found else 1


def run(args: argparse.Namespace) -> int:
    """The verb."""
    if args.jobs < 1 or (args.generated is not None and args.generated < 1):
        raise BadInput("--jobs and --generated are 1 or more")
    if args.list:
        return _list(args.json)
    if args.patch and (args.names or args.listed or args.all or args.generated is not None):
        raise BadInput("--patch goes alone, with --json at most")
    patch = mutants.from_file(args.patch) if args.patch else None
    mutants.equivalent()   # an error in it comes before the work
    if args.names:
        _named(args.names)
    _prepare()
    if patch:
        return _patch(patch, args.json)
    report = Report()
    _run_all(_selected(args, report), args.jobs, report, args.json)
    return _report(report, args.json)
