/*
 * From a package to what handles its command.
 */
#ifndef MEMSTORE_DISPATCH_H
#define MEMSTORE_DISPATCH_H

#include "access.h"
#include "connection.h"
#include "store/frame.h"

/* A request as its handler gets it. The bytes live until the handler returns. */
struct request {
	const struct guid *correlation;
	const struct user *user; /* NULL: nobody */
	struct span body;
};

/* Handles one package of C, which may be closed afterwards. */
void dispatch(struct connection *c, const struct package *package);

#endif
