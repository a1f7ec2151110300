/* The load generator for what is held: it holds tens of thousands of connections, publishes to them, and checks what each
 * of them gets, faster than a server writes. One process, one epoll, no thread and nothing allocated for a message.
 *
 * It does what it is told on standard input, a command a line, and answers each with a line of JSON:
 *
 *   open     port= count= at_once= first= request= message= size=
 *            Connect `count` clients, `at_once` of them being connected at a time, have each send what is in the file
 *            `request`, in which {n} is its number, `first` and up, in eight digits, and wait until each is answered.
 *            They are a group of their own; groups are numbered from 0. What their messages look like is in the file
 *            `message`, in which {payload} is `size` bytes (hold_message.c).
 *   publish  port= lanes= depth= count= first= rate= each= receivers= patience= group= request= size=
 *            Publish `count` times by what is in the file `request`, on `lanes` connections with `depth` publications
 *            under way on each, and wait until all of `group` have all of them, or nothing has come for `patience` seconds.
 *            `rate` a second, 0 being as fast as they are answered; with each=1 the next one goes out only when the one
 *            before is delivered. {n} is the publication's number, `first` and up. `receivers` is how many of the group
 *            each one reaches, 0 being all.
 *   wait     count= patience= group=
 *            Wait until all of `group` together have had `count` messages since the last report: of publications made by
 *            another process.
 *
 * Between commands it goes on reading. It ends, and all connections with it, when its input ends. Connections come from
 * many addresses of 127.0.0.0/8, since one has only 28,000 ports, and are reset at the end, so that none lingers.
 */
#include "hold.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int poller;

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void fail(const char *format, ...) {
    va_list words;
    va_start(words, format);
    fputs("hold: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    exit(1);
}

static void control(int what, struct source *source, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(poller, what, source->fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

void watch(struct source *source, uint32_t events) { control(EPOLL_CTL_ADD, source, events); }
void rewatch(struct source *source, uint32_t events) { control(EPOLL_CTL_MOD, source, events); }

void forget(struct source *source) {
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

void turn(uint64_t until) {
    struct epoll_event events[512];
    uint64_t now = now_ns(), wait = until > now ? until - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
    int count = epoll_pwait2(poller, events, 512, &timeout, NULL);
    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;
        source->ready(source, events[i].events);
    }
}

/* Begin to connect, from one of SOURCES addresses. */
int dial(unsigned source, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + source % SOURCES)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(0x7f000001)};
    struct linger reset = {.l_onoff = 1};
    if (fd < 0)
        fail("no more than this process's open files (%s); see ulimit -n", strerror(errno));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (bind(fd, (struct sockaddr *)&from, sizeof from))
        fail("bind: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail("connect to port %d: %s", port, strerror(errno));
    return fd;
}

char *read_file(const char *path, size_t *size) {
    struct stat about;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &about))
        fail("%s: %s", path, strerror(errno));
    char *text = calloc(1, (size_t)about.st_size + 1);
    if (read(fd, text, (size_t)about.st_size) != about.st_size)
        fail("%s: cannot be read", path);
    *size = (size_t)about.st_size;
    close(fd);
    return text;
}

/* -- commands -------------------------------------------------------------------------------------------------------- */

/* The words of a command: NAME=VALUE. A word that is missing is a fault. */
static const char *word(const char *line, const char *name) {
    static char values[16][512];
    static unsigned used;
    char wanted[64], *value = values[used++ % 16];
    snprintf(wanted, sizeof wanted, " %s=", name);
    const char *at = strstr(line, wanted);
    if (!at || sscanf(at + strlen(wanted), "%511s", value) != 1)
        fail("no %s in: %s", name, line);
    return value;
}

static double number(const char *line, const char *name) { return atof(word(line, name)); }
static unsigned count_of(const char *line, const char *name) { return (unsigned)number(line, name); }

