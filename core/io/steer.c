/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet filter programs, assembled by hand; see steer.h. Two dialects because the kernel wants
 * eBPF for TUN and the classic one for packet sockets (bpf(2),
 * Documentation/networking/filter.rst).
 */
#include "io/steer.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "io/prefix.h"

enum { MULTIPLY_ADDR = (int) 0x9E3779B1u, MULTIPLY_PORT = (int) 0x85EBCA6Bu };

enum {
    V4_FRAGMENT = 6,
    V4_PROTO = 9,
    V4_SRC = 12,
    V4_DST = 16,
    V6_NEXT = 6,
    V6_SRC = 8,
    V6_SRC_LOW = 20,
    V6_DST = 24,
    V6_DST_LOW = 36,
    V6_HEADER = 40
};
enum { SPORT = 0, DPORT = 2, TCP_FLAGS = 13, TCP_SYN = 2, NO_JUMP = 0x7fffffff };

/* --- eBPF ---------------------------------------------------------------------------------- */

static struct bpf_insn insn(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
    return (struct bpf_insn){.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}

/* r0 = packet bytes at `k`, host order; ends the program with 0 when they are not there. */
static struct bpf_insn load_abs(uint8_t size, int32_t k)
{
    return insn(BPF_LD | BPF_ABS | size, 0, 0, 0, k);
}

static struct bpf_insn alu_imm(uint8_t op, uint8_t reg, int32_t imm)
{
    return insn(BPF_ALU | op | BPF_K, reg, 0, 0, imm);
}

static struct bpf_insn move(uint8_t dst, uint8_t src)
{
    return insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

uint32_t tb_steer_ebpf(uint32_t workers, struct bpf_insn out[TB_STEER_EBPF_MAX])
{
    enum { R0, R1, R6 = 6, ADDR = 7, AT = 8 };
    const struct bpf_insn program[] = {
        move(R6, R1), /* where load instructions expect the context */
        load_abs(BPF_B, 0),
        move(AT, R0),
        alu_imm(BPF_RSH, R0, 4),
        insn(BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 4, 6), /* to IPv6 */
        /* IPv4 */
        alu_imm(BPF_AND, AT, 0xf),
        alu_imm(BPF_LSH, AT, 2),
        load_abs(BPF_W, V4_DST),
        insn(BPF_JMP | BPF_JA, 0, 0, 2, 0),
        /* IPv6 */
        insn(BPF_ALU | BPF_MOV | BPF_K, AT, 0, 0, V6_HEADER),
        load_abs(BPF_W, V6_DST_LOW),
        /* both */
        move(ADDR, R0),
        insn(BPF_LD | BPF_IND | BPF_H, 0, AT, 0, DPORT),
        alu_imm(BPF_MUL, ADDR, MULTIPLY_ADDR),
        alu_imm(BPF_MUL, R0, MULTIPLY_PORT),
        insn(BPF_ALU | BPF_ADD | BPF_X, R0, ADDR, 0, 0),
        alu_imm(BPF_RSH, R0, 16),
        alu_imm(BPF_MOD, R0, (int32_t) workers),
        insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    _Static_assert(sizeof program <= sizeof(struct bpf_insn) * TB_STEER_EBPF_MAX, "too long");
    memcpy(out, program, sizeof program);
    return sizeof program / sizeof program[0];
}

int tb_steer_load(const struct bpf_insn *program, uint32_t len, struct tb_err *err)
{
    static const char license[] = "BSD";
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    a.insns = (uintptr_t) program;
    a.insn_cnt = len;
    a.license = (uintptr_t) license;
    long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof a);
    if (fd >= 0)
        return (int) fd;
    int e = -errno;
    return tb_err_set(err, e,
                      "the kernel does not let us load a BPF program to spread packets over "
                      "workers (%s): add the capability cap_bpf, or use --workers 1",
                      strerror(-e));
}

/* --- classic BPF --------------------------------------------------------------------------- */

static struct sock_filter stmt(uint16_t code, uint32_t k)
{
    return (struct sock_filter){.code = code, .k = k};
}

static struct sock_filter jump(uint16_t op, uint32_t k, uint8_t jt, uint8_t jf)
{
    return (struct sock_filter){.code = BPF_JMP | op | BPF_K, .jt = jt, .jf = jf, .k = k};
}

uint32_t tb_steer_cbpf(uint32_t workers, struct sock_filter out[TB_STEER_CBPF_MAX])
{
    enum { ADDR_SLOT = 0 };
    const struct sock_filter program[] = {
        stmt(BPF_LD | BPF_B | BPF_ABS, 0),
        stmt(BPF_ALU | BPF_RSH | BPF_K, 4),
        jump(BPF_JEQ, 6, 3, 0), /* to IPv6 */
        /* IPv4: the address to A, the header's length to X */
        stmt(BPF_LDX | BPF_B | BPF_MSH, 0),
        stmt(BPF_LD | BPF_W | BPF_ABS, V4_DST),
        stmt(BPF_JMP | BPF_JA, 2),
        /* IPv6 */
        stmt(BPF_LDX | BPF_IMM, V6_HEADER),
        stmt(BPF_LD | BPF_W | BPF_ABS, V6_DST_LOW),
        /* both */
        stmt(BPF_ALU | BPF_MUL | BPF_K, (uint32_t) MULTIPLY_ADDR),
        stmt(BPF_ST, ADDR_SLOT),
        stmt(BPF_LD | BPF_H | BPF_IND, DPORT),
        stmt(BPF_ALU | BPF_MUL | BPF_K, (uint32_t) MULTIPLY_PORT),
        stmt(BPF_LDX | BPF_MEM, ADDR_SLOT),
        stmt(BPF_ALU | BPF_ADD | BPF_X, 0),
        stmt(BPF_ALU | BPF_RSH | BPF_K, 16),
        stmt(BPF_ALU | BPF_MOD | BPF_K, workers),
        stmt(BPF_RET | BPF_A, 0),
    };
    _Static_assert(sizeof program <= sizeof(struct sock_filter) * TB_STEER_CBPF_MAX, "too long");
    memcpy(out, program, sizeof program);
    return sizeof program / sizeof program[0];
}

/* --- an assembler -----------------------------------------------------------------------------
 */

struct assembler {
    const struct tb_io_range *ranges; /* NULL: every packet is let pass */
    uint32_t range_count;
    const struct tb_endpoint *sources;
    uint32_t source_count;
    uint32_t snap; /* what the filter returns for packets that it lets pass */
    struct sock_filter *out;
    uint32_t room;
    uint32_t len;
    bool full;
};

static void emit(struct assembler *a, struct sock_filter i)
{
    if (a->len == a->room)
        a->full = true;
    else
        a->out[a->len++] = i;
}

/* Let the unconditional jump at `at` lead to what is emitted next. */
static void patch_jump(struct assembler *a, uint32_t at)
{
    if (!a->full)
        a->out[at].k = a->len - at - 1;
}

static void emit_return(struct assembler *a, uint32_t bytes)
{
    emit(a, stmt(BPF_RET | BPF_K, bytes));
}

static void emit_load(struct assembler *a, uint16_t size, uint32_t offset)
{
    emit(a, stmt((uint16_t) (BPF_LD | size | BPF_ABS), offset));
}

static uint32_t addr_word(const struct tb_addr *a, uint32_t offset)
{
    const uint8_t *b = a->b + offset;
    return (uint32_t) b[0] << 24 | (uint32_t) b[1] << 16 | (uint32_t) b[2] << 8 | b[3];
}

/* --- the worker of the client's end --------------------------------------------------------------
 */

enum { CLIENT_ADDR, SERVICE_PORT }; /* scratch memory */

/* A jump to where patch_all() says; `*before` is the last one that leads there. */
static void emit_jump(struct assembler *a, uint32_t *before)
{
    uint32_t at = a->len;
    emit(a, stmt(BPF_JMP | BPF_JA, *before)); /* until then they are a list */
    *before = at;
}

static void patch_all(struct assembler *a, uint32_t last)
{
    while (last != NO_JUMP && !a->full) {
        uint32_t before = a->out[last].k;
        patch_jump(a, last);
        last = before;
    }
}

/* The client is this end: remember its address, have its port in A, and jump. X is the length of
 * the IP header. */
enum { CLIENT_LENGTH = 4 };
static void emit_client(struct assembler *a, uint32_t base, uint32_t addr_at, uint32_t port_at,
                        uint32_t *end)
{
    emit_load(a, BPF_W, base + addr_at);
    emit(a, stmt(BPF_ST, CLIENT_ADDR));
    emit(a, stmt(BPF_LD | BPF_H | BPF_IND, base + port_at));
    emit_jump(a, end);
}

/* Which end of an IPv4 or IPv6 packet, whose header is at `base`, is the client? */
static void emit_ends(struct assembler *a, const struct tb_tap_service *services, uint32_t count,
                      uint32_t base, bool v4, uint32_t *end)
{
    uint32_t src = v4 ? V4_SRC : V6_SRC_LOW, dst = v4 ? V4_DST : V6_DST_LOW;

    emit(a, v4 ? stmt(BPF_LDX | BPF_B | BPF_MSH, base) : stmt(BPF_LDX | BPF_IMM, V6_HEADER));
    emit(a, stmt(BPF_LD | BPF_H | BPF_IND, base + DPORT));
    emit(a, stmt(BPF_ST, SERVICE_PORT));
    for (uint32_t i = 0; i < count; i++) {
        const struct tb_tap_service *s = &services[i];
        if (!s->any_addr && tb_addr_is_v4(&s->addr) != v4)
            continue;
        uint32_t words = s->any_addr ? 0 : v4 ? 1 : 4, at = v4 ? V4_DST : V6_DST;
        emit(a, stmt(BPF_LD | BPF_MEM, SERVICE_PORT));
        emit(a, jump(BPF_JEQ, s->port, 0, (uint8_t) (2 * words + CLIENT_LENGTH)));
        for (uint32_t w = 0; w < words; w++) {
            emit_load(a, BPF_W, base + at + 4 * w);
            emit(a, jump(BPF_JEQ, addr_word(&s->addr, v4 ? 12 : 4 * w), 0,
                         (uint8_t) (2 * (words - 1 - w) + CLIENT_LENGTH)));
        }
        emit_client(a, base, src, SPORT, end);
    }
    emit_client(a, base, dst, DPORT, end);
}

static void emit_client_worker(struct assembler *a, const struct tb_tap_service *services,
                               uint32_t count, uint32_t workers, uint32_t base)
{
    uint32_t to_v6 = NO_JUMP, end = NO_JUMP;

    emit_load(a, BPF_B, base);
    emit(a, stmt(BPF_ALU | BPF_RSH | BPF_K, 4));
    emit(a, jump(BPF_JEQ, 6, 0, 1));
    emit_jump(a, &to_v6);
    emit_ends(a, services, count, base, true, &end);
    patch_all(a, to_v6);
    emit_ends(a, services, count, base, false, &end);
    patch_all(a, end);
    emit(a, stmt(BPF_ALU | BPF_MUL | BPF_K, (uint32_t) MULTIPLY_PORT));
    emit(a, stmt(BPF_MISC | BPF_TAX, 0));
    emit(a, stmt(BPF_LD | BPF_MEM, CLIENT_ADDR));
    emit(a, stmt(BPF_ALU | BPF_MUL | BPF_K, (uint32_t) MULTIPLY_ADDR));
    emit(a, stmt(BPF_ALU | BPF_ADD | BPF_X, 0));
    emit(a, stmt(BPF_ALU | BPF_RSH | BPF_K, 16));
    emit(a, stmt(BPF_ALU | BPF_MOD | BPF_K, workers));
    emit(a, stmt(BPF_RET | BPF_A, 0));
}

/* What this host sends still has its link header when packets are shared out; there the offsets
 * from the network header serve, which reach only what is not in fragments of memory. */
int tb_steer_client(const struct tb_tap_service *services, uint32_t count, uint32_t workers,
                    struct sock_filter *out)
{
    struct assembler a = {.out = out, .room = TB_STEER_FILTER_MAX};
    uint32_t to_sent = NO_JUMP;

    emit_load(&a, BPF_W, (uint32_t) (SKF_AD_OFF + SKF_AD_PKTTYPE));
    emit(&a, jump(BPF_JEQ, PACKET_OUTGOING, 0, 1));
    emit_jump(&a, &to_sent);
    emit_client_worker(&a, services, count, workers, 0);
    patch_all(&a, to_sent);
    emit_client_worker(&a, services, count, workers, (uint32_t) SKF_NET_OFF);
    return a.full ? -E2BIG : (int) a.len;
}

/* --- groups of clients ---------------------------------------------------------------------------
 */

/* Accepts what has no TCP header to look at, and SYNs. Goes on for the rest, X being the length of
 * the IP header. */
static void emit_unsteerable(struct assembler *a, bool v4)
{
    emit_load(a, BPF_B, v4 ? V4_PROTO : V6_NEXT);
    emit(a, jump(BPF_JEQ, 6, 1, 0));
    emit_return(a, a->snap);
    if (v4) {
        emit_load(a, BPF_H, V4_FRAGMENT);
        emit(a, jump(BPF_JSET, 0x3fff, 0, 1));
        emit_return(a, a->snap);
    }
    emit(a, v4 ? stmt(BPF_LDX | BPF_B | BPF_MSH, 0) : stmt(BPF_LDX | BPF_IMM, V6_HEADER));
    emit(a, stmt(BPF_LD | BPF_B | BPF_IND, TCP_FLAGS));
    emit(a, jump(BPF_JSET, TCP_SYN, 0, 1));
    emit_return(a, a->snap);
}

/* A = (A ^ A >> shift) * by; 0: without that. */
static void emit_mix(struct assembler *a, uint32_t shift, uint32_t by)
{
    emit(a, stmt(BPF_MISC | BPF_TAX, 0));
    emit(a, stmt(BPF_ALU | BPF_RSH | BPF_K, shift));
    emit(a, stmt(BPF_ALU | BPF_XOR | BPF_X, 0));
    if (by)
        emit(a, stmt(BPF_ALU | BPF_MUL | BPF_K, by));
}

/* The client's port is in A, its address in memory: A becomes tb_steer_group() of tb_steer_place().
 */
static void emit_group(struct assembler *a)
{
    emit(a, stmt(BPF_ALU | BPF_MUL | BPF_K, 0xC2B2AE35u));
    emit(a, stmt(BPF_MISC | BPF_TAX, 0));
    emit(a, stmt(BPF_LD | BPF_MEM, CLIENT_ADDR));
    emit(a, stmt(BPF_ALU | BPF_MUL | BPF_K, 0x85EBCA6Bu));
    emit(a, stmt(BPF_ALU | BPF_ADD | BPF_X, 0));
    emit_mix(a, 15, 0x2C1B3C6Du);
    emit_mix(a, 12, 0x297A2D39u);
    emit_mix(a, 15, 0);
    emit(a, stmt(BPF_ALU | BPF_MOD | BPF_K, TB_STEER_PLACES));
    emit(a, stmt(BPF_ALU | BPF_MUL | BPF_K, TB_STEER_GROUPS));
    emit(a, stmt(BPF_ALU | BPF_DIV | BPF_K, TB_STEER_PLACES));
}

int tb_steer_groups(const struct tb_tap_service *services, uint32_t count, uint32_t groups,
                    uint32_t snap, struct sock_filter *out, uint32_t room)
{
    struct assembler a = {.snap = snap, .out = out, .room = room};
    uint32_t to_v6 = NO_JUMP, end = NO_JUMP;

    emit_load(&a, BPF_B, 0);
    emit(&a, stmt(BPF_ALU | BPF_RSH | BPF_K, 4));
    emit(&a, jump(BPF_JEQ, 6, 0, 1));
    emit_jump(&a, &to_v6);
    emit_unsteerable(&a, true);
    emit_ends(&a, services, count, 0, true, &end);
    patch_all(&a, to_v6);
    emit_unsteerable(&a, false);
    emit_ends(&a, services, count, 0, false, &end);
    patch_all(&a, end);
    emit_group(&a);
    emit(&a, stmt(BPF_MISC | BPF_TAX, 0));
    emit(&a, stmt(BPF_LD | BPF_IMM, groups));
    emit(&a, stmt(BPF_ALU | BPF_RSH | BPF_X, 0));
    emit(&a, jump(BPF_JSET, 1, 1, 0));
    emit_return(&a, 0);
    emit_return(&a, snap);
    return a.full ? -E2BIG : (int) a.len;
}

/* --- the filter for client ranges and sources ------------------------------------------------- */

/* "A must be k": drops the packet otherwise. */
static void emit_require(struct assembler *a, uint32_t k)
{
    emit(a, jump(BPF_JEQ, k, 1, 0));
    emit_return(a, 0);
}

/* Accept when A lies in the range's last 32 bits: three instructions. */
static void emit_range(struct assembler *a, const struct tb_io_range *r)
{
    struct tb_addr last = tb_range_last(r);
    emit(a, jump(BPF_JGE, tb_addr_low32(&r->first), 0, 2));
    emit(a, jump(BPF_JGT, tb_addr_low32(&last), 1, 0));
    emit_return(a, a->snap);
}

/* Accept what comes from one of the sources; X is the length of the IP header. */
static void emit_sources(struct assembler *a, bool v4)
{
    for (uint32_t i = 0; i < a->source_count; i++) {
        const struct tb_endpoint *s = &a->sources[i];
        if (tb_addr_is_v4(&s->addr) != v4)
            continue;
        uint32_t words = v4 ? 1 : 4, at = v4 ? V4_SRC : V6_SRC;
        for (uint32_t w = 0; w < words; w++) {
            emit_load(a, BPF_W, at + 4 * w);
            /* else behind the rest: two instructions a word, and three for the port */
            emit(a, jump(BPF_JEQ, addr_word(&s->addr, v4 ? 12 : 4 * w), 0,
                         (uint8_t) (2 * (words - 1 - w) + 3)));
        }
        emit(a, stmt(BPF_LD | BPF_H | BPF_IND, SPORT));
        emit(a, jump(BPF_JEQ, s->port, 0, 1));
        emit_return(a, a->snap);
    }
}

static void emit_v4(struct assembler *a)
{
    emit_load(a, BPF_B, V4_PROTO);
    emit_require(a, 6);
    emit_load(a, BPF_H, V4_FRAGMENT);
    emit(a, jump(BPF_JSET, 0x3fff, 0, 1));
    emit_return(a, 0);
    if (!a->ranges)
        emit_return(a, a->snap);
    emit(a, stmt(BPF_LDX | BPF_B | BPF_MSH, 0));
    emit_sources(a, true);
    emit_load(a, BPF_W, V4_DST);
    for (uint32_t i = 0; i < a->range_count; i++) {
        if (tb_addr_is_v4(&a->ranges[i].first))
            emit_range(a, &a->ranges[i]);
    }
    emit_return(a, 0);
}

static bool same_network(const struct tb_io_range *a, const struct tb_io_range *b)
{
    return memcmp(a->first.b, b->first.b, 12) == 0;
}

/* Ranges are sorted: those that share their first 96 bits are looked at together, behind one
 * comparison of these. Jumps that may be long are unconditional ones; they are put right when the
 * end of the group is known. */
static void emit_v6(struct assembler *a)
{
    const struct tb_io_range *ranges = a->ranges;
    uint32_t count = a->range_count;

    emit_load(a, BPF_B, V6_NEXT);
    emit_require(a, 6);
    if (!ranges)
        emit_return(a, a->snap);
    emit(a, stmt(BPF_LDX | BPF_IMM, V6_HEADER));
    emit_sources(a, false);
    for (uint32_t i = 0, next; i < count; i = next) {
        next = i + 1;
        if (tb_addr_is_v4(&ranges[i].first))
            continue;
        uint32_t exits[3];
        for (uint32_t word = 0; word < 3; word++) {
            emit_load(a, BPF_W, V6_DST + 4 * word);
            emit(a, jump(BPF_JEQ, addr_word(&ranges[i].first, 4 * word), 1, 0));
            exits[word] = a->len;
            emit(a, stmt(BPF_JMP | BPF_JA, 0));
        }
        emit_load(a, BPF_W, V6_DST_LOW);
        emit_range(a, &ranges[i]);
        for (; next < count && same_network(&ranges[i], &ranges[next]); next++)
            emit_range(a, &ranges[next]);
        emit_return(a, 0);
        for (int word = 0; word < 3; word++)
            patch_jump(a, exits[word]);
    }
    emit_return(a, 0);
}

static int assemble(struct assembler *a)
{
    tb_steer_incoming(a->out);
    a->len = TB_STEER_INCOMING;
    emit_load(a, BPF_W, (uint32_t) (SKF_AD_OFF + SKF_AD_PROTOCOL));
    emit(a, jump(BPF_JEQ, ETH_P_IP, 1, 0));
    uint32_t to_v6 = a->len;
    emit(a, stmt(BPF_JMP | BPF_JA, 0));
    emit_v4(a);
    patch_jump(a, to_v6);
    emit_require(a, ETH_P_IPV6);
    emit_v6(a);
    return a->full ? -E2BIG : (int) a->len;
}

void tb_steer_incoming(struct sock_filter out[TB_STEER_INCOMING])
{
    const struct sock_filter program[TB_STEER_INCOMING] = {
        stmt(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_AD_OFF + SKF_AD_PKTTYPE)),
        jump(BPF_JEQ, PACKET_OUTGOING, 0, 1),
        stmt(BPF_RET | BPF_K, 0), /* sent by this host: seen where it arrives */
    };
    memcpy(out, program, sizeof program);
}

int tb_steer_filter_from(const struct tb_io_range *ranges, uint32_t count,
                         const struct tb_endpoint *sources, uint32_t source_count, uint32_t snap,
                         struct sock_filter *out)
{
    struct tb_io_range *merged = calloc(count + 1, sizeof *merged);
    if (!merged)
        return -ENOMEM;
    struct assembler a = {.ranges = merged,
                          .range_count = tb_ranges_merge(ranges, count, merged),
                          .sources = sources,
                          .source_count = source_count,
                          .snap = snap,
                          .out = out,
                          .room = TB_STEER_FILTER_MAX};
    int len = assemble(&a);
    free(merged);
    return len;
}

int tb_steer_filter(const struct tb_io_range *ranges, uint32_t count, uint32_t snap,
                    struct sock_filter *out)
{
    return tb_steer_filter_from(ranges, count, NULL, 0, snap, out);
}

int tb_steer_filter_tcp(uint32_t snap, struct sock_filter *out)
{
    struct assembler a = {.snap = snap, .out = out, .room = TB_STEER_FILTER_MAX};
    return assemble(&a);
}
