/* SPDX-License-Identifier: BSD-2-Clause */
/* Which packets a tap takes and which worker gets them: by the kernel's programs, run by the kernel
 * itself (run_filter.h), and by our own look at them. */
#include "unit.h"
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include "io/tap_filter.h"
#include "packet/frame.h"
#include "packet/vxlan.h"
#include "packet/wire.h"
#include "run_filter.h"

enum { ROOM = 2048, WORKERS = 7, PAYLOAD = 300 };

#define CLIENT  "198.19.0.7"
#define ONLINE  "198.18.0.1"
#define TARGET  "198.18.0.2"
#define CLIENT6 "fd00:19::7"
#define ONLINE6 "fd00:18::1"
#define TARGET6 "fd00:18::2"

static struct tb_addr addr(const char *text)
{
    struct tb_addr a;
    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

struct ends {
    const char *src;
    uint16_t sport;
    const char *dst;
    uint16_t dport;
};

static uint32_t packet(struct ends e, uint8_t out[ROOM])
{
    static const uint8_t payload[PAYLOAD];
    struct tb_addr from = addr(e.src), to = addr(e.dst);
    struct tb_frame_spec spec = {
        .src = &from, .dst = &to, .sport = e.sport, .dport = e.dport, .flags = TB_TCP_ACK};
    struct tb_frame f;
    tb_frame_build(&f, &spec, payload, sizeof payload);
    return tb_frame_flatten(&f, out, ROOM);
}

static uint32_t fragment(struct ends e, uint16_t offset_and_flags, uint8_t out[ROOM])
{
    uint32_t len = packet(e, out);
    tb_put_be16(out + 6, offset_and_flags);
    return len;
}

/* An Ethernet frame with that packet, in VXLAN, in UDP, in IPv4. */
static uint32_t mirrored(struct ends e, uint8_t out[ROOM])
{
    uint8_t inner[ROOM];
    uint32_t len = packet(e, inner), before = 20 + 8 + 8 + 14;
    memset(out, 0, before);
    out[0] = 0x45;
    tb_put_be16(out + 2, (uint16_t) (before + len));
    out[8] = 64;
    out[9] = 17;
    tb_put_be16(out + 22, TB_VXLAN_PORT);
    out[28] = 8;
    tb_put_be16(out + 48, inner[0] >> 4 == 4 ? 0x0800 : 0x86dd);
    memcpy(out + before, inner, len);
    return before + len;
}

/* Services: the online host's port 80, and any host's 8080. */
struct rig {
    struct tb_tap_service services[3];
    struct tb_endpoint targets[2];
    struct tb_tap_setup setup;
    struct tb_tap_filter filter;
    uint32_t groups; /* of clients */
};

static void rig_setup(struct rig *r)
{
    *r = (struct rig){
        .services = {{.addr = addr(ONLINE), .port = 80},
                     {.addr = addr(ONLINE6), .port = 80},
                     {.any_addr = true, .port = 8080}},
        .targets = {{addr(TARGET), 8080}, {addr(TARGET6), 8080}},
        .groups = UINT32_MAX,
    };
    r->setup = (struct tb_tap_setup){.services = r->services,
                                     .service_count = 3,
                                     .targets = r->targets,
                                     .target_count = 2,
                                     .workers = 1};
}

static void rig_open(struct rig *r)
{
    struct tb_err err = {""};
    if (tb_tap_filter_init(&r->filter, &r->setup, &err) < 0)
        fail_msg("%s", err.text);
}

/* Bytes of the packet that the kernel would hand over. */
static uint32_t passed_on(const struct rig *r, enum tb_tap_part part, struct aside aside,
                          const uint8_t *p, uint32_t len, uint32_t devices)
{
    static const uint32_t ifindex[] = {5, 7};
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    uint32_t n = tb_tap_filter_program(&r->filter, part, ifindex, devices, r->groups, program);
    assert_true(n > 0 && n <= TB_STEER_FILTER_MAX);
    uint32_t result = run_filter(program, n, aside, p, len);
    free(program);
    return result;
}

static const struct aside came = {PACKET_HOST, 0, 5, ARPHRD_ETHER};

static uint32_t passed(const struct rig *r, enum tb_tap_part part, const uint8_t *p, uint32_t len)
{
    return passed_on(r, part, came, p, len, 0);
}

/* The packet that is handed out; data NULL: none. */
static struct tb_tapped taken(const struct rig *r, uint32_t worker, const uint8_t *p, uint32_t len)
{
    struct tb_tapped t = {.data = p, .len = len, .wire_len = len};
    return tb_tap_filter_take(&r->filter, worker, &t) ? t : (struct tb_tapped){.data = NULL};
}

static const struct {
    struct ends ends;
    bool wanted;
} cases[] = {
    {{CLIENT, 40000, ONLINE, 80}, true},
    {{ONLINE, 80, CLIENT, 40000}, true},
    {{CLIENT6, 40000, ONLINE6, 80}, true},
    {{ONLINE6, 80, CLIENT6, 40000}, true},
    {{CLIENT, 40000, ONLINE, 8080}, true},
    {{"10.9.8.7", 8080, CLIENT, 40000}, true},
    {{"2001:db8::1", 8080, CLIENT6, 40000}, true},
    {{CLIENT, 40000, ONLINE, 81}, false},
    {{CLIENT, 80, ONLINE, 81}, false}, /* the client's port, by chance */
    {{CLIENT, 40000, "10.9.8.7", 80}, false},
    {{CLIENT6, 40000, "fd00:18::3", 80}, false},
    {{CLIENT, 40000, TARGET, 80}, false},
    {{CLIENT, 40000, TARGET, 8080}, false}, /* as any host's, but a target */
    {{TARGET, 8080, CLIENT, 40000}, false},
    {{CLIENT6, 40000, TARGET6, 8080}, false},
    {{TARGET6, 8080, CLIENT6, 40000}, false},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static void both_directions_of_services_pass_and_nothing_of_targets(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    rig_open(&r);
    for (size_t i = 0; i < CASES; i++) {
        uint32_t len = packet(cases[i].ends, p);
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), cases[i].wanted ? len : 0);
        assert_int_equal(taken(&r, 0, p, len).data != NULL, cases[i].wanted);
    }
    tb_tap_filter_fini(&r.filter);
}