/* Wait until `wanted` messages have been delivered since the last report, or none has come for a while. */
static void wait_for(uint64_t wanted, double patience) {
    uint64_t seen = tally.deliveries, progress = now_ns();
    while (tally.deliveries < wanted && now_ns() < progress + (uint64_t)(patience * 1e9)) {
        turn(now_ns() + 50000000);
        if (tally.deliveries != seen) {
            seen = tally.deliveries;
            progress = now_ns();
        }
    }
}

static void report(uint64_t wanted, struct group *group) {
    long long lost = (long long)wanted - (long long)tally.deliveries;
    printf("\"held\": %u, \"deliveries\": %llu, \"lost\": %lld, \"gaps\": %llu, \"disordered\": %llu, \"garbled\": %llu, "
           "\"closed\": %llu, \"deviating\": %u, \"p50\": %.1f, \"p99\": %.1f}\n",
           group_held(group), (unsigned long long)tally.deliveries, lost, (unsigned long long)tally.gaps,
           (unsigned long long)tally.disordered, (unsigned long long)tally.garbled, (unsigned long long)tally.closed,
           group_deviating(group), latency_us(0.5), latency_us(0.99));
    tally = (struct tally){0};
    latencies_clear();
}

static void open_command(const char *line) {
    uint64_t begun = now_ns();
    struct group *group =
        clients_open((int)number(line, "port"), count_of(line, "count"), count_of(line, "at_once"), count_of(line, "first"),
                     word(line, "request"), word(line, "message"), count_of(line, "size"));
    printf("{\"attempts\": %u, \"seconds\": %.3f, ", group_attempts(group), (double)(now_ns() - begun) / 1e9);
    report(0, group);
}

static void publish_command(const char *line) {
    struct group *group = group_at(count_of(line, "group"));
    unsigned meant = count_of(line, "receivers"), receivers = meant ? meant : group_held(group);
    struct publishing publishing = {
        .port = (int)number(line, "port"),
        .lanes = count_of(line, "lanes"),
        .depth = count_of(line, "depth"),
        .count = count_of(line, "count"),
        .first = count_of(line, "first"),
        .rate = number(line, "rate"),
        .receivers = count_of(line, "each") ? receivers : 0,
        .patience = (uint64_t)(number(line, "patience") * 1e9),
        .request = word(line, "request"),
        .payload_size = count_of(line, "size"),
    };
    if (publishing.lanes < 1 || publishing.lanes > LANES)
        fail("lanes are 1 to %d", LANES);
    tally = (struct tally){0};
    latencies_clear();
    struct published_tally done = publish(&publishing);
    uint64_t wanted = (uint64_t)publishing.count * receivers;
    wait_for(wanted, number(line, "patience"));
    printf("{\"answered\": %u, \"refused\": %u, \"seconds\": %.3f, ", done.answered, done.refused, done.seconds);
    report(wanted, group);
}

static void wait_command(const char *line) {
    struct group *group = group_at(count_of(line, "group"));
    uint64_t wanted = (uint64_t)number(line, "count");
    wait_for(wanted, number(line, "patience"));
    printf("{");
    report(wanted, group);
}

static void obey(const char *line) {
    if (!strncmp(line, "open ", 5))
        open_command(line);
    else if (!strncmp(line, "publish ", 8))
        publish_command(line);
    else if (!strncmp(line, "wait ", 5))
        wait_command(line);
    else
        fail("not a command: %s", line);
    fflush(stdout);
}

/* Commands come one at a time, each after the answer to the one before. */
static char input[8192];
static int is_commanded;

static void commanded(struct source *source, uint32_t events) {
    (void)events;
    ssize_t size = read(source->fd, input, sizeof input - 1);
    if (size <= 0)
        exit(0);
    input[size] = 0;
    is_commanded = 1;
}

int main(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct source commands = {.fd = STDIN_FILENO, .ready = commanded};
    watch(&commands, EPOLLIN);
    for (;;) {
        turn(now_ns() + 1000000000);
        if (is_commanded) {
            is_commanded = 0;
            obey(input);
        }
    }
}
