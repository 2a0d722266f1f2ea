/* SPDX-License-Identifier: BSD-2-Clause */
/* Every file format and link type gives the same sessions; damaged files give what is whole. */
#include <errno.h>
#include <zlib.h>

#include "packet/wire.h"
#include "trace/capture.h"
#include "trace_build.h"

/* A short dialogue: requests "hello" 2 ms after the handshake and "more", 4 ms after the answer. */
static void add_dialogue(struct cap *c, struct conn *n)
{
    shake_hands(c, n);
    wait_us(c, 2 * MS);
    client_says(c, n, "hello");
    wait_us(c, 3 * MS);
    server_says(c, n, "world!");
    wait_us(c, 4 * MS);
    client_says(c, n, "more");
    close_both(c, n);
}

static void assert_dialogue(const struct tb_script *s)
{
    assert_stream(s, "hellomore");
    assert_int_equal(s->requests, 2);
    assert_int_equal(request_at(s, 0)->think_us, 2 * MS);
    assert_int_equal(request_at(s, 0)->response_bytes, 6);
    assert_int_equal(request_at(s, 1)->think_us, 4 * MS);
    assert_int_equal(s->end.client, TB_END_FIN);
    assert_true(s->end.server_fin);
}

static void assert_loads_dialogue(struct cap *c)
{
    struct tb_trace t = load(c);
    assert_int_equal(t.session_count, 1);
    assert_dialogue(t.sessions[0]);
    assert_int_equal(t.bad_packets, 0);
    assert_string_equal(t.warning, "");
    tb_trace_free(&t);
}

/* --- classic pcap --------------------------------------------------------------------------- */

static void reads_pcap_in_both_byte_orders_and_resolutions(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct cap c = {
            .linktype = LINK_ETHERNET, .big_endian = i & 1, .nanoseconds = (i & 2) != 0};
        struct conn n = new_conn(4000);
        add_pcap_head(&c);
        add_dialogue(&c, &n);
        assert_loads_dialogue(&c);
    }
}

static void reads_every_link_type(void **state)
{
    static const uint32_t links[] = {LINK_NULL, LINK_ETHERNET, LINK_RAW, LINK_SLL, LINK_SLL2, 12};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        struct cap c = new_cap(links[i]);
        struct conn n = new_conn(4000);
        add_dialogue(&c, &n);
        assert_loads_dialogue(&c);
    }
}

static void reads_ipv6(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    n.addr[0] = addr_of("fd00::1");
    n.addr[1] = addr_of("fd00::2");
    add_dialogue(&c, &n);
    assert_loads_dialogue(&c);
}

static void reads_tagged_frames(void **state)
{
    struct cap plain = new_cap(LINK_ETHERNET), c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    add_dialogue(&plain, &n);
    for (size_t at = 24; at < plain.out.len;) { /* a QinQ and a VLAN tag into every frame */
        static const uint8_t tags[] = {0x88, 0xa8, 0, 5, 0x81, 0, 0, 7};
        uint32_t len;
        memcpy(&len, plain.out.b + at + 8, 4);
        uint32_t longer = len + sizeof tags;
        add_bytes(&c.out, plain.out.b + at, 8);
        add_bytes(&c.out, &longer, 4);
        add_bytes(&c.out, &longer, 4);
        add_bytes(&c.out, plain.out.b + at + 16, 12);
        add_bytes(&c.out, tags, sizeof tags);
        add_bytes(&c.out, plain.out.b + at + 28, len - 12);
        at += 16 + len;
    }
    free_cap(&plain);
    assert_loads_dialogue(&c);
}

