/* Counts what was done and what failed, with the latency of each, and reports it as a line of JSON. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int statuses[600]; /* how many failed with which status; 0 for none */
static long done, failed;
static double last_done;
static float *latencies; /* microseconds */
static size_t latency_room;

static void die(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void count_good(double since) {
    if ((size_t)done == latency_room) {
        latency_room = latency_room ? latency_room * 2 : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (!latencies) die("no memory for the latencies");
    }
    last_done = now();
    latencies[done++] = (float)((last_done - since) * 1e6);
}

static void count_failed(int status, long many) {
    failed += many;
    statuses[status > 0 && status < 600 ? status : 0] += (int)many;
}

static int by_size(const void *one, const void *other) {
    float a = *(const float *)one, b = *(const float *)other;
    return (a > b) - (a < b);
}

/* The seconds are those from `begun` to the last success. */
static void report(double begun, long seen) {
    double seconds = done ? last_done - begun : now() - begun;
    qsort(latencies, (size_t)done, sizeof *latencies, by_size);
    printf("{\"done\": %ld, \"failed\": %ld, \"seen\": %ld, \"seconds\": %.6f, ", done, failed, seen, seconds);
    printf("\"p50\": %.1f, \"p99\": %.1f, ", done ? latencies[done / 2] : 0, done ? latencies[done * 99 / 100] : 0);
    printf("\"statuses\": {");
    const char *comma = "";
    for (int status = 0; status < 600; status++)
        if (statuses[status]) printf("%s\"%d\": %d", comma, status, statuses[status]), comma = ", ";
    printf("}}\n");
}
