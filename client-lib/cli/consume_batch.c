/*
 * consume --batch: one command for all events. It reads a line of JSON for each, as they are
 * printed, with `ack_id` and `retry_count`, and answers with a line for each:
 *
 *	ack [ID]		the event is handled
 *	ack-up-to ID		it is, and all that were given before it
 *	nack [ID] [ACTION]	it is not; ACTION is retry, park or skip, else that of --on-failure
 *
 * Without an ID it is the oldest event that has no answer yet.
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

#include "base/buffer.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "consume_parts.h"

enum {
	READ_AT_ONCE = 64 * 1024,
	FULL = 1024 * 1024,  /* bytes that wait for the command, beyond which it gets no more */
	LINE_MOST = 4096,    /* of its answers */
	ANSWERS_MOST = 1000, /* acknowledged in one line to the daemon */
	AGAIN_FIRST_MS = 100,
	AGAIN_MOST_MS = 10000,
	WORDS = 3,
};

struct batch {
	pid_t pid;  /* 0: it does not run */
	int input;  /* -1: closed */
	int output; /* the same */
	struct buffer out;
	struct buffer in;
	size_t given;    /* items that it has */
	bool answered;   /* it has answered anything since it was started */
	unsigned deaths; /* in a row, without an answer */
	int64_t again;   /* when it is started again; 0: it runs */
	struct esbridge_message *acks[ANSWERS_MOST];
	size_t ack_count;
};

/* Life ------------------------------------------------------------------------------------------- */

static void close_end(struct consume *c, int *fd)
{
	if (*fd < 0)
		return;
	consume_unwatch(c, *fd);
	close(*fd);
	*fd = -1;
}

static bool start(struct consume *c)
{
	struct batch *b = c->batch;
	char **environment = environment_for(c, NULL);
	int error;

	b->pid = command_start(c, environment, &b->input, &b->output);
	error = errno;
	environment_free(environment);
	if (b->pid < 0) {
		b->pid = 0;
		consume_end(c, fail(EX_UNAVAILABLE, "consume: %s cannot be started: %s",
				    c->command[0], strerror(error)));
		return false;
	}
	b->again = 0;
	b->answered = false;
	consume_watch(c, b->output, EPOLLIN, &b->output);
	return true;
}

bool batch_begin(struct consume *c)
{
	c->batch = mem_new(sizeof(*c->batch));
	c->batch->input = c->batch->output = -1;
	return start(c);
}

/* Answers ---------------------------------------------------------------------------------------- */

/* The daemon gets the acknowledgements of one turn in as few lines as can be. */
static void flush_acks(struct consume *c)
{
	struct batch *b = c->batch;

	if (b->ack_count == 0)
		return;
	consume_answered(c, esbridge_ack_many(c->cli->bridge, b->acks, b->ack_count));
	for (size_t i = 0; i < b->ack_count; i++)
		esbridge_message_free(b->acks[i]);
	b->ack_count = 0;
}

static void ack(struct consume *c, struct item *item)
{
	struct batch *b = c->batch;

	b->given--;
	if (!item->stale) {
		if (b->ack_count == ANSWERS_MOST)
			flush_acks(c);
		b->acks[b->ack_count++] = esbridge_message_ref(item->message);
		if (--c->left <= 0)
			c->ending = true;
	}
	item_free(item);
}

/* The event that the command means: that of ID, or with NULL the oldest one that it has. */
static struct item *find(const struct consume *c, const char *id)
{
	for (struct link *l = list_first(&c->items); l != NULL; l = list_next(&c->items, l)) {
		struct item *item = item_at(l);

		if (item->taken && (id == NULL || esbridge_span_is(item->message->ack_id, id)))
			return item;
	}
	return NULL;
}

static void ack_up_to(struct consume *c, const struct item *last)
{
	struct link *next;
	bool more = true;

	for (struct link *l = list_first(&c->items); l != NULL && more; l = next) {
		struct item *item = item_at(l);

		next = list_next(&c->items, l);
		more = item != last;
		if (item->taken)
			ack(c, item);
	}
}

