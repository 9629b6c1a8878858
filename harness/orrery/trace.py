"""Reading trace streams: kernel/include/abi/trace.h, as far as the command needs it (counts by reason; whole or not)."""
from __future__ import annotations

import struct
from pathlib import Path

from .base import BadInput

MAGIC, PACKET, EVENT = 0xC1FC1FC1, 76, 12
END, STATE, EXIT, ENTRY = 2, 3, 4, 5
REASONS = ("STARTUP", "KICKED", "IO", "MMIO", "MSR_READ", "MSR_WRITE", "CPUID", "HLT", "CR", "EXCEPTION", "INTR_WINDOW",
           "NMI_WINDOW", "SHUTDOWN", "HYPERCALL", "ENTRY_FAILED", "OTHER")


def word0(data: bytes, at: int, before: int) -> int:
    """Reason and length as the words of a vCPU have it after this event."""
    small, large = data[at + 14], data[at + 15]
    at += 16
    for size, shape, count in ((5, "<BI", small), (9, "<BQ", large)):
        for _ in range(count):
            word, value = struct.unpack_from(shape, data, at)
            before = value if word == 0 else before
            at += size
    return before


def exits(path: Path) -> dict[str, int]:
    """Exits by reason of a trace file; BadInput names the offset where the file is truncated or makes no sense."""
    data = path.read_bytes()
    counts: dict[str, int] = {}
    reason: dict[int, int] = {}
    at, ended = 0, False
    while at < len(data):
        if len(data) - at < PACKET or struct.unpack_from("<I", data, at)[0] != MAGIC:
            raise BadInput(f"{path.name}: offset {at:#x}: no packet")
        end = at + struct.unpack_from("<Q", data, at + 40)[0] // 8
        if end > len(data) or end < at + PACKET:
            raise BadInput(f"{path.name}: offset {at:#x}: truncated packet")
        at += PACKET
        while at < end:
            if end - at < EVENT:
                raise BadInput(f"{path.name}: offset {at:#x}: truncated event")
            kind, size = struct.unpack_from("<H4xH", data, at)
            if size < EVENT or at + size > end:
                raise BadInput(f"{path.name}: offset {at:#x}: no event (id {kind}, {size} bytes)")
            if kind in (STATE, EXIT, ENTRY):
                vcpu = struct.unpack_from("<H", data, at + EVENT)[0]
                reason[vcpu] = word0(data, at, 0 if kind == STATE else reason.get(vcpu, 0))
            if kind == EXIT:
                number = reason[vcpu] & 0xFFFFFFFF
                name = REASONS[number] if number < len(REASONS) else f"REASON_{number}"
                counts[name] = counts.get(name, 0) + 1
            ended |= kind == END
            at += size
    if not ended:
        raise BadInput(f"{path.name}: offset {at:#x}: truncated: no end event")
    return counts
