/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs of a sequence, and its file: a head line "vendor=vmx cpus=2", then a line for each operation; # begins a comment. */
#include "sequence.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "generate.h"

#define HANG_SECONDS 30   /* of one run, which takes less than one: what is not over then never ends */

static const char *const vendor_name[] = { [SIM_NONE] = "none", [SIM_VMX] = "vmx", [SIM_SVM] = "svm" };

struct sequence *sequence_new(void)
{
    struct sequence *const s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        abort();
    return s;
}

/* What a file could not say must not be found. */
static void check_line(const struct fuzz *z, const struct op *op)
{
    char line[OP_LINE_BYTES];
    struct op again, plain = *op;
    memset(&plain.item[plain.items], 0, (OP_ITEMS - plain.items) * sizeof(plain.item[0]));
    op_print(line, op);
    if (op_parse(&again, line) || memcmp(&again, &plain, sizeof(again)))
        fuzz_fail(z, "another operation when read back: %s", line);
}

static void child(struct sequence *s, u64 compare_every)
{
    u64 random = s->seed;
    struct fuzz *const z = fuzz_open(s->vendor, s->cpus, compare_every, &s->tally);
    for (s->done = 0; s->done < s->count;) {
        struct op *const op = &s->op[s->done];
        if (!s->given)
            *op = generate(z, &random);
        s->done++;
        check_line(z, op);
        fuzz_do(z, op);
    }
    fuzz_close(z);
    _exit(FUZZ_CLEAN);
}

bool sequence_run(struct sequence *s, u64 compare_every, char *message, u64 bytes)
{
    FILE *const out = tmpfile();
    int status;
    if (!out)
        abort();
    fflush(stdout);
    fflush(stderr);
    s->done = 0;
    const pid_t pid = fork();
    if (pid < 0)
        abort();
    if (!pid) {
        dup2(fileno(out), 1);
        dup2(fileno(out), 2);
        alarm(HANG_SECONDS);
        child(s, compare_every);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    rewind(out);
    const u64 got = message ? fread(message, 1, bytes - 1, out) : 0;
    if (message)
        message[got] = 0;
    fclose(out);
    return WIFEXITED(status) && WEXITSTATUS(status) == FUZZ_CLEAN;
}

void sequence_print(const struct sequence *s, FILE *out)
{
    char line[OP_LINE_BYTES];
    fprintf(out, "vendor=%s cpus=%u\n", vendor_name[s->vendor], s->cpus);
    for (u64 i = 0; i < s->count; i++) {
        op_print(line, &s->op[i]);
        fprintf(out, "%s\n", line);
    }
}

static const char *head(struct sequence *s, const char *line)
{
    char vendor[8];
    int rest = 0;
    if (sscanf(line, "vendor=%7s cpus=%u %n", vendor, &s->cpus, &rest) != 2 || line[rest])
        return "not vendor=vmx|svm|none cpus=n";
    for (u32 v = 0; v < array_size(vendor_name); v++)
        if (!strcmp(vendor, vendor_name[v])) {
            s->vendor = (enum sim_vendor)v;
            return s->cpus - 1 < FUZZ_CPUS ? NULL : "cpus is 1, 2 or 3";
        }
    return "no such vendor";
}

bool sequence_read(struct sequence *s, const char *name)
{
    char line[OP_LINE_BYTES];
    FILE *const in = fopen(name, "r");
    const char *wrong = in ? NULL : strerror(errno);
    bool begun = false;
    u64 number = 0;
    s->count = 0;
    while (!wrong && fgets(line, sizeof(line), in)) {
        number++;
        if (line[0] == '#' || line[strspn(line, " \t\r\n")] == 0)
            continue;
        if (s->count == SEQUENCE_MAX)
            wrong = "too many operations";
        else
            wrong = begun ? op_parse(&s->op[s->count++], line) : head(s, line);
        begun = true;
    }
    if (!wrong && !begun)
        wrong = "empty";
    if (wrong)
        fprintf(stderr, "%s: line %lu: %s\n", name, number, wrong);
    if (in)
        fclose(in);
    s->given = true;
    return !wrong;
}
