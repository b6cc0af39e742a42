/*
 * Faults on demand: what goes wrong with a package that comes or goes, by rules that a test sets.
 */
#ifndef MEMSTORE_FAULT_H
#define MEMSTORE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/guid.h"
#include "base/list.h"
#include "store/command.h"
#include "store/frame.h"

struct connection;

enum fault {
	FAULT_NONE,
	FAULT_DROP,        /* the connection is closed */
	FAULT_RESET,       /* it is reset */
	FAULT_STALL,       /* nothing more is read or sent, until it is resumed */
	FAULT_DELAY,       /* the package goes out `number` milliseconds later */
	FAULT_CUT,         /* its first `number` bytes go out, then the connection is closed */
	FAULT_GARBAGE,     /* its payload is none of its command */
	FAULT_DOUBLE,      /* it goes out twice */
	FAULT_NOT_HANDLED, /* a request is answered with NotHandled, `number` being the reason */
};

/* What is to happen to a package. */
struct effect {
	enum fault fault;
	bool after; /* DROP, RESET, STALL: when it was handled or sent, not in place of that */
	unsigned number;
	const char *host; /* NOT_HANDLED: where the master is, or NULL */
	unsigned port;
};

struct faults {
	struct link rules;
	uint64_t received[256]; /* packages by command */
	uint64_t sent[256];
};

void faults_init(struct faults *faults);

/* Has EFFECT happen to the NTH package with COMMAND from now on, once, or with 0 to each. The host
 * is copied. */
void faults_add(struct faults *faults, enum command command, unsigned nth,
		const struct effect *effect);

/* Forgets all rules and counts. */
void faults_clear(struct faults *faults);

enum reception {
	RECEPTION_HANDLE,
	RECEPTION_PASS_OVER, /* the package is not handled */
	RECEPTION_KEEP,      /* it is handled when the connection is resumed */
};

/* To be called with each PACKAGE that came, before it is handled; and after it was. */
enum reception fault_received(struct connection *c, const struct package *package);
void fault_handled(struct connection *c);

/* To be called with each package that is to be sent. It is what lies in c->out behind the first
 * BEGAN bytes. */
void fault_sent(struct connection *c, size_t began);

/* Forgets the packages of C, which is going away, that are to be sent later. */
void fault_end(struct connection *c);

#endif
