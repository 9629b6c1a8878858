"""Boot bundles: the manifest's programs, ELF files and guest images in the one file that every machine loads.

The layout is kernel/include/abi/bundle.h; ELF files are checked here so that a corrupt one is named before anything boots.
"""
from __future__ import annotations

import os
import struct
from pathlib import Path

from .base import BUILD, BadInput
from .manifest import Manifest

MAGIC = b"ORRERYB1"
PAGE = 4096
MAY_DIE = 1
USER_END = 0x00007FFFFFFFF000


def check_elf(data: bytes, name: str) -> None:
    """A statically linked x86-64 ELF whose segments lie in the file and do not overlap W and X; else BadInput."""
    if len(data) < 64 or data[:4] != b"\x7fELF":
        raise BadInput(f"{name}: not an ELF file")
    if data[4:7] != b"\x02\x01\x01" or struct.unpack_from("<HH", data, 16) != (2, 62):
        raise BadInput(f"{name}: not a 64-bit x86-64 ELF executable")
    entry, offset = struct.unpack_from("<QQ", data, 24)
    size, count = struct.unpack_from("<HH", data, 54)
    if size != 56 or count == 0 or count > 16 or offset + size * count > len(data):
        raise BadInput(f"{name}: corrupt ELF: program headers at {offset:#x} leave the file of {len(data)} bytes")
    entry_inside = False
    for index in range(count):
        kind, flags, at, vaddr, _, filesz, memsz, _ = struct.unpack_from("<IIQQQQQQ", data, offset + size * index)
        if kind != 1:
            continue
        if at + filesz > len(data):
            raise BadInput(f"{name}: corrupt ELF: segment {index} ends at {at + filesz:#x}, the file at {len(data):#x}")
        if filesz > memsz or vaddr + memsz > USER_END:
            raise BadInput(f"{name}: corrupt ELF: segment {index} has an impossible size")
        if flags & 3 == 3:
            raise BadInput(f"{name}: segment {index} is writable and executable")
        entry_inside |= bool(flags & 1) and vaddr <= entry < vaddr + memsz
    if not entry_inside:
        raise BadInput(f"{name}: corrupt ELF: the entry point {entry:#x} lies in no executable segment")


def _read(path: Path, what: str) -> bytes:
    if not path.is_file():
        raise BadInput(f"missing module: {what} ({path.name} is not built)")
    return path.read_bytes()


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % PAGE)


def build(manifest: Manifest, user: Path | None = None) -> bytes:
    """The bundle's bytes. Files: root first, then each program and guest image once. user: where they are (ORRERY_USER, build/user)."""
    user = user or Path(os.environ.get("ORRERY_USER", BUILD / "user"))
    files: dict[str, bytes] = {}   # by file name: a program and a guest may have the same

    def add(path: Path, what: str) -> int:
        if path.name not in files:
            data = _read(path, what)
            if path.suffix == ".elf":
                check_elf(data, path.name)
            if not data:
                raise BadInput(f"{path.name}: empty file")
            files[path.name] = data
        return list(files).index(path.name)

    add(user / "root.elf", "the root program")
    programs = b""
    for p in manifest.programs:
        file = add(user / f"{p.source}.elf", f"program '{p.source}' of {manifest.name}")
        guest = add(user / "guests" / f"{p.guest}.bin", f"guest '{p.guest}' of {manifest.name}") + 1 if p.guest else 0
        programs += struct.pack("<32s128sIIIIQQQ40x", p.name.encode(), p.args.encode(), file, p.cpu, p.priority,
                                MAY_DIE if p.may_die else 0, p.quota_kb << 10, p.memory_kb << 10, guest)
    table_bytes = 64 + 64 * len(files) + len(programs)
    offset = table_bytes + (-table_bytes % PAGE)
    entries, body = b"", b""
    for name, data in files.items():
        entries += struct.pack("<40sQQQ", name.encode(), offset + len(body), len(data), 0)
        body += _pad(data)
    header = struct.pack("<8sIIIIQ32x", MAGIC, 1, len(files), len(manifest.programs), manifest.cpus, offset + len(body))
    return _pad(header + entries + programs) + body
