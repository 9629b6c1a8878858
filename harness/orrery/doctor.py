"""What is installed, what is missing, how to get it."""
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

# (what it is for, Debian package, a program or file that shows it is there, needed by)
_WANTED = (
    ("C compiler of every build", "gcc", "gcc", "make run"),
    ("second C compiler, sanitizers", "clang", "clang", "make test"),
    ("builds", "make", "make", "make run"),
    ("the engine for real code in the process", "libunicorn-dev", "/usr/lib/x86_64-linux-gnu/libunicorn.a", "make run"),
    ("unit tests", "libcmocka-dev", "/usr/include/cmocka.h", "make unit"),
    ("the oracle of the decoder tests", "libzydis-dev", "/usr/include/Zydis/Zydis.h", "make unit"),
    ("sanitizer and fuzzing runtimes", "libclang-rt-14-dev", "/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux", "make unit"),
    ("the SVM machine", "qemu-system-x86", "qemu-system-x86_64", "--on qemu"),
    ("the VMX machine", "bochs", "bochs", "--on bochs"),
    ("its terminal display", "bochs-term", "/usr/lib/bochs/plugins/libbx_term_gui.so", "--on bochs"),
    ("its BIOS", "bochsbios", "/usr/share/bochs/BIOS-bochs-latest", "--on bochs"),
    ("its VGA BIOS", "vgabios", "/usr/share/bochs/VGABIOS-lgpl-latest", "--on bochs"),
    ("boot images", "grub-common", "grub-mkrescue", "make iso, --on bochs"),
    ("boot images for BIOS machines", "grub-pc-bin", "/usr/lib/grub/i386-pc", "make iso, --on bochs"),
    ("boot images", "xorriso", "xorriso", "make iso, --on bochs"),
    ("boot images", "mtools", "mformat", "make iso, --on bochs"),
    ("coverage reports", "lcov", "lcov", "make coverage"),
    ("exploring with more than one process", "python3-distributed", "/usr/lib/python3/dist-packages/distributed/__init__.py", "./orrery explore --jobs"),
    ("the browser that tests the report's page", "chromium", "chromium", "make test"),
    ("another reader of traces", "babeltrace2", "babeltrace2", "make test"),
    ("a decoder of exported traces", "protobuf-compiler", "protoc", "make test"),
    ("debugging", "gdb", "gdb", "--gdb"),
)


def _there(sign: str, package: str) -> bool:
    if sign.startswith("/"):
        if Path(sign).exists():
            return True
        done = subprocess.run(["dpkg-query", "-W", "-f=${Status}", package], capture_output=True, text=True)
        return done.stdout.startswith("install ok installed")
    return shutil.which(sign) is not None


def rows() -> list[dict[str, object]]:
    """One row per package."""
    return [{"package": package, "for": what, "needed_by": by, "installed": _there(sign, package)} for what, package, sign, by in _WANTED]


def report() -> str:
    """The table a person reads; the last line is the command that gets what is missing."""
    found = rows()
    text = "".join(f"{'ok     ' if row['installed'] else 'MISSING'}  {row['package']:18} {row['for']} ({row['needed_by']})\n" for row in found)
    missing = [str(row["package"]) for row in found if not row["installed"]]
    if missing:
        return text + f"get it: apt-get install --no-install-recommends {' '.join(missing)}\n"
    return text + "everything is there\n"