static void other_protocols_do_not_pass(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    rig_open(&r);
    uint32_t len = packet(cases[0].ends, p);
    p[9] = 17;
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
    assert_null(taken(&r, 0, p, len).data);
    len = packet(cases[2].ends, p);
    p[6] = 17;
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
    assert_null(taken(&r, 0, p, len).data);
    p[0] = 0; /* ARP */
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
    assert_null(taken(&r, 0, p, len).data);
    tb_tap_filter_fini(&r.filter);
}

static void what_is_sent_to_this_host_itself_is_taken_once(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    rig_open(&r);
    uint32_t len = packet(cases[0].ends, p);
    struct aside lo = {PACKET_HOST, 0, 1, ARPHRD_LOOPBACK}, sent = came;
    assert_int_equal(passed_on(&r, TB_TAP_SHARED, lo, p, len, 0), len);
    lo.packet_type = PACKET_OUTGOING;
    assert_int_equal(passed_on(&r, TB_TAP_SHARED, lo, p, len, 0), 0);
    sent.packet_type = PACKET_OUTGOING;
    assert_int_equal(passed_on(&r, TB_TAP_SHARED, sent, p, len, 0), len);
    tb_tap_filter_fini(&r.filter);
}

static void devices_that_were_named_are_alone(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    rig_open(&r);
    uint32_t len = packet(cases[0].ends, p);
    struct aside on = came;
    for (uint32_t i = 1; i < 10; i++) {
        on.ifindex = i;
        assert_int_equal(passed_on(&r, TB_TAP_SHARED, on, p, len, 2), i == 5 || i == 7 ? len : 0);
        assert_int_equal(passed_on(&r, TB_TAP_SHARED, on, p, len, 1), i == 5 ? len : 0);
        assert_int_equal(passed_on(&r, TB_TAP_SHARED, on, p, len, 0), len);
    }
    tb_tap_filter_fini(&r.filter);
}