static int action_of(const struct consume *c, const char *word)
{
	static const char *const words[] = { "retry", "park", "skip" };

	if (word == NULL)
		return c->options->on_failure;
	for (int i = 0; i < 3; i++) {
		if (strcmp(words[i], word) == 0 && (i != FAILURE_PARK || c->options->group != NULL))
			return i;
	}
	return -1;
}

static void nack(struct consume *c, struct item *item, int action)
{
	flush_acks(c);
	c->batch->given--;
	item->taken = false;
	item_failed(c, item, action, "the command says nack");
}

static bool looks_like_id(const char *word)
{
	return word != NULL && strlen(word) == ESBRIDGE_UUID_SIZE - 1;
}

/* False where the line is none of those that there are. */
static bool obey(struct consume *c, char *const words[WORDS], size_t count)
{
	bool named = looks_like_id(words[1]);
	struct item *item = find(c, named ? words[1] : NULL);
	const char *action = named ? words[2] : words[1];

	if (strcmp(words[0], "ack") == 0 && count == (named ? 2 : 1)) {
		if (item != NULL)
			ack(c, item);
	} else if (strcmp(words[0], "ack-up-to") == 0 && named && count == 2) {
		if (item != NULL)
			ack_up_to(c, item);
	} else if (strcmp(words[0], "nack") == 0 && action_of(c, action) >= 0) {
		if (item != NULL)
			nack(c, item, action_of(c, action));
	} else {
		return false;
	}
	c->batch->answered = true;
	c->batch->deaths = 0;
	return true;
}

/* An ID that is none of an event that the command has is that of one that came again: no mistake.
 */
static void take_line(struct consume *c, char *line)
{
	char *words[WORDS + 1] = { NULL };
	char *rest = NULL;
	size_t count = 0;
	char copy[80];

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(line, " \t\r", &rest); word != NULL && count <= WORDS;
	     word = strtok_r(NULL, " \t\r", &rest))
		words[count++] = word;
	if (count == 0)
		return;
	if (count > WORDS || !obey(c, words, count))
		consume_end(c,
			    fail(EX_DATAERR,
				 "consume: the command answers '%s', which is none of: ack [ID], "
				 "ack-up-to ID, nack [ID] [retry|park|skip]",
				 copy));
}

static void take_answers(struct consume *c)
{
	struct batch *b = c->batch;
	ssize_t n = buffer_read_fd(&b->in, b->output, READ_AT_ONCE);
	bool bad = false;

	if (n == 0 || (n < 0 && errno != EAGAIN))
		close_end(c, &b->output);
	while (!bad && buffer_len(&b->in) > 0) {
		char *at = (char *)buffer_at(&b->in);
		char *end = memchr(at, '\n', buffer_len(&b->in));

		if (end == NULL && buffer_len(&b->in) <= LINE_MOST)
			break;
		if (end == NULL) {
			consume_end(c, fail(EX_DATAERR,
					    "consume: the command answers with a line "
					    "of more than %d bytes",
					    LINE_MOST));
			break;
		}
		*end = '\0';
		take_line(c, at);
		bad = c->status != EX_OK;
		buffer_consume(&b->in, (size_t)(end - at) + 1);
	}
	flush_acks(c);
}

/* Giving ----------------------------------------------------------------------------------------- */

static void add_line(struct consume *c, const struct item *item)
{
	struct buffer *out = &c->batch->out;
	const struct esbridge_message *m = item->message;

	event_to_json(out, m->records);
	buffer_cut(out, 1); /* the closing brace */
	json_key(out, "ack_id");
	json_quoted(out, m->ack_id.at, m->ack_id.len);
	json_key(out, "retry_count");
	json_int(out, m->retry_count + (int64_t)item->failures);
	buffer_add(out, "}\n", 2);
}

static void write_out(struct consume *c)
{
	struct batch *b = c->batch;

	while (buffer_len(&b->out) > 0 && b->input >= 0) {
		ssize_t n = write(b->input, buffer_at(&b->out), buffer_len(&b->out));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			consume_watch(c, b->input, EPOLLOUT, &b->input);
			return;
		}
		if (n < 0) {
			close_end(c,
				  &b->input); /* it reads no more: its end tells what that means */
			return;
		}
		buffer_consume(&b->out, (size_t)n);
	}
	if (b->input >= 0)
		consume_unwatch(c, b->input);
	/* At the end the command sees the end of its input, and answers what it has. */
	if (c->ending)
		close_end(c, &b->input);
}

