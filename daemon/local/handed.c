#include "local/handed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST = 3 };

/* The number in the environment variable NAME, or -1. */
static long number_of(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long n;

	if (text == NULL || *text == '\0')
		return -1;
	errno = 0;
	n = strtol(text, &end, 10);
	return errno == 0 && *end == '\0' ? n : -1;
}

static int socket_option(int option)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt(FIRST, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static bool is_listening_stream(void)
{
	return socket_option(SO_DOMAIN) == AF_UNIX && socket_option(SO_TYPE) == SOCK_STREAM &&
	       socket_option(SO_ACCEPTCONN) == 1;
}

/* What is handed over, for people: how much it is, and its names where it has any. */
static bool fail(char *fault, size_t size, const char *what)
{
	const char *count = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");

	snprintf(
		fault, size,
		"%s: the service manager has to hand over one Unix stream socket that listens, and "
		"nothing else (LISTEN_FDS=%.20s LISTEN_FDNAMES=%.100s)",
		what, count == NULL ? "" : count, names == NULL ? "" : names);
	return false;
}

bool handed_over(int *fd, char *fault, size_t size)
{
	long count = number_of("LISTEN_FDS");

	*fd = -1;
	/* Variables that whoever started us got for himself. */
	if (number_of("LISTEN_PID") != (long)getpid() || count == 0)
		return true;
	if (count != 1)
		return fail(fault, size,
			    count < 0 ? "no number of descriptors" : "more than one descriptor");
	if (!is_listening_stream())
		return fail(fault, size, "the descriptor is something else");
	fcntl(FIRST, F_SETFD, FD_CLOEXEC);
	fcntl(FIRST, F_SETFL, fcntl(FIRST, F_GETFL) | O_NONBLOCK);
	*fd = FIRST;
	return true;
}