static void the_filter_given_has_to_pass_as_well(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    r.setup.filter = "host 10.1.1.1 or port 40000"; /* binds weaker than our "and" */
    rig_open(&r);
    uint32_t len = packet((struct ends){CLIENT, 40000, ONLINE, 80}, p);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len);
    len = packet((struct ends){CLIENT, 40001, ONLINE, 80}, p);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
    len = packet((struct ends){CLIENT, 40000, ONLINE, 81}, p);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
    tb_tap_filter_fini(&r.filter);
}

static void a_filter_that_is_none_is_refused_in_libpcaps_words(void **state)
{
    (void) state;
    struct rig r;
    struct tb_err err;
    rig_setup(&r);
    r.setup.filter = "port http or and"; /* alone: in ours it could make sense */
    assert_int_equal(tb_tap_filter_init(&r.filter, &r.setup, &err), -EINVAL);
    assert_non_null(strstr(err.text, "port http or and"));
    tb_tap_filter_fini(&r.filter);
    r.setup.filter = "tcp) or (udp";
    assert_int_equal(tb_tap_filter_init(&r.filter, &r.setup, &err), -EINVAL);
    tb_tap_filter_fini(&r.filter);
}

static void too_many_services_are_refused(void **state)
{
    (void) state;
    enum { MANY = 300 }; /* libpcap's time grows with the square */
    struct rig r;
    struct tb_err err;
    rig_setup(&r);
    struct tb_tap_service *many = calloc(MANY, sizeof *many);
    for (uint32_t i = 0; i < MANY; i++)
        many[i] = (struct tb_tap_service){.addr = tb_addr_plus(addr("fd00::"), i), .port = 80};
    r.setup.services = many;
    r.setup.service_count = MANY;
    assert_int_equal(tb_tap_filter_init(&r.filter, &r.setup, &err), -E2BIG);
    assert_non_null(strstr(err.text, "300 services"));
    tb_tap_filter_fini(&r.filter);
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    assert_int_equal(tb_steer_client(many, MANY, 2, program), -E2BIG);
    free(program);
    free(many);
}

static void packets_are_cut_as_wished(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    r.setup.snaplen = 100;
    rig_open(&r);
    uint32_t len = packet(cases[0].ends, p);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 100);
    assert_int_equal(taken(&r, 0, p, len).len, 100);
    assert_int_equal(taken(&r, 0, p, len).wire_len, len);
    tb_tap_filter_fini(&r.filter);
}

/* Rings cannot cut at that; we can. */
static void long_cuts_are_our_own(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    r.setup.snaplen = 1200;
    rig_open(&r);
    uint32_t len = packet(cases[0].ends, p);
    memset(p + len, 0, sizeof p - len);
    tb_put_be16(p + 2, 1500);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, 1500), 1500);
    assert_int_equal(taken(&r, 0, p, 1500).len, 1200);
    tb_tap_filter_fini(&r.filter);
}

/* --- groups of clients
 * -----------------------------------------------------------------------------
 */

static uint32_t group_of(const char *client, uint16_t port)
{
    struct tb_addr a = addr(client);
    return tb_steer_group(tb_steer_place(tb_addr_low32(&a), port));
}

