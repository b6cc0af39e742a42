/*
 * What the service manager is told of the daemon, where one has started it: that it is ready, what
 * it does, that it reads its settings again, that it ends, and that it is not hung. Nothing of this
 * ever waits: what the manager has no room for is said again a little later.
 */
#ifndef ESBRIDGE_SERVICE_H
#define ESBRIDGE_SERVICE_H

#include <stdint.h>

#include "base/loop.h"

enum { SERVICE_STATUS = 400 }; /* bytes of a STATUS, with its NUL */

struct service {
	struct loop *loop;
	struct deadline again;    /* set while something waits to be said */
	struct deadline watchdog; /* of the next sign of life */
	uint64_t ping_ms;         /* between two signs of life; 0: none is wanted */
	const char *state;        /* "READY=1" or "STOPPING=1", to be said; NULL: neither */
	bool status_due;
	char status[SERVICE_STATUS];
};

/* Begins; signs of life are given from now on. LOOP has to outlive S. */
void service_init(struct service *s, struct loop *loop);

/* Takes its deadlines back. */
void service_end(struct service *s);

/* The settings are valid and the socket listens. */
void service_ready(struct service *s);

/* The settings are read again; service_ready() follows, whatever becomes of that. */
void service_reloading(void);

void service_stopping(struct service *s);

/* What the daemon does, for people: as printf(3), cut, control characters replaced. */
void service_status(struct service *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