static void takes_an_ip_length_of_zero_for_the_captured_one(void **state)
{
    struct cap c = new_cap(LINK_RAW);
    struct conn n = new_conn(4000);
    static char data[40001];
    static uint8_t ip[SEGMENT_MAX];
    memset(data, 'x', 40000);
    shake_hands(&c, &n);
    uint32_t len = make_segment(&n, TB_FROM_CLIENT, 1, 1, ACK, data, 40000, ip);
    ip[2] = ip[3] = 0;
    add_packet(&c, ip, len);
    c.snaplen = 100;
    len = make_segment(&n, TB_FROM_SERVER, 1, 40001, ACK, data, 30000, ip);
    ip[2] = ip[3] = 0;
    add_packet(&c, ip, len);
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], data);
    assert_int_equal(request_at(t.sessions[0], 0)->response_bytes, 30000);
    tb_trace_free(&t);
}

static void puts_fragments_together(void **state)
{
    struct cap c = new_cap(LINK_RAW);
    struct conn n = new_conn(4000);
    static uint8_t ip[SEGMENT_MAX], part[SEGMENT_MAX];
    static char data[3001];
    memset(data, 'f', 3000);
    shake_hands(&c, &n);
    uint32_t len = make_segment(&n, TB_FROM_CLIENT, 1, 1, ACK, data, 3000, ip) - 20;
    static const uint32_t order[] = {1480, 0, 1480, 2960}; /* not in order, one of them twice */
    for (size_t i = 0; i < 4; i++) {
        uint32_t at = order[i], size = len - at < 1480 ? len - at : 1480;
        memcpy(part, ip, 20);
        memcpy(part + 20, ip + 20 + at, size);
        tb_put_be16(part + 2, (uint16_t) (20 + size));
        tb_put_be16(part + 4, 77);
        tb_put_be16(part + 6, (uint16_t) (at / 8 | (at + size < len ? 0x2000 : 0)));
        add_packet(&c, part, 20 + size);
    }
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], data);
    assert_int_equal(t.bad_packets, 0);
    tb_trace_free(&t);
}

static void puts_ipv6_fragments_together(void **state)
{
    enum { IP_HEAD = 40, FRAGMENT_HEAD = 8, PART = 1200 };
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    static uint8_t ip[SEGMENT_MAX], part[IP_HEAD + FRAGMENT_HEAD + PART];
    static char data[3001];
    n.addr[0] = addr_of("fd00::1");
    n.addr[1] = addr_of("fd00::2");
    memset(data, 'f', 3000);
    shake_hands(&c, &n);
    uint32_t len = make_segment(&n, TB_FROM_CLIENT, 1, 1, ACK, data, 3000, ip) - IP_HEAD;
    for (uint32_t at = 0; at < len; at += PART) {
        uint32_t size = len - at < PART ? len - at : PART;
        memcpy(part, ip, IP_HEAD);
        part[6] = 44;
        tb_put_be16(part + 4, (uint16_t) (FRAGMENT_HEAD + size));
        memcpy(part + IP_HEAD, (uint8_t[]){6, 0, 0, 0, 1, 2, 3, 4}, FRAGMENT_HEAD);
        tb_put_be16(part + IP_HEAD + 2, (uint16_t) (at | (at + size < len)));
        memcpy(part + IP_HEAD + FRAGMENT_HEAD, ip + IP_HEAD + at, size);
        add_packet(&c, part, IP_HEAD + FRAGMENT_HEAD + size);
    }
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], data);
    tb_trace_free(&t);
}

/* A segment of the client with another byte than it was sent with. */
static void damaged_segment(struct cap *c, const struct conn *n, const char *data)
{
    uint8_t ip[200];
    uint8_t segment_ip[SEGMENT_MAX];
    uint32_t len = make_segment(n, TB_FROM_CLIENT, n->next[0], n->next[1], ACK, data,
                                (uint32_t) strlen(data), segment_ip);
    memcpy(ip, segment_ip, len);
    ip[len - 1] ^= 0x40;
    add_packet(c, ip, len);
}

static void leaves_damaged_packets_out_where_checksums_are_right(void **state)
{
    struct cap c = new_cap(LINK_RAW);
    struct conn n = new_conn(4000);
    shake_hands(&c, &n);
    for (int i = 0; i < 20; i++)
        client_says(&c, &n, ".");
    damaged_segment(&c, &n, "hello");
    client_says(&c, &n, "hello");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "....................hello");
    assert_int_equal(t.bad_packets, 1);
    tb_trace_free(&t);
}

