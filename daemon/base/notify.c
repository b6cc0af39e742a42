#include "base/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { STATE_MOST = 512, WAIT_MOST_MS = 250 };

/*
 * Fills *ADDRESS from NAME, a path or '@' and an abstract name. Returns its length, or 0 where NAME
 * is neither.
 */
static socklen_t fill_address(struct sockaddr_un *address, const char *name)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(address->sun_path))
		return 0;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, name, len);
	if (name[0] == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

bool notify_send(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	/* READY is worth a short wait; anything else is lost rather than hold up the loop. */
	int flags = strncmp(state, "READY=1", 7) == 0 ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT;
	struct timeval wait = { .tv_usec = WAIT_MOST_MS * 1000 };
	struct sockaddr_un address;
	socklen_t address_len = name == NULL ? 0 : fill_address(&address, name);
	size_t len = strlen(state);
	ssize_t sent;
	int fd;

	if (address_len == 0)
		return false;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	sent = sendto(fd, state, len, flags, (struct sockaddr *)&address, address_len);
	close(fd);
	return sent == (ssize_t)len;
}

bool notify_format(const char *format, ...)
{
	char state[STATE_MOST + 1];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(state, sizeof(state), format, args);
	va_end(args);
	return n >= 0 && notify_send(state);
}
