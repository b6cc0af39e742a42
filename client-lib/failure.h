/*
 * Why a call failed, kept where the program can look at it: in the context, or in the reader.
 */
#ifndef ESBRIDGE_CLIENT_FAILURE_H
#define ESBRIDGE_CLIENT_FAILURE_H

#include "esbridge.h"

enum { FAILURE_TEXT = 512, FAILURE_NAME = 64 };

struct failure {
	struct esbridge_error error;      /* what the program sees; points into what follows */
	struct esbridge_message *message; /* the error of the daemon, or NULL */
	char name[FAILURE_NAME];
	char text[FAILURE_TEXT];
};

/* A failure of all zeros is none, and owns nothing. */
void failure_clear(struct failure *f);

/* Notes CODE and the text. Never needs memory. */
void failure_set(struct failure *f, enum esbridge_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with the outcome of a request that may change the store. */
void failure_set_outcome(struct failure *f, enum esbridge_code code, enum esbridge_outcome outcome,
			 const char *format, ...) __attribute__((format(printf, 4, 5)));

void failure_no_memory(struct failure *f);

/* Notes what MESSAGE, an ESBRIDGE_ERROR, says. Its reference goes over to F. */
void failure_take(struct failure *f, struct esbridge_message *message);

/* True where a request that failed with CODE may succeed later: what the library itself tells. */
bool failure_may_be_retried(enum esbridge_code code);

#endif
