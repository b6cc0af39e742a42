/*
 * Waiting for several things at a time, and ending when told to: for commands that go on until a
 * signal comes or their reader goes.
 */
#ifndef ESBRIDGE_CLI_WAIT_H
#define ESBRIDGE_CLI_WAIT_H

#include <stdbool.h>
#include <stdint.h>

struct cli;

/* What cli_wait() found, in bits. */
enum wake {
	WAKE_INPUT = 1,     /* the input can be read */
	WAKE_SIGNAL = 2,    /* SIGINT, SIGTERM or SIGHUP: time to end */
	WAKE_NO_READER = 4, /* nobody reads standard output any more: time to end */
	WAKE_FAULT = 8      /* the connection failed, cli_fault() says why */
};

/*
 * From now on the first SIGINT, SIGTERM or SIGHUP is noted instead of ending the process; a second
 * one ends it. To be called before the connection is made.
 */
void signals_catch(void);

/* True where one has come. */
bool signals_caught(void);

/* Where one has come, ends the process by it, so that its parent sees what happened. */
void signals_end(void);

/*
 * Hands the output to its reader, then waits until the connection has something for
 * esbridge_next(), INPUT (-1: none) can be read, a signal comes, the reader of the output goes, or
 * TIMEOUT_MS (-1: none) are over. Works off what the connection has: callbacks are called. Returns
 * bits of enum wake, 0 where only the connection or the time woke it.
 */
unsigned cli_wait(struct cli *cli, int input, int timeout_ms);

/* Milliseconds of a clock that never jumps. */
int64_t clock_ms(void);

#endif
