#!/usr/bin/python3
"""Seeds of the fuzz targets whose input is a trace: guests recorded in the process on both vendors, cut into pieces of a few exits: trace_seeds.py FOLDER."""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUESTS = {"guest-hello": 1, "guest-smp": 2, "guest-modes": 1}   # scenario, CPUs
PIECE, PIECES = 12, 8   # exits; of each recording, spread over it


def _call(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise RuntimeError(f"{words[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def stream(folder: Path) -> bytes:
    """A folder of CTF streams as one."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("cpu*")))


def _pieces(raw: Path, name: str, folder: Path) -> None:
    tool = ROOT / "build/orrery-trace"
    exits = max(json.loads(_call(tool, "stat", raw, "--json"))["by_vcpu"])
    for i in range(PIECES):
        first = i * max(exits - PIECE, 0) // (PIECES - 1)
        with tempfile.TemporaryDirectory() as scratch:
            _call(tool, "cut", raw, "--from", first, "--to", first + PIECE - 1, "-o", f"{scratch}/piece")
            (folder / f"{name}-{i}").write_bytes(stream(Path(scratch) / "piece"))


def write(folder: Path) -> None:
    """All seeds into folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for guest, cpus in GUESTS.items():
        for vendor in ("vmx", "svm"):
            with tempfile.TemporaryDirectory() as scratch:
                raw = Path(scratch) / "raw"
                _call(ROOT / "build/orrery-unicorn", "run", ROOT / f"build/bundle/{guest}.bundle", "--vendor", vendor, "--cpus", cpus, "--trace", raw)
                _pieces(raw, f"{guest}-{vendor}", folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
