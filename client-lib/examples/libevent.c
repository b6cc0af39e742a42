/*
 * A stream in a loop of libevent: prints each event from the start on, and is ended by a signal.
 *
 *	cc libevent.c $(pkg-config --cflags --libs esbridge libevent_core) && ./a.out STREAM
 */
#include <adapters/libevent.h>
#include <esbridge.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>

static void on_push(struct esbridge *e, struct esbridge_message *m, void *user)
{
	(void)user;
	if (m->push != ESBRIDGE_PUSH_EVENT)
		return;
	printf("%lld %.*s %.*s\n", (long long)m->event->number, ESBRIDGE_PRINT(m->event->type),
	       ESBRIDGE_PRINT(m->event->raw_data));
	fflush(stdout);
	esbridge_ack(e, m);
}

static void on_signal(evutil_socket_t number, short what, void *base)
{
	(void)number;
	(void)what;
	event_base_loopbreak(base);
}

int main(int argc, char **argv)
{
	struct esbridge_subscribe subscribe = { .size = sizeof(subscribe),
						.stream = argv[argc - 1],
						.from = ESBRIDGE_FROM_START,
						.window = 100,
						.on_push = on_push };
	struct event_base *base = event_base_new();
	struct event *term = evsignal_new(base, SIGTERM, on_signal, base);
	struct esbridge *e = esbridge_connect_async(NULL, NULL);

	event_add(term, NULL);
	if (esbridge_libevent_attach(e, base) != 0)
		return 1;
	esbridge_start_subscribe(e, &subscribe, NULL);
	event_base_dispatch(base);
	esbridge_close(e);
	event_free(term);
	event_base_free(base);
	return 0;
}