static void takes_wrong_checksums_where_they_are_usual(void **state)
{
    struct cap c = new_cap(LINK_RAW);
    struct conn n = new_conn(4000);
    shake_hands(&c, &n);
    for (int i = 0; i < 20; i++) {
        damaged_segment(&c, &n, "n"); /* becomes a dot */
        n.next[0]++;
        server_acks(&c, &n);
    }
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "....................");
    assert_int_equal(t.bad_packets, 0);
    tb_trace_free(&t);
}

static void counts_what_is_not_tcp(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    uint8_t arp[60] = {[12] = 0x08, [13] = 0x06};
    uint8_t udp[60] = {[12] = 0x08, [14] = 0x45, [17] = 28, [23] = 17};
    uint8_t broken[60] = {[12] = 0x08, [14] = 0x41, [17] = 40, [23] = 6};
    add_record(&c, arp, sizeof arp);
    add_record(&c, udp, sizeof udp);
    add_record(&c, broken, sizeof broken);
    add_record(&c, broken, 0);
    add_dialogue(&c, &n);
    struct tb_trace t = load(&c);
    assert_dialogue(t.sessions[0]);
    assert_int_equal(t.packets, 13);
    assert_int_equal(t.other_packets, 3);
    assert_int_equal(t.bad_packets, 1);
    tb_trace_free(&t);
}

static void warns_of_unknown_link_types(void **state)
{
    struct cap c = new_cap(147);
    struct conn n = new_conn(4000);
    add_dialogue(&c, &n);
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(t.other_packets, 9);
    assert_non_null(strstr(t.warning, "link type"));
    tb_trace_free(&t);
}

/* --- pcapng --------------------------------------------------------------------------------- */

static size_t begin_block(struct cap *c, uint32_t type)
{
    size_t at = c->out.len;
    add_u32(c, type);
    add_u32(c, 0);
    return at;
}

static void end_block(struct cap *c, size_t at)
{
    static const uint8_t zeros[4];
    add_bytes(&c->out, zeros, -(c->out.len - at) & 3);
    uint32_t len = (uint32_t) (c->out.len - at) + 4;
    add_u32(c, len);
    memcpy(c->out.b + at + 4, c->out.b + c->out.len - 4, 4);
}

static void add_section(struct cap *c)
{
    size_t at = begin_block(c, 0x0a0d0d0a);
    add_u32(c, 0x1a2b3c4d);
    add_u16(c, 1);
    add_u16(c, 0);
    add_u32(c, UINT32_MAX);
    add_u32(c, UINT32_MAX);
    end_block(c, at);
}

/* `resolution` 0: the default; `offset_s` 0: none. */
static void add_interface(struct cap *c, uint16_t linktype, uint8_t resolution, int32_t offset_s)
{
    size_t at = begin_block(c, 1);
    add_u16(c, linktype);
    add_u16(c, 0);
    add_u32(c, 262144);
    add_u16(c, 2); /* if_name, to be passed over */
    add_u16(c, 3);
    add_bytes(&c->out, "eth\0", 4);
    if (resolution) {
        add_u16(c, 9);
        add_u16(c, 1);
        add_bytes(&c->out, (uint8_t[]){resolution, 0, 0, 0}, 4);
    }
    if (offset_s) {
        uint32_t high = offset_s < 0 ? UINT32_MAX : 0;
        add_u16(c, 14);
        add_u16(c, 8);
        add_u32(c, c->big_endian ? high : (uint32_t) offset_s);
        add_u32(c, c->big_endian ? (uint32_t) offset_s : high);
    }
    add_u32(c, 0); /* end of options */
    end_block(c, at);
}

/* What becomes of a classic capture's records: which block, interface and clock. */
struct target {
    uint32_t block;
    uint16_t interface;
    uint64_t units_per_s; /* times, and offset to be taken off before */
    int32_t offset_s;
    uint32_t link_head; /* bytes of the Ethernet header to leave out */
};

