"""File and line of each event of an events file (docs/exploration.md): the explorer writes code addresses, addr2line knows what they mean."""
from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from .base import ROOT

_BATCH = 4000   # addresses per call


def _frames(binary: Path, sites: list[str]) -> dict[str, tuple[str, str, int]]:
    """Innermost function, file and line of each address; what addr2line does not know is left out."""
    done = subprocess.run(["addr2line", "-e", str(binary), "-a", "-f", "-i", *sites], capture_output=True, text=True, errors="replace")
    found: dict[str, tuple[str, str, int]] = {}
    lines = done.stdout.splitlines()
    for index, line in enumerate(lines):
        if not line.startswith("0x") or index + 2 >= len(lines):
            continue
        name, _, number = lines[index + 2].split(" (discriminator")[0].rpartition(":")
        if name and name != "??" and number.isdigit():
            path = Path(name)
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            found[hex(int(line, 16))] = (lines[index + 1], str(shown), int(number))
    return found


def fill(events: dict[str, Any]) -> None:
    """Set function, file and line of every event whose site addr2line knows; without the binary or addr2line nothing changes."""
    rows = [row for row in events.get("events", []) if isinstance(row, dict) and isinstance(row.get("site"), str)]
    binary = Path(str(events.get("binary") or ""))
    sites = sorted({row["site"] for row in rows if row["site"] != "0x0"})
    if not binary.is_file() or not all(site.startswith("0x") and site[2:].isalnum() for site in sites):
        return
    known: dict[str, tuple[str, str, int]] = {}
    try:
        for at in range(0, len(sites), _BATCH):
            known |= _frames(binary, sites[at:at + _BATCH])
    except FileNotFoundError:
        return
    for row in rows:
        if row["site"] in known:
            row["function"], row["file"], row["line"] = known[row["site"]]
