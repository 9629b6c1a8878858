"""Shrink a trace: the fewest exits for which replay without the VMM still shows the same difference, or crashes in the same way.

Delta debugging (Zeller and Hildebrandt 2002) over the exits of all vCPUs: halves, then smaller and smaller parts are left out, each candidate cut anew and
replayed. The same means: the same place and field, whichever exit it is by then; or without a difference the same end.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from . import trace
from .base import ROOT, BadInput, Parser

Exit = tuple[int, int]   # vCPU, number
DIFFERENCE = re.compile(r"^exit \d+ vcpu \d+: (\w+: field \S+)", re.M)


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="orrery trace shrink", description=(__doc__ or "").split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter,
                epilog="example: ./orrery trace shrink build/recording --vendor svm -o small\n"
                       "exit status: 0 shrunk, 1 replay of the whole trace shows nothing, 2 bad input")
    p.add_argument("trace", type=Path, metavar="DIR")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder of the shrunk trace")
    p.add_argument("--vendor", choices=("vmx", "svm"), help="model to replay on (default: the recording's)")
    p.add_argument("--test", metavar="COMMAND", help="instead of replay: a command that fails, {} in it is the folder; it may print a difference as replay does")
    return p


def ranges(exits: Sequence[Exit]) -> str:
    """What `cut --exits` takes: 0:3-7,1:2."""
    found: list[list[int]] = []
    for vcpu, number in sorted(exits):
        if found and found[-1][0] == vcpu and found[-1][2] == number - 1:
            found[-1][2] = number
        else:
            found.append([vcpu, number, number])
    return ",".join(f"{vcpu}:{first}-{last}" if last > first else f"{vcpu}:{first}" for vcpu, first, last in found)


def minimal(items: list[Exit], shows: Callable[[list[Exit]], bool]) -> list[Exit]:
    """A part of items that shows it and no longer does if any one is left out."""
    parts = 2
    while len(items) > 1:
        size = (len(items) + parts - 1) // parts
        for start in range(0, len(items), size):
            rest = items[:start] + items[start + size:]
            if rest and shows(rest):
                items, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(2 * parts, len(items))
    return items


class Shrinker:
    """One trace and the command that judges candidates."""

    def __init__(self, folder: Path, scratch: Path, command: list[str], own: bool) -> None:
        self.folder, self.candidate, self.command, self.own = folder, scratch / "candidate", command, own
        self.replays, self.wanted = 0, ""

    def end(self, folder: Path) -> str:
        """How it ends: empty if well."""
        words = [word.replace("{}", str(folder)) for word in self.command]
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", env=os.environ | {"ORRERY_NO_BUILD": "1"})
        except OSError as error:
            raise BadInput(f"{words[0]}: {error.strerror}") from None
        self.replays += 1
        if self.own and done.returncode == 2:
            raise BadInput(done.stderr.strip().removeprefix("orrery: ") or "replay ended with status 2")
        if found := DIFFERENCE.search(done.stdout):
            return found.group(1)
        if done.returncode == 0:
            return ""
        said = (done.stdout + done.stderr).strip().splitlines()
        return f"status {done.returncode}: " + re.sub(r"\d[0-9a-fx]*", "#", said[-1] if said else "")

    def cut(self, exits: Sequence[Exit], folder: Path) -> None:
        trace.call("cut", str(self.folder), "--exits", ranges(exits), "-o", str(folder))

    def shows(self, exits: list[Exit]) -> bool:
        self.cut(exits, self.candidate)
        same = self.end(self.candidate) == self.wanted
        if sys.stderr.isatty():
            print(f"\r{self.replays} replays, {len(exits)} exits {'show it' if same else 'do not '}  ", end="", file=sys.stderr, flush=True)
        return same

    def run(self, output: Path) -> int:
        counts = json.loads(trace.call("stat", str(self.folder), "--json"))["by_vcpu"]
        exits = [(vcpu, number) for vcpu, count in enumerate(counts) for number in range(count)]
        self.wanted = self.end(self.folder)
        if not self.wanted:
            print(f"{self.folder}: replay shows no difference: nothing to shrink")
            return 1
        if not self.shows(exits):
            raise BadInput(f"{self.folder}: '{self.wanted}' is not seen again when all its exits are written anew")
        small = minimal(exits, self.shows)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        self.cut(small, output)
        print(f"{output}: {len(small)} of {len(exits)} exits ({ranges(small)}) show '{self.wanted}', after {self.replays} replays")
        print("again: " + shlex.join(word.replace("{}", str(output)).replace(f"{ROOT}/orrery", "./orrery") for word in self.command))
        return 0


def _judge(text: str) -> list[str]:
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"--test: {error}") from None
    if not any("{}" in word for word in command):
        raise BadInput("--test: {} for the folder is missing")
    return command


def _replay(folder: Path, vendor: str | None) -> list[str]:
    vendor = vendor or trace.environment(folder).get("vendor")
    if vendor not in ("vmx", "svm"):
        raise BadInput(f"{folder}: env says no vendor: --vendor is needed")
    return [str(ROOT / "orrery"), "replay", "{}", "--kernel-only", "--vendor", vendor]


def run(words: list[str]) -> int:
    args = parser().parse_args(words)
    trace.prepare()
    command = _judge(args.test) if args.test else _replay(args.trace, args.vendor)
    with tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        return Shrinker(args.trace, Path(scratch), command, not args.test).run(args.output)
