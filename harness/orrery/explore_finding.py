"""What a finding leaves behind: a schedule file, a page, the text report, and the one line that replays it."""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import finding, report, sites
from .base import BUILD, ROOT, BadInput

FINDINGS = BUILD / "findings"


@dataclass(frozen=True)
class Files:
    """Where things are to be written; None: below build/findings, events: not at all."""

    schedule: Path | None = None
    page: Path | None = None
    events: Path | None = None


def shown(path: Path) -> str:
    """As a user of the checkout would write it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="replace")


def headline(found: dict[str, Any]) -> str:
    """One line on how a search went."""
    words = f"{found['test']}: {found['status']}"
    if found["status"] == "bug":
        words += f": {found['end']}: {finding.harmless(found['message'] or '')}"
    elif found["message"]:
        words += f": {finding.harmless(found['message'])}"
    bound = found["bound"] or {}
    within = f" within {bound['preemptions']} preemptions, {bound['delays']} delays, {bound['faults']} faults" if bound else ""
    buffers = "" if not found["store_buffer"] else f", store buffer of {found['store_buffer']}"
    covered = f", about {100 * found['coverage']:.1f} % covered" if found["coverage"] is not None else ""
    return (f"{words} ({found['strategy']}{within}, model {found['model'] or 'unknown'}{buffers}; {found['runs']} runs in {found.get('jobs', 1)} "
            f"job{'s' if found.get('jobs', 1) != 1 else ''}, {found['blocked']} cut{covered})")


def events_of(binary: Path, schedule: Path) -> dict[str, Any] | None:
    """The events of the run that a schedule file makes; None: it does not make it."""
    with tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        path = Path(scratch) / "events.json"
        subprocess.run([str(binary), "replay", str(schedule), "--events", str(path), "--json"], capture_output=True)
        return finding.load(path) if path.is_file() else None


def save(binary: Path, found: dict[str, Any], files: Files) -> str:
    """Write the files of a finding; the text for a terminal."""
    if not found["schedule"]:
        return headline(found) + "\n"
    name = re.sub(r"[^\w.-]", "_", f"{found['test']}-{found['hash']}")
    schedule = files.schedule or FINDINGS / f"{name}.schedule"
    _write(schedule, found["schedule"])
    again = f"./orrery explore --replay {shown(schedule)}"
    events = events_of(binary, schedule)
    if not events:
        return f"{headline(found)}\nschedule: {shown(schedule)}\nagain: {again}\nThe schedule does not make the same run twice: something of the test is not put back.\n"
    return render(events, found, again, files, files.page or FINDINGS / f"{name}.html") + f"schedule: {shown(schedule)}\nagain: {again}\n"


def render(events: dict[str, Any], found: dict[str, Any], again: str, files: Files, page: Path | None) -> str:
    """The report of an events file, which gets the numbers of the whole search; writes page and events file if asked."""
    sites.fill(events)
    for row in events["events"]:
        row["file"] = row["file"] and re.sub(r"^build/mutants/[^/]+/", "", row["file"])   # the file that the patch changes
    events["command"], events["bound"] = again, found["bound"]
    events["stats"] = {key: found[key] for key in ("strategy", "model", "seed", "runs", "complete", "blocked", "steps", "distinct", "points", "coverage", "store_buffer")}
    events["stats"]["rate"] = found.get("rate")
    if files.events:
        _write(files.events, json.dumps(events) + "\n")
    try:
        text = report.text(events)
        if page:
            _write(page, report.html(events))
    except BadInput as error:
        return f"{headline(found)}\nno report: {error}\n"
    return text + (f"page: {shown(page)}\n" if page else "")


def debug(binary: Path, schedule: Path, mode: str, step: int) -> int:
    """A debugger on the replay, stopped before a step."""
    argv = ["gdb", "-q", "-x", str(ROOT / "harness/orrery-gdb.py"), "-ex", "break world_stop_here", "-ex", "run", "-ex", "up", "--args", str(binary), "replay",
            str(schedule), "--mode", mode, "--stop-at", str(step)]
    sys.stdout.flush()
    os.execvp(argv[0], argv)
