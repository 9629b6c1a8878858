/* SPDX-License-Identifier: BSD-2-Clause */
/* A program that does all a program must not, and lives to tell: its worker's exceptions go to a handler of its own, which puts the
 * worker back to after the act. What each act must raise stands in a table. Arguments: "acts", "interrupts", "selectors", "hypercalls";
 * "die NAME": one act whose exception goes to root; "bystander": counts, undisturbed.
 *
 * Not tried: what needs debug registers (user level cannot write them) or devices. */
#include "client.h"
#include "hv.h"
#include "mem.h"
#include "print.h"

#define STACK_BYTES  16384u
#define SEL_CATCHER  4096u
#define SEL_WORKER   4097u
#define SEL_WORKER_SC 4098u
#define SEL_FINISHED 4099u
#define SEL_EVENT    4128u          /* event base of the worker: 32 portals to the catcher */
#define LAST_PAGE    (USER_END - PAGE_SIZE)

#define NONE bit(32)                /* no exception at all */
#define V(n) bit(n)

enum { GPR_RSP = 4 };

static struct thread self, catcher, worker;
static u8 catcher_stack[STACK_BYTES] aligned_to(16), worker_stack[STACK_BYTES] aligned_to(16);
static u64 failures;

/* What the catcher saw last. */
static u64 caught, caught_ip, catches;
u64 recover_sp;                     /* where attempt() wants to go on */

static void check(enum status s, const char *what)
{
    if (s != OK)
        client_fail(&self, what, s);
}

/* ---- Attempt and recovery ---- */

void attempt_recover(void);
void attempt(void (*act)(u64 argument), u64 argument);

/* Call act; if it raises an exception, the catcher continues at attempt_recover with this stack pointer. */
__attribute__((naked)) void attempt(void (*act)(u64), u64 argument)
{
    __asm__("push %rbx\n\t push %rbp\n\t push %r12\n\t push %r13\n\t push %r14\n\t push %r15\n\t"
            "sub $8, %rsp\n\t"
            "mov %rsp, recover_sp(%rip)\n\t"
            "mov %rdi, %rax\n\t"
            "mov %rsi, %rdi\n\t"
            "call *%rax\n"
            ".globl attempt_recover\n"
            "attempt_recover:\n\t"
            "mov recover_sp(%rip), %rsp\n\t"
            "cld\n\t"
            "add $8, %rsp\n\t"
            "pop %r15\n\t pop %r14\n\t pop %r13\n\t pop %r12\n\t pop %rbp\n\t pop %rbx\n\t"
            "ret");
}

static void catcher_entry(u64 id, u64 mtr)
{
    struct utcb_exception *e = (struct utcb_exception *)catcher.utcb->word;
    caught = e->vector;
    caught_ip = e->ip;
    catches++;
    e->ip = (u64)attempt_recover;
    e->flags = 0x202;
    e->gpr[GPR_RSP] = recover_sp;
    (void)!hv_reply(MTR(EXCEPTION_WORDS, 0));
    __builtin_trap();
}

/* Which exception the act raised; NONE's number, 32, if it came back. */
static u64 outcome(void (*act)(u64), u64 argument)
{
    caught = 32;
    attempt(act, argument);
    return caught;
}

static void expect(const char *name, u64 detail, u64 allowed, u64 got)
{
    if (allowed & bit(got))
        return;
    failures++;
    print("hostile: %s %lu: exception %lu at 0x%lx", name, detail, got, caught_ip);
}

/* ---- Acts. Each may leave registers and flags in any state. ---- */

#define ACT(name, text)                                                                                                \
    __attribute__((naked)) static void act_##name(u64 argument)                                                        \
    {                                                                                                                  \
        __asm__(text "\n\tret");                                                                                       \
    }
#define FLAG(bits) "pushf\n\t orl $" bits ", (%rsp)\n\t popf\n\t"
#define NULL_CALL  "xor %edi, %edi\n\t syscall\n\t"
#define CLEAR      "push $0x202\n\t popf\n\t"

