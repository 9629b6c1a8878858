"""Reading trace streams: kernel/include/abi/trace.h, as far as the command needs it (counts by reason; whole or not)."""
from __future__ import annotations

import struct
from pathlib import Path

from .base import BadInput

MAGIC = b"ORRERYT1"
LOST, EXIT, ENTRY, END = 1, 2, 3, 4
REASONS = ("STARTUP", "KICKED", "IO", "MMIO", "MSR_READ", "MSR_WRITE", "CPUID", "HLT", "CR", "EXCEPTION", "INTR_WINDOW",
           "NMI_WINDOW", "SHUTDOWN", "HYPERCALL", "ENTRY_FAILED", "OTHER")


def exits(path: Path) -> dict[str, int]:
    """Exits by reason of a trace file; BadInput names the offset where the file is truncated or makes no sense."""
    data = path.read_bytes()
    if len(data) < 32 or data[:8] != MAGIC:
        raise BadInput(f"{path.name}: offset 0: no trace")
    counts: dict[str, int] = {}
    at, ended = 32, False
    while at < len(data):
        if len(data) - at < 24:
            raise BadInput(f"{path.name}: offset {at:#x}: truncated record header")
        kind, size = struct.unpack_from("<HH", data, at)
        if size < 24 or size % 8 or kind not in (LOST, EXIT, ENTRY, END):
            raise BadInput(f"{path.name}: offset {at:#x}: no record (type {kind}, {size} bytes)")
        if at + size > len(data):
            raise BadInput(f"{path.name}: offset {at:#x}: truncated record of {size} bytes")
        if kind == EXIT:
            reason = struct.unpack_from("<I", data, at + 32)[0]
            name = REASONS[reason] if reason < len(REASONS) else f"REASON_{reason}"
            counts[name] = counts.get(name, 0) + 1
        ended |= kind == END
        at += size
    if not ended:
        raise BadInput(f"{path.name}: offset {at:#x}: truncated: no end record")
    return counts
