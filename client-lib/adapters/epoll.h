/*
 * A context of libesbridge in a loop of epoll(7).
 *
 *	struct esbridge_epoll ours;
 *	esbridge_epoll_attach(&ours, e, epoll);
 *	n = epoll_wait(epoll, found, FOUND, esbridge_deadline(e));
 *
 * Whatever was found, call esbridge_epoll_process() after each epoll_wait(): with the events of the
 * entry whose data.ptr is &ours, or with 0 where there is none. Link with -lesbridge.
 */
#ifndef ESBRIDGE_ADAPTERS_EPOLL_H
#define ESBRIDGE_ADAPTERS_EPOLL_H

#include <esbridge.h>
#include <poll.h>
#include <sys/epoll.h>

/* The caller's; it must live until esbridge_close(). */
struct esbridge_epoll {
	struct esbridge *e;
	int epoll;
	int fd; /* that is in EPOLL, or -1 */
};

/* poll(2) and epoll(7) have the same values for in, out, error and hang-up. */
static inline void esbridge_epoll_update(struct esbridge *e, bool closing, void *user)
{
	struct esbridge_epoll *a = (struct esbridge_epoll *)user;
	short events = closing ? 0 : esbridge_events(e);
	int fd = events != 0 ? esbridge_fd(e) : -1;
	struct epoll_event event;

	event.events = (uint32_t)events;
	event.data.ptr = a;
	if (a->fd >= 0 && a->fd != fd)
		epoll_ctl(a->epoll, EPOLL_CTL_DEL, a->fd, &event);
	if (fd >= 0)
		epoll_ctl(a->epoll, a->fd == fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
	a->fd = fd;
}

/* From now on EPOLL has what E waits for. */
static inline void esbridge_epoll_attach(struct esbridge_epoll *a, struct esbridge *e, int epoll)
{
	a->e = e;
	a->epoll = epoll;
	a->fd = -1;
	esbridge_set_watcher(e, esbridge_epoll_update, a);
}

/* Works off EVENTS. As esbridge_process(). */
static inline int esbridge_epoll_process(struct esbridge_epoll *a, uint32_t events)
{
	return esbridge_process(a->e, (short)(events & (POLLIN | POLLOUT | POLLERR | POLLHUP)));
}

#endif
