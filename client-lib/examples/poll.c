/*
 * Standard input and a stream at the same time, with poll(2): each line of standard input is
 *written to the stream as a JSON event; what is written there, by whomever, is printed.
 *
 *	cc poll.c $(pkg-config --cflags --libs esbridge) && ./a.out STREAM
 */
#include <adapters/poll.h>
#include <esbridge.h>
#include <stdio.h>
#include <string.h>

static void on_push(struct esbridge *e, struct esbridge_message *m, void *user)
{
	(void)e;
	(void)user;
	if (m->push == ESBRIDGE_PUSH_EVENT)
		printf("%lld %.*s %.*s\n", (long long)m->event->number,
		       ESBRIDGE_PRINT(m->event->type), ESBRIDGE_PRINT(m->event->raw_data));
	fflush(stdout);
}

/* Replies to writes, and to the subscribe. */
static void on_reply(struct esbridge *e, struct esbridge_message *m, void *user)
{
	(void)e;
	(void)user;
	if (m == NULL)
		fprintf(stderr, "out of memory\n");
	else if (m->kind == ESBRIDGE_ERROR)
		fprintf(stderr, "%.*s\n", ESBRIDGE_PRINT(m->text));
}

static void write_line(struct esbridge *e, const char *stream, char *line)
{
	struct esbridge_new_event event = { .type = "Line",
					    .data = line,
					    .data_len = strcspn(line, "\n"),
					    .data_is = ESBRIDGE_JSON };

	if (esbridge_on_reply(e, esbridge_start_write(e, stream, ESBRIDGE_ANY, &event, 1, NULL),
			      on_reply, NULL) != 0)
		fprintf(stderr, "%s\n", esbridge_error(e)->text);
}

int main(int argc, char **argv)
{
	struct esbridge_subscribe subscribe = { .size = sizeof(subscribe),
						.stream = argv[argc - 1],
						.from = ESBRIDGE_FROM_START,
						.on_push = on_push };
	struct esbridge *e = esbridge_connect_async(NULL, NULL);
	struct pollfd fds[2] = { { .fd = 0, .events = POLLIN } };
	char line[4096];

	esbridge_on_reply(e, esbridge_start_subscribe(e, &subscribe, NULL), on_reply, NULL);
	for (;;) {
		esbridge_poll_before(e, &fds[1]);
		poll(fds, 2, esbridge_deadline(e));
		esbridge_poll_after(e, &fds[1]);
		if (fds[0].revents == 0)
			continue;
		if (fgets(line, sizeof(line), stdin) == NULL)
			break;
		write_line(e, argv[argc - 1], line);
	}
	esbridge_close(e);
	return 0;
}