static void add_block_record(struct cap *c, const struct target *to, const uint8_t *record)
{
    uint32_t seconds, us, len;
    memcpy(&seconds, record, 4);
    memcpy(&us, record + 4, 4);
    memcpy(&len, record + 8, 4);
    len -= to->link_head;
    unsigned __int128 units = ((unsigned __int128) us * to->units_per_s + 999999) / 1000000;
    uint64_t time =
        (uint64_t) (seconds - (int64_t) to->offset_s) * to->units_per_s + (uint64_t) units;
    size_t at = begin_block(c, to->block);
    if (to->block == 2) {
        add_u16(c, to->interface);
        add_u16(c, 0);
    } else if (to->block == 6) {
        add_u32(c, to->interface);
    }
    if (to->block != 3) {
        add_u32(c, (uint32_t) (time >> 32));
        add_u32(c, (uint32_t) time);
        add_u32(c, len);
    }
    add_u32(c, len);
    add_bytes(&c->out, record + 16 + to->link_head, len);
    end_block(c, at);
}

/* Records [from, to) of a little-endian microsecond capture. */
static void convert(struct cap *c, const struct cap *plain, uint32_t from, uint32_t to,
                    const struct target *target)
{
    uint32_t i = 0, len;
    for (size_t at = 24; at < plain->out.len; at += 16 + len, i++) {
        memcpy(&len, plain->out.b + at + 8, 4);
        if (i >= from && i < to)
            add_block_record(c, target, plain->out.b + at);
    }
}

static void add_unknown_block(struct cap *c)
{
    size_t at = begin_block(c, 0x0bad0bad);
    for (uint32_t i = 0; i < 1000; i++)
        add_u32(c, i);
    end_block(c, at);
}

static void reads_pcapng_with_any_clock(void **state)
{
    static const struct {
        uint8_t resolution;
        uint64_t units_per_s;
        int32_t offset_s;
    } clocks[] = {{0, 1000000, 0},        {6, 1000000, 0},           {9, 1000000000, 0},
                  {3, 1000, 0},           {7, 10000000, 1000000000}, {0x80 | 20, 1 << 20, -50},
                  {0x80 | 30, 1 << 30, 0}};
    for (size_t i = 0; i < 2 * sizeof clocks / sizeof *clocks; i++) {
        struct cap plain = new_cap(LINK_ETHERNET), c = {.big_endian = i & 1};
        struct conn n = new_conn(4000);
        size_t k = i / 2;
        struct target to = {6, 0, clocks[k].units_per_s, clocks[k].offset_s, 0};
        add_dialogue(&plain, &n);
        add_section(&c);
        add_interface(&c, LINK_ETHERNET, clocks[k].resolution, clocks[k].offset_s);
        convert(&c, &plain, 0, UINT32_MAX, &to);
        free_cap(&plain);
        struct tb_trace t = load(&c);
        assert_dialogue(t.sessions[0]);
        assert_int_equal(t.sessions[0]->start_us, (uint64_t) START_S * 1000000);
        tb_trace_free(&t);
    }
}

static void reads_pcapng_of_several_sections_and_interfaces(void **state)
{
    struct cap plain = new_cap(LINK_ETHERNET), c = {.big_endian = true};
    struct conn n = new_conn(4000);
    const struct target ether = {6, 0, 1000000, 0, 0}, raw = {2, 1, 1000000000, 0, 14},
                        other = {6, 0, 1000, 0, 14};
    add_dialogue(&plain, &n);
    add_section(&c);
    add_interface(&c, LINK_ETHERNET, 0, 0);
    add_unknown_block(&c);
    add_interface(&c, LINK_RAW, 9, 0);
    convert(&c, &plain, 0, 2, &ether);
    convert(&c, &plain, 2, 5, &raw);
    add_unknown_block(&c);
    convert(&c, &plain, 5, 6, &ether);
    c.big_endian = false;
    add_section(&c);
    add_interface(&c, LINK_RAW, 3, 0);
    convert(&c, &plain, 6, 99, &other);
    free_cap(&plain);
    assert_loads_dialogue(&c);
}

