/*
 * What the files of the command consume share: the events that were delivered and are not answered
 * yet, and the two ways to hand them to a command.
 */
#ifndef ESBRIDGE_CLI_CONSUME_PARTS_H
#define ESBRIDGE_CLI_CONSUME_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "cli.h"
#include "event_format.h"
#include "options.h"
#include "wait.h"

enum on_failure { FAILURE_RETRY, FAILURE_PARK, FAILURE_SKIP, FAILURE_STOP };

struct consume_options {
	const char *group;
	const char *checkpoint;
	struct place from;
	int64_t window;
	int64_t jobs;
	const char *key;
	int64_t batch;
	int on_failure; /* enum on_failure */
	int64_t command_timeout_ms;
	int64_t count;
	int output; /* enum event_output */
	const char *format;
	bool keep_links;
};

/* An event on its way. Which list it is on, and what `delayed` says, is its state. */
struct item {
	struct link link; /* of consume.items, in the order of delivery */
	struct esbridge_message *message;
	char *key;          /* items of the same one are handled one after the other; NULL: none */
	unsigned failures;  /* of this process with it */
	int64_t delayed_to; /* milliseconds of clock_ms(); 0: it is not delayed */
	bool taken;         /* a command has it */
	bool stale;         /* its delivery is over: it comes again, and its answer is of no use */

	/* Of a command of its own, see consume_run.c. */
	pid_t pid;
	struct esbridge_message *source; /* the message that `payload` lies in */
	int input;                       /* the writing end of its standard input, -1: closed */
	struct esbridge_span payload;
	size_t written;
	int64_t ends_at; /* when it is told to end, then killed; 0: never */
	bool told;       /* it was told */
};

struct consume {
	struct cli *cli;
	const struct consume_options *options;
	char **command; /* NULL: events are printed */
	const char *sub;
	struct link items;
	size_t running; /* commands of single events */
	int64_t left;   /* events that may still be handled */
	int wakeups;    /* an epoll(7) of all that the commands say */
	int children;   /* a signalfd(2) of SIGCHLD */
	bool ending;    /* no further event is handed out */
	int status;     /* what to end with */
	struct event_format format;
	struct batch *batch; /* the long-lived command, or NULL */
};

static inline struct item *item_at(struct link *l)
{
	return CONTAINER(l, struct item, link);
}

/* Looks at RESULT of an acknowledgement to the library. */
void consume_answered(struct consume *c, int result);

/* Acknowledges ITEM and forgets it. */
void item_done(struct consume *c, struct item *item);

/*
 * ITEM was not handled, for REASON: by ACTION (FAILURE_RETRY where the command has said so, else
 * that of the options) it is nacked, or handled again here after a while, or the end begins.
 */
void item_failed(struct consume *c, struct item *item, int action, const char *reason);

/* Removes ITEM without an answer. */
void item_free(struct item *item);

/* True where an item before ITEM has the same key. */
bool item_must_wait(const struct consume *c, const struct item *item);

/* Ends everything with STATUS; what is running is finished. */
void consume_end(struct consume *c, int status);

/* The environment of a command, ended by NULL, with what ITEM (NULL: nothing) says of its event.
 * The caller frees it by environment_free(). */
char **environment_for(const struct consume *c, const struct item *item);
void environment_free(char **environment);

/*
 * Starts c->command with ENVIRONMENT, its standard input being the reading end of a pipe whose
 * other end is *INPUT (not blocking), and with OUTPUT its standard output such a pipe. Returns its
 * process, or -1 with errno.
 */
pid_t command_start(const struct consume *c, char **environment, int *input, int *output);

/* Watches FD for EVENTS of epoll(7), with AT told when they come. */
void consume_watch(struct consume *c, int fd, uint32_t events, void *at);
void consume_unwatch(struct consume *c, int fd);

/* A command for each event: starts what may be started, works off what has happened. */
void run_start(struct consume *c);
void run_input(struct consume *c, struct item *item);
void run_ended(struct consume *c, pid_t pid, int how);
void run_times(struct consume *c);
int64_t run_deadline(const struct consume *c);

/* Kills what is still running, and waits for it. */
void run_kill(struct consume *c);

/* One command for all events: the same. */
bool batch_begin(struct consume *c);
void batch_give(struct consume *c);
void batch_event(struct consume *c, const void *at);
void batch_ended(struct consume *c, pid_t pid, int how);
void batch_times(struct consume *c);
int64_t batch_deadline(const struct consume *c);
bool batch_is_over(const struct consume *c);
void batch_free(struct consume *c);

#endif
