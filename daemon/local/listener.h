/*
 * The Unix socket that clients connect to.
 */
#ifndef ESBRIDGE_LOCAL_LISTENER_H
#define ESBRIDGE_LOCAL_LISTENER_H

#include <stddef.h>

#include "local/client.h"

struct listener;

/*
 * Takes over the socket that the service manager hands over (LISTEN_FDS, see sd_listen_fds(3)), or
 * else binds local->settings.path and listens. A socket file that nobody listens on is replaced;
 * one that somebody listens on, and a file that is no socket, is left alone. Returns NULL with the
 * reason in FAULT.
 */
struct listener *listener_new(struct local *local, char *fault, size_t fault_size);

/* Where it listens, for people: a path, "@" and an abstract name, or "". It lives as long as L. */
const char *listener_path(const struct listener *l);

/*
 * The daemon stops (local->draining is set). From now on who comes is told so; but a socket that
 * was handed over keeps them waiting for the next daemon.
 */
void listener_drain(struct listener *l);

/* Closes, and removes the socket file where it made it. */
void listener_free(struct listener *l);

#endif