static void reads_simple_packet_blocks(void **state)
{
    struct cap plain = new_cap(LINK_ETHERNET), c = {0};
    struct conn n = new_conn(4000);
    const struct target timed = {6, 0, 1000000, 0, 0}, simple = {3, 0, 1000000, 0, 0};
    add_dialogue(&plain, &n);
    add_section(&c);
    add_interface(&c, LINK_ETHERNET, 0, 0);
    convert(&c, &plain, 0, 1, &timed);
    convert(&c, &plain, 1, 99, &simple); /* have no time: that of the packet before */
    free_cap(&plain);
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "hellomore");
    assert_int_equal(request_at(t.sessions[0], 1)->think_us, 0);
    tb_trace_free(&t);
}

static void passes_over_blocks_of_unknown_interfaces(void **state)
{
    struct cap plain = new_cap(LINK_ETHERNET), c = {0};
    struct conn n = new_conn(4000);
    const struct target good = {6, 0, 1000000, 0, 0}, bad = {6, 7, 1000000, 0, 0};
    add_dialogue(&plain, &n);
    add_section(&c);
    convert(&c, &plain, 0, 1, &good); /* before any interface */
    add_interface(&c, LINK_ETHERNET, 0, 0);
    convert(&c, &plain, 0, 2, &bad);
    convert(&c, &plain, 0, 99, &good);
    free_cap(&plain);
    struct tb_trace t = load(&c);
    assert_dialogue(t.sessions[0]);
    assert_non_null(strstr(t.warning, "damaged in 3 places"));
    tb_trace_free(&t);
}

static void takes_no_more_interfaces_than_it_has_room_for(void **state)
{
    struct cap plain = new_cap(LINK_ETHERNET), c = {0};
    struct conn n = new_conn(4000);
    const struct target last = {6, TB_CAPTURE_INTERFACES - 1, 1000000, 0, 0},
                        beyond = {6, TB_CAPTURE_INTERFACES, 1000000, 0, 0};
    add_dialogue(&plain, &n);
    add_section(&c);
    for (int i = 0; i < TB_CAPTURE_INTERFACES + 10; i++)
        add_interface(&c, LINK_ETHERNET, 0, 0);
    convert(&c, &plain, 0, 1, &beyond);
    convert(&c, &plain, 0, 99, &last);
    free_cap(&plain);
    struct tb_trace t = load(&c);
    assert_dialogue(t.sessions[0]);
    assert_non_null(strstr(t.warning, "damaged in 1 place"));
    tb_trace_free(&t);
}

static void takes_times_before_1970_for_1970(void **state)
{
    struct cap plain = new_cap(LINK_ETHERNET), c = {0};
    struct conn n = new_conn(4000);
    const struct target to = {6, 0, 1000000, 0, 0};
    add_dialogue(&plain, &n);
    add_section(&c);
    add_interface(&c, LINK_ETHERNET, 0, -2000000000);
    convert(&c, &plain, 0, 99, &to);
    free_cap(&plain);
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "hellomore");
    assert_int_equal(t.sessions[0]->start_us, 0);
    tb_trace_free(&t);
}

static void cuts_simple_packet_blocks_at_their_snaplen(void **state)
{
    struct cap plain = new_cap(LINK_ETHERNET), c = {0};
    struct conn n = new_conn(4000);
    const struct target simple = {3, 0, 1000000, 0, 0};
    const uint32_t snaplen = 14 + 20 + 20 + 3; /* three bytes of what is said */
    add_dialogue(&plain, &n);
    add_section(&c);
    size_t at = c.out.len;
    add_interface(&c, LINK_ETHERNET, 0, 0);
    memcpy(c.out.b + at + 12, &snaplen, 4);
    convert(&c, &plain, 0, 99, &simple);
    free_cap(&plain);
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(skipped(&t, "truncated"), 1);
    tb_trace_free(&t);
}