ACT(ud2, "ud2")
ACT(hlt, "hlt")
ACT(cli, "cli")
ACT(sti, "sti")
ACT(in, "mov $0x60, %dx\n\t in %dx, %al")
ACT(out, "mov $0x64, %dx\n\t mov $0xfe, %al\n\t out %al, %dx")
ACT(outs, "mov $0xf4, %dx\n\t lea (%rsp), %rsi\n\t outsl")
ACT(wrmsr, "mov $0xc0000080, %ecx\n\t xor %eax, %eax\n\t xor %edx, %edx\n\t wrmsr")
ACT(rdmsr, "mov $0x1b, %ecx\n\t rdmsr")
ACT(mov_cr0, "mov %cr0, %rax\n\t mov %rax, %cr0")
ACT(mov_cr3, "xor %eax, %eax\n\t mov %rax, %cr3")
ACT(mov_dr7, "xor %eax, %eax\n\t mov %rax, %dr7")
ACT(invlpg, "invlpg (%rsp)")
ACT(wbinvd, "wbinvd")
ACT(lgdt, "sub $16, %rsp\n\t movq $0, (%rsp)\n\t lgdt (%rsp)\n\t add $16, %rsp")
ACT(lidt, "sub $16, %rsp\n\t movq $0, (%rsp)\n\t lidt (%rsp)\n\t add $16, %rsp")
ACT(ltr, "mov $8, %ax\n\t ltr %ax")
ACT(clts, "clts")
ACT(swapgs, "swapgs")
ACT(sysret, "lea 1f(%rip), %rcx\n\t mov $0x202, %r11d\n\t sysretq\n1:")
ACT(iret_kernel, "mov %rsp, %rax\n\t push $0x10\n\t push %rax\n\t push $0x202\n\t push $8\n\t lea 1f(%rip), %rax\n\t push %rax\n\t iretq\n1:")
ACT(sysenter, "sysenter")
ACT(vmcall, "vmcall")
ACT(vmmcall, "vmmcall")
ACT(vmrun, "xor %eax, %eax\n\t vmrun")
ACT(vmxoff, "vmxoff")
ACT(xsetbv, "xor %ecx, %ecx\n\t mov $1, %eax\n\t xor %edx, %edx\n\t xsetbv")
ACT(divide, "xor %ecx, %ecx\n\t mov $1, %eax\n\t cltd\n\t div %ecx")
ACT(fpu, "fninit")
ACT(icebp, ".byte 0xf1")
ACT(lock, ".byte 0xf0, 0x90")
ACT(step, FLAG("0x100") "nop\n\t nop\n\t" CLEAR)
ACT(step_syscall, "xor %edi, %edi\n\t" FLAG("0x100") "syscall\n\t nop\n\t" CLEAR)
ACT(pop_ss_step, "mov %ss, %eax\n\t xor %edi, %edi\n\t push %rax\n\t" FLAG("0x100") "movw (%rsp), %ss\n\t syscall\n\t pop %rax\n\t" CLEAR)
ACT(pop_ss_int, "mov %ss, %eax\n\t push %rax\n\t" FLAG("0x100") "movw (%rsp), %ss\n\t int $0x80\n\t pop %rax\n\t" CLEAR)
ACT(nested_task, FLAG("0x4000") NULL_CALL "ud2")
ACT(alignment, FLAG("0x40000") "mov 1(%rsp), %rax\n\t" NULL_CALL CLEAR)
ACT(direction, "std\n\t" NULL_CALL "cld")
ACT(io_level, FLAG("0x3000") "pushf\n\t pop %rax\n\t test $0x3000, %eax\n\t jz 1f\n\t ud2\n1:" NULL_CALL)
ACT(iret_io_level, "mov %rsp, %rax\n\t mov %ss, %ecx\n\t push %rcx\n\t push %rax\n\t push $0x3202\n\t mov %cs, %ecx\n\t push %rcx\n\t"
                   "lea 1f(%rip), %rcx\n\t push %rcx\n\t iretq\n1: mov $0x80, %dx\n\t in %dx, %al")
