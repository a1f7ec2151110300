/* Clients: connected a few at a time, held, and read. Event streams come raw or in chunks, messages in WebSocket frames. */
#include "hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { HEAD_MAX = 8192, GROUPS = 16, TRIES = 3 };
static const uint64_t PATIENCE = 10000000000; /* nanoseconds in which one of those being connected must get further */

enum state { GONE, CONNECTING, HEAD, RAW, CHUNK_SIZE, CHUNK_LINE_END, CHUNK, CHUNK_END, FRAME_HEAD, FRAME };

struct client {
    struct source source;
    struct group *group;
    char *head; /* while it is read */
    uint64_t left;
    enum state state;
    unsigned index, head_size;
    uint8_t frame[10], frame_size, is_counted;
    struct reading reading;
};

struct group {
    struct client *clients;
    unsigned count, first, held, pending, attempts;
    int port;
    uint64_t progress; /* when one of them last got further */
    char *request;
    size_t request_size;
    struct shape shape;
};

static struct group *groups[GROUPS];
static unsigned group_count;
static char buffer[1 << 16];

static void served(struct source *source, uint32_t events);

struct group *group_at(unsigned number) {
    if (number >= group_count)
        fail("there is no group %u", number);
    return groups[number];
}

unsigned group_held(const struct group *group) { return group->held; }
unsigned group_attempts(const struct group *group) { return group->attempts; }

unsigned group_deviating(struct group *group) {
    unsigned deviating = 0;
    const struct client *first = NULL;
    for (unsigned i = 0; i < group->count; i++) {
        const struct client *client = &group->clients[i];
        if (!client->is_counted)
            continue;
        if (!first)
            first = client;
        deviating += client->reading.order != first->reading.order;
    }
    for (unsigned i = 0; i < group->count; i++)
        group->clients[i].reading.order = 0;
    return deviating;
}

static void begin(struct client *client) {
    struct group *group = client->group;
    group->attempts++;
    group->pending++;
    client->state = CONNECTING;
    client->head_size = 0;
    client->source = (struct source){.fd = dial(client->index, group->port), .ready = served};
    watch(&client->source, EPOLLOUT);
}

/* Its connection has ended. */
static void end(struct client *client) {
    struct group *group = client->group;
    if (client->is_counted) {
        tally.closed++;
        group->held--;
    } else {
        group->pending--;
    }
    forget(&client->source);
    free(client->head);
    client->head = NULL;
    client->is_counted = 0;
    client->state = GONE;
}

static void send_request(struct client *client) {
    struct group *group = client->group;
    char *mark, number[16];
    memcpy(buffer, group->request, group->request_size + 1);
    snprintf(number, sizeof number, "%08u", group->first + client->index);
    size_t size = group->request_size;
    while ((mark = strstr(buffer, "{n}"))) {
        memmove(mark + 8, mark + 3, size - (size_t)(mark - buffer) - 3 + 1);
        memcpy(mark, number, 8);
        size += 5;
    }
    if (send(client->source.fd, buffer, size, MSG_NOSIGNAL) != (ssize_t)size) {
        end(client);
        return;
    }
    client->head = malloc(HEAD_MAX + 1);
    client->state = HEAD;
    rewatch(&client->source, EPOLLIN);
}

/* Take bytes of the head; return how many of them were of it. */
static size_t read_head(struct client *client, const char *data, size_t size) {
    size_t room = HEAD_MAX - client->head_size, taken = size < room ? size : room, before = client->head_size;
    memcpy(client->head + before, data, taken);
    client->head[before + taken] = 0;
    char *stop = strstr(client->head, "\r\n\r\n");
    client->head_size += (unsigned)taken;
    if (!stop) {
        if (taken == room)
            end(client);
        return size;
    }
    int status = atoi(client->head + 9);
    if (status == 101)
        client->state = FRAME_HEAD;
    else if (status == 200)
        client->state = strcasestr(client->head, "\r\ntransfer-encoding: chunked") ? CHUNK_SIZE : RAW;
    else {
        end(client);
        return size;
    }
    size_t used = (size_t)(stop + 4 - client->head) - before;
    free(client->head);
    client->head = NULL;
    client->is_counted = 1;
    client->group->held++;
    client->group->pending--;
    client->group->progress = now_ns();
    return used;
}

