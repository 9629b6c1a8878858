/* SPDX-License-Identifier: BSD-2-Clause */
/* See env.h: a line each, as metadata.c writes them:    key = "value"; or    key = 17; */
#include "trace/env.h"
#include <stdlib.h>
#include <string.h>

#define ENV_BYTES (1u << 20)   /* of metadata: ours has a few thousand */

static char *metadata(const char *folder)
{
    char name[4096];
    char *const text = calloc(1, ENV_BYTES);
    const bool fits = snprintf(name, sizeof(name), "%s/metadata", folder) < (int)sizeof(name);
    FILE *const file = text && fits ? fopen(name, "r") : NULL;
    if (file) {
        text[fread(text, 1, ENV_BYTES - 1, file)] = 0;
        fclose(file);
    }
    return text;
}

/* In place: without quotes and what escapes them. */
static char *value_of(char *text)
{
    text += strspn(text, " ");
    char *to = text, *const value = text;
    if (*text != '"') {
        text[strcspn(text, ";")] = 0;
        return value;
    }
    for (text++; *text && *text != '"'; text++) {
        if (*text == '\\' && text[1])
            text++;
        *to++ = *text;
    }
    *to = 0;
    return value;
}

static bool replaced(const char *key, const struct trace_env *more)
{
    for (; more->key; more++)
        if (strcmp(more->key, key) == 0)
            return true;
    return strcmp(key, "format") == 0 || strcmp(key, "format_version") == 0;
}

bool env_read(struct env *env, const char *folder, const struct trace_env *more)
{
    u64 lines = 1, count = 0;
    char *next;
    env->text = metadata(folder);
    for (const char *p = env->text; p && *p; p++)
        lines += *p == '\n';
    for (const struct trace_env *m = more; m->key; m++)
        lines++;
    env->pair = env->text ? calloc(lines + 1, sizeof(*env->pair)) : NULL;
    if (!env->pair) {
        free(env->text);
        return false;
    }
    char *line = strstr(env->text, "\nenv {\n");
    for (line = line ? line + 7 : NULL; line && *line && *line != '}'; line = next) {
        next = strchr(line, '\n');
        next = next ? (*next = 0, next + 1) : NULL;
        char *const key = line + strspn(line, " "), *const equals = strchr(key, '=');
        if (!equals)
            continue;
        key[strcspn(key, " =")] = 0;
        if (!replaced(key, more))
            env->pair[count++] = (struct trace_env){ key, value_of(equals + 1) };
    }
    for (; more->key; more++)
        env->pair[count++] = *more;
    return true;
}

void env_free(struct env *env)
{
    free(env->pair);
    free(env->text);
}
