/* SPDX-License-Identifier: BSD-2-Clause */
/* See command.h. */
#include "command.h"

#include <string.h>

enum { FLAG_PARAMETER_COUNT = 0x08, LONG_DATA_BITS = 64 };

/* --- values in binary form, as EXECUTE and query attributes have them --------------------------
 */

struct values {
    const uint8_t *nulls; /* bitmap */
    const uint8_t *types; /* begin of type, flags and name of each */
    uint64_t count;
};

static void skip_value(struct tb_mysql_in *in, uint8_t type)
{
    size_t len;

    switch (type) {
    case 6: /* NULL */
        return;
    case 1: /* TINY */
        tb_mysql_in_bytes(in, 1);
        return;
    case 2:  /* SHORT */
    case 13: /* YEAR */
        tb_mysql_in_bytes(in, 2);
        return;
    case 3: /* LONG */
    case 4: /* FLOAT */
    case 9: /* INT24 */
        tb_mysql_in_bytes(in, 4);
        return;
    case 5: /* DOUBLE */
    case 8: /* LONGLONG */
        tb_mysql_in_bytes(in, 8);
        return;
    case 7:  /* TIMESTAMP */
    case 10: /* DATE */
    case 11: /* TIME */
    case 12: /* DATETIME */
        tb_mysql_in_bytes(in, tb_mysql_in_number(in, 1));
        return;
    }
    tb_mysql_in_string(in, &len);
}

/* Read the types of `v`, each with a name; `out` gets them without, the first `keep` of them. */
static void read_types(struct tb_mysql_in *in, struct values *v, uint64_t keep,
                       struct tb_mysql_out *out)
{
    size_t len;

    v->types = in->at;
    for (uint64_t i = 0; i < v->count && !in->failed; i++) {
        const uint8_t *type = tb_mysql_in_bytes(in, 2);
        tb_mysql_in_string(in, &len);
        if (type && out && i < keep)
            tb_mysql_out_bytes(out, type, 2);
    }
}

/* Move behind the first `last` values; of those in `absent` none were sent. */
static void skip_values(struct tb_mysql_in *in, const struct values *v, uint64_t last,
                        uint64_t absent)
{
    struct tb_mysql_in types = tb_mysql_in(v->types, (size_t) (in->end - v->types));
    size_t len;

    for (uint64_t i = 0; i < last && !in->failed; i++) {
        uint8_t type = (uint8_t) tb_mysql_in_number(&types, 2);
        tb_mysql_in_string(&types, &len);
        bool is_absent = i < LONG_DATA_BITS && (absent >> i & 1);
        if (!(v->nulls[i / 8] >> (i % 8) & 1) && !is_absent)
            skip_value(in, type);
    }
}

/* COM_QUERY with attributes: the text behind them. */
static const uint8_t *query_text(const uint8_t *payload, size_t len, size_t *text_len)
{
    struct tb_mysql_in in = tb_mysql_in(payload, len);
    struct values v = {0};

    tb_mysql_in_number(&in, 1);
    v.count = tb_mysql_in_lenenc(&in);
    tb_mysql_in_lenenc(&in); /* sets: 1 */
    if (v.count > 0 && v.count <= len) {
        v.nulls = tb_mysql_in_bytes(&in, (v.count + 7) / 8);
        tb_mysql_in_number(&in, 1);
        read_types(&in, &v, 0, NULL);
        if (!in.failed)
            skip_values(&in, &v, v.count, 0);
    }
    *text_len = in.failed ? 0 : tb_mysql_in_left(&in);
    return in.at;
}

/* COM_STMT_EXECUTE where parameters are counted and named: as if there were no attributes. */
static void plain_execute(const uint8_t *payload, size_t len, const struct tb_mysql_prepared *p,
                          struct tb_mysql_out *out)
{
    struct tb_mysql_in in = tb_mysql_in(payload, len);
    struct values v = {0};
    uint16_t params = p ? p->params : 0;

    tb_mysql_out_bytes(out, tb_mysql_in_bytes(&in, 5), in.failed ? 0 : 5);
    uint8_t flags = (uint8_t) tb_mysql_in_number(&in, 1);
    tb_mysql_out_number(out, flags & ~FLAG_PARAMETER_COUNT, 1);
    tb_mysql_out_number(out, tb_mysql_in_number(&in, 4), 4);
    if (in.failed || (params == 0 && !(flags & FLAG_PARAMETER_COUNT)))
        return;
    v.count = tb_mysql_in_lenenc(&in);
    if (params == 0 || v.count < params || v.count > len)
        return;
    v.nulls = tb_mysql_in_bytes(&in, (v.count + 7) / 8);
    if (in.failed)
        return;
    for (unsigned i = 0; i < params; i += 8) { /* unused bits are zero */
        unsigned used = params - i < 8 ? params - i : 8;
        tb_mysql_out_number(out, v.nulls[i / 8] & ((1u << used) - 1), 1);
    }
    uint8_t bound = (uint8_t) tb_mysql_in_number(&in, 1);
    tb_mysql_out_number(out, bound, 1);
    if (bound)
        read_types(&in, &v, params, out);
    const uint8_t *values = in.at;
    if (bound && v.count > params)
        skip_values(&in, &v, params, p->long_data);
    else
        in.at = in.end;
    tb_mysql_out_bytes(out, values, (size_t) (in.at - values));
}

