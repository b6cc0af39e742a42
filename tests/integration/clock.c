/*
 * Loaded before the C library (LD_PRELOAD), it makes the wall clock jump: by the seconds that the
 * file named by CLOCK_JUMP has, 8 bytes in the order of this machine, read anew each time. The
 * clocks that never jump are left alone.
 */
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../shim.h"

static const volatile int64_t *jump;

__attribute__((constructor)) static void begin(void)
{
	jump = shim_map("CLOCK_JUMP", sizeof(*jump));
}

/* The C library's own names for what these take are reserved ones. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
int clock_gettime(clockid_t id, struct timespec *to)
{
	int result = (int)syscall(SYS_clock_gettime, id, to);

	if (result == 0 && jump != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		to->tv_sec += *jump;
	return result;
}

int gettimeofday(struct timeval *restrict to, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	to->tv_sec = now.tv_sec;
	to->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *to)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (to != NULL)
		*to = now.tv_sec;
	return now.tv_sec;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