static void finds_the_next_block_after_damage(void **state)
{
    struct cap plain = new_cap(LINK_ETHERNET), c = {0};
    struct conn a = new_conn(4000), b = new_conn(4001);
    const struct target to = {6, 0, 1000000, 0, 0};
    static const uint32_t absurd[] = {0, 7, 0x7ffffffc, 0xfffffff0, 900000};
    add_dialogue(&plain, &a);
    add_dialogue(&plain, &b);
    for (size_t i = 0; i < 5; i++) {
        c = (struct cap){0};
        add_section(&c);
        add_interface(&c, LINK_ETHERNET, 0, 0);
        convert(&c, &plain, 0, 3, &to);
        size_t damage = c.out.len;
        convert(&c, &plain, 3, 99, &to);
        memcpy(c.out.b + damage + 4, &absurd[i], 4);
        struct tb_trace t = load_with(&c, (struct tb_trace_options){.partial = true});
        assert_int_equal(t.packets, 17);
        assert_int_equal(t.session_count, 2);
        assert_dialogue(t.sessions[1]);
        assert_non_null(strstr(t.warning, "damaged in 1 place"));
        tb_trace_free(&t);
    }
    free_cap(&plain);
}

/* --- gzip ----------------------------------------------------------------------------------- */

static void compress_into(struct bytes *out, const uint8_t *data, size_t len)
{
    z_stream z = {0};
    static uint8_t packed[1 << 16];
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, 0), Z_OK);
    z.next_in = (uint8_t *) data;
    z.avail_in = (uInt) len;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    add_bytes(out, packed, sizeof packed - z.avail_out);
    deflateEnd(&z);
}

static struct cap packed_dialogue(size_t members)
{
    struct cap plain = new_cap(LINK_ETHERNET), c = {0};
    struct conn n = new_conn(4000);
    add_dialogue(&plain, &n);
    for (size_t i = 0; i < members; i++) {
        size_t from = plain.out.len * i / members, to = plain.out.len * (i + 1) / members;
        compress_into(&c.out, plain.out.b + from, to - from);
    }
    free_cap(&plain);
    return c;
}

static void reads_gzip(void **state)
{
    struct cap c = packed_dialogue(1);
    assert_loads_dialogue(&c);
}

static void reads_gzip_of_several_members(void **state)
{
    struct cap c = packed_dialogue(7);
    assert_loads_dialogue(&c);
}

static void leaves_what_stands_behind_gzip(void **state)
{
    struct cap c = packed_dialogue(1);
    add_bytes(&c.out, "\0\0\0\0\0 tail", 10);
    assert_loads_dialogue(&c);
}

static void uses_what_is_whole_of_cut_gzip(void **state)
{
    struct cap c = packed_dialogue(2);
    c.out.len -= 30;
    struct tb_trace t = load_with(&c, (struct tb_trace_options){.partial = true});
    assert_true(t.packets > 3 && t.packets < 9);
    assert_non_null(strstr(t.warning, "cut short"));
    tb_trace_free(&t);
}

/* --- damage --------------------------------------------------------------------------------- */

static void uses_what_is_whole_of_a_file_cut_short(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn a = new_conn(4000), b = new_conn(4001);
    add_dialogue(&c, &a);
    shake_hands(&c, &b);
    c.out.len -= 5;
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 2);
    assert_dialogue(t.sessions[0]);
    assert_int_equal(t.packets, 11);
    assert_non_null(strstr(t.warning, "cut short"));
    assert_non_null(strstr(t.warning, "after 11 packets"));
    tb_trace_free(&t);
}

static void finds_the_next_record_after_absurd_lengths(void **state)
{
    static const uint32_t absurd[] = {0xffffffff, 0x80000000, 2000000, 1000000, 70000};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        struct cap c = new_cap(LINK_ETHERNET);
        struct conn a = new_conn(4000), b = new_conn(4001);
        add_dialogue(&c, &a);
        size_t damage = c.out.len;
        client_says(&c, &a, "overwritten");
        memcpy(c.out.b + damage + 8, &absurd[i], 4);
        add_dialogue(&c, &b);
        struct tb_trace t = load(&c);
        assert_int_equal(t.session_count, 2);
        assert_dialogue(t.sessions[0]);
        assert_dialogue(t.sessions[1]);
        assert_non_null(strstr(t.warning, "damaged in 1 place"));
        tb_trace_free(&t);
    }
}

