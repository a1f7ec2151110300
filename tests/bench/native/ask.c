/* The load generator for what is counted per second: answers, holds opened, WebSocket round trips.
 *
 *   ask requests   --to PORT --connections K [--pipeline P] --seconds S [--expect TEXT] FILE...
 *   ask holds      --to PORT --connections N --at-once C --until TEXT FILE...
 *   ask websockets --to PORT --connections K --seconds S FILE...
 *
 * One process, one epoll, everything on 127.0.0.1. Each FILE is a whole request as it goes over the wire; connection I
 * sends the (I modulo number of files)-th.
 *
 * requests    Keeps P requests under way on each connection. An answer is good when it is whole, its status is 2xx and
 *             its body is TEXT (if given). A server that closes after an answer is connected to anew.
 * holds       Opens N connections, at most C of them not yet held. One is held once its answer is 200 and TEXT has come;
 *             it stays open. It has failed when it is closed, refused, or not held within ten seconds.
 * websockets  One message on its way on each connection; the next goes out when the same message has come back.
 *
 * --watch-port PORT --watch FILE opens one more connection before the others, sends FILE and waits for the head of a 200;
 * from then on it counts there the bytes '~' that come: messages, if each has one. With `holds`, --tell-port PORT --tell
 * FILE sends that publication when no hold is pending any more, and counts the holds it has reached, by the same byte.
 *
 * Prints one line of JSON: done, failed, seconds, p50 and p99 in microseconds, seen (messages watched, or holds reached),
 * and how many failed with which status (0: closed or late; 200: not the expected body). When it cannot do its work it
 * says why and exits with 1. */
#define _GNU_SOURCE
#include "answer.h"
#include "tally.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 1 << 16, DEEPEST = 64, PATIENCE = 10, MARK = '~', MOST_FILES = 1024 };

enum role { ASKING, HOLDING, TALKING, WATCHING, TELLING };
enum state { CONNECTING, WAITING, HELD, LEAVING, GONE };

struct connection {
    enum role role;
    enum state state;
    int fd, index, is_reached;
    unsigned serial;      /* messages sent */
    double since;         /* when it began to connect */
    double sent[DEEPEST]; /* when what is under way was sent: a ring from `first` on */
    int first, under_way;
    struct answer answer;
    size_t used;
    char *buffer;
};

static struct {
    int port, watch_port, tell_port, connections, pipeline, at_once, file_count;
    double seconds;
    struct text expect, until, watch, tell, files[MOST_FILES];
} options = {.connections = 1, .pipeline = 1, .at_once = 64, .seconds = 5};

static int queue, is_stopping;
static long seen;      /* messages watched, or holds reached */
static long under_way; /* requests and messages without an answer */
static long pending;   /* connections that are not held or open yet */

/* -- connecting, sending, losing ------------------------------------------------------------------------------ */

