/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads schedule files: see schedule.h. Nothing in them is trusted; the first thing wrong is named with its line, and nothing is guessed. */
#include "schedule.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 16u

struct reader {
    const char *name;
    char *at, *end;
    u32 line;
    bool good;
};

static bool refuse(struct reader *r, const char *why, const char *what)
{
    fprintf(stderr, "orrery-explore: %s:%u: %s%s%.60s%s\n", r->name, r->line, why, what ? " '" : "", what ? what : "", what ? "'" : "");
    r->good = false;
    return false;
}

/* The next line that is no comment; NULL at the end or if it is no text. */
static char *line_next(struct reader *r)
{
    while (r->good && r->at < r->end) {
        char *line = r->at, *end = memchr(line, '\n', (u64)(r->end - line));
        r->line++;
        if (!end)
            end = r->end;
        r->at = end + (end < r->end);
        *end = 0;
        for (const char *c = line; c < end; c++) {
            if ((u8)*c < 0x20 || *c == 0x7f) {
                refuse(r, "a byte that is no text", NULL);
                return NULL;
            }
        }
        if (*line != '#')
            return line;
    }
    return NULL;
}

/* The value of the header line that must come now; NULL: it does not. */
static const char *header(struct reader *r, const char *key)
{
    char *line = line_next(r);
    const u64 length = strlen(key);
    if (line && strncmp(line, key, length) == 0 && line[length] == ' ' && line[length + 1])
        return line + length + 1;
    if (r->good) {
        r->line += !line;
        refuse(r, "this line must be the header's", key);
    }
    return NULL;
}

static bool number(const char *text, int base, u64 high, u64 *value)
{
    char *end;
    errno = 0;
    *value = strtoul(text, &end, base);
    return !errno && end != text && !*end && *text != '-' && *text != '+' && *text != ' ' && *value <= high;
}

static bool word_copy(struct reader *r, const char *text, char *room)
{
    if (!*text || strlen(text) >= NAME_ROOM || strchr(text, ' '))
        return refuse(r, "not a name of 1 to 63 characters:", text);
    strcpy(room, text);
    return true;
}

/* Which of the names is it? */
static bool pick(struct reader *r, const char *text, const char *const *name, u32 count, const char *what, u32 *index)
{
    for (*index = 0; *index < count; ++*index)
        if (name[*index] && strcmp(name[*index], text) == 0)
            return true;
    return refuse(r, what, text);
}

static bool verdict(struct reader *r, const char *text, struct schedule *s)
{
    const char *colon = strstr(text, ": ");
    for (u32 e = SIM_SHUTDOWN; colon && e <= SIM_STOPPED; e++) {
        const char *name = end_name((enum sim_end)e);
        if (strlen(name) != (u64)(colon - text) || strncmp(name, text, strlen(name)) != 0)
            continue;
        if (e == SIM_SHUTDOWN || e == SIM_STOPPED)
            break;
        s->end = (enum sim_end)e;
        if (strlen(colon + 2) >= sizeof(s->message))
            return refuse(r, "the message is too long", NULL);
        strcpy(s->message, colon + 2);
        return true;
    }
    return refuse(r, "not a verdict (finding, panic, deadlock, livelock, engine, then ': ' and its message):", text);
}

static bool headers(struct reader *r, struct schedule *s)
{
    static const char *const model[] = { "tso", "sc" }, *const vendor[] = { "none", "vmx", "svm" };
    const char *text = header(r, "orrery-schedule");
    u32 index;
    if (!text || (strcmp(text, "1") != 0 && !refuse(r, "version 1 is what this program reads, not", text)))
        return false;
    if (!(text = header(r, "test")) || !word_copy(r, text, s->test))
        return false;
    if (!(text = header(r, "model")) || !pick(r, text, model, 2, "model: sc or tso, not", &index))
        return false;
    s->sc = index == 1;
    if (!(text = header(r, "vendor")) || !pick(r, text, vendor, 3, "vendor: none, vmx or svm, not", &index))
        return false;
    s->vendor = (enum sim_vendor)index;
    if (!(text = header(r, "mutant")) || !word_copy(r, text, s->mutant))
        return false;
    if (!(text = header(r, "seed")) || (!number(text, 10, ~0ul, &s->seed) && !refuse(r, "seed: not a number:", text)))
        return false;
    if (!(text = header(r, "verdict")) || !verdict(r, text, s))
        return false;
    if (!(text = header(r, "hash")) || ((strlen(text) > 16 || !number(text, 16, ~0ul, &s->hash)) && !refuse(r, "hash: not 1 to 16 hexadecimal digits:", text)))
        return false;
    text = line_next(r);
    return r->good && (!text || !*text || refuse(r, "an empty line must end the header, not", text));
}

/* "cpu 3", "flush 3": two words. */
static bool agent_read(struct reader *r, char *const *word, u32 *agent)
{
    u64 n;
    const bool flush = strcmp(word[0], "flush") == 0;
    if ((!flush && strcmp(word[0], "cpu") != 0) || !number(word[1], 10, SIM_FLUSHER - 1, &n))
        return refuse(r, "not an agent ('cpu N', 'flush N'):", word[0]);
    *agent = (u32)n + (flush ? SIM_FLUSHER : 0);
    return true;
}

