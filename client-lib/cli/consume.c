/*
 * consume: hands the events of a subscription to a command, and acknowledges them by its answers.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "commands.h"
#include "consume_parts.h"
#include "output.h"
#include "wait.h"

enum {
	WINDOW_MOST = 100000,
	WINDOW_LEAST = 10,
	JOBS_MOST = 1000,
	RETRY_FIRST_MS = 100, /* before an event is tried again; doubled each time, up to: */
	RETRY_MOST_MS = 10000,
	WAKEUPS = 64,
	PRINTED_MOST = 500, /* events printed and then acknowledged together */
	LEAVE_MS = 5000,    /* for the last word to the daemon */
};

static const char *const failures[] = { "retry", "park", "skip", "stop", NULL };

static const char *const keys[] = {
	"none", "stream", "type", "data:MEMBER", "metadata:MEMBER", NULL
};

#define AT(member) offsetof(struct consume_options, member)

static const struct option_row rows[] = {
	{ "group", 'g', OPTION_TEXT, AT(group), "GROUP", 0, 0, NULL,
	  "a persistent subscription; or: --checkpoint" },
	{ "checkpoint", 'k', OPTION_TEXT, AT(checkpoint), "NAME", 0, 0, NULL,
	  "from where this name has got to; kept by esbridged" },
	{ "from", 0, OPTION_PLACE, AT(from), "PLACE", 0, 0, place_words,
	  "where a new checkpoint begins; at the start" },
	{ "jobs", 'j', OPTION_INTEGER, AT(jobs), "N", 1, JOBS_MOST, NULL,
	  "at most so many commands at a time; 1" },
	{ "key", 0, OPTION_TEXT, AT(key), "WHAT", 0, 0, keys,
	  "one after the other, in order, where this is equal" },
	{ "batch", 'b', OPTION_INTEGER, AT(batch), "N", 1, WINDOW_MOST, NULL,
	  "one COMMAND for all events, N at a time at most" },
	{ "on-failure", 'f', OPTION_CHOICE, AT(on_failure), "WHAT", 0, 0, failures,
	  "retry (the default), park, skip or stop" },
	{ "command-timeout", 0, OPTION_TIME, AT(command_timeout_ms), "TIME", 1, 86400000, NULL,
	  "a command that takes longer has failed" },
	{ "window", 'w', OPTION_INTEGER, AT(window), "N", 1, WINDOW_MOST, NULL,
	  "most events delivered and not acknowledged" },
	{ "count", 'c', OPTION_INTEGER, AT(count), "N", 1, INT64_MAX, NULL, "end after N events" },
	{ "output", 'o', OPTION_CHOICE, AT(output), "HOW", 0, 0, event_outputs,
	  "without COMMAND: ndjson (the default) or pretty" },
	{ "format", 'F', OPTION_TEXT, AT(format), "TEXT", 0, 0, NULL,
	  "without COMMAND: print TEXT for each, see read" },
	{ "keep-links", 'L', OPTION_FLAG, AT(keep_links), NULL, 0, 0, NULL,
	  "with a checkpoint: links, not what they lead to" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct consume_options defaults = { .jobs = 1, .count = INT64_MAX };

/* Items ------------------------------------------------------------------------------------------ */

void item_free(struct item *item)
{
	list_remove(&item->link);
	esbridge_message_free(item->message);
	esbridge_message_free(item->source);
	free(item->key);
	free(item);
}

bool item_must_wait(const struct consume *c, const struct item *item)
{
	if (item->key == NULL)
		return false;
	for (const struct link *l = list_first(&c->items); l != &item->link;
	     l = list_next(&c->items, l)) {
		const struct item *before = CONTAINER(l, struct item, link);

		if (before->key != NULL && strcmp(before->key, item->key) == 0)
			return true;
	}
	return false;
}

void consume_end(struct consume *c, int status)
{
	c->ending = true;
	if (c->status == EX_OK)
		c->status = status;
}

/*
 * The answer to a delivery that is over already is no mistake: the event comes again. All else is
 * an end.
 */
void consume_answered(struct consume *c, int result)
{
	enum esbridge_code code = esbridge_error(c->cli->bridge)->code;

	if (result == 0 || code == ESBRIDGE_E_UNKNOWN_EVENT || code == ESBRIDGE_E_UNAVAILABLE ||
	    code == ESBRIDGE_E_CONNECTION_LOST || code == ESBRIDGE_E_UNKNOWN_SUBSCRIPTION)
		return;
	consume_end(c, cli_fault(c->cli, "consume"));
}

void item_done(struct consume *c, struct item *item)
{
	if (!item->stale) {
		consume_answered(c, esbridge_ack(c->cli->bridge, item->message));
		if (--c->left <= 0)
			c->ending = true;
	}
	item_free(item);
}

/* When ITEM, which has failed, is tried again. */
static void delay(struct item *item)
{
	unsigned times = item->failures + (unsigned)item->message->retry_count;
	int64_t wait = RETRY_FIRST_MS;

	for (unsigned i = 0; i < times && wait < RETRY_MOST_MS; i++)
		wait *= 2;
	item->failures++;
	item->taken = false;
	item->delayed_to = clock_ms() + (wait < RETRY_MOST_MS ? wait : RETRY_MOST_MS);
}

static void complain(const struct consume *c, const struct item *item, const char *reason,
		     const char *what)
{
	const struct esbridge_event *event = item->message->event;

	if (c->cli->common.quiet || event == NULL)
		return;
	say("consume: %.*s@%" PRId64 ": %s: %s", ESBRIDGE_PRINT(event->stream), event->number,
	    reason, what);
}

void item_failed(struct consume *c, struct item *item, int action, const char *reason)
{
	static const char *const words[] = { "tried again", "parked", "skipped", "the end" };

	if (item->stale) {
		item_free(item);
		return;
	}
	complain(c, item, reason,
		 action == FAILURE_RETRY && c->ending ? "comes again" : words[action]);
	if (action == FAILURE_RETRY && !c->ending) {
		delay(item);
		return;
	}
	if (action == FAILURE_STOP)
		consume_end(c, EX_SOFTWARE);
	/* At the end what has failed goes back as it is; a checkpoint simply stays before it. */
	if (action == FAILURE_PARK || action == FAILURE_SKIP || c->options->group != NULL)
		consume_answered(c,
				 esbridge_nack(c->cli->bridge, item->message,
					       action == FAILURE_STOP ? "retry" : failures[action],
					       reason));
	if ((action == FAILURE_PARK || action == FAILURE_SKIP) && --c->left <= 0)
		c->ending = true;
	item_free(item);
}

/* A group counts how often it has delivered an event, and parks it in the end: what waits to be
 * tried again goes back to it. With a checkpoint it is tried again here. */
static void take_delayed(struct consume *c)
{
	int64_t now = clock_ms();
	struct link *next;

	for (struct link *l = list_first(&c->items); l != NULL; l = next) {
		struct item *item = item_at(l);

		next = list_next(&c->items, l);
		if (item->delayed_to == 0 || item->delayed_to > now)
			continue;
		item->delayed_to = 0;
		if (c->options->group == NULL)
			continue;
		consume_answered(c, esbridge_nack(c->cli->bridge, item->message, "retry",
						  "the command has failed"));
		item_free(item);
	}
}

/* The next delayed item's time, or -1. */
static int64_t delayed_deadline(const struct consume *c)
{
	int64_t first = -1;

	for (struct link *l = list_first(&c->items); l != NULL; l = list_next(&c->items, l)) {
		int64_t at = item_at(l)->delayed_to;

		if (at != 0 && (first < 0 || at < first))
			first = at;
	}
	return first;
}

/* Keys ------------------------------------------------------------------------------------------- */

static char *member_of(const struct esbridge_event *event, const char *name, bool of_metadata)
{
	struct esbridge_span bytes = { NULL, 0 };
	int got = of_metadata ? esbridge_event_metadata(event, &bytes)
			      : esbridge_event_data(event, &bytes);
	json_t *json = got == 0 ? esbridge_span_json(bytes) : NULL;
	const json_t *member = json_object_get(json, name);
	char *text = member == NULL ? NULL : json_dumps(member, JSON_ENCODE_ANY | JSON_SORT_KEYS);
	char *key = mem_text(text != NULL ? text : "");

	free(text);
	json_decref(json);
	return key;
}

/* What --key says of the event. An event that has no such member is of the same key as all others
 * without one. */
static char *key_of(const struct consume *c, const struct esbridge_event *event)
{
	const char *key = c->options->key;

	if (key == NULL && c->options->checkpoint != NULL && c->options->jobs == 1)
		return mem_text(""); /* one after the other: a checkpoint keeps the order */
	if (key == NULL || strcmp(key, "none") == 0 || event == NULL)
		return NULL;
	if (strcmp(key, "stream") == 0)
		return mem_text_of(event->stream.at, event->stream.len);
	if (strcmp(key, "type") == 0)
		return mem_text_of(event->type.at, event->type.len);
	return member_of(event, strchr(key, ':') + 1, key[0] == 'm');
}

static bool is_key(const char *key)
{
	const char *colon = strchr(key, ':');

	for (size_t i = 0; keys[i] != NULL; i++) {
		if (strcmp(keys[i], key) == 0 && strchr(keys[i], ':') == NULL)
			return true;
	}
	return colon != NULL && colon[1] != '\0' &&
	       (strncmp(key, "data:", 5) == 0 || strncmp(key, "metadata:", 9) == 0);
}

/* Deliveries ------------------------------------------------------------------------------------- */

static bool same(struct esbridge_span a, struct esbridge_span b)
{
	return a.len == b.len && a.len > 0 && memcmp(a.at, b.at, a.len) == 0;
}

/*
 * An event that comes again while a command still has it: the command's answer is one to the new
 * delivery.
 */
static bool takes_place(struct consume *c, struct esbridge_message *message)
{
	for (struct link *l = list_first(&c->items); l != NULL; l = list_next(&c->items, l)) {
		struct item *item = item_at(l);

		if (!same(item->message->ack_id, message->ack_id) ||
		    (item->message->event != NULL && message->event != NULL &&
		     item->message->event->number != message->event->number))
			continue;
		esbridge_message_free(item->message);
		item->message = esbridge_message_ref(message);
		item->stale = false;
		return true;
	}
	return false;
}

static void take_event(struct consume *c, struct esbridge_message *message)
{
	struct item *item;

	if (takes_place(c, message))
		return;
	item = mem_new(sizeof(*item));
	link_init(&item->link);
	item->message = esbridge_message_ref(message);
	item->key = key_of(c, message->event);
	item->input = -1;
	list_append(&c->items, &item->link);
}

/*
 * What was delivered is over: by a group always, with a checkpoint where the daemon has gone. What
 * no command has yet comes again as a whole.
 */
static void forget_deliveries(struct consume *c)
{
	struct link *next;

	for (struct link *l = list_first(&c->items); l != NULL; l = next) {
		struct item *item = item_at(l);

		next = list_next(&c->items, l);
		if (item->taken)
			item->stale = true;
		else
			item_free(item);
	}
}

static void take_push(struct consume *c, struct esbridge_message *message)
{
	bool quiet = c->cli->common.quiet;
	char *reason;

	switch (message->push) {
	case ESBRIDGE_PUSH_EVENT:
		take_event(c, message);
		break;
	case ESBRIDGE_PUSH_INTERRUPTED:
		if (c->options->group != NULL || esbridge_span_is(message->reason, "daemon_lost"))
			forget_deliveries(c);
		if (!quiet)
			say("consume: interrupted (%.*s), waiting",
			    ESBRIDGE_PRINT(message->reason));
		break;
	case ESBRIDGE_PUSH_RESUMED:
		if (!quiet)
			say("consume: goes on%s",
			    message->gap ? "; events may have been missed" : "");
		break;
	case ESBRIDGE_PUSH_DROPPED:
		reason = mem_text_of(message->reason.at, message->reason.len);
		consume_end(c, fail_code("consume", reason, "the subscription was ended"));
		free(reason);
		break;
	default:
		break;
	}
}

/* The daemon refuses acknowledgements of events that it has delivered on a connection which it
 * lost: they come again. */
static void take_error(struct consume *c, const struct esbridge_message *message)
{
	if (message->code != ESBRIDGE_E_UNKNOWN_EVENT)
		consume_end(c, cli_refused("consume", message));
}

static void take_messages(struct consume *c)
{
	struct esbridge_message *message;
	int got = 0;

	while (!c->ending && (got = esbridge_next(c->cli->bridge, 0, &message)) > 0) {
		if (message->kind == ESBRIDGE_ERROR)
			take_error(c, message);
		else
			take_push(c, message);
		esbridge_message_free(message);
	}
	if (got < 0)
		consume_end(c, cli_fault(c->cli, "consume"));
}

/* Prints what has come. It is acknowledged when its reader has it. */
static void print_items(struct consume *c)
{
	struct esbridge_message *printed[PRINTED_MOST];

	while (!c->ending && !list_empty(&c->items)) {
		size_t count = 0;

		for (struct link *l = list_first(&c->items);
		     l != NULL && count < PRINTED_MOST && (int64_t)count < c->left;
		     l = list_next(&c->items, l)) {
			int status = event_print(&c->format, item_at(l)->message->records);

			if (status != EX_OK) {
				consume_end(c, status);
				return;
			}
			printed[count++] = item_at(l)->message;
		}
		if (!output_flush()) {
			c->ending = true;
			return;
		}
		consume_answered(c, esbridge_ack_many(c->cli->bridge, printed, count));
		c->left -= (int64_t)count;
		c->ending = c->ending || c->left <= 0;
		while (count-- > 0)
			item_free(item_at(list_first(&c->items)));
	}
}

/* Waiting ---------------------------------------------------------------------------------------- */

void consume_watch(struct consume *c, int fd, uint32_t events, void *at)
{
	struct epoll_event event = { .events = events, .data = { .ptr = at } };

	if (epoll_ctl(c->wakeups, EPOLL_CTL_ADD, fd, &event) != 0 &&
	    epoll_ctl(c->wakeups, EPOLL_CTL_MOD, fd, &event) != 0)
		consume_end(c, fail(EX_OSERR, "consume: epoll: %s", strerror(errno)));
}

void consume_unwatch(struct consume *c, int fd)
{
	(void)epoll_ctl(c->wakeups, EPOLL_CTL_DEL, fd, NULL);
}

static void reap(struct consume *c)
{
	struct signalfd_siginfo info;
	pid_t pid;
	int how;

	while (read(c->children, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
		if (c->batch != NULL)
			batch_ended(c, pid, how);
		else
			run_ended(c, pid, how);
	}
}

/* An item's pipe may be closed while the events of the same turn are gone through: those are looked
 * at first. */
static void take_wakeups(struct consume *c)
{
	struct epoll_event events[WAKEUPS];
	int count = epoll_wait(c->wakeups, events, WAKEUPS, 0);
	bool ended = false;

	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == c)
			ended = true;
		else if (c->batch != NULL)
			batch_event(c, events[i].data.ptr);
		else
			run_input(c, events[i].data.ptr);
	}
	if (ended)
		reap(c);
}

static int timeout_of(const struct consume *c)
{
	int64_t at = delayed_deadline(c);
	int64_t other = c->batch != NULL ? batch_deadline(c) : run_deadline(c);
	int64_t left;

	if (at < 0 || (other >= 0 && other < at))
		at = other;
	if (at < 0)
		return -1;
	left = at - clock_ms();
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

static bool is_over(const struct consume *c)
{
	return c->ending && c->running == 0 && (c->batch == NULL || batch_is_over(c));
}

static void hand_out(struct consume *c)
{
	take_delayed(c);
	if (c->command == NULL) {
		print_items(c);
	} else if (c->batch != NULL) {
		batch_times(c);
		batch_give(c);
	} else {
		run_times(c);
		run_start(c);
	}
}

static void go_on(struct consume *c)
{
	bool signalled = false;

	while (!is_over(c)) {
		unsigned wake;

		take_messages(c);
		hand_out(c);
		if (is_over(c))
			break;
		wake = cli_wait(c->cli, c->wakeups, timeout_of(c));
		if (wake & WAKE_INPUT)
			take_wakeups(c);
		if (wake & WAKE_FAULT)
			consume_end(c, cli_fault(c->cli, "consume"));
		if (wake & WAKE_NO_READER && c->command == NULL)
			c->ending = true;
		if (wake & WAKE_SIGNAL) {
			if (!signalled && c->running > 0 && !c->cli->common.quiet)
				say("consume: waiting for %zu commands; once more ends them",
				    c->running);
			signalled = true;
			c->ending = true;
		}
	}
}

/* The beginning and the end ---------------------------------------------------------------------- */

static int check(const struct consume *c)
{
	const struct consume_options *o = c->options;
	const char *fault;

	if ((o->group == NULL) == (o->checkpoint == NULL))
		return fail(EX_USAGE, "consume: it takes --group or --checkpoint, one of them");
	if (o->checkpoint != NULL && o->on_failure == FAILURE_PARK)
		return fail(EX_USAGE, "consume: only a group can park an event: --on-failure "
				      "takes retry, skip or stop with --checkpoint");
	if (o->group != NULL && (o->from.from != ESBRIDGE_FROM_DEFAULT || o->keep_links))
		return fail(EX_USAGE, "consume: the group says where it begins and whether links "
				      "are resolved: --from and --keep-links go with --checkpoint");
	if (o->key != NULL && !is_key(o->key))
		return fail(EX_USAGE,
			    "consume: --key takes none, stream, type, data:MEMBER or "
			    "metadata:MEMBER, not '%s'",
			    o->key);
	if (c->command == NULL && (o->batch > 0 || o->jobs > 1 || o->key != NULL ||
				   o->command_timeout_ms > 0 || o->on_failure != FAILURE_RETRY))
		return fail(EX_USAGE, "consume: --batch, --jobs, --key, --on-failure and "
				      "--command-timeout want a command: -- COMMAND ...");
	if (o->batch > 0 && (o->jobs > 1 || o->key != NULL || o->command_timeout_ms > 0))
		return fail(EX_USAGE, "consume: --batch has one command for all events: --jobs, "
				      "--key and --command-timeout do not go with it");
	if (o->format != NULL && !event_format_check(o->format, &fault))
		return fail(EX_USAGE, "consume: --format: what stands at '%s' is nothing known",
			    fault);
	return EX_OK;
}

static int window_of(const struct consume *c)
{
	const struct consume_options *o = c->options;
	int64_t window = o->window > 0        ? o->window
			 : o->batch > 0       ? o->batch
			 : c->command == NULL ? 500
					      : 2 * o->jobs;

	return (int)(window < WINDOW_LEAST && o->window == 0 ? WINDOW_LEAST : window);
}

static int subscribe(struct consume *c)
{
	const struct consume_options *o = c->options;
	struct esbridge_subscribe s = {
		.size = sizeof(s),
		.stream = c->cli->arguments[0],
		.group = o->group,
		.checkpoint = o->checkpoint,
		.from = o->from.from,
		.number = o->from.number,
		.position = o->from.position,
		.keep_links = o->keep_links,
	};
	struct esbridge_request request = c->cli->request;

	if (o->group != NULL)
		s.in_flight = window_of(c);
	else
		s.window = window_of(c);
	/* A command gets the bytes that are stored; as JSON their line breaks would be lost. */
	request.payload = c->command != NULL && o->batch == 0 ? "base64"
			  : c->command == NULL                ? event_format_payload(&c->format)
							      : NULL;
	c->sub = esbridge_subscribe(c->cli->bridge, &s, &request);
	return c->sub == NULL ? cli_fault(c->cli, "consume") : EX_OK;
}

/* SIGCHLD is read from a descriptor, not caught; a command gets it back as it was. */
static int watch_children(struct consume *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	c->wakeups = epoll_create1(EPOLL_CLOEXEC);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || c->wakeups < 0 ||
	    (c->children = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
		return fail(EX_OSERR, "consume: %s", strerror(errno));
	consume_watch(c, c->children, EPOLLIN, c);
	return c->status;
}

/* The daemon gets the last acknowledgements before the subscription ends. */
static void leave(struct consume *c)
{
	if (c->sub == NULL || !esbridge_is_connected(c->cli->bridge))
		return;
	if (esbridge_flush(c->cli->bridge, LEAVE_MS) != 0 ||
	    esbridge_unsubscribe(c->cli->bridge, c->sub) != 0)
		say("consume: the last acknowledgements may be lost, those events come again: %s",
		    esbridge_error(c->cli->bridge)->text);
}

static void tidy(struct consume *c)
{
	run_kill(c);
	batch_free(c);
	leave(c);
	while (!list_empty(&c->items))
		item_free(item_at(list_first(&c->items)));
	if (c->children >= 0)
		close(c->children);
	if (c->wakeups >= 0)
		close(c->wakeups);
	event_format_free(&c->format);
}

static int run_consume(struct cli *cli)
{
	struct consume c = { .cli = cli, .options = cli->options, .wakeups = -1, .children = -1 };

	link_init(&c.items);
	c.left = c.options->count;
	c.command = cli->count > 1 ? cli->arguments + 1 : NULL;
	c.format.output = c.options->output;
	c.format.format = c.options->format;
	c.format.color = cli_color(cli);
	c.status = check(&c);
	if (c.status != EX_OK)
		return c.status;
	signals_catch();
	(void)signal(SIGPIPE, SIG_IGN); /* a command need not read its input */
	c.status = watch_children(&c);
	if (c.status == EX_OK)
		c.status = cli_connect_lasting(cli);
	if (c.status == EX_OK)
		c.status = subscribe(&c);
	if (c.status == EX_OK && (c.options->batch == 0 || batch_begin(&c)))
		go_on(&c);
	tidy(&c);
	return c.status;
}

const struct command command_consume = {
	.name = "consume",
	.arguments = "STREAM [-- COMMAND [ARGUMENT...]]",
	.summary = "hand events to a command, acknowledge by its answers",
	.help = "Runs COMMAND for each event: the data on its standard input, all else in its "
		"environment (ESBRIDGE_TYPE ...). Status 0 acknowledges; 75, and death by a signal, mean "
		"once more; all else is a failure. With --batch one COMMAND reads a line of JSON for each "
		"event and writes 'ack' or 'nack'. Without COMMAND events are printed. What is not "
		"acknowledged comes again, whoever dies.",
	.least = 1,
	.most = -1,
	OPTIONS(rows, defaults),
	.run = run_consume,
};