/* Every group alone, clients in many of them, in both directions. */
static void the_kernel_takes_only_clients_of_the_groups_wanted(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    uint32_t seen = 0;
    rig_setup(&r);
    rig_open(&r);
    for (uint16_t port = 40000; port < 40200; port++) {
        const struct ends v4[] = {{CLIENT, port, ONLINE, 80}, {"10.9.8.7", 8080, CLIENT, port}};
        const struct ends v6[] = {{ONLINE6, 80, CLIENT6, port}, {CLIENT6, port, ONLINE6, 80}};
        for (size_t i = 0; i < 2; i++) {
            uint32_t group = group_of(CLIENT, port);
            seen |= UINT32_C(1) << group;
            r.groups = UINT32_C(1) << group;
            uint32_t len = packet(v4[i], p);
            assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len);
            r.groups = ~r.groups;
            assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
            r.groups = UINT32_C(1) << group_of(CLIENT6, port);
            len = packet(v6[i], p);
            assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len);
            r.groups = ~r.groups;
            assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
        }
    }
    assert_int_equal(seen, UINT32_MAX);
    tb_tap_filter_fini(&r.filter);
}

static void syns_and_fragments_pass_whatever_the_groups(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    r.groups = 0;
    rig_open(&r);
    for (size_t i = 0; i < CASES; i++) {
        uint32_t len = packet(cases[i].ends, p);
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
        p[(p[0] >> 4 == 4 ? 20 : 40) + 13] |= TB_TCP_SYN;
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), cases[i].wanted ? len : 0);
    }
    uint32_t len = fragment(cases[0].ends, 0x2000, p);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len);
    len = fragment(cases[1].ends, 0x0020, p);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len);
    tb_tap_filter_fini(&r.filter);
}

/* Conditions and lengths are those of the filter without groups. */
static void groups_change_nothing_else(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    r.setup.snaplen = 100;
    r.setup.filter = "net 198.18.0.0/15";
    r.groups = UINT32_MAX - 1;
    rig_open(&r);
    for (uint16_t port = 40000; port < 40100; port++) {
        uint32_t len = packet((struct ends){CLIENT, port, ONLINE, 80}, p);
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), group_of(CLIENT, port) ? 100 : 0);
        len = packet((struct ends){"10.1.1.1", port, "10.2.2.2", 8080}, p);
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
        struct aside elsewhere = {PACKET_HOST, 0, 6, ARPHRD_ETHER};
        len = packet((struct ends){CLIENT, port, ONLINE, 80}, p);
        assert_int_equal(passed_on(&r, TB_TAP_SHARED, elsewhere, p, len, 2), 0);
    }
    tb_tap_filter_fini(&r.filter);
}

/* --- fragments and extension headers ------------------------------------------------------------
 */

static void every_fragment_reaches_the_flows_worker(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    for (uint32_t workers = 1; workers <= WORKERS; workers += WORKERS - 1) {
        bool several = workers > 1;
        rig_setup(&r);
        r.setup.service_count = 2;
        r.setup.workers = workers;
        rig_open(&r);
        uint32_t len = fragment(cases[0].ends, 0x2000, p); /* the first one has ports */
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len);
        len = fragment(cases[0].ends, 0x2010, p); /* the next */
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), several ? 0 : len);
        len = fragment(cases[1].ends, 0x0020, p); /* the last, other direction */
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), several ? 0 : len);
        assert_int_equal(passed(&r, TB_TAP_EVERYBODY, p, len), len);
        for (uint32_t w = 0; w < workers; w++)
            assert_non_null(taken(&r, w, p, len).data);
        len = fragment((struct ends){CLIENT, 1, "10.9.8.7", 80}, 0x0020, p); /* no service */
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
        assert_int_equal(passed(&r, TB_TAP_EVERYBODY, p, len), 0);
        tb_tap_filter_fini(&r.filter);
    }
}

