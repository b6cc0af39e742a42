/*
 * The socket that the service manager has made and hands over (sd_listen_fds(3)): LISTEN_PID,
 * LISTEN_FDS and LISTEN_FDNAMES, and the descriptors from 3 on.
 */
#ifndef ESBRIDGE_LOCAL_HANDED_H
#define ESBRIDGE_LOCAL_HANDED_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Sets *FD to the socket that is handed over, not blocking and closed on exec; it belongs to the
 * caller. -1: none is. Returns false, with the reason in FAULT, where what is handed over is not
 * exactly one Unix stream socket that listens.
 */
bool handed_over(int *fd, char *fault, size_t size);

#endif
