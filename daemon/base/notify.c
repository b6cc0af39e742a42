#include "base/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

enum notify_result notify_send(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t address_len = name == NULL ? 0 : fill_address(&address, name);
	enum notify_result result = NOTIFY_SENT;
	int fd;

	if (address_len == 0)
		return NOTIFY_NOBODY;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NOTIFY_FULL; /* no descriptor is left just now */
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
		   (struct sockaddr *)&address, address_len) < 0)
		result = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? NOTIFY_FULL
										: NOTIFY_NOBODY;
	close(fd);
	return result;
}

/* The number in the environment variable NAME, or 0 where there is none that is one. */
static uint64_t number_of(const char *name)
{
	const char *text = getenv(name);
	char *end;
	uintmax_t n;

	if (text == NULL || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	n = strtoumax(text, &end, 10);
	return errno == 0 && *end == '\0' && n <= UINT64_MAX ? (uint64_t)n : 0;
}

uint64_t notify_watchdog_us(void)
{
	if (getenv("WATCHDOG_PID") != NULL && number_of("WATCHDOG_PID") != (uint64_t)getpid())
		return 0;
	return number_of("WATCHDOG_USEC");
}
