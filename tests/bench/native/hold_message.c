/* Messages: how they are written, and how they are read and checked while they come in pieces. */
#include "hold.h"

#include <math.h>
#include <string.h>

enum kind { LITERAL, ANY, LANE, SEQUENCE, SENT };
enum { LANE_AT = 1, SEQUENCE_AT = 4, SENT_AT = 15, FILLER_AT = 35 };

/* Latencies in microseconds are counted in buckets, 256 to each power of two. */
enum { FINENESS = 8, BUCKETS = 1 << (FINENESS + 5) };

struct tally tally;
uint32_t published[LANES];
static uint64_t latencies[BUCKETS], latencies_counted;

static void digits(char *at, int width, uint64_t value) {
    while (width-- > 0) {
        at[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Write a payload of `size` bytes. */
size_t payload_write(char *at, size_t size, unsigned lane, uint32_t sequence, uint64_t sent) {
    memset(at, 'x', size);
    at[0] = '~';
    digits(at + LANE_AT, 2, lane);
    digits(at + SEQUENCE_AT, 10, sequence);
    digits(at + SENT_AT, 19, sent);
    at[SEQUENCE_AT - 1] = at[SENT_AT - 1] = at[FILLER_AT - 1] = '-';
    at[size - 1] = '.';
    return size;
}

/* Read from a file what a message looks like: {payload} stands for the payload, `?` for any one byte. A message that is
   {payload} alone may have anything before and behind it. */
void shape_read(struct shape *shape, const char *path, size_t payload_size) {
    size_t size;
    char *text = read_file(path, &size), *mark = strstr(text, "{payload}");
    if (!mark || size + payload_size > MESSAGE_MAX || payload_size <= FILLER_AT)
        fail("%s: not a message with a payload of %zu bytes", path, payload_size);
    size_t before = (size_t)(mark - text), behind = size - before - strlen("{payload}");
    memset(shape, 0, sizeof *shape);
    memcpy(shape->text, text, before);
    payload_write(shape->text + before, payload_size, 0, 0, 0);
    memcpy(shape->text + before + payload_size, mark + strlen("{payload}"), behind);
    shape->size = before + payload_size + behind;
    for (size_t i = 0; i < shape->size; i++)
        shape->kinds[i] = shape->text[i] == '?' ? ANY : LITERAL;
    memset(shape->kinds + before + LANE_AT, LANE, 2);
    memset(shape->kinds + before + SEQUENCE_AT, SEQUENCE, 10);
    memset(shape->kinds + before + SENT_AT, SENT, 19);
}

static void count_latency(uint64_t sent, uint64_t at) {
    double us = at > sent ? (double)(at - sent) / 1000 : 0;
    int bucket = us < 1 ? 0 : (int)(log2(us) * (1 << FINENESS));
    latencies[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    latencies_counted++;
}

void latencies_clear(void) {
    memset(latencies, 0, sizeof latencies);
    latencies_counted = 0;
}

double latency_us(double share) {
    uint64_t wanted = (uint64_t)((double)latencies_counted * share), seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += latencies[i]) > wanted)
            return exp2((i + 0.5) / (1 << FINENESS));
    return 0;
}

/* A message is whole: is it the one whose turn it was? */
static void take(struct reading *reading, uint64_t at) {
    tally.deliveries++;
    count_latency(reading->sent, at);
    if (reading->lane >= LANES) {
        tally.garbled++;
        return;
    }
    uint32_t *next = &reading->next[reading->lane];
    if (reading->sequence < *next) {
        tally.disordered++;
        return;
    }
    tally.gaps += reading->sequence - *next;
    *next = (uint32_t)reading->sequence + 1;
    reading->order = (reading->order ^ ((uint64_t)reading->lane << 32 | reading->sequence)) * 1099511628211u;
}

static int fits(const struct shape *shape, struct reading *reading, char byte) {
    unsigned digit = (unsigned)(byte - '0');
    switch (shape->kinds[reading->place]) {
    case LITERAL: return byte == shape->text[reading->place];
    case ANY: return 1;
    case LANE: reading->lane = (uint16_t)(reading->lane * 10 + digit); break;
    case SEQUENCE: reading->sequence = reading->sequence * 10 + digit; break;
    case SENT: reading->sent = reading->sent * 10 + digit; break;
    }
    return digit < 10;
}

/* Read what has come of messages, framing taken off, at the time `at`. */
void scan(const struct shape *shape, struct reading *reading, const char *data, size_t size, uint64_t at) {
    int is_loose = shape->text[0] == '~';
    for (const char *end = data + size; data < end; data++) {
        if (reading->place == 0) {
            reading->lane = 0;
            reading->sequence = reading->sent = 0;
            if (is_loose && !(data = memchr(data, '~', (size_t)(end - data))))
                return;
        }
        if (!fits(shape, reading, *data)) {
            tally.garbled++;
            reading->place = 0;
        } else if (++reading->place == shape->size) {
            reading->place = 0;
            take(reading, at);
        }
    }
}