static void start(struct connection *c, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        die("connect to port %d: %s", port, strerror(errno));
    if (epoll_ctl(queue, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
    c->state = CONNECTING;
    c->answer.place = HEAD;
    c->first = c->under_way = 0;
    c->used = 0;
    c->since = now();
}

static void send_all(struct connection *c, const struct text *text) {
    ssize_t sent = send(c->fd, text->at, text->size, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return; /* it shows when the connection is read */
    if (sent != (ssize_t)text->size) die("a request of %zu bytes does not fit into the socket's buffer", text->size);
}

static void note_sent(struct connection *c) {
    c->sent[(c->first + c->under_way++) % DEEPEST] = now();
    under_way++;
}

static void send_file(struct connection *c) { send_all(c, &options.files[c->index % options.file_count]); }

static void ask(struct connection *c) {
    note_sent(c);
    send_file(c);
}

/* Sends a text frame of 12 characters, masked with a key of zeros: which connection, and its how manieth message. */
static void say(struct connection *c) {
    char frame[32] = {(char)0x81, (char)(0x80 | 12), 0, 0, 0, 0};
    snprintf(frame + 6, 13, "%04x%08x", (unsigned)c->index & 0xffff, ++c->serial);
    note_sent(c);
    send_all(c, &(struct text){frame, 18});
}

static void on_connected(struct connection *c) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(queue, EPOLL_CTL_MOD, c->fd, &event);
    c->state = WAITING;
    if (c->role == WATCHING) send_all(c, &options.watch);
    else if (c->role == TELLING) send_all(c, &options.tell);
    else if (c->role != ASKING) send_file(c);
    else
        for (int i = 0; i < options.pipeline && !is_stopping; i++) ask(c);
}

/* Ends a connection with whatever is under way on it; `status` says what was wrong. */
static void lose(struct connection *c, int status) {
    if (c->role == WATCHING) die("the watching connection was closed, or answered with %d", status);
    if (c->role == HOLDING) {
        count_failed(status, 1);
        pending -= c->state != HELD;
    } else {
        count_failed(status, c->under_way);
        under_way -= c->under_way;
    }
    close(c->fd);
    c->state = GONE;
    if (c->role == ASKING && !is_stopping) start(c, options.port);
}

/* -- what comes ----------------------------------------------------------------------------------------------- */

static void on_answered(struct connection *c) {
    if (!c->under_way) die("an answer to nothing: %d", c->answer.status);
    if (answer_is_good(&c->answer, &options.expect)) count_good(c->sent[c->first]);
    else count_failed(c->answer.status, 1);
    c->first = (c->first + 1) % DEEPEST;
    c->under_way--;
    under_way--;
    c->answer.place = HEAD;
    if (c->answer.closes) c->state = LEAVING; /* its end is the server's to make: who closes first keeps the port busy */
    else if (!is_stopping) ask(c);
}

static size_t read_answers(struct connection *c) {
    size_t at = 0, step = 1;
    while (step && c->state == WAITING) {
        at += step = answer_take(&c->answer, c->buffer + at, c->used - at, &options.expect);
        if (c->answer.place == WHOLE) on_answered(c);
    }
    return c->state == WAITING ? at : c->used;
}

static size_t count_marks(struct connection *c) {
    const char *end = c->buffer + c->used;
    for (const char *at = c->buffer; (at = memchr(at, MARK, (size_t)(end - at))); at++)
        if (c->role == WATCHING) seen++;
        else if (!c->is_reached) seen += c->is_reached = 1;
    return c->used;
}

static size_t read_held(struct connection *c) {
    size_t head = answer_head(c->buffer, c->used);
    if (c->state == HELD) return count_marks(c);
    if (!head) return 0;
    if (answer_status(c->buffer, head) != 200) {
        lose(c, answer_status(c->buffer, head));
        return 0;
    }
    if (c->role == HOLDING) {
        if (!memmem(c->buffer + head, c->used - head, options.until.at, options.until.size)) return 0;
        count_good(c->since);
    }
    c->state = HELD;
    pending--;
    return c->used;
}

static size_t read_frame(struct connection *c) {
    char expected[16];
    size_t size = c->used < 2 ? ROOM : 2 + (size_t)(c->buffer[1] & 0x7f);
    if (c->used < size) return 0;
    if (c->buffer[0] == (char)0x89) return size; /* a ping: who sends one does not wait for us */
    snprintf(expected, sizeof expected, "%04x%08x", (unsigned)c->index & 0xffff, c->serial);
    if (!c->under_way || c->buffer[0] != (char)0x81 || size != 14 || memcmp(c->buffer + 2, expected, 12)) {
        lose(c, c->buffer[0] == (char)0x88 ? 0 : 200);
        return 0;
    }
    count_good(c->sent[c->first]);
    c->under_way--;
    under_way--;
    if (!is_stopping) say(c);
    return size;
}

static size_t read_talk(struct connection *c) {
    if (c->state == HELD) return read_frame(c);
    size_t head = answer_head(c->buffer, c->used);
    if (head && answer_status(c->buffer, head) != 101) die("a WebSocket got %d", answer_status(c->buffer, head));
    if (head) c->state = HELD, pending--;
    return head;
}

static size_t read_more(struct connection *c) {
    switch (c->role) {
    case ASKING: return read_answers(c);
    case TALKING: return read_talk(c);
    case TELLING: return c->used;
    default: return read_held(c);
    }
}

static void on_end(struct connection *c) {
    if (c->answer.place == TO_THE_END) c->answer.closes = 1, on_answered(c);
    lose(c, 0);
}

static void on_readable(struct connection *c) {
    ssize_t got = recv(c->fd, c->buffer + c->used, ROOM - c->used, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        on_end(c);
        return;
    }
    c->used += (size_t)got;
    for (size_t taken; c->used && (taken = read_more(c));) memmove(c->buffer, c->buffer + taken, c->used -= taken);
    if (c->used == ROOM) die("an answer's head or chunk line of more than %d bytes", ROOM);
}

/* Handles what happens within `wait` seconds, or what is there already. */
static void turn(double wait) {
    struct epoll_event events[512];
    int count = epoll_wait(queue, events, 512, wait > 0 ? (int)(wait * 1000) + 1 : 0);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        int error = 0;
        socklen_t size = sizeof error;
        if (c->state == CONNECTING) {
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error) lose(c, 0);
            else on_connected(c);
        } else if (c->state != GONE) on_readable(c);
    }
}

/* -- the three kinds of run ----------------------------------------------------------------------------------- */

static struct connection *make(enum role role, int count) {
    struct connection *all = calloc((size_t)count, sizeof *all);
    for (int i = 0; all && i < count; i++) {
        all[i] = (struct connection){.role = role, .index = i, .state = GONE, .buffer = malloc(ROOM)};
        if (!all[i].buffer) die("no memory for %d connections", count);
    }
    if (!all) die("no memory for %d connections", count);
    return all;
}

