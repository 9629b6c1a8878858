"""A trace folder as Python sees it, read without our reader: turns of each vCPU with all words by name. For tests; a broken trace raises."""
from __future__ import annotations

import re
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKET = struct.Struct("<I16sIQQQQQQI")


def header_text(name: str) -> str:
    return (ROOT / "kernel/include/abi" / name).read_text()


LAYOUT = re.findall(r"(u16|u32|u64) (\w+);", header_text("trace.h").split("struct trace_event {", 1)[1].split("}", 1)[0])
EVENT = struct.Struct("<" + "".join({"u16": "H", "u32": "I", "u64": "Q"}[kind] for kind, _ in LAYOUT))
WORDS = dict((int(n), w) for n, w in re.findall(r"X\((\d+), (\w+)\)", header_text("trace_words.h")))
IDS = dict((int(n), w) for n, w in re.findall(r"X\((\d+), (\w+), (?:NONE|DELTA|BYTES)", header_text("trace.h")))
KINDS = dict((int(n), w) for n, w in re.findall(r'X\((\d+), (\w+), "[^"]*"\)', header_text("trace.h").split("TRACE_VALUE_LIST", 1)[1].split("enum", 1)[0]))
REASONS = dict((int(n), w) for n, w in re.findall(r"X\((\d+), (\w+), ", header_text("vcpu.h").split("VCPU_EXIT_LIST", 1)[1].split("enum", 1)[0]))


def stream(data: bytes) -> list[tuple[int, int, str, bytes]]:
    """(sequence, tsc, event's name, what follows the header) of a stream."""
    found, at = [], 0
    while at < len(data):
        magic, _, _, begin, _, bits, _, _, sequence, _ = PACKET.unpack_from(data, at)
        assert magic == 0xC1FC1FC1
        end, at = at + bits // 8, at + PACKET.size
        tsc = begin
        while at < end:
            event = dict(zip((name for _, name in LAYOUT), EVENT.unpack_from(data, at)))
            sequence += (event["sequence"] - sequence) & 0xFFFFFFFF
            tsc += (event["tsc"] - tsc) & 0xFFFFFFFF
            found.append((sequence, tsc, IDS[event["id"]], data[at + EVENT.size:at + event["bytes"]]))
            at += event["bytes"]
    return found


def changes(words: dict[str, int], tail: bytes) -> None:
    small, large = tail[0], tail[1]
    for i in range(small):
        word, value = struct.unpack_from("<BI", tail, 2 + 5 * i)
        words[WORDS[word]] = value
    for i in range(large):
        word, value = struct.unpack_from("<BQ", tail, 2 + 5 * small + 9 * i)
        words[WORDS[word]] = value


def events(folder: Path) -> list[tuple[int, int, str, bytes]]:
    return sorted(e for path in folder.iterdir() if path.name != "metadata" for e in stream(path.read_bytes()))


def turns(folder: Path, vcpu: int) -> list[dict]:
    """Each {"tsc", "exit": words, "values": [(kind, address, data, bytes)], "entry": words or None}; words that are 0 are in it, too."""
    words, found = dict.fromkeys(WORDS.values(), 0), []
    for _, tsc, name, rest in events(folder):
        if name not in ("state", "exit", "entry", "value") or struct.unpack_from("<H", rest)[0] != vcpu:
            continue
        if name == "value":   # data as a number
            kind, address, count = struct.unpack_from("<BQB", rest, 2)
            found[-1]["values"].append((KINDS[kind], address, int.from_bytes(rest[12:12 + count], "little"), count))
            continue
        if name == "state":
            words = dict.fromkeys(WORDS.values(), 0)
        changes(words, rest[2:])
        if name == "exit":
            found.append({"tsc": tsc, "exit": dict(words), "values": [], "entry": None})
        elif name == "entry":
            found[-1]["entry"] = dict(words)
    return found


def reason(words: dict[str, int]) -> tuple[str, int]:
    """Name and instruction length."""
    return REASONS[words["reason_and_length"] & 0xFFFFFFFF], words["reason_and_length"] >> 32


def env(folder: Path) -> dict[str, str]:
    text = (folder / "metadata").read_text().split("\nenv {\n", 1)[1].split("\n};", 1)[0]
    return {k: v.strip('"') for k, v in re.findall(r"^ *(\w+) = (.*);$", text, re.M)}
