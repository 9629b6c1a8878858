# SPDX-License-Identifier: BSD-2-Clause
"""gdb commands for a machine that runs in this process: orrery cpus, orrery ec [CPU], orrery guest [CPU].

Use: gdb -x harness/orrery-gdb.py --args build/orrery-unicorn run BUNDLE; break in any function of the kernel, then ask."""
import gdb

GPRS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
EXAMPLE = "set a breakpoint in the kernel first, for example: break kern_trap"


def machine() -> gdb.Value:
    """The machine of the thread that is selected."""
    try:
        here = gdb.parse_and_eval("sim_here")
    except gdb.error as error:
        raise gdb.GdbError(f"no machine: {error}; {EXAMPLE}") from None
    if int(here) == 0:
        raise gdb.GdbError(f"no machine runs in this thread; {EXAMPLE}")
    return here.dereference()


def chosen(argument: str) -> gdb.Value:
    """The simulated CPU named, or the one that is stepping."""
    here = machine()
    if not argument:
        return here["current"].dereference()
    number = int(gdb.parse_and_eval(argument))
    if not 0 <= number < int(here["cpu_count"]):
        raise gdb.GdbError(f"CPU {number}: there are {int(here['cpu_count'])}")
    return here["cpu"][number]


def kernel_cpu(cpu: gdb.Value) -> gdb.Value | None:
    """The kernel's structure of a simulated CPU; None before mach_cpu_set."""
    if int(cpu["kern_cpu"]) == 0:
        return None
    return cpu["kern_cpu"].cast(gdb.lookup_type("struct cpu").pointer()).dereference()


def enum_name(value: gdb.Value, prefix: str) -> str:
    """CPU_USER -> user."""
    return str(value).removeprefix(prefix).lower()


def registers(gpr: gdb.Value, rip: gdb.Value, rflags: gdb.Value) -> None:
    """Sixteen registers in four rows, then RIP and RFLAGS."""
    for row in range(0, 16, 4):
        print("  ".join(f"{GPRS[i]:>3} {int(gpr[i]):016x}" for i in range(row, row + 4)))
    print(f"rip {int(rip):016x}  rflags {int(rflags):08x}")


class Orrery(gdb.Command):
    """Look at the simulated machine: orrery cpus | ec | guest. Example: orrery guest 0"""

    def __init__(self) -> None:
        super().__init__("orrery", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class Cpus(gdb.Command):
    """Each simulated CPU: what it does, its EC, clock and CR3. Example: orrery cpus"""

    def __init__(self) -> None:
        super().__init__("orrery cpus", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        here = machine()
        for number in range(int(here["cpu_count"])):
            cpu = here["cpu"][number]
            kernel = kernel_cpu(cpu)
            ec = int(kernel["current"]) if kernel is not None else 0
            mark = "*" if int(here["current"]) == int(cpu.address) else " "
            print(f"{mark}{number:3d}  {enum_name(cpu['state'], 'CPU_'):7s} ec {f'{ec:#x}' if ec else 'none':16s} cr3 {int(cpu['cr3']):#x}")
        print(f"clock {int(here['clock'])}, steps {int(here['result']['steps'])}")


class Ec(gdb.Command):
    """The current EC of a CPU: state and user registers. Example: orrery ec, orrery ec 1"""

    def __init__(self) -> None:
        super().__init__("orrery ec", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        kernel = kernel_cpu(chosen(argument))
        if kernel is None or int(kernel["current"]) == 0:
            print("no EC is current")
            return
        ec = kernel["current"].dereference()
        print(f"ec {int(ec.address):#x}  {enum_name(ec['state'], 'EC_')}  pd {int(ec['pd']):#x}  utcb {int(ec['utcb_page']):#x}  "
              f"caller {int(ec['caller']):#x}  callee {int(ec['callee']):#x}  vcpu {int(ec['vcpu']):#x}")
        registers(ec["resume"]["gpr"], ec["resume"]["rip"], ec["resume"]["rflags"])


class Guest(gdb.Command):
    """The guest a CPU runs or ran last, as the VMX or SVM model holds it. Example: orrery guest, orrery guest 1"""

    def __init__(self) -> None:
        super().__init__("orrery guest", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        cpu, here = chosen(argument), machine()
        if int(here["virt"]) == 0 or int(cpu["virt"]) == 0:
            print("this machine has neither VMX nor SVM")
            return
        name = here["virt"]["name"].string()
        guest = cpu["virt"].cast(gdb.lookup_type(f"struct {name}_cpu").pointer())["guest"]
        registers(guest["gpr"], guest["rip"], guest["rflags"])
        print("  ".join(f"{n} {int(guest[n]):x}" for n in ("cr0", "cr2", "cr3", "cr4", "efer")))
        for number, segment in enumerate(SEGMENTS):
            s = guest["seg"][number]
            print(f"{segment:>4} {int(s['selector']):04x} base {int(s['base']):016x} limit {int(s['limit']):08x} attributes {int(s['attributes']):05x}")
        print(f"event {int(guest['event']):x}  interruptibility {int(guest['interruptibility']):x}  nested root {int(guest['nested_root']):#x}")


for command in (Orrery, Cpus, Ec, Guest):
    command()
