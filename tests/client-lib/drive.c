/*
 * The library, driven line by line from standard input by test_client.py. A line is a command and
 * its words, with tabs between them; each gets one line of an answer: "ok ...", "none", or "error
 * CODE OUTCOME TEXT".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esbridge.h"

enum { WORDS = 8, KEPT = 4096 };

static struct esbridge *e;
static struct esbridge_message *kept[KEPT]; /* what `next` gave, by its number */
static int count;

static int whole(const char *word)
{
	return (int)strtol(word, NULL, 10);
}

static void failed(void)
{
	const struct esbridge_error *error = esbridge_error(e);

	printf("error %s %d %s\n", error->name, error->outcome, error->text);
}

static void done(bool good)
{
	if (good)
		printf("ok\n");
	else
		failed();
}

static void answer(struct esbridge_message *m)
{
	if (m == NULL) {
		failed();
		return;
	}
	printf("ok %.*s\n", ESBRIDGE_PRINT(m->line));
	esbridge_message_free(m);
}

/* connect PATH */
static void do_connect(char **w)
{
	struct esbridge_options o = { .size = sizeof(o),
				      .client = "drive",
				      .reconnect_max_ms = 200 };

	e = esbridge_connect(w[1], &o);
	done(esbridge_error(e)->code == 0);
}

/* write STREAM JSON */
static void do_write(char **w)
{
	int64_t number = esbridge_write_json(e, w[1], "T", w[2]);

	if (number < 0)
		failed();
	else
		printf("ok %lld\n", (long long)number);
}

/* start MESSAGE BODY */
static void do_start(char **w)
{
	int64_t id = esbridge_start_execute(e, w[1], w[2], NULL);

	if (id < 0 || esbridge_flush(e, 10000) != 0)
		failed();
	else
		printf("ok %lld\n", (long long)id);
}

/* wait ID */
static void do_wait(char **w)
{
	answer(esbridge_wait(e, strtoll(w[1], NULL, 10)));
}

/* execute MESSAGE BODY */
static void do_execute(char **w)
{
	struct esbridge_request admin = { .size = sizeof(admin),
					  .username = "admin",
					  .password = "changeit" };

	answer(esbridge_execute(e, w[1], w[2], &admin));
}

static const char *given(const char *word)
{
	return word[0] == '\0' ? NULL : word;
}

/* subscribe STREAM FROM GROUP CHECKPOINT WINDOW, each empty where it is not given */
static void do_subscribe(char **w)
{
	struct esbridge_subscribe s = { .size = sizeof(s), .stream = w[1] };
	const char *sub;

	if (strcmp(w[2], "start") == 0 || strcmp(w[2], "end") == 0)
		s.from = w[2][0] == 's' ? ESBRIDGE_FROM_START : ESBRIDGE_FROM_END;
	s.group = given(w[3]);
	s.checkpoint = given(w[4]);
	s.window = whole(w[5]);
	sub = esbridge_subscribe(e, &s, NULL);
	if (sub == NULL)
		failed();
	else
		printf("ok %s\n", sub);
}

/* next MILLISECONDS: "ok NUMBER LINE" */
static void do_next(char **w)
{
	struct esbridge_message *m;
	int got = esbridge_next(e, whole(w[1]), &m);

	if (got < 0)
		failed();
	else if (got == 0)
		printf("none\n");
	else if (count == KEPT)
		exit(2);
	else
		printf("ok %d %.*s\n", count, ESBRIDGE_PRINT(m->line));
	if (got == 1)
		kept[count++] = m;
}

/* ack NUMBER, up_to NUMBER, nack NUMBER ACTION: of what `next` gave */
static void do_ack(char **w)
{
	done(esbridge_ack(e, kept[whole(w[1])]) == 0);
}

static void do_up_to(char **w)
{
	done(esbridge_ack_up_to(e, kept[whole(w[1])]) == 0);
}

static void do_nack(char **w)
{
	done(esbridge_nack(e, kept[whole(w[1])], given(w[2]), "test") == 0);
}

static void do_unsubscribe(char **w)
{
	done(esbridge_unsubscribe(e, w[1]) == 0);
}

/* walk STREAM PAGE BACKWARD FILTER: the numbers of all events */
static void do_walk(char **w)
{
	struct esbridge_read read = { .size = sizeof(read),
				      .stream = w[1],
				      .max_count = whole(w[2]),
				      .backward = w[3][0] == 'y',
				      .filter = given(w[4]) };
	struct esbridge_cursor *cursor = esbridge_cursor_new(e, &read, NULL);
	const struct esbridge_record *record;
	int got = cursor == NULL ? -1 : esbridge_cursor_next(cursor, &record);

	if (got < 0) {
		failed();
	} else {
		printf("ok");
		for (; got == 1; got = esbridge_cursor_next(cursor, &record))
			printf(" %lld", (long long)record->event->number);
		printf("\n");
	}
	esbridge_cursor_free(cursor);
}

static const struct {
	const char *name;
	void (*run)(char **words);
} commands[] = {
	{ "ack", do_ack },
	{ "connect", do_connect },
	{ "execute", do_execute },
	{ "nack", do_nack },
	{ "next", do_next },
	{ "start", do_start },
	{ "subscribe", do_subscribe },
	{ "unsubscribe", do_unsubscribe },
	{ "up_to", do_up_to },
	{ "wait", do_wait },
	{ "walk", do_walk },
	{ "write", do_write },
};

static void run(char *line)
{
	static char nothing[] = "";
	char *words[WORDS], *rest = line;

	for (size_t i = 0; i < WORDS; i++) {
		char *word = strsep(&rest, "\t\n");

		words[i] = word == NULL ? nothing : word;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, words[0]) == 0)
			commands[i].run(words);
	}
	fflush(stdout);
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0)
		run(line);
	free(line);
	for (int i = 0; i < count; i++)
		esbridge_message_free(kept[i]);
	esbridge_close(e);
	return 0;
}
