# SPDX-License-Identifier: BSD-2-Clause
# Orrery. `make help` lists what a user calls; variants and rules are below, one paragraph each.
#
# build/plain build/asan build/cov build/tsan ...   the hosted kernel, the simulated machine, unit tests, by variant
# build/bare build/bare-clang                   the kernel for hardware
# build/user build/user-clang                   user programs, guests
# build/bundle                                  boot bundles
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)')
PYTHON := /usr/bin/python3
UNICORN ?= 1

# ---- What is built ----
KERNEL_C   := $(wildcard kernel/core/*.c kernel/x86/*.c)
BARE_SRC   := $(wildcard kernel/bare/*.c kernel/bare/*.S)
SIM_SRC    := $(wildcard sim/*.c sim/*.S)
CHOOSE_C   := harness/choose.c
EXPLORER_C := $(wildcard $(patsubst %,harness/%.c,hashes order dpor explore* strategy_* selftest schedule* anchor* minimise* symbols))
TRACE_C    := $(wildcard harness/trace/*.c)
REPLAY_C   := $(wildcard harness/replay/*.c)
TOOLS_C    := $(wildcard harness/tools/*.c)
HARNESS_C  := $(filter-out $(CHOOSE_C) $(EXPLORER_C),$(wildcard harness/*.c)) $(TRACE_C) $(REPLAY_C) $(wildcard sim/unicorn/*.c)
TEST_C     := $(wildcard tests/*.c tests/*/*.c tests/*/*/*.c)
HYPERCALL_FUZZ_C := $(wildcard tests/fuzz/hypercalls/*.c)
TRACE_FUZZ_C := $(wildcard tests/fuzz/traces/*.c)
AFL_C      := $(wildcard tests/fuzz/afl/*.c)
FUZZ_C     := $(filter-out $(HYPERCALL_FUZZ_C) $(TRACE_FUZZ_C) $(AFL_C),$(filter tests/fuzz/%,$(TEST_C)))
EXPLORE_C  := $(filter tests/explore/%,$(TEST_C))
UNIT_C     := $(filter-out $(FUZZ_C) $(HYPERCALL_FUZZ_C) $(TRACE_FUZZ_C) $(AFL_C) $(EXPLORE_C),$(TEST_C))
FIXTURE_C  := $(wildcard tests/kernel/kernel_*.c)
LOCKFREE_C := $(addprefix scenarios/lib/,mpsc.c ring.c queue_pair.c)
HOSTED_USER_C := $(wildcard scenarios/vmm/decode.c scenarios/vmm/walk.c scenarios/vmm/uart.c scenarios/root/loader.c) $(LOCKFREE_C)
FOLDERS    := bench bounds lifecycle vmm
PROGRAMS   := $(FOLDERS) kill-backend $(basename $(notdir $(wildcard scenarios/*.c)))
GUESTS     := $(basename $(notdir $(wildcard scenarios/guests/*.S)))
SCENARIOS  := $(basename $(notdir $(wildcard scenarios/*.toml)))

# ---- Flags: the -I list of a folder is what it may include ----
WARN    := -Wall -Wextra -Werror -Wno-unused-parameter -Wmissing-prototypes -Wstrict-prototypes
KERNEL  := -std=gnu11 -ffreestanding -fno-builtin -fno-common -fvisibility=hidden -fno-strict-aliasing -fno-stack-protector -fno-asynchronous-unwind-tables -MMD -MP $(WARN)
I_core  := -Ikernel/include -Ikernel/core
I_x86   := -Ikernel/include -Ikernel/core
I_hw    := -Ikernel/bare/include -Ikernel/bare/atomic
I_bare  := -Ikernel/include $(I_hw)
I_sim   := -Ikernel/include -Isim/include -Isim/seam -Isim
I_harness := -Ikernel/include -Isim/include -Isim/seam -Iharness
I_user  := -Ikernel/include -Iscenarios/lib
I_tests := -Ikernel/include -Ikernel/core -Ikernel/x86 -Isim/include -Isim/seam -Isim -Iharness -Itests -Itests/kernel
HOSTED  := -std=gnu11 -g -fno-strict-aliasing -MMD -MP $(WARN)

CC_plain := gcc
CC_asan  := clang
CC_cov   := gcc
CC_tsan  := clang
CC_tsan-gcc := gcc
CC_clang := clang
CC_fuzz  := clang
CC_afl   := afl-clang-fast
F_plain  := -fno-pie -O2 -g
F_asan   := -fno-pie -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
F_fuzz   := $(F_asan) -fsanitize=fuzzer-no-link
F_afl    := $(F_asan)
F_cov    := -fno-pie -O0 -g --coverage
F_tsan   := -fno-pie -O2 -g
F_tsan-gcc := -fno-pie -O2 -g
F_clang  := -fno-pie -O2 -g
# The machine compares on each access: nothing of it is of an input.
S_fuzz   := -fno-sanitize-coverage=trace-cmp
# Only the kernel is instrumented for the exploring build; sim/tsan.c is the runtime.
K_tsan   := -fsanitize=thread
K_tsan-gcc := -fsanitize=thread -Wno-tsan
VARIANTS := plain clang asan fuzz afl cov tsan tsan-gcc

.PHONY: help all run unit check test explore soak coverage fuzz-afl iso tidy hosted bare user bundles install install-files uninstall clean
help:
	@printf '%s\n' \
	 'make run        set up, build, run guest-hello in the process, show its console and its exits' \
	 'make test       set up, build everything, all tests on all machines' \
	 'make check      what each commit passes: tidy, unit tests, quick scenarios (under 60 s)' \
	 'make unit       hosted unit tests under ASan and UBSan' \
	 'make tidy       the rules of docs/design.md, proved on sources and objects' \
	 'make coverage   lines and branches of kernel/core and kernel/x86 reached by hosted tests' \
	 'make iso        build/orrery-SCENARIO.iso; SCENARIO=hello by default' \
	 'make explore    every schedule of every world within its bound, on all CPUs; takes hours' \
	 'make soak       MINUTES=n: every campaign, longer' \
	 'make fuzz-worlds WORLD=ring SECONDS_EACH=60: a world under libFuzzer' \
	 'make fuzz-afl TARGET=replay_fuzz SECONDS_EACH=60: traces under AFL++, if it is installed' \
	 'make fuzz-hypercalls SEED=1 OPERATIONS=1000000: random hypercalls against a reference model' \
	 'make install    machine and explorer as a library, for tests elsewhere; PREFIX=/usr/local DESTDIR=; make uninstall' \
	 'make clean      remove build/' \
	 'Variables: V=1 shows commands, UNICORN=0 builds without the GPL engine, SETUP=yes lets set-up use sudo.'

# ---- Set-up: setup-a-b installs the groups a and b of harness/setup; nothing to do the second time ----
setup-%:
	@harness/setup $(subst -, ,$*)

# ---- Hosted variants ----
define HOSTED_RULES
KOBJ_$(1) := $$(KERNEL_C:%.c=build/$(1)/%.o)
build/$(1)/kernel/core/%.o: kernel/core/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(KERNEL) $$(F_$(1)) $$(K_$(1)) $$(I_core) -Isim/seam -c -o $$@ $$<
build/$(1)/kernel/x86/%.o: kernel/x86/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(KERNEL) $$(F_$(1)) $$(K_$(1)) $$(I_x86) -Isim/seam -c -o $$@ $$<
build/$(1)/sim/%.o: sim/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(HOSTED) $$(F_$(1)) $$(S_$(1)) $$(I_sim) -c -o $$@ $$<
build/$(1)/sim/%.o: sim/%.S
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) -g -MMD -MP -c -o $$@ $$<
build/$(1)/harness/%.o: harness/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(HOSTED) $$(F_$(1)) $$(I_harness) -c -o $$@ $$<
build/$(1)/scenarios/%.o: scenarios/%.c
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(HOSTED) $$(F_$(1)) $$(I_user) -Isim/seam -DORRERY_HOSTED_TEST -c -o $$@ $$<
build/$(1)/tests/scenarios/%.o: tests/scenarios/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(HOSTED) $$(F_$(1)) $$(I_user) -Isim/include -Isim/seam -Iscenarios/vmm -Iscenarios/root -Itests -c -o $$@ $$<
build/$(1)/tests/%.o: tests/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(HOSTED) $$(F_$(1)) $$(I_tests) -c -o $$@ $$<
# Own mem* in the kernel; where a sanitizer watches memory, libc's, which it intercepts.
build/$(1)/kernel.o: $$(if $$(filter asan tsan tsan-gcc,$(1)),$$(filter-out %/memops.o,$$(KOBJ_$(1))),$$(KOBJ_$(1)))
	$$(call say,SEAL,$$@)
	$$(Q)ld -r -o $$@.open $$^ && objcopy --localize-hidden $$@.open $$@ && rm $$@.open
build/$(1)/libkernel.a: $$(filter-out %/memops.o,$$(KOBJ_$(1)))
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
build/$(1)/libsim.a: $$(patsubst %.S,build/$(1)/%.o,$$(patsubst %.c,build/$(1)/%.o,$$(SIM_SRC) $$(CHOOSE_C)))
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
build/$(1)/unit: $$(UNIT_C:%.c=build/$(1)/%.o) $$(HOSTED_USER_C:%.c=build/$(1)/%.o) $$(TRACE_C:%.c=build/$(1)/%.o) $$(REPLAY_C:%.c=build/$(1)/%.o) build/$(1)/libkernel.a build/$(1)/libsim.a
	$$(call say,LINK,$$@)
	$$(Q)$$(CC_$(1)) $$(F_$(1)) -no-pie -o $$@ $$(filter %.o,$$^) -Wl,--start-group build/$(1)/libkernel.a build/$(1)/libsim.a -Wl,--end-group -lcmocka -lZydis
endef
$(foreach v,$(VARIANTS),$(eval $(call HOSTED_RULES,$(v))))

# The one binary with Unicorn (GPL-2.0): the engine's MMU is replaced at link time, see sim/unicorn/.
WRAP := @sim/unicorn/wrap
build/plain/sim/unicorn/%.o: sim/unicorn/%.c
	$(call say,CC plain,$<)
	@mkdir -p $(@D)
	$(Q)$(CC_plain) $(HOSTED) $(F_plain) $(I_sim) -c -o $@ $<
build/orrery-unicorn: $(HARNESS_C:%.c=build/plain/%.o) build/plain/kernel.o build/plain/libsim.a
	$(call say,LINK,$@)
	$(Q)$(CC_plain) -no-pie -o $@ $(filter %.o,$^) build/plain/libsim.a /usr/lib/x86_64-linux-gnu/libunicorn.a $(WRAP) -lm -lpthread
# Traces as files: no machine, no engine.
build/orrery-trace: $(TOOLS_C:%.c=build/plain/%.o) $(TRACE_C:%.c=build/plain/%.o)
	$(call say,LINK,$@)
	$(Q)$(CC_plain) -no-pie -o $@ $^
# The other hosted kernels under the same engine: booted by the tests.
build/orrery-unicorn-%: $(HARNESS_C:%.c=build/plain/%.o) build/%/kernel.o build/plain/libsim.a
	$(call say,LINK,$@)
	$(Q)$(CC_plain) -no-pie -o $@ $(filter %.o,$^) build/plain/libsim.a /usr/lib/x86_64-linux-gnu/libunicorn.a $(WRAP) -lm -lpthread

# ---- The explorer: kernel and worlds instrumented, machine and strategies not. What the compiler copies by calling libc is announced, too ----
WATCH := objcopy $(foreach f,memcpy memset memmove,--redefine-sym $(f)=world_$(f))
build/explore/%.o: %.c
	$(call say,CC explore,$<)
	@mkdir -p $(@D)
	$(Q)clang $(HOSTED) $(F_tsan) $(K_tsan) $(I_tests) -Iscenarios/lib -c -o $@ $< && $(WATCH) $@
build/explore/libkernel.a: build/tsan/libkernel.a
	@mkdir -p $(@D)
	$(Q)$(WATCH) $< $@
EXPLORE_OBJ := $(patsubst %.c,build/explore/%.o,$(EXPLORE_C) $(FIXTURE_C) $(LOCKFREE_C)) $(EXPLORER_C:%.c=build/tsan/%.o)
build/explore/orrery-explore: $(EXPLORE_OBJ) build/explore/libkernel.a build/tsan/libsim.a
	$(call say,LINK,$@)
	$(Q)clang -no-pie -o $@ $(filter %.o,$^) -Wl,--start-group build/explore/libkernel.a build/tsan/libsim.a -Wl,--end-group -lcmocka

# ---- The machine and the explorer without our kernel, for others: docs/testing.md, "Worlds" ----
# One object that shows only what its headers declare: a program's own names meet no others. The linker makes a program's calls of memcpy
# world_memcpy's (--wrap, in the .pc file), not the machine's own.
PREFIX  ?= /usr/local
DESTDIR ?=
LIB_H     := $(filter-out %/program.h %/unicorn_engine.h,$(wildcard sim/include/*.h)) $(wildcard sim/seam/*.h) $(patsubst %,kernel/include/%.h,base atomic machine)
LIB_ABI_H := $(patsubst %,kernel/include/abi/%.h,hypercall vcpu)
LIB_MAN   := build/lib/orrery.1 build/lib/orrery-world.3
build/lib/orrery.o: build/tsan/libsim.a $(EXPLORER_C:%.c=build/tsan/%.o) build/tsan/sim/library/kern.o $(LIB_H)
	$(call say,SEAL,$@)
	@mkdir -p $(@D)
	$(Q)ld -r -o $@.open --whole-archive $(filter %.a %.o,$^)
	$(Q)cat $(LIB_H) | gcc -w -fpreprocessed -dD -E -P -x c - | grep -ow '[A-Za-z_][A-Za-z_0-9]*' | sort -u >$@.names
	$(Q)objcopy --strip-debug $(foreach f,memcpy memmove memset,--redefine-sym $(f)=__real_$(f) --redefine-sym world_$(f)=__wrap_$(f)) \
	  --wildcard --keep-global-symbol='__tsan_*' --keep-global-symbol='__wrap_*' --keep-global-symbols=$@.names $@.open $@ && rm $@.open
build/lib/liborrery.a: build/lib/orrery.o
	$(Q)rm -f $@ && ar rcsD $@ $^
$(LIB_MAN): build/lib/%: docs/man.py sim/include/world.h harness/explore_options.c docs/testing.md $(wildcard harness/orrery/*.py)
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)$(PYTHON) docs/man.py $* >$@

# The same under libFuzzer: kernel and worlds with coverage besides.
build/worldfuzz/kernel/%.o: kernel/%.c
	$(call say,CC cover,$<)
	@mkdir -p $(@D)
	$(Q)clang $(KERNEL) $(F_tsan) -fsanitize=thread -fsanitize-coverage=inline-8bit-counters,pc-table $(I_core) -Isim/seam -c -o $@ $< && $(WATCH) $@
build/worldfuzz/%.o: %.c
	$(call say,CC cover,$<)
	@mkdir -p $(@D)
	$(Q)clang $(HOSTED) $(F_tsan) -fsanitize=thread -fsanitize-coverage=inline-8bit-counters,pc-table $(I_tests) -Iscenarios/lib -c -o $@ $< && $(WATCH) $@
WORLDFUZZ_OBJ := $(patsubst %.c,build/worldfuzz/%.o,$(filter-out %/main.c,$(EXPLORE_C)) $(FIXTURE_C) $(LOCKFREE_C) $(filter-out %/memops.c,$(KERNEL_C)))
build/fuzzers/world_fuzz: $(WORLDFUZZ_OBJ) $(EXPLORER_C:%.c=build/tsan/%.o) build/tsan/libsim.a
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)clang -no-pie -fsanitize=fuzzer -o $@ $(filter %.o,$^) build/tsan/libsim.a -lcmocka
fuzz-worlds: setup-base-unit
	@$(MAKE) --no-print-directory build/fuzzers/world_fuzz
	@mkdir -p build/fuzzers/corpus-$(WORLD) && ORRERY_WORLD=$(WORLD) build/fuzzers/world_fuzz -max_total_time=$(SECONDS_EACH) build/fuzzers/corpus-$(WORLD)
WORLD ?= ring
SECONDS_EACH ?= 60

# What bench/ measures in the process.
build/bench/explore_rate: bench/explore_rate.c $(filter-out build/explore/tests/explore/main.o,$(EXPLORE_OBJ)) build/explore/libkernel.a build/tsan/libsim.a build/explore/orrery-explore
	$(call say,BENCH,$@)
	@mkdir -p $(@D)
	$(Q)clang $(HOSTED) $(F_tsan) $(I_tests) -no-pie -o $@ $< $(filter %.o,$^) -Wl,--start-group build/explore/libkernel.a build/tsan/libsim.a -Wl,--end-group -lcmocka

build/bench/hosted: bench/hosted.c build/plain/kernel.o build/plain/libsim.a
	$(call say,BENCH,$@)
	@mkdir -p $(@D)
	$(Q)gcc $(HOSTED) $(F_plain) -Ikernel/include -Isim/include -Isim/seam -no-pie -o $@ $(filter %.c %.o %.a,$^)

build/bench/replay_rate: bench/replay_rate.c $(TRACE_C:%.c=build/plain/%.o) $(REPLAY_C:%.c=build/plain/%.o) build/plain/kernel.o build/plain/libsim.a
	$(call say,BENCH,$@)
	@mkdir -p $(@D)
	$(Q)gcc $(HOSTED) $(F_plain) $(I_harness) -no-pie -o $@ $(filter %.c %.o %.a,$^)

# ---- Bare metal ----
# gcc links with all code in view: short functions of other files are inlined, on every path. clang's build has no linker for that here.
# What runs once, or says what went wrong, is built small.
BAREFLAGS := -O2 -g -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only
SMALL := $(patsubst %,kernel/core/%.c,boot_cpus elf hypercall_call hypercall_trace ipc ipc_message ptab_life range root sched_fair trace trace_memory trace_trap trace_vcpu vcpu_life) \
         $(patsubst %,kernel/x86/%.c,acpi apic boot boot_line multiboot protect pvh svm_diagnose virt virt_check vmx_caps vmx_diagnose)
define BARE_RULES
build/$(1)/kernel/core/%.o: kernel/core/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$(2) $$(KERNEL) $$(BAREFLAGS) $(3) $$(if $$(filter $$(SMALL),$$<),-Os) $$(I_core) $$(I_hw) -c -o $$@ $$<
build/$(1)/kernel/x86/%.o: kernel/x86/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$(2) $$(KERNEL) $$(BAREFLAGS) $(3) $$(if $$(filter $$(SMALL),$$<),-Os) $$(I_x86) $$(I_hw) -c -o $$@ $$<
build/$(1)/kernel/bare/%.o: kernel/bare/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$(2) $$(KERNEL) $$(BAREFLAGS) $(3) -Os $$(I_bare) -c -o $$@ $$<
build/$(1)/kernel/bare/%.o: kernel/bare/%.S
	$$(call say,AS $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$(2) $$(I_bare) -g -MMD -MP -c -o $$@ $$<
build/$(1)/kernel.elf: kernel/bare/kernel.ld $$(KERNEL_C:%.c=build/$(1)/%.o) $$(patsubst %.S,build/$(1)/%.o,$$(patsubst %.c,build/$(1)/%.o,$$(BARE_SRC)))
	$$(call say,LD,$$@)
	$$(Q)$(2) $$(BAREFLAGS) $(3) -nostdlib -static -Wl,-z,noexecstack,-z,max-page-size=4096,--build-id=none -T kernel/bare/kernel.ld -o $$@ $$(filter %.o,$$^)
endef
$(eval $(call BARE_RULES,bare,gcc,-flto=2 -falign-functions=8 -fno-align-jumps -fno-align-loops -fno-partial-inlining -mpreferred-stack-boundary=3))
$(eval $(call BARE_RULES,bare-clang,clang,-mstack-alignment=8))

# ---- User programs and guests ----
USERFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-builtin -nostdlib -static -fno-pic -fno-pie -mgeneral-regs-only -fno-stack-protector -fno-strict-aliasing -fno-asynchronous-unwind-tables -MMD -MP $(WARN) $(I_user) -Ikernel/bare/atomic
LIB_SRC   := $(wildcard scenarios/lib/*.c scenarios/lib/*.S)
define USER_RULES
build/$(1)/scenarios/%.o: scenarios/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$(2) $$(USERFLAGS) -c -o $$@ $$<
build/$(1)/scenarios/%.o: scenarios/%.S
	@mkdir -p $$(@D)
	$$(Q)$(2) $$(I_user) -g -MMD -MP -c -o $$@ $$<
LIB_$(1) := $$(patsubst %.S,build/$(1)/%.o,$$(patsubst %.c,build/$(1)/%.o,$$(LIB_SRC)))
# Page-aligned segments, as root and kernel map them.
USERLD_$(1) = $$(Q)ld -nostdlib -static -z noexecstack -z max-page-size=4096 --build-id=none -T scenarios/lib/user.ld -o $$@ $$(filter %.o,$$^)
# Its VMs are made of the VMM's parts, all but its main.
build/$(1)/kill-backend.elf: $$(patsubst %.c,build/$(1)/%.o,$$(wildcard scenarios/kill-backend/*.c) $$(filter-out %/vmm.c,$$(wildcard scenarios/vmm/*.c))) $$(LIB_$(1)) scenarios/lib/user.ld
	$$(call say,LD,$$@)
	$$(USERLD_$(1))
build/$(1)/%.elf: build/$(1)/scenarios/%.o $$(LIB_$(1)) scenarios/lib/user.ld
	$$(call say,LD,$$@)
	$$(USERLD_$(1))
endef
$(eval $(call USER_RULES,user,gcc))
$(eval $(call USER_RULES,user-clang,clang))
define FOLDER_RULE
build/$(1)/$(2).elf: $$(patsubst %.c,build/$(1)/%.o,$$(wildcard scenarios/$(2)/*.c)) $$(LIB_$(1)) scenarios/lib/user.ld
	$$(call say,LD,$$@)
	$$(USERLD_$(1))
endef
$(foreach b,user user-clang,$(foreach f,root $(FOLDERS),$(eval $(call FOLDER_RULE,$b,$f))))
build/user/guests/%.bin: scenarios/guests/%.S
	$(call say,GUEST,$<)
	@mkdir -p $(@D)
	$(Q)gcc -c -g $(I_user) -o $(@:.bin=.o) $< && ld -nostdlib -static -N --no-warn-rwx-segments --build-id=none -e 0 -Ttext 0 -o $(@:.bin=.elf) $(@:.bin=.o) && objcopy -O binary $(@:.bin=.elf) $@

user: build/user/root.elf $(PROGRAMS:%=build/user/%.elf) $(GUESTS:%=build/user/guests/%.bin)
bundles: $(SCENARIOS:%=build/bundle/%.bundle)
build/bundle/%.bundle: scenarios/%.toml user $(wildcard harness/orrery/*.py)
	$(call say,BUNDLE,$@)
	$(Q)./orrery bundle $* --output $@

hosted: build/orrery-trace $(if $(filter 1,$(UNICORN)),build/orrery-unicorn)
bare: build/bare/kernel.elf
all: hosted bare user bundles

# ---- What users call ----
run: setup-base
	@$(MAKE) --no-print-directory hosted user bundles
	@./orrery run guest-hello --exits

unit: setup-base-unit
	@$(MAKE) --no-print-directory build/asan/unit
	@tests/run_unit build/asan/unit

tidy: setup-base
	@$(MAKE) --no-print-directory build/plain/kernel.o build/bare/kernel.elf
	@tests/tidy

check: tidy unit
	@$(MAKE) --no-print-directory all
	@ORRERY_NO_BUILD=1 tests/conform/run.py --quick

test: setup-base-unit-iso-machines-browser-install-explore-traces
	@$(MAKE) --no-print-directory test-all
test-all: all build/explore/orrery-explore build/asan/unit build/plain/unit build/orrery-unicorn-clang build/orrery-unicorn-tsan build/orrery-unicorn-tsan-gcc build/bare-clang/kernel.elf user-clang fuzz-binaries build/orrery-hello.iso
	@tests/run_all
user-clang: build/user-clang/root.elf $(PROGRAMS:%=build/user-clang/%.elf)

FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzzers/%,$(FUZZ_C))
fuzz-binaries: $(FUZZERS) build/fuzzers/hypercall_fuzz
FUZZ_HARNESS := $(patsubst %,build/fuzz/harness/%.o,input schedule schedule_write) build/fuzz/tests/harness/trace_made.o $(TRACE_C:%.c=build/fuzz/%.o) $(REPLAY_C:%.c=build/fuzz/%.o)
build/fuzzers/%: tests/fuzz/%.c $(FUZZ_HARNESS) build/fuzz/libkernel.a build/fuzz/libsim.a
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)clang $(HOSTED) $(F_asan) -no-pie -fsanitize=fuzzer $(I_fuzz) $(I_tests) -o $@ $(filter %.c %.o,$^) -Wl,--start-group build/fuzz/libkernel.a build/fuzz/libsim.a -Wl,--end-group
# Inputs of these are traces, and are changed as such. The VMM's parts get the hypercalls of vmm_fuzz.c.
build/fuzzers/replay_fuzz build/fuzzers/vmm_fuzz: $(TRACE_FUZZ_C:%.c=build/fuzz/%.o)
VMM_FUZZ_C := $(filter-out %/vmm.c,$(wildcard scenarios/vmm/*.c))
build/fuzzers/vmm_fuzz: $(VMM_FUZZ_C:scenarios/%.c=build/fuzz/%.o)
%/vmm_fuzz: I_fuzz := -Itests/fuzz/vmm -Iscenarios/vmm -Iscenarios/lib
define VMM_FUZZ_RULE
build/$(1)/vmm/%.o: scenarios/vmm/%.c
	$$(call say,CC $(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(HOSTED) $$(F_$(1)) -Itests/fuzz/vmm $$(I_user) -c -o $$@ $$<
endef
$(foreach v,fuzz afl,$(eval $(call VMM_FUZZ_RULE,$v)))

# The same two for AFL++, if it is installed: no part of a test.
AFL_O := $(TRACE_C:%.c=build/afl/%.o) $(REPLAY_C:%.c=build/afl/%.o)
build/afl/vmm_fuzz: $(VMM_FUZZ_C:scenarios/%.c=build/afl/%.o)
build/afl/%_fuzz: tests/fuzz/%_fuzz.c $(AFL_O) build/afl/libkernel.a build/afl/libsim.a
	$(call say,FUZZ afl,$@)
	$(Q)$(CC_afl) $(HOSTED) $(F_afl) -no-pie -fsanitize=fuzzer $(I_fuzz) $(I_tests) -o $@ $(filter %.c %.o,$^) -Wl,--start-group build/afl/libkernel.a build/afl/libsim.a -Wl,--end-group
build/afl/mutator.so: $(AFL_C) $(TRACE_FUZZ_C) $(TRACE_C)
	@mkdir -p $(@D)
	$(Q)clang -std=gnu11 -O2 -fno-strict-aliasing $(WARN) -fPIC -shared $(I_tests) -Itests/fuzz/traces -o $@ $^
TARGET ?= replay_fuzz
fuzz-afl: setup-base-unit
	@$(MAKE) --no-print-directory hosted bundles build/afl/$(TARGET) build/afl/mutator.so
	@tests/fuzz/trace_seeds.py build/afl/seeds
	@AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_CUSTOM_MUTATOR_LIBRARY=build/afl/mutator.so \
	  afl-fuzz -i build/afl/seeds -o build/afl/out-$(TARGET) -V $(SECONDS_EACH) -t 10000 -m none -- build/afl/$(TARGET)

# Hypercalls against a reference model: a program of its own, under ASan and UBSan.
build/fuzzers/hypercall_fuzz: $(patsubst %.c,build/asan/%.o,$(HYPERCALL_FUZZ_C) $(FIXTURE_C)) build/asan/libkernel.a build/asan/libsim.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)clang $(F_asan) -no-pie -o $@ $(filter %.o,$^) -Wl,--start-group build/asan/libkernel.a build/asan/libsim.a -Wl,--end-group -lcmocka
fuzz-hypercalls: setup-base-unit
	@$(MAKE) --no-print-directory build/fuzzers/hypercall_fuzz
	@build/fuzzers/hypercall_fuzz --seed $(SEED) --operations $(OPERATIONS)
SEED       ?= 1
OPERATIONS ?= 1000000

coverage: setup-base-unit-coverage
	@$(MAKE) --no-print-directory build/cov/unit
	@tests/coverage

SCENARIO ?= hello
iso: setup-base-iso
	@$(MAKE) --no-print-directory build/orrery-$(SCENARIO).iso
build/orrery-%.iso: build/bare/kernel.elf build/bundle/%.bundle kernel/bare/grub.cfg
	$(call say,ISO,$@)
	$(Q)rm -rf build/iso-$* && mkdir -p build/iso-$*/boot/grub && cp build/bare/kernel.elf build/iso-$*/boot/ && \
	  strip -g build/iso-$*/boot/kernel.elf && cp build/bundle/$*.bundle build/iso-$*/boot/bundle && cp kernel/bare/grub.cfg build/iso-$*/boot/grub/ && \
	  grub-mkrescue -d /usr/lib/grub/i386-pc --locales= --fonts= --themes= -o $@ build/iso-$* >build/iso-$*.log 2>&1 || { cat build/iso-$*.log; exit 1; }

JOBS ?= $(shell nproc)
explore: setup-base-unit-explore
	@$(MAKE) --no-print-directory build/explore/orrery-explore
	@ORRERY_NO_BUILD=1 ./orrery explore --all --jobs $(JOBS); status=$$?; tests/explore/schedules.py && exit $$status

MINUTES ?= 30
soak: setup-base-unit-iso-machines-browser-install-explore-traces
	@$(MAKE) --no-print-directory test-all
	@tests/soak $(MINUTES)

install: setup-base-unit
	@$(MAKE) --no-print-directory install-files
INSTALLED := $(patsubst %,include/orrery/%,$(notdir $(LIB_H)) $(LIB_ABI_H:kernel/include/%=%)) lib/liborrery.a lib/pkgconfig/orrery-world.pc \
             share/man/man1/orrery.1 share/man/man3/orrery-world.3
install-files: build/lib/liborrery.a $(LIB_MAN)
	@install -d $(addprefix $(DESTDIR)$(PREFIX)/,include/orrery/abi lib/pkgconfig share/man/man1 share/man/man3)
	@install -m 644 $(LIB_H) $(DESTDIR)$(PREFIX)/include/orrery
	@install -m 644 $(LIB_ABI_H) $(DESTDIR)$(PREFIX)/include/orrery/abi
	@sed -i 's|#include "base.h"|#include "../base.h"|' $(LIB_ABI_H:kernel/include/%=$(DESTDIR)$(PREFIX)/include/orrery/%)
	@install -m 644 build/lib/liborrery.a $(DESTDIR)$(PREFIX)/lib
	@sed 's|@PREFIX@|$(PREFIX)|' harness/orrery-world.pc.in >build/lib/orrery-world.pc
	@install -m 644 build/lib/orrery-world.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig
	@install -m 644 build/lib/orrery.1 $(DESTDIR)$(PREFIX)/share/man/man1
	@install -m 644 build/lib/orrery-world.3 $(DESTDIR)$(PREFIX)/share/man/man3
uninstall:
	@rm -f $(addprefix $(DESTDIR)$(PREFIX)/,$(INSTALLED))
	@rmdir $(addprefix $(DESTDIR)$(PREFIX)/include/orrery,/abi "") 2>/dev/null || true

clean:
	@rm -rf build

-include $(shell find build -name mutants -prune -o -name '*.d' -print 2>/dev/null)