static void ipv6_extension_headers_are_everybodys(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    r.setup.workers = WORKERS;
    rig_open(&r);
    uint32_t len = packet(cases[2].ends, p), mine = 0;
    assert_int_equal(passed(&r, TB_TAP_EVERYBODY, p, len), 0);
    memmove(p + 48, p + 40, len - 40);
    memcpy(p + 40, (uint8_t[]){6, 0, 1, 4, 0, 0, 0, 0}, 8); /* destination options: padding */
    p[6] = 60;
    len += 8;
    tb_put_be16(p + 4, (uint16_t) (len - 40));
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
    assert_int_equal(passed(&r, TB_TAP_EVERYBODY, p, len), len);
    for (uint32_t w = 0; w < WORKERS; w++) /* whose it is shows when we look behind them */
        mine += taken(&r, w, p, len).data != NULL;
    assert_int_equal(mine, 1);
    p[6] = 44; /* a fragment; the same bytes would be offset 264 */
    assert_int_equal(passed(&r, TB_TAP_EVERYBODY, p, len), len);
    for (uint32_t w = 0; w < WORKERS; w++)
        assert_non_null(taken(&r, w, p, len).data);
    tb_tap_filter_fini(&r.filter);
}

/* --- VXLAN --------------------------------------------------------------------------------------
 */

static void mirrored_packets_are_unwrapped(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM], inner[ROOM];
    rig_setup(&r);
    r.setup.vxlan_port = TB_VXLAN_PORT;
    rig_open(&r);
    for (size_t i = 0; i < CASES; i++) {
        uint32_t len = mirrored(cases[i].ends, p), inner_len = packet(cases[i].ends, inner);
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len);
        struct tb_tapped t = taken(&r, 0, p, len);
        assert_int_equal(t.data != NULL, cases[i].wanted);
        if (!t.data)
            continue;
        assert_int_equal(t.len, inner_len);
        assert_int_equal(t.wire_len, inner_len);
        assert_memory_equal(t.data, inner, inner_len);
    }
    uint32_t len = packet(cases[0].ends, p);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len); /* others as before */
    assert_non_null(taken(&r, 0, p, len).data);
    tb_tap_filter_fini(&r.filter);
}

static void without_vxlan_mirrored_packets_do_not_pass(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    rig_open(&r);
    uint32_t len = mirrored(cases[0].ends, p);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
    assert_null(taken(&r, 0, p, len).data);
    tb_tap_filter_fini(&r.filter);
}

static void the_filter_given_is_for_the_mirrored_packet(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    rig_setup(&r);
    r.setup.vxlan_port = TB_VXLAN_PORT;
    r.setup.filter = "port 80";
    rig_open(&r);
    uint32_t len = mirrored(cases[0].ends, p);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len);
    assert_non_null(taken(&r, 0, p, len).data);
    len = mirrored(cases[4].ends, p); /* a service, but port 8080 */
    assert_null(taken(&r, 0, p, len).data);
    tb_tap_filter_fini(&r.filter);
}

static void one_worker_takes_a_mirrored_packet(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    struct tb_addr client = addr(CLIENT);
    rig_setup(&r);
    r.setup.vxlan_port = TB_VXLAN_PORT;
    r.setup.workers = WORKERS;
    rig_open(&r);
    for (int direction = 0; direction < 2; direction++) {
        uint32_t len = mirrored(cases[direction].ends, p);
        assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), 0);
        assert_int_equal(passed(&r, TB_TAP_EVERYBODY, p, len), len);
        for (uint32_t w = 0; w < WORKERS; w++)
            assert_int_equal(taken(&r, w, p, len).data != NULL,
                             w == tb_steer_worker(tb_addr_low32(&client), 40000, WORKERS));
    }
    tb_tap_filter_fini(&r.filter);
}

/* --- workers ------------------------------------------------------------------------------------
 */

