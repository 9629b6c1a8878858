"""Traces: saved, counted and shown by build/orrery-trace, which this calls."""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from .base import BUILD, BadInput, make

BINARY = BUILD / "orrery-trace"


def prepare() -> None:
    """Build orrery-trace, unless ORRERY_NO_BUILD says that it is there."""
    if not os.environ.get("ORRERY_NO_BUILD"):
        make(str(BINARY.relative_to(BUILD.parent)))


def call(*words: str) -> str:
    """The output of orrery-trace; BadInput with its one line."""
    done = subprocess.run([str(BINARY), *words], capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise BadInput(done.stderr.strip().removeprefix("orrery: ") or f"orrery-trace ended with status {done.returncode}")
    return done.stdout


def exits(path: Path) -> dict[str, int]:
    """Exits by reason of a trace that is whole; BadInput names the offset where it is not."""
    found = json.loads(call("stat", str(path), "--json"))
    if not found["whole"]:
        call("check", str(path))
    return {reason: row["exits"] for reason, row in found["by_reason"].items()}


def save(raw: Path, folder: Path, env: dict[str, object]) -> None:
    """Make a folder of what a machine wrote."""
    call("check", str(raw))
    folder.parent.mkdir(parents=True, exist_ok=True)
    call("save", str(raw), "-o", str(folder), *(word for key, value in env.items() for word in ("--env", f"{key}={value}")))


def environment(folder: Path) -> dict[str, str]:
    """What the metadata of a folder says of its making: scenario, machine, vendor, cpus, seed."""
    try:
        text = (folder / "metadata").read_text(errors="replace")
    except OSError as error:
        raise BadInput(f"{folder}: no recording: metadata: {error.strerror}") from None
    block = re.search(r"^env \{\n(.*?)^\};", text, re.M | re.S)
    rows = re.findall(r'^ *(\w+) = (?:"((?:\\.|[^"\\])*)"|(\d+));$', block.group(1) if block else "", re.M)
    return {key: number or re.sub(r"\\(.)", r"\1", string) for key, string, number in rows}


def through(words: list[str]) -> int:
    """orrery-trace itself, with this terminal; its exit status."""
    prepare()
    sys.stdout.flush()
    return subprocess.run([str(BINARY), *words]).returncode
