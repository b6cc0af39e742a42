/*
 * A daemon that is none: a process that answers each line in one fixed way, so that a test knows
 * each byte. It takes one connection after the other.
 */
#ifndef ESBRIDGE_TESTS_CLIENT_FAKE_H
#define ESBRIDGE_TESTS_CLIENT_FAKE_H

#include <sys/types.h>

struct fake {
	char folder[32];
	char path[64];
	pid_t pid;
};

/*
 * How it behaves. HELLO: "%ID" in it becomes the id. A request whose line has the text of `match`
 * in it gets `answer`, lines of their own ended by LF; "" is none, NULL: the connection is closed.
 * The first row that fits counts.
 */
struct fake_row {
	const char *match;
	const char *answer;
};

/* Starts it with ROWS, the last with a NULL in `match`. GREETING is sent to each who comes, or
 * NULL. */
void fake_start(struct fake *f, const char *greeting, const struct fake_row *rows);

/* Ends it and removes its socket. */
void fake_stop(struct fake *f);

#endif