static void passes_over_garbage_between_records(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn a = new_conn(4000), b = new_conn(4001);
    add_dialogue(&c, &a);
    for (int i = 0; i < 5000; i++)
        add_bytes(&c.out, &(uint8_t){(uint8_t) (0x80 | i * 37)}, 1);
    add_dialogue(&c, &b);
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 2);
    assert_dialogue(t.sessions[1]);
    tb_trace_free(&t);
}

static void refuses_what_is_no_capture(void **state)
{
    static const char *texts[] = {"", "x", "GET / HTTP/1.1\r\nHost: example\r\n\r\n",
                                  "\x1f\x8b not really gzip, is it?"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct tb_trace t;
        struct tb_err err = {""};
        int rc = load_bytes(&t, texts[i], strlen(texts[i]), (struct tb_trace_options){0}, &err);
        assert_int_equal(rc, -EBADMSG);
        assert_non_null(strstr(err.text, "/proc/self/fd/"));
        tb_trace_free(&t);
    }
}

static void names_a_missing_file(void **state)
{
    struct tb_trace t;
    struct tb_err err = {""};
    const char *paths[] = {"/nonexistent.pcap", "/tmp"};
    for (int i = 0; i < 2; i++) {
        struct tb_trace_options o = {.files = &paths[i], .file_count = 1};
        assert_true(tb_trace_load(&t, &o, &err) < 0);
        assert_non_null(strstr(err.text, paths[i]));
        tb_trace_free(&t);
    }
}

static void says_why_there_is_nothing_to_play(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    struct tb_trace t;
    struct tb_err err = {""};
    client_says(&c, &n, "in the middle");
    int rc = load_bytes(&t, c.out.b, c.out.len, (struct tb_trace_options){0}, &err);
    assert_int_equal(rc, -ENODATA);
    assert_non_null(strstr(err.text, "no_syn: 1"));
    free_cap(&c);
    tb_trace_free(&t);
}

/* --- several files, filters, progress ------------------------------------------------------- */

static void takes_several_files_for_one_capture(void **state)
{
    struct cap first = new_cap(LINK_ETHERNET), second = new_cap(LINK_SLL);
    struct conn n = new_conn(4000);
    shake_hands(&first, &n);
    wait_us(&first, 2 * MS);
    client_says(&first, &n, "hello");
    second.now_us = first.now_us + 3 * MS;
    server_says(&second, &n, "world!");
    wait_us(&second, 4 * MS);
    client_says(&second, &n, "more");
    close_both(&second, &n);
    struct mem_file a = new_file(first.out.b, first.out.len);
    struct mem_file b = new_file(second.out.b, second.out.len);
    const char *paths[] = {a.path, b.path};
    const struct tb_service port_80 = {.any_addr = true, .port = 80};
    struct tb_trace_options o = {
        .files = paths, .file_count = 2, .services = &port_80, .service_count = 1};
    struct tb_trace t;
    struct tb_err err = {""};
    assert_int_equal(tb_trace_load(&t, &o, &err), 0);
    assert_int_equal(t.files, 2);
    assert_int_equal(t.session_count, 1);
    assert_dialogue(t.sessions[0]);
    tb_trace_free(&t);
    close(a.fd);
    close(b.fd);
    free_cap(&first);
    free_cap(&second);
}