void batch_give(struct consume *c)
{
	struct batch *b = c->batch;
	struct link *l = c->ending || b->input < 0 ? NULL : list_first(&c->items);

	for (; l != NULL; l = list_next(&c->items, l)) {
		struct item *item = item_at(l);

		if (b->given >= (size_t)c->options->batch || (int64_t)b->given >= c->left ||
		    buffer_len(&b->out) > FULL)
			break;
		/* With a checkpoint what waits to be tried again holds up what comes behind it. */
		if (item->delayed_to != 0 && c->options->checkpoint != NULL)
			break;
		if (item->taken || item->delayed_to != 0)
			continue;
		item->taken = true;
		b->given++;
		add_line(c, item);
	}
	if (b->out.failed)
		consume_end(c, fail(EX_OSERR, "consume: out of memory"));
	write_out(c);
}

void batch_event(struct consume *c, const void *at)
{
	if (at == &c->batch->output && c->batch->output >= 0)
		take_answers(c);
	else if (at == &c->batch->input && c->batch->input >= 0)
		write_out(c);
}

/* Ends ------------------------------------------------------------------------------------------- */

static void say_end(const struct consume *c, int how, size_t unanswered)
{
	if (WIFSIGNALED(how))
		say("consume: %s was killed by signal %d with %zu events unanswered", c->command[0],
		    WTERMSIG(how), unanswered);
	else
		say("consume: %s ended with status %d and %zu events unanswered", c->command[0],
		    WEXITSTATUS(how), unanswered);
}

/* What it had and did not answer is given again, in order. */
static void take_back(struct consume *c)
{
	struct link *next;

	for (struct link *l = list_first(&c->items); l != NULL; l = next) {
		struct item *item = item_at(l);

		next = list_next(&c->items, l);
		if (item->taken && item->stale)
			item_free(item);
		else
			item->taken = false;
	}
	c->batch->given = 0;
}

void batch_ended(struct consume *c, pid_t pid, int how)
{
	struct batch *b = c->batch;
	int64_t wait = AGAIN_FIRST_MS;
	size_t unanswered;

	if (pid != b->pid)
		return;
	while (b->output >= 0 && c->status == EX_OK && !b->in.failed) {
		size_t before = buffer_len(&b->in);

		take_answers(c); /* what it has said before */
		if (b->output >= 0 && buffer_len(&b->in) == before)
			break;
	}
	close_end(c, &b->output);
	close_end(c, &b->input);
	buffer_free(&b->out);
	buffer_free(&b->in);
	b->pid = 0;
	unanswered = b->given;
	take_back(c);
	if (c->ending)
		return;
	say_end(c, how, unanswered);
	if (c->options->on_failure == FAILURE_STOP) {
		consume_end(c, EX_SOFTWARE);
		return;
	}
	for (unsigned i = 0; i < b->deaths && wait < AGAIN_MOST_MS; i++)
		wait *= 2;
	b->deaths++;
	b->again = clock_ms() + (wait < AGAIN_MOST_MS ? wait : AGAIN_MOST_MS);
}

void batch_times(struct consume *c)
{
	if (!c->ending && c->batch->again != 0 && c->batch->again <= clock_ms())
		start(c);
}

int64_t batch_deadline(const struct consume *c)
{
	return c->batch->again != 0 && !c->ending ? c->batch->again : -1;
}

bool batch_is_over(const struct consume *c)
{
	return c->batch->pid == 0;
}

void batch_free(struct consume *c)
{
	struct batch *b = c->batch;

	if (b == NULL)
		return;
	close_end(c, &b->input);
	close_end(c, &b->output);
	if (b->pid > 0) {
		(void)kill(-b->pid, SIGTERM);
		(void)waitpid(b->pid, NULL, 0);
	}
	for (size_t i = 0; i < b->ack_count; i++)
		esbridge_message_free(b->acks[i]);
	buffer_free(&b->out);
	buffer_free(&b->in);
	free(b);
	c->batch = NULL;
}
