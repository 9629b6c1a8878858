/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace as a folder. All is written under hidden names, which no reader sees, and then takes the place of what was there: a failure leaves that
 * as it was. A folder with other files than a trace's is left alone. */
#define _GNU_SOURCE
#include "trace/streams.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 16u   /* ".metadata", ".cpu63" */

static bool refuse(const char *folder, const char *name, const char *why)
{
    fprintf(stderr, "orrery: %s%s%s: %s\n", folder, *name ? "/" : "", name, why);
    return false;
}

static bool ours(const char *name)
{
    if (strcmp(name, "metadata") == 0)
        return true;
    if (strncmp(name, "cpu", 3) != 0 || !name[3] || strlen(name) > 5)
        return false;
    return strspn(name + 3, "0123456789") == strlen(name + 3);
}

/* Calls `what` on each visible file. */
static bool each_visible(const char *folder, bool (*what)(int dir, const char *folder, const char *name))
{
    DIR *const d = opendir(folder);
    bool good = d || refuse(folder, "", strerror(errno));
    for (const struct dirent *e; good && (e = readdir(d));)
        good = e->d_name[0] == '.' || what(dirfd(d), folder, e->d_name);
    if (d)
        closedir(d);
    return good;
}

static bool only_ours(int dir, const char *folder, const char *name)
{
    return ours(name) || refuse(folder, name, "not a file of a trace: choose another folder");
}

static bool take_away(int dir, const char *folder, const char *name)
{
    return unlinkat(dir, name, 0) == 0 || refuse(folder, name, strerror(errno));
}

static FILE *create(int dir, const char *name)
{
    const int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd < 0 ? NULL : fdopen(fd, "wb");
}

static void cpu_name(char name[NAME_BYTES], u32 cpu)
{
    snprintf(name, NAME_BYTES, ".cpu%u", cpu);
}

static bool close_good(FILE *f)
{
    const bool good = !ferror(f);
    return fclose(f) == 0 && good;
}

static bool metadata_write(int dir, u64 tsc_khz, const struct trace_env *env)
{
    FILE *const f = create(dir, ".metadata");
    if (f)
        trace_metadata(f, tsc_khz, env);
    return f && close_good(f);
}

static bool stream_write(int dir, u32 cpu, const struct stream *s)
{
    char name[NAME_BYTES];
    cpu_name(name, cpu);
    FILE *const f = s->count ? create(dir, name) : NULL;
    if (f)
        fwrite(s->bytes, 1, s->count, f);
    return !s->count || (f && close_good(f));
}

/* Removes the hidden names, or makes them visible. */
static bool finish(int dir, const struct stream *stream, const char *folder, bool keep)
{
    bool good = true;
    for (u32 i = 0; i <= TRACE_CPUS; i++) {
        char name[NAME_BYTES] = ".metadata";
        if (i < TRACE_CPUS)
            cpu_name(name, i);
        if (!keep)
            (void)unlinkat(dir, name, 0);
        else if ((i == TRACE_CPUS || stream[i].count) && renameat(dir, name, dir, name + 1) != 0)
            good = refuse(folder, name + 1, strerror(errno));
    }
    return good;
}

bool streams_save(const struct stream stream[TRACE_CPUS], const char *folder, u64 tsc_khz, const struct trace_env *env)
{
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        return refuse(folder, "", strerror(errno));
    const int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return refuse(folder, "", strerror(errno));
    bool good = each_visible(folder, only_ours);
    if (good) {
        good = metadata_write(dir, tsc_khz, env);
        for (u32 i = 0; good && i < TRACE_CPUS; i++)
            good = stream_write(dir, i, &stream[i]);
        good = good ? each_visible(folder, take_away) : refuse(folder, "", strerror(errno));
        good = finish(dir, stream, folder, good) && good;
    }
    close(dir);
    return good;
}

/* A packet that a fault cut short: to its last good event. */
static struct trace_packet shortened(const struct trace_packet *p, u64 bytes)
{
    struct trace_packet head = *p;
    u64 tsc = p->begin;
    for (u64 at = sizeof(head); at < bytes;) {
        const struct trace_event *const e = (const struct trace_event *)((const u8 *)p + at);
        tsc += e->tsc - (u32)tsc;
        at += e->bytes;
    }
    head.end = tsc;
    head.content_bits = head.packet_bits = 8 * bytes;
    return head;
}

static bool packet_append(struct stream *s, const struct trace_packet *p, u64 bytes)
{
    const struct trace_packet head = bytes < p->packet_bits / 8 ? shortened(p, bytes) : *p;
    u8 *const more = realloc(s->bytes, s->count + bytes);
    if (!more)
        return false;
    s->bytes = more;
    memcpy(more + s->count, p, bytes);
    memcpy(more + s->count, &head, sizeof(head));
    s->count += bytes;
    return true;
}

bool trace_split(const struct trace *t, const char *folder, const struct trace_env *env)
{
    struct stream stream[TRACE_CPUS] = { 0 };
    bool good = true;
    for (u32 i = 0; i < t->source_count; i++)
        for (u64 at = 0, bytes; good && at < t->source[i].count; at += bytes) {
            const struct trace_packet *const p = (const struct trace_packet *)(t->source[i].bytes + at);
            bytes = min(p->packet_bits / 8, t->source[i].count - at);
            good = packet_append(&stream[p->cpu], p, bytes);
        }
    good = good ? streams_save(stream, folder, t->machine.tsc_khz, env) : refuse(folder, "", "no memory");
    for (u32 i = 0; i < TRACE_CPUS; i++)
        free(stream[i].bytes);
    return good;
}