static void both_directions_reach_the_clients_worker(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    uint32_t seen = 0;
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    rig_setup(&r);
    int n = tb_steer_client(r.services, 3, WORKERS, program);
    assert_true(n > 0);
    /* The same however the kernel has to look at it: see tb_steer_client(). */
    static const struct aside sent = {.packet_type = PACKET_OUTGOING};
    for (uint16_t port = 40000; port < 40020; port++) {
        struct {
            struct ends ends;
            const char *client;
        } ways[] = {{{CLIENT, port, ONLINE, 80}, CLIENT},
                    {{ONLINE, 80, CLIENT, port}, CLIENT},
                    {{CLIENT, port, "10.9.8.7", 8080}, CLIENT},
                    {{"10.9.8.7", 8080, CLIENT, port}, CLIENT},
                    {{CLIENT6, port, ONLINE6, 80}, CLIENT6},
                    {{ONLINE6, 80, CLIENT6, port}, CLIENT6},
                    {{CLIENT6, port, "2001:db8::1", 8080}, CLIENT6},
                    {{"2001:db8::1", 8080, CLIENT6, port}, CLIENT6},
                    /* A client with the address of a server, but not its port. */
                    {{ONLINE, port, ONLINE, 80}, ONLINE},
                    {{ONLINE, 80, ONLINE, port}, ONLINE}};
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            struct tb_addr client = addr(ways[i].client);
            uint32_t len = packet(ways[i].ends, p);
            uint32_t worker = tb_steer_worker(tb_addr_low32(&client), port, WORKERS);
            assert_int_equal(run_filter(program, (uint32_t) n, came, p, len), worker);
            assert_int_equal(run_filter(program, (uint32_t) n, sent, p, len), worker);
            seen |= 1u << worker;
        }
    }
    assert_true(seen & (seen - 1)); /* more than one worker, or this proves nothing */
    free(program);
}

static void ip_options_do_not_mislead(void **state)
{
    (void) state;
    struct rig r;
    uint8_t p[ROOM];
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    struct tb_addr client = addr(CLIENT);
    rig_setup(&r);
    rig_open(&r);
    int n = tb_steer_client(r.services, 3, WORKERS, program);
    uint32_t len = packet(cases[1].ends, p), worker;
    memmove(p + 28, p + 20, len - 20);
    memset(p + 20, 1, 8);
    p[0] = 0x47;
    len += 8;
    tb_put_be16(p + 2, (uint16_t) len);
    worker = tb_steer_worker(tb_addr_low32(&client), 40000, WORKERS);
    assert_int_equal(run_filter(program, (uint32_t) n, came, p, len), worker);
    assert_int_equal(passed(&r, TB_TAP_SHARED, p, len), len);
    assert_non_null(taken(&r, 0, p, len).data);
    tb_tap_filter_fini(&r.filter);
    free(program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_of_services_pass_and_nothing_of_targets),
        cmocka_unit_test(other_protocols_do_not_pass),
        cmocka_unit_test(what_is_sent_to_this_host_itself_is_taken_once),
        cmocka_unit_test(devices_that_were_named_are_alone),
        cmocka_unit_test(the_filter_given_has_to_pass_as_well),
        cmocka_unit_test(a_filter_that_is_none_is_refused_in_libpcaps_words),
        cmocka_unit_test(too_many_services_are_refused),
        cmocka_unit_test(packets_are_cut_as_wished),
        cmocka_unit_test(long_cuts_are_our_own),
        cmocka_unit_test(the_kernel_takes_only_clients_of_the_groups_wanted),
        cmocka_unit_test(syns_and_fragments_pass_whatever_the_groups),
        cmocka_unit_test(groups_change_nothing_else),
        cmocka_unit_test(every_fragment_reaches_the_flows_worker),
        cmocka_unit_test(ipv6_extension_headers_are_everybodys),
        cmocka_unit_test(mirrored_packets_are_unwrapped),
        cmocka_unit_test(without_vxlan_mirrored_packets_do_not_pass),
        cmocka_unit_test(the_filter_given_is_for_the_mirrored_packet),
        cmocka_unit_test(one_worker_takes_a_mirrored_packet),
        cmocka_unit_test(both_directions_reach_the_clients_worker),
        cmocka_unit_test(ip_options_do_not_mislead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
