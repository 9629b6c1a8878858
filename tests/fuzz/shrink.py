#!/usr/bin/python3
"""A trace that crashes a fuzz target becomes one of few exits that crashes it in the same way, kept for good: tests/fuzz/run.py replays it each time.

usage: tests/fuzz/shrink.py TARGET INPUT NAME
example: tests/fuzz/shrink.py replay_fuzz build/fuzzers/crash-0123 string-io-without-size
writes tests/fuzz/regressions/TARGET/NAME; exit status 0 written, 1 INPUT does not crash TARGET, 2 bad input
"""
from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/fuzz"))
from trace_seeds import stream  # noqa: E402

SAYS = re.compile(r"^\w+_fuzz: .*|.*runtime error: .*|SUMMARY: AddressSanitizer: .*", re.M)


def judge(target: str, folder: Path) -> int:
    """Does it crash? One line says how."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(stream(folder) if folder.is_dir() else folder.read_bytes())
        file.flush()
        done = subprocess.run([str(ROOT / "build/fuzzers" / target), file.name], capture_output=True, text=True, errors="replace")
    if done.returncode:
        found = SAYS.search(done.stderr)
        print(found.group() if found else f"status {done.returncode}")
    return 1 if done.returncode else 0


def main(words: list[str]) -> int:
    """The command."""
    if len(words) == 3 and words[0] == "--judge":
        return judge(words[1], Path(words[2]))
    if len(words) != 3 or not (ROOT / "build/fuzzers" / words[0]).is_file() or not Path(words[1]).is_file():
        print(__doc__, file=sys.stderr)
        return 2
    target, data, name = words
    with tempfile.TemporaryDirectory() as scratch:
        small = Path(scratch) / "small"
        done = subprocess.run([str(ROOT / "orrery"), "trace", "shrink", data, "-o", str(small), "--test", f"{Path(__file__).resolve()} --judge {target} {{}}"],
                              stdout=subprocess.PIPE, text=True)
        print(done.stdout.partition("\n")[0])
        if done.returncode:
            return done.returncode
        out = ROOT / "tests/fuzz/regressions" / target / name
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(stream(small))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
