/*
 * A context of libesbridge in a loop of poll(2). With other descriptors in the array:
 *
 *	struct pollfd fds[2] = { { .fd = mine, .events = POLLIN } };
 *	esbridge_poll_before(e, &fds[1]);
 *	poll(fds, 2, esbridge_deadline(e));
 *	esbridge_poll_after(e, &fds[1]);
 *
 * Link with -lesbridge.
 */
#ifndef ESBRIDGE_ADAPTERS_POLL_H
#define ESBRIDGE_ADAPTERS_POLL_H

#include <esbridge.h>
#include <poll.h>

/* Sets FD to what E waits for. */
static inline void esbridge_poll_before(const struct esbridge *e, struct pollfd *fd)
{
	fd->events = esbridge_events(e);
	/* Nothing asked for: a hang-up must not wake the loop either. */
	fd->fd = fd->events != 0 ? esbridge_fd(e) : -1;
	fd->revents = 0;
}

/* Works off what poll(2) has found. As esbridge_process(). */
static inline int esbridge_poll_after(struct esbridge *e, const struct pollfd *fd)
{
	return esbridge_process(e, fd->revents);
}

#endif
