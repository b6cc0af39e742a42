/*
 * consume: a command for each event.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "consume_parts.h"

enum {
	KILL_MS = 5000, /* between telling a command to end and killing it */
	REASON = 80,
};

/* Standard input --------------------------------------------------------------------------------- */

static void close_input(struct consume *c, struct item *item)
{
	if (item->input < 0)
		return;
	consume_unwatch(c, item->input);
	close(item->input);
	item->input = -1;
}

/* Writes what the pipe takes. A command that does not read its input, or not all, is free to. */
static void write_input(struct consume *c, struct item *item)
{
	while (item->written < item->payload.len) {
		ssize_t n = write(item->input, item->payload.at + item->written,
				  item->payload.len - item->written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			consume_watch(c, item->input, EPOLLOUT, item);
			return;
		}
		if (n < 0)
			break;
		item->written += (size_t)n;
	}
	close_input(c, item);
}

void run_input(struct consume *c, struct item *item)
{
	if (item->input >= 0)
		write_input(c, item);
}

/* Starting --------------------------------------------------------------------------------------- */

/* Where a command cannot even be started no event ever will be handled: it is the end. */
static void start(struct consume *c, struct item *item)
{
	char **environment = environment_for(c, item);
	int error;

	item->taken = true;
	item->told = false;
	item->written = 0;
	esbridge_message_free(item->source);
	item->source = esbridge_message_ref(item->message);
	item->payload = (struct esbridge_span){ NULL, 0 };
	if (item->source->event != NULL &&
	    esbridge_event_data(item->source->event, &item->payload) != 0)
		consume_end(c, fail(EX_PROTOCOL, "consume: the data of an event is no base64"));
	item->pid = command_start(c, environment, &item->input, NULL);
	error = errno;
	environment_free(environment);
	if (item->pid < 0) {
		consume_end(c, fail(EX_UNAVAILABLE, "consume: %s cannot be started: %s",
				    c->command[0], strerror(error)));
		item_failed(c, item, FAILURE_RETRY, "the command cannot be started");
		return;
	}
	c->running++;
	item->ends_at = c->options->command_timeout_ms > 0
				? clock_ms() + c->options->command_timeout_ms
				: 0;
	write_input(c, item);
}

void run_start(struct consume *c)
{
	struct link *next;

	for (struct link *l = list_first(&c->items); l != NULL; l = next) {
		struct item *item = item_at(l);

		next = list_next(&c->items, l);
		if (c->ending || c->running >= (size_t)c->options->jobs ||
		    (int64_t)c->running >= c->left)
			return;
		if (!item->taken && item->delayed_to == 0 && !item_must_wait(c, item))
			start(c, item);
	}
}

/* Ending ----------------------------------------------------------------------------------------- */

/* A command that was killed has said nothing of the event, unless it took too long. */
static void judge(struct consume *c, struct item *item, int how)
{
	int action = c->options->on_failure;
	char reason[REASON];

	if (WIFEXITED(how) && WEXITSTATUS(how) == 0 && !item->told) {
		item_done(c, item);
		return;
	}
	if (item->told)
		snprintf(reason, sizeof(reason), "the command took longer than %" PRId64 " ms",
			 c->options->command_timeout_ms);
	else if (WIFSIGNALED(how))
		snprintf(reason, sizeof(reason), "the command was killed by signal %d",
			 WTERMSIG(how));
	else
		snprintf(reason, sizeof(reason), "the command ended with status %d",
			 WEXITSTATUS(how));
	if (!item->told &&
	    (WIFSIGNALED(how) || (WIFEXITED(how) && WEXITSTATUS(how) == EX_TEMPFAIL)))
		action = FAILURE_RETRY;
	item_failed(c, item, action, reason);
}

void run_ended(struct consume *c, pid_t pid, int how)
{
	for (struct link *l = list_first(&c->items); l != NULL; l = list_next(&c->items, l)) {
		struct item *item = item_at(l);

		if (!item->taken || item->pid != pid)
			continue;
		close_input(c, item);
		item->pid = 0;
		item->taken = false;
		c->running--;
		judge(c, item, how);
		return;
	}
}

void run_times(struct consume *c)
{
	int64_t now = clock_ms();

	for (struct link *l = list_first(&c->items); l != NULL; l = list_next(&c->items, l)) {
		struct item *item = item_at(l);

		if (!item->taken || item->ends_at == 0 || item->ends_at > now)
			continue;
		/* The whole group, see command_start(): a shell and what it waits for. */
		(void)kill(-item->pid, item->told ? SIGKILL : SIGTERM);
		item->ends_at = item->told ? 0 : now + KILL_MS;
		item->told = true;
	}
}

int64_t run_deadline(const struct consume *c)
{
	int64_t first = -1;

	for (struct link *l = list_first(&c->items); l != NULL; l = list_next(&c->items, l)) {
		const struct item *item = item_at(l);

		if (item->taken && item->ends_at != 0 && (first < 0 || item->ends_at < first))
			first = item->ends_at;
	}
	return first;
}

void run_kill(struct consume *c)
{
	for (struct link *l = list_first(&c->items); l != NULL; l = list_next(&c->items, l)) {
		struct item *item = item_at(l);

		if (!item->taken || item->pid <= 0)
			continue;
		close_input(c, item);
		(void)kill(-item->pid, SIGTERM);
		(void)waitpid(item->pid, NULL, 0);
		item->taken = false;
	}
}
