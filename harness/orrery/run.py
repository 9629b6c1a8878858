"""Run a scenario on a machine: start it, show its console as it comes, stop it, judge what was seen."""
from __future__ import annotations

import codecs
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Iterator

from . import bundle as bundles
from . import machines, trace
from .base import escape

SHUTDOWN = re.compile(r"^orrery: shutdown code (\d+)\s*$", re.M)


@dataclass
class Outcome:
    """What a run did. ok: everything the manifest asks for was seen and the machine stopped with code 0."""

    scenario: str
    on: str
    vendor: str
    cpus: int
    seed: int
    ok: bool = False
    why: str = ""
    console: str = ""
    event_hash: str | None = None
    exits: dict[str, int] | None = None
    instructions: int | None = None
    wall_ms: int = 0
    trace: bytes | None = None
    counts: str = ""
    extra: dict[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The stable object that --json prints."""
        keys = ("scenario", "on", "vendor", "cpus", "seed", "ok", "why", "event_hash", "exits", "instructions", "wall_ms", "console")
        return {key: getattr(self, key) for key in keys}


def run(request_args: dict[str, object], out: IO[str] | None = None) -> Outcome:
    """Run with the fields of machines.Request but folder; the console goes to out as it comes."""
    with tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        request = machines.Request(folder=Path(scratch), **request_args)  # type: ignore[arg-type]
        file = request.folder / "bundle"
        file.write_bytes(bundles.build(request.manifest))
        return _run(request, machines.command(request, file), out)


def _run(request: machines.Request, command: machines.Command, out: IO[str] | None) -> Outcome:
    outcome = Outcome(request.manifest.name, request.on, request.vendor, request.cpus, request.seed)
    start = time.monotonic()
    process = _start(command, request)
    try:
        if request.gdb:
            status, text = _debug(process, request), ""
        else:
            text, status = _watch(process, command, request, out)
    finally:
        stop(process)
    outcome.wall_ms = int((time.monotonic() - start) * 1000)
    outcome.console = text
    _collect(outcome, request, command, status)
    return outcome


def _start(command: machines.Command, request: machines.Request) -> subprocess.Popen[bytes]:
    if command.console:
        command.console.touch()
    own_terminal = request.interactive or (request.gdb and request.on == "sim")
    return subprocess.Popen(command.argv, env=os.environ | command.env, cwd=request.folder if request.on == "bochs" else None,
                            stdin=None if own_terminal else subprocess.DEVNULL,
                            stdout=None if own_terminal else subprocess.DEVNULL if command.console else subprocess.PIPE,
                            stderr=None if own_terminal or request.on == "sim" else subprocess.DEVNULL,
                            start_new_session=not own_terminal)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Whatever happened, leave no process behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()


def _debug(process: subprocess.Popen[bytes], request: machines.Request) -> int:
    """A debugger on the machine: on sim gdb runs the process; on QEMU it attaches to the loopback server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if request.on == "sim":
        return process.wait()
    return subprocess.run(["gdb", "-q", "-ex", "target remote 127.0.0.1:1234", str(machines.KERNEL)]).returncode


def _chunks(process: subprocess.Popen[bytes], stream: IO[bytes], deadline: float) -> Iterator[bytes]:
    """Console bytes as they come, until the machine has ended."""
    os.set_blocking(stream.fileno(), False)
    while True:
        ended = process.poll() is not None
        data = stream.read()
        if data:
            yield data
        elif ended:
            return
        elif time.monotonic() > deadline:
            raise TimeoutError
        else:
            time.sleep(0.01)


def _watch(process: subprocess.Popen[bytes], command: machines.Command, request: machines.Request, out: IO[str] | None) -> tuple[str, int | None]:
    """Show the console until the end; the text and the exit status, None if the machine had to be stopped."""
    text, decoder = "", codecs.getincrementaldecoder("utf-8")("replace")
    stream = command.console.open("rb") if command.console else process.stdout
    assert stream
    with stream:
        try:
            for data in _chunks(process, stream, time.monotonic() + request.manifest.seconds):
                piece = decoder.decode(data)
                text += piece
                if out:
                    out.write(escape(piece))
                    out.flush()
        except TimeoutError:
            return text, None
    return text, process.wait()


def _collect(outcome: Outcome, request: machines.Request, command: machines.Command, status: int | None) -> None:
    """Judge: the end, the code, the expected lines; and take over what the machine reports."""
    text = escape(outcome.console)
    if command.trace and command.trace.is_file() and command.trace.stat().st_size:
        outcome.trace = command.trace.read_bytes()
        outcome.exits = trace.exits(command.trace) if request.manifest.virtualization else {}
    if command.counts and command.counts.is_file():
        outcome.counts = command.counts.read_text()
    code: int | None = None
    if command.result and command.result.is_file():
        result = json.loads(command.result.read_text())
        outcome.event_hash, outcome.instructions = result["event_hash"], result["instructions"]
        outcome.extra = result
        if result["end"] == "shutdown":
            code = result["code"]
        else:
            outcome.why = f"the machine ended with {result['end']}" + (f": {result['message']}" if result.get("message") else "")
    elif match := SHUTDOWN.search(text):
        code = int(match.group(1))
    if not outcome.why:
        outcome.why = _missing(request, text, code, status)
    outcome.ok = not outcome.why


def _missing(request: machines.Request, text: str, code: int | None, status: int | None) -> str:
    if code is None:
        return "no shutdown was seen" + (f" within {request.manifest.seconds} s" if status is None else f" (exit status {status})")
    at = 0
    for expression in request.manifest.expect:
        match = re.compile(expression, re.M).search(text, at)
        if not match:
            return f"not seen: {expression}"
        at = match.end()
    return "" if code == 0 else f"shutdown code {code}"


def table(exits: dict[str, int] | None) -> str:
    """Exits by reason, most frequent first."""
    if not exits:
        return "no VM exits\n"
    rows = sorted(exits.items(), key=lambda item: (-item[1], item[0]))
    return "".join(f"  {count:8d}  {reason}\n" for reason, count in [*rows, ("total", sum(exits.values()))])


def interrupted(signum: int, frame: object) -> None:
    """SIGTERM like Ctrl-C: through finally."""
    raise KeyboardInterrupt


def bad(text: str) -> None:
    """The one line of a bad input."""
    print(f"orrery: {text}", file=sys.stderr)
