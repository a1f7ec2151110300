/* Publishers: each a connection, called a lane, on which publications go out one by one or in a pipeline. */
#include "hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { ANSWER_MAX = 1 << 16, REQUEST_MAX = 1 << 14 };

struct lane {
    struct source source;
    unsigned number, is_open, waiting; /* publications that are not answered yet */
    char *out;                         /* bytes still to be sent */
    size_t out_size, out_room, in_size;
    char in[ANSWER_MAX + 1];
};

static struct lane lanes[LANES];
static struct published_tally result;
static int port;
static char *template; /* the request that publishes */
static size_t template_size;

static void served(struct source *source, uint32_t events);

static void lane_open(struct lane *lane) {
    lane->source = (struct source){.fd = dial(lane->number, port), .ready = served};
    lane->is_open = 1;
    lane->in_size = 0;
    watch(&lane->source, EPOLLIN | EPOLLOUT);
}

static void lane_close(struct lane *lane) {
    forget(&lane->source);
    lane->is_open = 0;
    lane->out_size = 0;
    result.refused += lane->waiting;
    lane->waiting = 0;
}

static void flush(struct lane *lane) {
    ssize_t size = send(lane->source.fd, lane->out, lane->out_size, MSG_NOSIGNAL);
    if (size < 0) {
        if (errno != EAGAIN && errno != ENOTCONN)
            lane_close(lane);
        return;
    }
    lane->out_size -= (size_t)size;
    memmove(lane->out, lane->out + size, lane->out_size);
    if (!lane->out_size)
        rewatch(&lane->source, EPOLLIN);
}

/* How many bytes of `in` the first answer takes, 0 while it is not whole. */
static size_t answer_size(const struct lane *lane, size_t head) {
    const char *body = lane->in + head, *field = strcasestr(lane->in, "\r\ncontent-length:");
    if (field && field < body) {
        size_t size = head + strtoul(field + 17, NULL, 10);
        return size <= lane->in_size ? size : 0;
    }
    field = strcasestr(lane->in, "\r\ntransfer-encoding: chunked");
    if (field && field < body) {
        const char *last = strstr(body - 2, "\r\n0\r\n\r\n");
        return last ? (size_t)(last + 7 - lane->in) : 0;
    }
    return head;
}

static void read_answers(struct lane *lane) {
    char *stop;
    while (lane->is_open && (stop = strstr(lane->in, "\r\n\r\n"))) {
        size_t head = (size_t)(stop + 4 - lane->in), size = answer_size(lane, head);
        if (!size)
            return;
        int status = atoi(lane->in + 9);
        const char *closes = strcasestr(lane->in, "\r\nconnection: close");
        if (status / 100 == 2)
            result.answered++;
        else
            result.refused++;
        if (lane->waiting)
            lane->waiting--;
        if (closes && closes < stop) {
            lane_close(lane);
            return;
        }
        memmove(lane->in, lane->in + size, lane->in_size - size + 1);
        lane->in_size -= size;
    }
}

static void served(struct source *source, uint32_t events) {
    struct lane *lane = (struct lane *)source;
    if (events & EPOLLOUT) {
        if (lane->out_size)
            flush(lane);
        else
            rewatch(source, EPOLLIN);
    }
    if (!lane->is_open || !(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        return;
    ssize_t size = recv(source->fd, lane->in + lane->in_size, ANSWER_MAX - lane->in_size, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        lane_close(lane);
        return;
    }
    lane->in_size += (size_t)size;
    lane->in[lane->in_size] = 0;
    read_answers(lane);
}

static size_t put(char *at, const char *from, size_t size) {
    memcpy(at, from, size);
    return size;
}

/* Put the next publication on a lane: the request, with {n} and {payload} filled in. */
static void publish_one(struct lane *lane, const struct publishing *publishing) {
    char text[REQUEST_MAX], number[16];
    size_t size = 0;
    snprintf(number, sizeof number, "%08u", publishing->first + result.sent);
    for (const char *at = template, *end = template + template_size; at < end;) {
        size_t left = (size_t)(end - at);
        if (left >= 9 && !memcmp(at, "{payload}", 9)) {
            size += payload_write(text + size, publishing->payload_size, lane->number, published[lane->number]++, now_ns());
            at += 9;
        } else if (left >= 3 && !memcmp(at, "{n}", 3)) {
            size += put(text + size, number, 8);
            at += 3;
        } else {
            text[size++] = *at++;
        }
    }
    if (!lane->is_open)
        lane_open(lane);
    if (lane->out_size + size > lane->out_room)
        lane->out = realloc(lane->out, lane->out_room = (lane->out_size + size) * 2);
    lane->out_size += put(lane->out + lane->out_size, text, size);
    lane->waiting++;
    result.sent++;
}

/* Whether, and when, the next publication may go out. */
static int is_due(const struct publishing *publishing, uint64_t begun, uint64_t *when) {
    if (result.sent == publishing->count)
        return 0;
    if (publishing->rate <= 0)
        return 1;
    *when = begun + (uint64_t)(1e9 * result.sent / publishing->rate);
    return now_ns() >= *when;
}

static int is_waiting(const struct publishing *publishing) {
    unsigned waiting = 0;
    for (unsigned i = 0; i < publishing->lanes; i++)
        waiting += lanes[i].waiting;
    return waiting > 0;
}

static void fill_lanes(const struct publishing *publishing, uint64_t begun, uint64_t *when) {
    for (int is_busy = 1; is_busy;) {
        is_busy = 0;
        for (unsigned i = 0; i < publishing->lanes; i++) {
            if (lanes[i].waiting >= publishing->depth || !is_due(publishing, begun, when))
                continue;
            publish_one(&lanes[i], publishing);
            is_busy = 1;
        }
    }
    for (unsigned i = 0; i < publishing->lanes; i++)
        if (lanes[i].is_open && lanes[i].out_size)
            flush(&lanes[i]);
}

/* Publish all, and return when each is answered and, where deliveries are waited for, delivered or given up. */
struct published_tally publish(const struct publishing *publishing) {
    template = read_file(publishing->request, &template_size);
    uint64_t begun = now_ns(), progress = begun, delivered = tally.deliveries, base = delivered, mark = 0;
    result = (struct published_tally){0};
    port = publishing->port;
    for (unsigned i = 0; i < publishing->lanes; i++)
        lanes[i].number = i;
    while (result.sent < publishing->count || is_waiting(publishing)) {
        uint64_t when = now_ns() + 100000000;
        int is_short = publishing->receivers && tally.deliveries - base < (uint64_t)result.sent * publishing->receivers;
        if (!is_short)
            fill_lanes(publishing, begun, &when);
        turn(when);
        if (tally.deliveries + result.answered + result.refused != mark) {
            mark = tally.deliveries + result.answered + result.refused;
            progress = now_ns();
        }
        if (now_ns() > progress + publishing->patience) {
            result.waits_ended++;
            base = tally.deliveries - (uint64_t)result.sent * publishing->receivers;
            for (unsigned i = 0; i < publishing->lanes; i++)
                if (lanes[i].waiting)
                    lane_close(&lanes[i]);
            progress = now_ns();
            if (result.waits_ended > 20)
                break;
        }
    }
    result.seconds = (double)(now_ns() - begun) / 1e9;
    for (unsigned i = 0; i < publishing->lanes; i++)
        if (lanes[i].is_open)
            lane_close(&lanes[i]);
    free(template);
    return result;
}