/* "#3", "#3.2" */
static bool occurrence(struct reader *r, char *text, struct anchor *a)
{
    char *dot = strchr(text, '.');
    u64 occurrence = 0, visit = 1;
    if (dot)
        *dot++ = 0;
    if (*text != '#' || !number(text + 1, 10, ~0u, &occurrence) || !occurrence || (dot && (!number(dot, 10, ~0u, &visit) || !visit)))
        return refuse(r, "not an occurrence ('#3' or '#3.2'):", text);
    a->occurrence = (u32)occurrence;
    a->visit = (u32)visit;
    return true;
}

static bool action(struct reader *r, char *const *word, struct decision *d)
{
    u64 n;
    u32 kind;
    if (strcmp(word[0], "cpu") == 0 || strcmp(word[0], "flush") == 0) {
        d->kind = CHOICE_STEP;
        return agent_read(r, word, &d->value);
    }
    if (!pick(r, word[0], choice_name, CHOICE_KINDS, "not an action ('cpu N', 'flush N' or a kind of choice):", &kind))
        return false;
    if (kind == CHOICE_STEP || !number(word[1], 10, CHOICE_CUT - 1, &n) || !n)
        return refuse(r, "not an answer from 1:", word[1]);
    d->kind = (u8)kind;
    d->value = (u32)n;
    return true;
}

/* step 12: [critical:] cpu 0 at writer store flag #1 -> cpu 1 */
static bool decision_read(struct reader *r, char *line, struct decision *d)
{
    char *word[WORDS_MAX], *rest;
    u32 count = 0, agent, op;
    u64 step;
    for (char *w = strtok_r(line, " ", &rest); w && count < WORDS_MAX; w = strtok_r(NULL, " ", &rest))
        word[count++] = w;
    *d = (struct decision){ .critical = count > 2 && strcmp(word[2], "critical:") == 0 };
    char **const w = word + 2 + d->critical;
    if (count != 12u + d->critical || strcmp(word[0], "step") != 0 || strcmp(w[2], "at") != 0 || strcmp(w[7], "->") != 0)
        return refuse(r, "not a decision ('step N: cpu N at FUNCTION OPERATION OBJECT #K -> ACTION')", NULL);
    char *colon = strchr(word[1], ':');
    if (!colon || colon[1])
        return refuse(r, "a step is a number and a colon, not", word[1]);
    *colon = 0;
    if (!number(word[1], 10, ~0u, &step))
        return refuse(r, "not a step:", word[1]);
    if (!agent_read(r, w, &agent) || !word_copy(r, w[3], d->at.function) || !pick(r, w[4], sim_op_name, OP_COUNT, "no such operation:", &op) ||
        !word_copy(r, w[5], d->at.object) || !occurrence(r, w[6], &d->at) || !action(r, w + 8, d))
        return false;
    d->step = (u32)step;
    d->at.agent = (u8)agent;
    d->at.op = (u8)op;
    return true;
}

static bool decisions(struct reader *r, struct schedule *s)
{
    u32 room = 0;
    for (char *line; (line = line_next(r));) {
        if (!*line)
            continue;
        if (s->count == SCHEDULE_DECISIONS)
            return refuse(r, "more decisions than any run has", NULL);
        if (s->count == room) {
            room = room ? 2 * room : 16;
            struct decision *more = realloc(s->decision, room * sizeof(*more));
            if (!more)
                return refuse(r, "no memory", NULL);
            s->decision = more;
        }
        if (!decision_read(r, line, &s->decision[s->count]))
            return false;
        s->count++;
    }
    return r->good;
}

bool schedule_parse(struct schedule *s, const char *name, char *text, u64 bytes)
{
    struct reader r = { .name = name, .at = text, .end = text + bytes, .good = true };
    *s = (struct schedule){ 0 };
    return headers(&r, s) && decisions(&r, s);
}

bool schedule_read(struct schedule *s, const char *file)
{
    *s = (struct schedule){ 0 };
    errno = 0;
    FILE *f = fopen(file, "rb");
    char *text = f ? malloc(SCHEDULE_BYTES + 1ul) : NULL;
    const u64 bytes = text ? fread(text, 1, SCHEDULE_BYTES + 1ul, f) : 0;
    const bool whole = text && !ferror(f) && bytes <= SCHEDULE_BYTES;
    if (whole)
        text[bytes] = 0;
    else
        fprintf(stderr, "orrery-explore: %s: %s\n", file, bytes > SCHEDULE_BYTES ? "too large for a schedule" : errno ? strerror(errno) : "cannot be read");
    const bool good = whole && schedule_parse(s, file, text, bytes);
    if (f)
        fclose(f);
    free(text);
    return good;
}

void schedule_free(struct schedule *s)
{
    free(s->decision);
    s->decision = NULL;
    s->count = 0;
}