ACT(jump_noncanonical, "mov $0x8000000000000000, %rax\n\t jmp *%rax")
ACT(return_noncanonical, "mov $0x0000800000000000, %rax\n\t push %rax\n\t ret")
ACT(jump_kernel, "mov $0xffffffff80100000, %rax\n\t jmp *%rax")
ACT(jump_data, "lea worker_data(%rip), %rax\n\t jmp *%rax")
ACT(read_null, "xor %eax, %eax\n\t mov (%rax), %rax")
ACT(read_kernel, "mov $0xffff800000000000, %rax\n\t mov (%rax), %rax")
ACT(read_kernel_image, "mov $0xffffffff80100000, %rax\n\t mov (%rax), %rax")
ACT(read_noncanonical, "mov $0x1000000000000000, %rax\n\t mov (%rax), %rax")
ACT(write_kernel, "mov $0xffff800000000000, %rax\n\t mov %rax, (%rax)")
ACT(write_text, "lea act_write_text(%rip), %rax\n\t movb $0, (%rax)")
ACT(write_page, "mov $0x10000000, %eax\n\t movb $0, (%rax)")
ACT(stack_syscall, "mov %rsp, %r12\n\t mov $0x4141414141414141, %rsp\n\t" NULL_CALL "mov $0xffffffff80100000, %rsp\n\t" NULL_CALL
                   "xor %esp, %esp\n\t" NULL_CALL "mov %r12, %rsp")
ACT(stack_ud2, "mov $0x4141414141414141, %rsp\n\t ud2")
ACT(stack_push, "mov $0x4141414141414141, %rsp\n\t push %rax")
ACT(stack_kernel, "mov $0xffffffff80100000, %rsp\n\t push %rax")
ACT(stack_int, "mov $0xffff800000001000, %rsp\n\t int $0x80")
ACT(last_page, "xor %edi, %edi\n\t mov $0x7fffffffeffe, %rax\n\t jmp *%rax")

struct act {
    const char *name;
    void (*act)(u64);
    u64 allowed;
};
#define ROW(name, allowed) { #name, act_##name, allowed }
#define GP V(13)
#define UD V(6)
#define PF V(14)

static const struct act acts[] = {
    ROW(ud2, UD), ROW(hlt, GP), ROW(cli, GP), ROW(sti, GP), ROW(in, GP), ROW(out, GP), ROW(outs, GP), ROW(wrmsr, GP),
    ROW(rdmsr, GP), ROW(mov_cr0, GP), ROW(mov_cr3, GP), ROW(mov_dr7, GP), ROW(invlpg, GP), ROW(wbinvd, GP), ROW(lgdt, GP),
    ROW(lidt, GP), ROW(ltr, GP), ROW(clts, GP), ROW(swapgs, GP), ROW(sysret, GP | UD), ROW(iret_kernel, GP),
    ROW(sysenter, GP | UD), ROW(vmcall, GP | UD), ROW(vmmcall, GP | UD), ROW(vmrun, GP | UD), ROW(vmxoff, GP | UD),
    ROW(xsetbv, GP | UD), ROW(divide, V(0)), ROW(fpu, V(7)), ROW(icebp, V(1) | UD) /* QEMU */, ROW(lock, UD), ROW(step, V(1)),
    /* The trap after SYSCALL is masked with TF; after MOV SS it is held back for one instruction. */
    ROW(step_syscall, V(1) | NONE), ROW(pop_ss_step, V(1) | NONE), ROW(pop_ss_int, V(1) | GP), ROW(nested_task, UD),
    ROW(alignment, V(17) | NONE), ROW(direction, NONE), ROW(io_level, NONE), ROW(iret_io_level, GP),
    ROW(jump_noncanonical, GP), ROW(return_noncanonical, GP), ROW(jump_kernel, PF), ROW(jump_data, PF), ROW(read_null, PF),
    ROW(read_kernel, PF), ROW(read_kernel_image, PF), ROW(read_noncanonical, GP), ROW(write_kernel, PF), ROW(write_text, PF),
    ROW(write_page, PF), ROW(stack_syscall, NONE), ROW(stack_ud2, UD), ROW(stack_push, V(12) | GP) /* QEMU */, ROW(stack_kernel, PF),
    ROW(stack_int, GP), ROW(last_page, PF),
};

u64 worker_data = 0xc3;   /* "ret", in a page that is not executable */