/* --- prepared statements ---------------------------------------------------------------------- */

static uint16_t take_slot(struct tb_mysql_prepared_set *set)
{
    size_t i = 0;

    while (i < set->count && set->slot[i].used)
        i++;
    if (i >= TB_MYSQL_NO_SLOT)
        return TB_MYSQL_NO_SLOT;
    if (i == set->count) {
        size_t count = set->count ? 2 * set->count : 8;
        struct tb_mysql_prepared *more = tb_mysql_memory(set->slot, count * sizeof *more);
        if (!more)
            return TB_MYSQL_NO_SLOT;
        memset(more + set->count, 0, (count - set->count) * sizeof *more);
        set->slot = more;
        set->count = count;
    }
    tb_mysql_command_unref(set->slot[i].prepare);
    set->slot[i] = (struct tb_mysql_prepared){.used = true};
    return (uint16_t) i;
}

static uint16_t find_slot(const struct tb_mysql_prepared_set *set, uint32_t id)
{
    if (id == TB_MYSQL_LAST_STATEMENT)
        return set->count > 0 && set->slot[set->last].used ? set->last : TB_MYSQL_NO_SLOT;
    for (size_t i = 0; i < set->count; i++)
        if (set->slot[i].used && set->slot[i].known && set->slot[i].id == id)
            return (uint16_t) i;
    /* The capture may lack the answer that told the id. */
    for (size_t i = 0; i < set->count; i++)
        if (set->slot[i].used && !set->slot[i].known) {
            set->slot[i].known = true;
            set->slot[i].id = id;
            return (uint16_t) i;
        }
    return TB_MYSQL_NO_SLOT;
}

void tb_mysql_command_prepared(struct tb_mysql_prepared_set *set, uint16_t slot, uint32_t id,
                               uint16_t params)
{
    if (slot >= set->count)
        return;
    struct tb_mysql_prepared *p = &set->slot[slot];
    p->id = id;
    p->params = params;
    p->known = true;
    p->used = id != 0;
}

void tb_mysql_prepared_clear(struct tb_mysql_prepared_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        tb_mysql_command_unref(set->slot[i].prepare);
    tb_mysql_free(set->slot);
    *set = (struct tb_mysql_prepared_set){0};
}

/* --- commands --------------------------------------------------------------------------------- */

/* Send these bytes in place of the captured ones. */
static int replace(struct tb_mysql_command *c, const void *payload, size_t len)
{
    struct tb_mysql_out out = {0};

    tb_mysql_out_packets(&out, 0, payload, len);
    if (out.failed) {
        tb_mysql_out_fini(&out);
        return -1;
    }
    tb_mysql_free(c->own);
    c->own = out.data;
    c->own_len = out.len;
    return 0;
}

static int replace_text(struct tb_mysql_command *c, const char *before, const char *text,
                        size_t len)
{
    struct tb_mysql_out out = {0};

    tb_mysql_out_number(&out, c->code, 1);
    tb_mysql_out_bytes(&out, before, strlen(before));
    tb_mysql_out_bytes(&out, text, len);
    int rc = out.failed ? -1 : replace(c, out.data, out.len);
    tb_mysql_out_fini(&out);
    return rc;
}

/* The mapped name of a schema, or NULL when it keeps its own. */
static const char *other_schema(const char *name, size_t len)
{
    char copy[256];

    if (!tb_mysql_config.schema_map || len >= sizeof copy)
        return NULL;
    memcpy(copy, name, len);
    copy[len] = '\0';
    const char *mapped = tb_mysql_mapped(tb_mysql_config.schema_map, copy);
    return strcmp(mapped, copy) == 0 ? NULL : mapped;
}

static int read_init_db(struct tb_mysql_command *c, const uint8_t *payload, size_t len)
{
    const char *mapped = other_schema((const char *) payload + 1, len - 1);

    return mapped ? replace_text(c, "", mapped, strlen(mapped)) : 0;
}

static void note_text(struct tb_mysql_command *c, const char *text, size_t len)
{
    char fingerprint[TB_MYSQL_FINGERPRINT_MAX];

    tb_mysql_fingerprint(text, len, fingerprint);
    c->statement = tb_mysql_statement(fingerprint);
    if (tb_mysql_config.read_only && !tb_mysql_reads_only(text, len))
        c->flags |= TB_COMMAND_WRITES;
}

