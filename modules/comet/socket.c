/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A held WebSocket: frames of the server are counted by kind, pings are answered, and so are those
 * of engine.io, which are messages. Called from play.c.
 */
#include "comet.h"

void tb_comet_send_frame(struct tb_session *s, enum tb_ws_opcode opcode, const uint8_t *payload,
                         size_t len)
{
    uint8_t frame[TB_WS_CONTROL_MAX + 6];
    size_t n = tb_ws_frame(frame, opcode, payload, len, tb_comet_random(s));
    tb_comet_host()->send(s, frame, n);
}

static void count_frame(struct tb_session *s, uint8_t opcode)
{
    static const enum tb_comet_counter kinds[] = {
        [TB_WS_CONTINUATION] = TB_COUNT_WS_CONTINUATION,
        [TB_WS_TEXT] = TB_COUNT_WS_TEXT,
        [TB_WS_BINARY] = TB_COUNT_WS_BINARY,
        [TB_WS_CLOSE] = TB_COUNT_WS_CLOSE,
        [TB_WS_PING] = TB_COUNT_WS_PING,
        [TB_WS_PONG] = TB_COUNT_WS_PONG,
    };
    tb_comet_count(s, kinds[opcode], 1);
}

static void answer_ping(struct tb_session *s, enum tb_ws_opcode opcode, const uint8_t *payload,
                        size_t len)
{
    tb_comet_send_frame(s, opcode, payload, len);
    tb_comet_count(s, TB_COUNT_PONGS_SENT, 1);
}

/* The server says farewell: so do we. Was that to be expected? */
static enum tb_response_status closed(struct tb_session *s, struct tb_comet_session *c,
                                      const struct tb_ws *frame)
{
    enum { NORMAL = 1000 };
    struct tb_comet_session_note note = tb_comet_note_unpack(tb_comet_host()->session_note(s));
    bool normal = frame->control_len < 2 || (frame->control[0] << 8 | frame->control[1]) == NORMAL;
    tb_comet_send_frame(s, TB_WS_CLOSE, frame->control, frame->control_len < 2 ? 0 : 2);
    c->reading = TB_COMET_READS_NOTHING;
    if (!normal || !(note.flags & TB_COMET_SERVER_CLOSES))
        return TB_RESPONSE_LOST;
    c->flags |= TB_COMET_CLOSES; /* it closes the connection as well */
    return TB_RESPONSE_MORE;
}

/* Of engine.io's packets a push is what socket.io calls an event: not the handshakes of the two,
 * nor attachments, which belong to the event before them. */
static bool is_event(const struct tb_ws *f, const struct tb_comet_push *push)
{
    enum { MESSAGE = '4', CONNECT = '0', DISCONNECT = '1', CONNECT_ERROR = '4' };
    if (f->compressed)
        return true;
    if (f->opcode == TB_WS_BINARY || push->start_len < 2 || push->start[0] != MESSAGE)
        return false;
    return push->start[1] != CONNECT && push->start[1] != DISCONNECT &&
           push->start[1] != CONNECT_ERROR;
}

static void message_done(struct tb_session *s, struct tb_comet_session *c, struct tb_comet_open *o)
{
    struct tb_comet_session_note note = tb_comet_note_unpack(tb_comet_host()->session_note(s));
    bool engine_io = note.flags & TB_COMET_ENGINE_IO;
    const struct tb_ws *f = &o->frame;
    tb_comet_count(s, TB_COUNT_WS_MESSAGES, 1);
    if (engine_io && f->opcode == TB_WS_TEXT && f->length == 1 && o->push.start[0] == '2') {
        answer_ping(s, TB_WS_TEXT, (const uint8_t *) "3", 1);
    } else {
        c->messages++;
        if (!engine_io || is_event(f, &o->push))
            tb_comet_count_push(s, o->push.sent_us);
    }
    o->push = (struct tb_comet_push){0};
}

static enum tb_response_status frame_done(struct tb_session *s, struct tb_comet_session *c,
                                          struct tb_comet_open *o)
{
    const struct tb_ws *f = &o->frame;
    count_frame(s, f->opcode);
    switch (f->opcode) {
    case TB_WS_PING:
        answer_ping(s, TB_WS_PONG, f->control, f->control_len);
        return TB_RESPONSE_MORE;
    case TB_WS_PONG:
        return TB_RESPONSE_MORE;
    case TB_WS_CLOSE:
        return closed(s, c, f);
    default:
        break;
    }
    if (f->fin)
        message_done(s, c, o);
    return TB_RESPONSE_MORE;
}

static void message_bytes(struct tb_session *s, struct tb_comet_open *o, const uint8_t *data,
                          size_t len)
{
    struct tb_comet_push *p = &o->push;
    for (size_t i = 0; i < len && p->start_len < sizeof p->start; i++)
        p->start[p->start_len++] = data[i];
    tb_comet_count(s, TB_COUNT_PUSH_BYTES, len);
    if (!o->frame.compressed)
        tb_comet_push_bytes(s, p, data, len);
}

enum tb_response_status tb_comet_read_frames(struct tb_session *s, struct tb_comet_session *c,
                                             struct tb_comet_open *o, const uint8_t *data,
                                             size_t len)
{
    while (len > 0 && c->reading == TB_COMET_READS_FRAMES) {
        size_t used, n;
        const uint8_t *payload;
        enum tb_ws_event event = tb_ws_feed(&o->frame, false, data, len, &used, &payload, &n);
        if (event == TB_WS_BAD) {
            tb_comet_count(s, TB_COUNT_WS_BAD, 1);
            tb_comet_host()->fail_reason(s, "the server's bytes are no WebSocket frames");
            return TB_RESPONSE_FATAL;
        }
        if (n > 0 && o->frame.opcode <= TB_WS_BINARY)
            message_bytes(s, o, payload, n);
        if (event == TB_WS_DONE) {
            enum tb_response_status status = frame_done(s, c, o);
            if (status != TB_RESPONSE_MORE)
                return status;
        }
        data += used;
        len -= used;
    }
    return TB_RESPONSE_MORE;
}