/* Turns until `*left` is `until`, or for so many seconds. */
static void wait_for(const long *left, long until, double seconds) {
    for (double end = now() + seconds; *left != until && now() < end;) turn(end - now());
}

static void watch(void) {
    pending = 1;
    start(make(WATCHING, 1), options.watch_port);
    wait_for(&pending, 0, PATIENCE);
    if (pending) die("the watching connection got no answer");
}

/* Runs for the given seconds, and then until nothing is under way any more, so that the server ends idle. */
static void run_timed(void) {
    for (double end = now() + options.seconds; now() < end;) turn(end - now());
    is_stopping = 1;
    wait_for(&under_way, 0, PATIENCE);
    count_failed(0, under_way);
    if (options.watch.at) wait_for(&seen, done, 2);
}

static double run_requests(void) {
    struct connection *all = make(ASKING, options.connections);
    double begun = now();
    for (int i = 0; i < options.connections; i++) start(&all[i], options.port);
    run_timed();
    return begun;
}

static double run_websockets(void) {
    struct connection *all = make(TALKING, options.connections);
    pending = options.connections;
    for (int i = 0; i < options.connections; i++) start(&all[i], options.port);
    wait_for(&pending, 0, PATIENCE);
    if (pending) die("%ld of %d WebSockets were not opened", pending, options.connections);
    double begun = now();
    for (int i = 0; i < options.connections; i++) say(&all[i]);
    run_timed();
    return begun;
}

static int is_settled(const struct connection *c) { return c->state == HELD || c->state == GONE; }

static double run_holds(void) {
    struct connection *all = make(HOLDING, options.connections);
    double begun = now();
    int begin = 0, oldest = 0;
    while (begin < options.connections || pending) {
        for (; begin < options.connections && pending < options.at_once; begin++, pending++)
            start(&all[begin], options.port);
        turn(0.1);
        while (oldest < begin && is_settled(&all[oldest])) oldest++;
        for (int i = oldest; i < begin && now() - all[i].since > PATIENCE; i++)
            if (!is_settled(&all[i])) lose(&all[i], 0);
    }
    if (options.tell.at) {
        start(make(TELLING, 1), options.tell_port);
        wait_for(&seen, done, 5);
    }
    return begun;
}

/* -- the command line ----------------------------------------------------------------------------------------- */

static struct text read_file(const char *path) {
    struct text text = {.at = malloc(ROOM)};
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, text.at, ROOM);
    if (size < 0 || size == ROOM) die("%s: %s", path, size < 0 ? strerror(errno) : "too long for a request");
    close(fd);
    text.size = (size_t)size;
    return text;
}

static void read_options(int count, char **words) {
    static const struct option names[] = {
        {"to", 1, 0, 't'},      {"connections", 1, 0, 'k'}, {"pipeline", 1, 0, 'p'}, {"seconds", 1, 0, 's'},
        {"expect", 1, 0, 'e'},  {"at-once", 1, 0, 'c'},     {"until", 1, 0, 'u'},    {"watch", 1, 0, 'w'},
        {"watch-port", 1, 0, 'W'}, {"tell", 1, 0, 'l'},     {"tell-port", 1, 0, 'L'}, {0, 0, 0, 0}};
    for (int option; (option = getopt_long(count, words, "", names, NULL)) != -1;) switch (option) {
        case 't': options.port = atoi(optarg); break;
        case 'k': options.connections = atoi(optarg); break;
        case 'p': options.pipeline = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'e': options.expect = (struct text){optarg, strlen(optarg)}; break;
        case 'c': options.at_once = atoi(optarg); break;
        case 'u': options.until = (struct text){optarg, strlen(optarg)}; break;
        case 'w': options.watch = read_file(optarg); break;
        case 'W': options.watch_port = atoi(optarg); break;
        case 'l': options.tell = read_file(optarg); break;
        case 'L': options.tell_port = atoi(optarg); break;
        default: exit(1);
        }
    for (; optind < count && options.file_count < MOST_FILES; optind++)
        options.files[options.file_count++] = read_file(words[optind]);
    if (!options.file_count || !options.port) die("which --to and FILE? See the head of ask.c");
    if (options.pipeline < 1 || options.pipeline > DEEPEST) die("--pipeline is 1 to %d", DEEPEST);
}

int main(int count, char **words) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (count < 2) die("ask requests | holds | websockets ...");
    queue = epoll_create1(0);
    read_options(count - 1, words + 1);
    if (options.watch.at) watch();
    double begun = 0;
    if (!strcmp(words[1], "requests")) begun = run_requests();
    else if (!strcmp(words[1], "holds")) begun = run_holds();
    else if (!strcmp(words[1], "websockets")) begun = run_websockets();
    else die("ask requests | holds | websockets, not %s", words[1]);
    report(begun, seen);
    return 0;
}