static int read_query(struct tb_mysql_command *c, const uint8_t *payload, size_t len,
                      const struct tb_mysql_reading *how)
{
    const char *text = (const char *) payload + 1, *name;
    size_t text_len = len - 1, name_len;
    int rc = 0;

    if (how->attributes && c->code == TB_COM_QUERY) {
        text = (const char *) query_text(payload, len, &text_len);
        rc = replace_text(c, "", text, text_len);
    }
    note_text(c, text, text_len);
    if (rc == 0 && tb_mysql_use_of(text, text_len, &name, &name_len)) {
        const char *mapped = other_schema(name, name_len);
        if (mapped)
            rc = replace_text(c, "USE ", mapped, strlen(mapped));
    }
    return rc;
}

/* A command with a statement's id behind its first byte. */
static int read_about_statement(struct tb_mysql_command *c, const uint8_t *payload, size_t len,
                                const struct tb_mysql_reading *how,
                                struct tb_mysql_prepared_set *set)
{
    struct tb_mysql_in in = tb_mysql_in(payload, len);

    tb_mysql_in_number(&in, 1);
    uint32_t id = (uint32_t) tb_mysql_in_number(&in, 4);
    if (in.failed)
        return 0;
    c->slot = find_slot(set, id);
    struct tb_mysql_prepared *p = c->slot == TB_MYSQL_NO_SLOT ? NULL : &set->slot[c->slot];
    if (id == TB_MYSQL_LAST_STATEMENT)
        c->flags |= TB_COMMAND_LAST;
    if (p) {
        c->statement = p->statement;
        c->prepare = p->prepare ? tb_mysql_command_ref(p->prepare) : NULL;
        if (p->writes)
            c->flags |= TB_COMMAND_WRITES;
    }
    if (c->code == TB_COM_STMT_SEND_LONG_DATA && p) {
        uint16_t param = (uint16_t) tb_mysql_in_number(&in, 2);
        if (!in.failed && param < LONG_DATA_BITS)
            p->long_data |= UINT64_C(1) << param;
    }
    if (c->code == TB_COM_STMT_CLOSE && p)
        p->used = false;
    if (c->code == TB_COM_STMT_RESET && p)
        p->long_data = 0;
    if (c->code != TB_COM_STMT_EXECUTE)
        return 0;
    int rc = 0;
    if (how->attributes) {
        struct tb_mysql_out out = {0};
        plain_execute(payload, len, p, &out);
        rc = out.failed ? -1 : replace(c, out.data, out.len);
        tb_mysql_out_fini(&out);
    }
    if (p)
        p->long_data = 0;
    return rc;
}

/* What could be sent instead, if the target cannot prepare the statement. */
static int keep_as_query(struct tb_mysql_command *c, const uint8_t *payload, size_t len)
{
    struct tb_mysql_out out = {0};

    tb_mysql_out_packets(&out, 0, payload, len);
    if (out.failed) {
        tb_mysql_out_fini(&out);
        return -1;
    }
    out.data[TB_MYSQL_HEADER] = TB_COM_QUERY;
    c->query = out.data;
    c->query_len = out.len;
    return 0;
}

static int read_prepare(struct tb_mysql_command *c, const uint8_t *payload, size_t len,
                        struct tb_mysql_prepared_set *set)
{
    note_text(c, (const char *) payload + 1, len - 1);
    c->slot = take_slot(set);
    if (c->slot == TB_MYSQL_NO_SLOT || keep_as_query(c, payload, len) < 0)
        return -1;
    set->last = c->slot;
    set->slot[c->slot].prepare = tb_mysql_command_ref(c);
    set->slot[c->slot].statement = c->statement;
    set->slot[c->slot].writes = c->flags & TB_COMMAND_WRITES;
    return 0;
}

int tb_mysql_command_read(struct tb_mysql_command *c, const uint8_t *payload, size_t len,
                          const struct tb_mysql_reading *how, struct tb_mysql_prepared_set *set)
{
    int rc = 0;

    c->slot = TB_MYSQL_NO_SLOT;
    c->code = len > 0 ? payload[0] : 0;
    switch (c->code) {
    case TB_COM_QUERY:
        rc = read_query(c, payload, len, how);
        break;
    case TB_COM_STMT_PREPARE:
        rc = read_prepare(c, payload, len, set);
        break;
    case TB_COM_INIT_DB:
        rc = read_init_db(c, payload, len);
        break;
    case TB_COM_STMT_EXECUTE:
    case TB_COM_STMT_SEND_LONG_DATA:
    case TB_COM_STMT_CLOSE:
    case TB_COM_STMT_RESET:
    case TB_COM_STMT_FETCH:
    case TB_COM_STMT_BULK_EXECUTE:
        rc = read_about_statement(c, payload, len, how, set);
        break;
    case TB_COM_CREATE_DB:
    case TB_COM_DROP_DB:
    case TB_COM_REFRESH:
    case TB_COM_SHUTDOWN:
    case TB_COM_PROCESS_KILL:
        c->flags |= tb_mysql_config.read_only ? TB_COMMAND_WRITES : 0;
        break;
    case TB_COM_RESET_CONNECTION:
    case TB_COM_CHANGE_USER:
        tb_mysql_prepared_clear(set);
        break;
    }
    if (rc == 0 && how->compressed && !c->own)
        rc = replace(c, payload, len);
    return rc;
}
