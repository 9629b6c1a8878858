/* SPDX-License-Identifier: BSD-2-Clause */
/* Random sequences of hypercalls on a hosted kernel and a reference model: docs/testing.md, "Hypercalls".
 *
 *   hypercall_fuzz --seed 7 --operations 20000 [--vendor vmx|svm|none] [--cpus n]
 *   hypercall_fuzz --replay FILE */
#include <stdlib.h>
#include <string.h>
#include "run.h"
#include "sequence.h"

#define LENGTH        1000u   /* operations of a sequence */
#define COMPARE_EVERY 16u
#define MESSAGE_BYTES 3000u

struct options {
    u64 seed, operations, vendor, cpus;   /* vendor: enum sim_vendor, ~0: all in turn; cpus 0: in turn */
    const char *replay;
};

static int refuse(const char *option, const char *why)
{
    fprintf(stderr, "hypercall_fuzz: %s: %s\n", option, why);
    return 2;
}

static bool number(const char *text, u64 most, u64 *out)
{
    char *end;
    *out = strtoul(text, &end, 0);
    return text[0] >= '0' && text[0] <= '9' && !*end && *out <= most;
}

static int parse(struct options *o, int count, char **word)
{
    static const char *const vendors[] = { "none", "vmx", "svm" };
    for (int i = 1; i < count; i += 2) {
        const char *const value = i + 1 < count ? word[i + 1] : NULL;
        bool good = false;
        if (!value)
            return refuse(word[i], "needs a value");
        if (!strcmp(word[i], "--seed"))
            good = number(value, ~0ul, &o->seed);
        else if (!strcmp(word[i], "--operations"))
            good = number(value, ~0ul, &o->operations) && o->operations;
        else if (!strcmp(word[i], "--cpus"))
            good = number(value, FUZZ_CPUS, &o->cpus) && o->cpus;
        else if (!strcmp(word[i], "--replay"))
            good = (o->replay = value);
        else if (strcmp(word[i], "--vendor"))
            return refuse(word[i], "no such option: --seed N --operations N --vendor vmx|svm|none --cpus N --replay FILE");
        for (u32 v = 0; !strcmp(word[i], "--vendor") && v < array_size(vendors); v++)
            if (!strcmp(value, vendors[v])) {
                o->vendor = v;
                good = true;
            }
        if (!good)
            return refuse(word[i], "no such value");
    }
    return 0;
}

static int report(struct sequence *s, const char *program, const char *message, u64 before)
{
    static const char *const vendors[] = { "none", "vmx", "svm" };
    static char again[MESSAGE_BYTES];
    const u64 length = s->done;
    printf("%s\nfound after %lu operations; reproduce: %s --seed %lu --operations %lu --vendor %s --cpus %u\n", message, before + length, program, s->seed,
           s->given ? s->count : LENGTH, vendors[s->vendor], s->cpus);
    sequence_shrink(s);
    sequence_run(s, 1, again, sizeof(again));
    const char *const first = again + strspn(again, "=\n");   /* ASan begins with a ruler */
    printf("shrunk from %lu operations to %lu; as a file for --replay:\n\n# %.*s\n", length, s->count, (int)strcspn(first, "\n"), first);
    sequence_print(s, stdout);
    return FUZZ_DIFFERS;
}

/* What was tried, so that a fuzzer that tries nothing shows. */
static void tally(const struct tally *t)
{
    static const char *const column[TALLY_COLUMNS] = {
#define COLUMN(number, name, text) [number] = #name,
        STATUS_LIST(COLUMN) "blocked", "delivered", "helping",
    };
    for (u64 i = 0; i < TALLY_ROWS; i++) {
        printf("# %-13s", op_name(i));
        for (u32 k = 0; k < TALLY_COLUMNS; k++)
            if (t->n[i][k])
                printf(" %s %lu", strncmp(column[k], "STATUS_", 7) ? column[k] : column[k] + 7, t->n[i][k]);
        printf("\n");
    }
    printf("# not possible: %lu; executed again: %lu; words rewritten: %lu, of items that the kernel took as they were then: %lu\n", t->skipped, t->preempted,
           t->rewritten, t->rewritten_seen);
}

static int fuzz(const struct options *o, const char *program)
{
    struct sequence *const s = sequence_new();
    static char message[MESSAGE_BYTES];
    u64 done = 0;
    static const enum sim_vendor turn[] = { SIM_VMX, SIM_SVM, SIM_VMX, SIM_SVM, SIM_NONE };
    for (u64 n = 0; done < o->operations; n++) {
        s->seed = o->seed + n;
        s->vendor = o->vendor == ~0ul ? turn[s->seed % array_size(turn)] : (enum sim_vendor)o->vendor;
        s->cpus = o->cpus ? (u32)o->cpus : 1 + (u32)(s->seed / array_size(turn) % FUZZ_CPUS);
        s->count = min(o->operations - done, (u64)LENGTH);
        if (!sequence_run(s, COMPARE_EVERY, message, sizeof(message)))
            return report(s, program, message, done);
        done += s->count;
    }
    tally(&s->tally);
    printf("hypercall_fuzz: %lu operations, seeds %lu to %lu: no difference\n", done, o->seed, s->seed);
    return FUZZ_CLEAN;
}

static int replay(const struct options *o)
{
    struct sequence *const s = sequence_new();
    static char message[MESSAGE_BYTES];
    if (!sequence_read(s, o->replay))
        return 2;
    const bool clean = sequence_run(s, 1, message, sizeof(message));
    printf("%s", clean ? "no difference\n" : message);
    return clean ? FUZZ_CLEAN : FUZZ_DIFFERS;
}

int main(int count, char **word)
{
    struct options o = { .seed = 1, .operations = 20000, .vendor = ~0ul };
    const int status = parse(&o, count, word);
    if (status)
        return status;
    return o.replay ? replay(&o) : fuzz(&o, word[0]);
}
