/*
 * A stream in a loop of epoll(7): prints each event from the start on, and is ended by a signal.
 *
 *	cc epoll.c $(pkg-config --cflags --libs esbridge) && ./a.out STREAM
 */
#include <adapters/epoll.h>
#include <esbridge.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

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

static int signals(int epoll)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	return fd;
}

int main(int argc, char **argv)
{
	struct esbridge_subscribe subscribe = { .size = sizeof(subscribe),
						.stream = argv[argc - 1],
						.from = ESBRIDGE_FROM_START,
						.window = 100,
						.on_push = on_push };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int ends = signals(epoll);
	struct esbridge *e = esbridge_connect_async(NULL, NULL);
	struct esbridge_epoll ours;
	struct epoll_event found;

	esbridge_epoll_attach(&ours, e, epoll);
	esbridge_start_subscribe(e, &subscribe, NULL);
	for (;;) {
		int n = epoll_wait(epoll, &found, 1, esbridge_deadline(e));

		if (n > 0 && found.data.ptr == NULL)
			break;
		esbridge_epoll_process(&ours, n > 0 ? found.events : 0);
	}
	esbridge_close(e);
	close(ends);
	return close(epoll);
}
