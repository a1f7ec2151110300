/* The parts of the load generator `hold`; see hold.c for what it is. */
#ifndef HOLD_H
#define HOLD_H
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>

enum { LANES = 16, MESSAGE_MAX = 4096, SOURCES = 64 };

/* -- hold.c: the loop ---------------------------------------------------------------------------------------------- */

/* Whatever the loop watches begins with one of these. `ready` is called when there is something to do. */
struct source {
    int fd;
    void (*ready)(struct source *self, uint32_t events);
};

uint64_t now_ns(void); /* CLOCK_MONOTONIC, which is the same in all processes */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void watch(struct source *source, uint32_t events);
void rewatch(struct source *source, uint32_t events);
void forget(struct source *source); /* closes its descriptor, if it has one */
void turn(uint64_t until);          /* serve what is ready; wait for it until that time, 0 being not at all */
int dial(unsigned source, int port);
char *read_file(const char *path, size_t *size);

/* -- hold_message.c: what a message looks like ---------------------------------------------------------------------- */

/* A message as text with its payload in it. The payload is made of characters that mean nothing in JSON, in forms and in
   event streams: ~LANE-SEQUENCE-NANOSECONDS-xxx...x. with 2, 10 and 19 digits. */
struct shape {
    char text[MESSAGE_MAX];
    uint8_t kinds[MESSAGE_MAX]; /* what has to stand at each place */
    size_t size;
};

/* Where one client is within its messages, and what it expects next. */
struct reading {
    uint16_t place;
    uint16_t lane;
    uint64_t sequence, sent;
    uint32_t next[LANES];
    uint64_t order; /* changes with the order of what came */
};

struct tally {
    uint64_t deliveries, gaps, disordered, garbled, closed;
};

extern struct tally tally;
extern uint32_t published[LANES]; /* sequence numbers given out so far */

void shape_read(struct shape *shape, const char *path, size_t payload_size);
size_t payload_write(char *at, size_t size, unsigned lane, uint32_t sequence, uint64_t sent);
void scan(const struct shape *shape, struct reading *reading, const char *data, size_t size, uint64_t at);
void latencies_clear(void);
double latency_us(double share); /* of the deliveries counted since: 0.5 is the median */

/* -- hold_client.c: who is held ------------------------------------------------------------------------------------- */

struct group;
struct group *clients_open(int port, unsigned count, unsigned at_once, unsigned first, const char *request,
                           const char *message, size_t payload_size);
struct group *group_at(unsigned number);
unsigned group_held(const struct group *group);
unsigned group_attempts(const struct group *group);
unsigned group_deviating(struct group *group); /* how many held got another order since last asked than the first */

/* -- hold_lane.c: who publishes -------------------------------------------------------------------------------------- */

struct publishing {
    int port;
    unsigned lanes, depth; /* connections, and publications under way on each */
    unsigned count;        /* publications in all */
    unsigned first;        /* what {n} is in the first one */
    double rate;           /* publications a second; 0 is as fast as answers come */
    unsigned receivers;    /* wait for that many deliveries before the next publication; 0 does not wait */
    uint64_t patience;     /* nanoseconds without any progress after which what is missing counts as lost */
    const char *request;
    size_t payload_size;
};

struct published_tally {
    unsigned sent, answered, refused, waits_ended;
    double seconds;
};

struct published_tally publish(const struct publishing *publishing);

#endif
