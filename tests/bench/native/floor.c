/* The floor: what the same deliveries cost a program that does nothing else. It answers each client with the head of an event
 * stream, or of a WebSocket, and for each POST on its second port sends the body, as it is, to all of them: one
 * non-blocking send() each. It prints its two ports. Nothing is kept, checked or waited for.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1 << 16, ROOM = 1 << 20 };
enum { CLIENT_DOOR, PUBLISHER_DOOR, CLIENT, PUBLISHER };

static const char STREAM[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char SOCKET[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

static int clients[MOST], count, poller;
static struct publisher {
    size_t used;
    char kept[ROOM + 1];
} *publishers[MOST]; /* by descriptor */

static void watch(int fd, int kind) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | (unsigned)fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static int listen_on(int kind) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&name, size) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&name, &size))
        exit(1);
    watch(fd, kind);
    return ntohs(name.sin_port);
}

static void answer_client(int fd) {
    char request[8192];
    ssize_t size = recv(fd, request, sizeof request - 1, MSG_DONTWAIT);
    request[size > 0 ? size : 0] = 0;
    epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
    const char *head = strcasestr(request, "upgrade: websocket") ? SOCKET : STREAM;
    send(fd, head, strlen(head), MSG_NOSIGNAL);
    if (count < MOST)
        clients[count++] = fd;
}

static void answer_publisher(int fd) {
    struct publisher *from = publishers[fd];
    ssize_t size = recv(fd, from->kept + from->used, ROOM - from->used, MSG_DONTWAIT);
    if (size <= 0) {
        close(fd);
        return;
    }
    from->kept[from->used += (size_t)size] = 0;
    char *at = from->kept, *body;
    while ((body = strstr(at, "\r\n\r\n"))) {
        size_t length = strtoul(strcasestr(at, "content-length:") + 15, NULL, 10);
        body += 4;
        if (body + length > from->kept + from->used)
            break;
        for (int i = 0; i < count; i++)
            send(clients[i], body, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL);
        at = body + length;
    }
    from->used -= (size_t)(at - from->kept);
    memmove(from->kept, at, from->used + 1);
}

static void accept_one(int listener, int kind) {
    int fd = accept(listener, NULL, NULL);
    if (kind == PUBLISHER && !publishers[fd])
        publishers[fd] = malloc(sizeof *publishers[fd]);
    if (kind == PUBLISHER)
        publishers[fd]->used = 0;
    watch(fd, kind);
}

int main(void) {
    struct rlimit files;
    struct epoll_event event;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    int client_port = listen_on(CLIENT_DOOR), publish_port = listen_on(PUBLISHER_DOOR);
    printf("clients on 127.0.0.1:%d, publishers on 127.0.0.1:%d\n", client_port, publish_port);
    fflush(stdout);
    while (epoll_wait(poller, &event, 1, -1) == 1) {
        int fd = (int)(uint32_t)event.data.u64, kind = (int)(event.data.u64 >> 32);
        if (kind < CLIENT)
            accept_one(fd, kind == CLIENT_DOOR ? CLIENT : PUBLISHER);
        else if (kind == CLIENT)
            answer_client(fd);
        else
            answer_publisher(fd);
    }
}
