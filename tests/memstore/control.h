/*
 * The control channel: a Unix socket on which tests tell the server what is to go wrong.
 *
 * One command a line, one line of answer: "ok", with what was asked for behind it, or "error" with
 * what is wrong. The commands are in esbridge-memstore(1).
 */
#ifndef MEMSTORE_CONTROL_H
#define MEMSTORE_CONTROL_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/list.h"
#include "server.h"

struct control {
	struct server *server;
	const char *path;
	struct event *accepting;
	struct link clients;
	int fd;
};

/* Listens on PATH, which lives as long as CONTROL; a socket that is left there is replaced. Returns
 * false, with what is wrong in the log, where that cannot be. */
bool control_start(struct control *control, struct server *server, const char *path);

/* Closes everything and removes the socket. Does nothing where CONTROL is all zeros. */
void control_stop(struct control *control);

/* Does what LINE says, which it changes. Adds the answer to OUT, with no line end. */
void control_obey(struct server *server, char *line, struct buffer *out);

#endif
