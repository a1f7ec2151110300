/* Reads HTTP/1 answers from a buffer: heads, bodies by Content-Length, by chunks, or up to the end of the connection.
 *
 * Set `place` to HEAD, then give answer_take() what has come; it says how much of it it took, and is to be called again with
 * the rest until it takes nothing. After a call, `place` may be WHOLE: set it to HEAD for the next answer. A head and a
 * chunk's line are taken whole, so the caller keeps what is not taken. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum answer_place { HEAD, BODY, TO_THE_END, SIZE, CHUNK, CHUNK_END, TRAILER, WHOLE };

struct text {
    char *at; /* NULL for none */
    size_t size;
};

struct answer {
    enum answer_place place;
    int status, closes, matches;
    long left;   /* bytes of the body or chunk still to come */
    size_t seen; /* bytes of the body so far */
};

static int answer_status(const char *data, size_t size) {
    return size > 12 && !memcmp(data, "HTTP/1.", 7) ? atoi(data + 9) : 0;
}

/* Returns the bytes of the head that begins `data`, or 0 when it is not whole. */
static size_t answer_head(const char *data, size_t size) {
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    return end ? (size_t)(end - data) + 4 : 0;
}

/* Returns what stands behind `name:` in a head, or an empty string. */
static const char *answer_header(const char *head, size_t size, const char *name) {
    size_t length = strlen(name);
    for (const char *at = head, *end = head + size; (at = memmem(at, (size_t)(end - at), "\r\n", 2));) {
        at += 2;
        if ((size_t)(end - at) > length + 1 && !strncasecmp(at, name, length) && at[length] == ':')
            return at + length + 1 + strspn(at + length + 1, " ");
    }
    return "";
}

static size_t answer_take_head(struct answer *a, const char *data, size_t size) {
    size_t head = answer_head(data, size);
    if (!head) return 0;
    const char *length = answer_header(data, head, "content-length");
    const char *connection = answer_header(data, head, "connection");
    a->status = answer_status(data, head);
    a->closes = !strncasecmp(connection, "close", 5) ||
                (!memcmp(data, "HTTP/1.0", 8) && strncasecmp(connection, "keep-alive", 10));
    a->left = atol(length);
    a->matches = 1;
    a->seen = 0;
    if (!strncasecmp(answer_header(data, head, "transfer-encoding"), "chunked", 7)) a->place = SIZE;
    else if (!*length) a->place = TO_THE_END;
    else a->place = a->left ? BODY : WHOLE;
    return head;
}

static size_t answer_take_body(struct answer *a, const char *data, size_t size, const struct text *expect) {
    if (a->place != TO_THE_END && size > (size_t)a->left) size = (size_t)a->left;
    if (expect->at && a->matches)
        a->matches = a->seen + size <= expect->size && !memcmp(expect->at + a->seen, data, size);
    a->seen += size;
    a->left -= (long)size;
    if (a->place == BODY && !a->left) a->place = WHOLE;
    if (a->place == CHUNK && !a->left) a->place = CHUNK_END;
    return size;
}

static size_t answer_take_line(struct answer *a, const char *data, size_t size) {
    const char *end = memmem(data, size, "\r\n", 2);
    if (!end) return 0;
    if (a->place == SIZE) {
        a->left = strtol(data, NULL, 16);
        a->place = a->left ? CHUNK : TRAILER;
    } else if (a->place == CHUNK_END) a->place = SIZE;
    else if (end == data) a->place = WHOLE;
    return (size_t)(end - data) + 2;
}

static size_t answer_take(struct answer *a, const char *data, size_t size, const struct text *expect) {
    if (!size) return 0;
    switch (a->place) {
    case HEAD: return answer_take_head(a, data, size);
    case BODY:
    case TO_THE_END:
    case CHUNK: return answer_take_body(a, data, size, expect);
    case SIZE:
    case CHUNK_END:
    case TRAILER: return answer_take_line(a, data, size);
    case WHOLE: return 0;
    }
    return 0;
}

/* Says whether a whole answer is a success, with the expected body if one is expected. */
static int answer_is_good(const struct answer *a, const struct text *expect) {
    return a->status / 100 == 2 && (!expect->at || (a->matches && a->seen == expect->size));
}
