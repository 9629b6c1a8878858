"""File and line of each event of an events file (docs/exploration.md): the explorer writes code addresses, addr2line knows what they mean."""
from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from .base import ROOT

_BATCH = 4000   # addresses per call
_IN_STACK = re.compile(r"^(\S+) @(0x[1-9a-f][0-9a-f]{0,15})$", re.M)
_SITE = re.compile(r"0x[1-9a-f][0-9a-f]{0,15}\Z")


def _frames(binary: Path, sites: list[str]) -> dict[str, tuple[str, str, int, str]]:
    """Of each address: innermost function, its file and line, and the function all of it was inlined into. What addr2line does not know is left out."""
    done = subprocess.run(["addr2line", "-e", str(binary.absolute()), "-a", "-f", "-i", *sites], capture_output=True, text=True, errors="replace")
    found: dict[str, tuple[str, str, int, str]] = {}
    for block in re.split(r"^0x", done.stdout, flags=re.M)[1:]:
        address, *frames = block.splitlines()   # function, file:line, from the innermost
        if len(frames) < 2:
            continue
        name, _, number = frames[1].split(" (discriminator")[0].rpartition(":")
        if name and name != "??" and number.isdigit():
            path = Path(name)
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            found[hex(int(address, 16))] = (frames[0], str(shown), int(number), frames[-2])
    return found


def fill(events: Any) -> None:
    """Set function, file and line of every event, and of every call in the stacks of a race, whose site addr2line knows. Without addr2line or the binary, or if that is another one by now,
    nothing changes: a site must be in the function that the explorer has named."""
    if not isinstance(events, dict) or not isinstance(events.get("events"), list) or not isinstance(events.get("binary"), str):
        return   # whoever checks the file says what is wrong
    rows = [row for row in events["events"] if isinstance(row, dict) and isinstance(row.get("site"), str) and _SITE.match(row["site"])]
    binary = Path(events["binary"])
    stacks = [text for text in events.get("stacks") or [] if isinstance(text, str)]
    sites = sorted({row["site"] for row in rows} | {match[2] for text in stacks for match in _IN_STACK.finditer(text)})
    if not sites or "\0" in events["binary"] or not binary.is_file():
        return
    known: dict[str, tuple[str, str, int, str]] = {}
    try:
        for at in range(0, len(sites), _BATCH):
            known |= _frames(binary, sites[at:at + _BATCH])
    except FileNotFoundError:
        return
    for row in rows:
        if row["site"] in known and known[row["site"]][3].split(".")[0] == row.get("function"):
            row["function"], row["file"], row["line"] = known[row["site"]][:3]

    def call(match: re.Match[str]) -> str:
        frame = known.get(match[2])
        return f"{frame[0]} {frame[1]}:{frame[2]}" if frame and frame[3].split(".")[0] == match[1] else match[1]
    if stacks:
        events["stacks"] = [_IN_STACK.sub(call, text) for text in stacks]