/* Take one byte of a frame's head; when it was the last, go on with the frame. */
static void read_frame_head(struct client *client, uint8_t byte) {
    client->frame[client->frame_size++] = byte;
    if (client->frame_size < 2)
        return;
    unsigned code = client->frame[1] & 127, more = code == 126 ? 2 : code == 127 ? 8 : 0;
    if (client->frame_size < 2 + more)
        return;
    client->left = more ? 0 : code;
    for (unsigned i = 0; i < more; i++)
        client->left = client->left << 8 | client->frame[2 + i];
    client->frame_size = 0;
    if (client->left)
        client->state = FRAME;
    if ((client->frame[0] & 15) == 8)
        end(client);
}

/* Take a piece of a chunk or of a frame; return its size. */
static size_t read_piece(struct client *client, const char *data, size_t size, uint64_t at, enum state next) {
    size_t piece = size < client->left ? size : client->left;
    if (client->state == CHUNK || (client->frame[0] & 15) < 8)
        scan(&client->group->shape, &client->reading, data, piece, at);
    client->left -= piece;
    if (!client->left)
        client->state = next;
    return piece;
}

static void read_chunk_size(struct client *client, char byte) {
    if (byte == '\r') {
        client->state = CHUNK_LINE_END;
        return;
    }
    int digit = byte >= '0' && byte <= '9' ? byte - '0' : (byte | 32) >= 'a' && (byte | 32) <= 'f' ? (byte | 32) - 'a' + 10 : -1;
    if (digit < 0)
        tally.garbled++;
    client->left = client->left << 4 | (unsigned)(digit & 15);
}

static size_t read_some(struct client *client, const char *data, size_t size, uint64_t at) {
    switch (client->state) {
    case HEAD: return read_head(client, data, size);
    case RAW: scan(&client->group->shape, &client->reading, data, size, at); return size;
    case CHUNK: return read_piece(client, data, size, at, CHUNK_END);
    case FRAME: return read_piece(client, data, size, at, FRAME_HEAD);
    case FRAME_HEAD: read_frame_head(client, (uint8_t)*data); return 1;
    case CHUNK_SIZE: read_chunk_size(client, *data); return 1;
    case CHUNK_LINE_END: /* a chunk of no size is the last */
        tally.garbled += *data != '\n';
        if (client->left)
            client->state = CHUNK;
        else
            end(client);
        return 1;
    case CHUNK_END:
        if (*data == '\n')
            client->state = CHUNK_SIZE;
        else
            tally.garbled += *data != '\r';
        return 1;
    default: return size;
    }
}

static void served(struct source *source, uint32_t events) {
    struct client *client = (struct client *)source;
    if (client->state == CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP))
            end(client);
        else
            send_request(client);
        return;
    }
    ssize_t size = recv(source->fd, buffer, sizeof buffer, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        end(client);
        return;
    }
    uint64_t at = now_ns();
    for (char *data = buffer, *stop = buffer + size; data < stop && client->state != GONE;)
        data += read_some(client, data, (size_t)(stop - data), at);
}

static void give_up(struct group *group) {
    for (unsigned i = 0; i < group->count; i++)
        if (group->clients[i].state == CONNECTING || group->clients[i].state == HEAD)
            end(&group->clients[i]);
    group->progress = now_ns();
}

/* Have `count` clients held, `at_once` being connected at a time, who is refused or left waiting up to TRIES times. */
struct group *clients_open(int port, unsigned count, unsigned at_once, unsigned first, const char *request,
                           const char *message, size_t payload_size) {
    if (group_count == GROUPS)
        fail("more than %d groups", GROUPS);
    struct group *group = groups[group_count++] = calloc(1, sizeof *group);
    group->clients = calloc(count, sizeof *group->clients);
    group->count = count;
    group->first = first;
    group->port = port;
    group->request = read_file(request, &group->request_size);
    shape_read(&group->shape, message, payload_size);
    group->progress = now_ns();
    for (unsigned try = 0; try < TRIES && group->held < count; try++) {
        for (unsigned i = 0; i < count || group->pending;) {
            while (i < count && group->pending < at_once) {
                struct client *client = &group->clients[i];
                if (try && client->state != GONE) {
                    i++;
                    continue;
                }
                client->group = group;
                client->index = i++;
                memcpy(client->reading.next, published, sizeof published);
                begin(client);
            }
            turn(now_ns() + 100000000);
            if (now_ns() > group->progress + PATIENCE)
                give_up(group);
        }
    }
    return group;
}
