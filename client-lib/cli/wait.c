#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "output.h"

static int ends[2] = { -1, -1 }; /* a pipe: the handler writes, cli_wait() polls */
static volatile sig_atomic_t caught;

static void handle(int number)
{
	int saved = errno;

	caught = number;
	/* Cannot fail: the pipe has room, each signal is caught once. */
	ssize_t written = write(ends[1], "", 1);

	(void)written;
	errno = saved;
}

void signals_catch(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESETHAND };

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return; /* they end the process at once, as they do anyway */
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		struct sigaction before;

		/* What the parent had ignored (nohup) stays so. */
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
}

bool signals_caught(void)
{
	return caught != 0;
}

void signals_end(void)
{
	if (caught != 0)
		raise(caught); /* SA_RESETHAND: the default again */
}

/* The smaller one of two times in milliseconds, -1 being never. */
static int sooner(int a, int b)
{
	if (a < 0)
		return b;
	return b < 0 || a < b ? a : b;
}

unsigned cli_wait(struct cli *cli, int input, int timeout_ms)
{
	enum { BRIDGE, INPUT, SIGNAL, OUTPUT, COUNT };
	struct pollfd polled[COUNT] = {
		[BRIDGE] = { .fd = esbridge_fd(cli->bridge),
			     .events = esbridge_events(cli->bridge) },
		[INPUT] = { .fd = input, .events = POLLIN },
		[SIGNAL] = { .fd = ends[0], .events = POLLIN },
		/* Only whether its other end is gone. */
		[OUTPUT] = { .fd = STDOUT_FILENO },
	};
	unsigned found = 0;

	if (!output_flush())
		return WAKE_NO_READER;
	if (poll(polled, COUNT, sooner(esbridge_deadline(cli->bridge), timeout_ms)) < 0 &&
	    errno != EINTR)
		return WAKE_FAULT;
	if (esbridge_process(cli->bridge, polled[BRIDGE].revents) != 0)
		found |= WAKE_FAULT;
	if (polled[INPUT].revents != 0)
		found |= WAKE_INPUT;
	if (signals_caught())
		found |= WAKE_SIGNAL;
	if (polled[OUTPUT].revents & (POLLERR | POLLHUP))
		found |= WAKE_NO_READER;
	return found;
}

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