static void applies_the_filter_to_every_link_type(void **state)
{
    static const uint32_t links[] = {LINK_ETHERNET, LINK_RAW, LINK_SLL, LINK_SLL2, LINK_NULL};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        struct cap c = new_cap(links[i]);
        struct conn a = new_conn(4000), b = new_conn(4001);
        add_dialogue(&c, &a);
        add_dialogue(&c, &b);
        struct tb_trace t =
            load_with(&c, (struct tb_trace_options){.filter = "tcp port 4001 and host 10.0.0.1"});
        assert_int_equal(t.session_count, 1);
        assert_int_equal(t.sessions[0]->client_port, 4001);
        assert_int_equal(skipped_in_all(&t), 0);
        tb_trace_free(&t);
    }
}

static void refuses_a_bad_filter(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    struct tb_trace t;
    struct tb_err err = {""};
    add_dialogue(&c, &n);
    struct tb_trace_options o = {.filter = "tcp prot 80"};
    assert_int_equal(load_bytes(&t, c.out.b, c.out.len, o, &err), -EINVAL);
    assert_non_null(strstr(err.text, "tcp prot 80"));
    free_cap(&c);
    tb_trace_free(&t);
}

struct progress {
    int calls;
    uint64_t done, total;
};

static void note_progress(void *ctx, uint64_t done, uint64_t total, uint32_t sessions)
{
    struct progress *p = ctx;
    assert_true(done >= p->done && done <= total);
    p->calls++;
    p->done = done;
    p->total = total;
}

static void tells_its_progress(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    static char data[30001];
    struct progress p = {0};
    memset(data, 'x', 30000);
    shake_hands(&c, &n);
    for (int i = 0; i < 400; i++)
        client_says(&c, &n, data);
    uint64_t size = c.out.len;
    struct tb_trace t =
        load_with(&c, (struct tb_trace_options){.progress = note_progress, .progress_ctx = &p});
    assert_int_equal(p.calls, 2); /* every 4 MB of 12 */
    assert_int_equal(p.total, size);
    tb_trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_pcap_in_both_byte_orders_and_resolutions),
        cmocka_unit_test(reads_every_link_type),
        cmocka_unit_test(reads_ipv6),
        cmocka_unit_test(reads_tagged_frames),
        cmocka_unit_test(takes_an_ip_length_of_zero_for_the_captured_one),
        cmocka_unit_test(puts_fragments_together),
        cmocka_unit_test(puts_ipv6_fragments_together),
        cmocka_unit_test(leaves_damaged_packets_out_where_checksums_are_right),
        cmocka_unit_test(takes_wrong_checksums_where_they_are_usual),
        cmocka_unit_test(counts_what_is_not_tcp),
        cmocka_unit_test(warns_of_unknown_link_types),
        cmocka_unit_test(reads_pcapng_with_any_clock),
        cmocka_unit_test(reads_pcapng_of_several_sections_and_interfaces),
        cmocka_unit_test(reads_simple_packet_blocks),
        cmocka_unit_test(passes_over_blocks_of_unknown_interfaces),
        cmocka_unit_test(takes_no_more_interfaces_than_it_has_room_for),
        cmocka_unit_test(takes_times_before_1970_for_1970),
        cmocka_unit_test(cuts_simple_packet_blocks_at_their_snaplen),
        cmocka_unit_test(finds_the_next_block_after_damage),
        cmocka_unit_test(reads_gzip),
        cmocka_unit_test(reads_gzip_of_several_members),
        cmocka_unit_test(leaves_what_stands_behind_gzip),
        cmocka_unit_test(uses_what_is_whole_of_cut_gzip),
        cmocka_unit_test(uses_what_is_whole_of_a_file_cut_short),
        cmocka_unit_test(finds_the_next_record_after_absurd_lengths),
        cmocka_unit_test(passes_over_garbage_between_records),
        cmocka_unit_test(refuses_what_is_no_capture),
        cmocka_unit_test(names_a_missing_file),
        cmocka_unit_test(says_why_there_is_nothing_to_play),
        cmocka_unit_test(takes_several_files_for_one_capture),
        cmocka_unit_test(applies_the_filter_to_every_link_type),
        cmocka_unit_test(refuses_a_bad_filter),
        cmocka_unit_test(tells_its_progress),
    };
    return cmocka_run_group_tests_name("trace_formats", tests, NULL, NULL);
}
