/*
 * HTTP for those who watch the daemon: GET or HEAD of /metrics, /healthz (it is alive) and /readyz
 * (it is connected to the store). Written for that alone: one request a connection, of a bounded
 * length, within a bounded time, on a bounded number of connections at once, so that nobody can tie
 * up the daemon, or keep others out for long. (libevent's own HTTP server bounds neither the
 * connections nor their time.)
 */
#ifndef ESBRIDGE_LOCAL_METRICS_HTTP_H
#define ESBRIDGE_LOCAL_METRICS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct local;
struct metrics_http;

/*
 * Reads where to listen: PORT on 127.0.0.1, ADDRESS:PORT or [ADDRESS]:PORT; a port of 0 is one that
 * the kernel chooses. False where TEXT is none of them.
 */
bool metrics_http_address(const char *text, struct sockaddr_storage *address, socklen_t *len);

/*
 * Listens on TEXT, which metrics_http_address() takes, and answers from what LOCAL, which outlives
 * it, is at. Returns NULL with the reason in FAULT, which has SIZE bytes, where it cannot. Freed
 * with metrics_http_free(), which closes its connections.
 */
struct metrics_http *metrics_http_new(struct local *local, const char *text, char *fault,
				      size_t size);
void metrics_http_free(struct metrics_http *h);

/* Says in the log where others than this machine can reach it. metrics_http_new() does so too. */
void metrics_http_warn(const struct metrics_http *h);

#endif