/* SYSCALL as the last instruction below USER_END: the return address is the first one that cannot be mapped. */
static void last_page_make(void)
{
    static const u8 syscall_code[2] = { 0x0f, 0x05 };
    memcpy((void *)(PROGRAM_MEMORY + PAGE_SIZE - 2), syscall_code, 2);
    check(hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, PROGRAM_MEMORY >> PAGE_BITS, LAST_PAGE >> PAGE_BITS,
                      DELEGATE(1, RIGHT_R | RIGHT_X, SPACE_MEMORY, SPACE_MEMORY)),
          "last page");
    const enum status beyond = hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, PROGRAM_MEMORY >> PAGE_BITS, USER_END >> PAGE_BITS,
                                           DELEGATE(1, RIGHT_R | RIGHT_X, SPACE_MEMORY, SPACE_MEMORY));
    expect("page beyond the last", beyond, NONE, beyond == OK ? 0 : 32);
}

static void acts_do(void)
{
    last_page_make();
    for (u32 i = 0; i < array_size(acts); i++)
        expect(acts[i].name, i, acts[i].allowed, outcome(acts[i].act, 0));
    if (failures == 0)
        print("hostile: %lu acts", array_size(acts));
}

/* ---- Every INT n ---- */

/* 256 times: int n; ret. */
__attribute__((naked, aligned(16))) static void int_table(u64 argument)
{
    __asm__(".set vector, 0\n\t"
            ".rept 256\n\t"
            ".byte 0xcd, vector\n\t"
            "ret\n\t nop\n\t"
            ".set vector, vector + 1\n\t"
            ".endr");
}

static void interrupts_do(void)
{
    for (u64 n = 0; n < 256; n++) {
        void (*const act)(u64) = (void (*)(u64))((u64)int_table + 4 * n);
        expect("int", n, n == 3 ? V(3) : n == 4 ? V(4) | GP : GP, outcome(act, 0));
    }
    if (failures == 0)
        print("hostile: 256 interrupts");
}

/* ---- Far jumps to every selector ---- */

/* Where a far jump lands if it succeeds: valid code in 64- and 32-bit mode alike, with RDI = 0. */
__attribute__((naked)) static void far_jump(u64 selector)
{
    __asm__("sub $16, %rsp\n\t"
            "lea 1f(%rip), %rax\n\t"
            "mov %eax, (%rsp)\n\t"
            "mov %di, 4(%rsp)\n\t"
            "xor %edi, %edi\n\t"
            "ljmpl *(%rsp)\n"
            "1: syscall\n\t"
            "ud2");
}

/* Load SS, DS, ES, FS, GS with any selector: user level may load null and its own data segment. */
__attribute__((naked)) static void load_segments(u64 selector)
{
    __asm__("mov %edi, %ds\n\t mov %edi, %es\n\t mov %edi, %fs\n\t mov %edi, %gs\n\t mov %edi, %ss\n\t"
            "xor %edi, %edi\n\t syscall\n\t ret");
}

static void selectors_do(void)
{
    for (u64 s = 0; s < 0x200; s++) {
        expect("far jump", s, GP | UD | V(11), outcome(far_jump, s));
        expect("segments", s, GP | V(12) | V(11) | NONE, outcome(load_segments, s));
    }
    expect("after selectors", 0, UD, outcome(act_ud2, 0));
    if (failures == 0)
        print("hostile: 512 selectors");
}

/* ---- Hypercalls ---- */

static u64 random_state = 88172645463325252ul;

static u64 random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Selectors and numbers at the edges; not the console's semaphore nor root's portals, which other programs need. */
static u64 random_argument(void)
{
    static const u64 edge[] = {
        0, 1, 2, 3, 63, SEL_FINISHED + 100, SEL_COUNT - 1, SEL_COUNT, SEL_NULL, ~0ul, bit(63), bit(36), bit(52),
        USER_END, USER_END >> PAGE_BITS, LAST_PAGE, 0xffff800000000000ul, 0x10, 0x111, 0x10101, PAGE_MASK, 9000, 9001,
    };
    return random() % 4 ? edge[random() % array_size(edge)] : random();
}

