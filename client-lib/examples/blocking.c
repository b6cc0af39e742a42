/*
 * Does something for each event of a stream, in order, from its start on. The daemon keeps under
 *the name "example" how far it has come: where this program is ended, or killed, it goes on there.
 *
 *	cc blocking.c $(pkg-config --cflags --libs esbridge) && ./a.out STREAM
 */
#include <esbridge.h>
#include <stdio.h>

/* Here goes the work. It may be done twice for an event, when something ended in between. */
static int work(const struct esbridge_event *event)
{
	struct esbridge_span data;

	if (esbridge_event_data(event, &data) != 0)
		return -1;
	printf("%lld %.*s %.*s\n", (long long)event->number, ESBRIDGE_PRINT(event->type),
	       ESBRIDGE_PRINT(data));
	return fflush(stdout);
}

static int fail(struct esbridge *e, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, esbridge_error(e)->text);
	esbridge_close(e);
	return 1;
}

int main(int argc, char **argv)
{
	struct esbridge_options options = { .size = sizeof(options), .client = "example" };
	struct esbridge_subscribe subscribe = { .size = sizeof(subscribe),
						.stream = argv[argc - 1],
						.from = ESBRIDGE_FROM_START,
						.checkpoint = "example",
						.window = 100 };
	struct esbridge *e = esbridge_connect(NULL, &options);
	struct esbridge_message *message;

	if (esbridge_error(e)->code != 0)
		return fail(e, "connect");
	if (esbridge_subscribe(e, &subscribe, NULL) == NULL)
		return fail(e, "subscribe");
	while (esbridge_next(e, -1, &message) >= 0) {
		int push = message == NULL ? 0 : message->push;

		if (push == ESBRIDGE_PUSH_EVENT && work(message->event) == 0)
			esbridge_ack(e, message);
		else if (push == ESBRIDGE_PUSH_EVENT)
			esbridge_nack(e, message, "retry", "it did not work");
		esbridge_message_free(message);
		if (push == ESBRIDGE_PUSH_DROPPED)
			break;
	}
	return fail(e, "the subscription has ended");
}