static void hypercall_random(u64 number)
{
    struct hv_registers r;
    for (u32 i = 0; i < 6; i++)
        r.argument[i] = random_argument();
    if (number == HYPERCALL_sm_down)
        r.argument[2] = 1;   /* a deadline that has passed */
    if (number == HYPERCALL_console)
        r.argument[4] |= 64;   /* too many bytes: no garbage on the console */
    if (number == HYPERCALL_reply || number == HYPERCALL_null)
        return;
    if (number == HYPERCALL_revoke && r.argument[0] == PROGRAM_SEL_PD && r.argument[1] < 0x4000000)
        r.argument[1] += 0x4000000;   /* not our own image and capabilities */
    const enum status s = hv_syscall(number, 6, &r);
    if (s >= STATUS_COUNT)
        expect("status", s, 0, 32);
    if (number >= HYPERCALL_COUNT && s != STATUS_HYPERCALL)
        expect("number", number, 0, 32);
}

static void hypercalls_do(u64 count)
{
    struct hv_registers r = { { 0 }, { 0 } };
    expect("shutdown", 0, NONE, hv_shutdown(0) == STATUS_PERM ? 32 : 0);
    expect("reply", 0, NONE, hv_reply(0) != OK ? 32 : 0);
    for (u64 number = HYPERCALL_COUNT; number < 300; number++)
        expect("number", number, NONE, hv_syscall(number, 6, &r) == STATUS_HYPERCALL ? 32 : 0);
    for (u64 i = 0; i < count; i++)
        hypercall_random(i % 16 ? i % HYPERCALL_COUNT : random_argument() | 64);
    if (failures == 0)
        print("hostile: %lu hypercalls", count);
}

/* ---- Ways to die, and the bystander ---- */

static const struct act deaths[] = {
    ROW(jump_noncanonical, 0), ROW(ud2, 0), ROW(read_kernel, 0), ROW(stack_push, 0), ROW(step, 0), ROW(stack_ud2, 0),
};

static void die(const char *name)
{
    for (u32 i = 0; i < array_size(deaths); i++)
        if (str_equal(deaths[i].name, name))
            deaths[i].act(0);
    print("hostile: %s: still alive", program_page()->name);
    client_done(&self, 1);
}

static void bystander(void)
{
    u64 *memory = (u64 *)PROGRAM_MEMORY;
    const u64 words = program_page()->memory_bytes / 8;
    for (u64 round = 0; round < 200; round++) {
        for (u64 i = 0; i < words; i++) {
            if (memory[i] != round)
                client_fail(&self, "memory changed", STATUS_ABORT);
            memory[i]++;
        }
        check(hv_null(), "null");
    }
    print("hostile: bystander on CPU %u is fine", self.cpu);
}

/* ---- The worker ---- */

static void worker_entry(void *arg)
{
    const char *args = arg;
    if (str_word(&args, "acts"))
        acts_do();
    else if (str_word(&args, "interrupts"))
        interrupts_do();
    else if (str_word(&args, "selectors"))
        selectors_do();
    else if (str_word(&args, "hypercalls"))
        hypercalls_do(4000);
    else
        failures++;
    if (hv_sm_up(SEL_FINISHED) != OK)
        __builtin_trap();
    thread_park();
}

/* As thread_create, but with an event base of our own. */
static void worker_start(void)
{
    struct thread_config c = { .number = 1, .cpu = self.cpu, .ec = SEL_CATCHER, .stack_top = catcher_stack + STACK_BYTES };
    check(thread_create_local(&c, &catcher), "catcher");
    for (u32 v = 0; v < EC_EVENTS; v++)
        check(hv_portal_create(PROGRAM_SEL_PD, SEL_EVENT + v, SEL_CATCHER, (u64)catcher_entry, v), "portal");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_FINISHED, 0), "semaphore");
    c = (struct thread_config){
        .number = 2, .cpu = self.cpu, .priority = program_page()->priority, .ec = SEL_WORKER, .sc = SEL_WORKER_SC,
        .event_base = SEL_EVENT, .stack_top = worker_stack + STACK_BYTES, .entry = worker_entry,
        .arg = (void *)program_page()->args,
    };
    check(thread_create(&c, &worker), "worker");
    check(hv_sm_down(SEL_FINISHED, 0, 0), "wait");
}

void program_main(u64 first, u64 utcb)
{
    self = thread_first();
    const char *args = program_page()->args;
    if (str_word(&args, "die"))
        die(args);
    if (str_word(&args, "bystander"))
        bystander();
    else
        worker_start();
    client_done(&self, failures != 0);
}
