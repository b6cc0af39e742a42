/*
 * What the parts of the reading of settings share: config.c has the whole, config_access.c the
 * rules of access. For these files alone.
 */
#ifndef ESBRIDGE_CONFIG_PARTS_H
#define ESBRIDGE_CONFIG_PARTS_H

#include "config.h"

/* One load: whom its mistakes go to. */
struct loading {
	struct config *config;
	const char *path; /* or NULL: there is no file */
	unsigned *lines;  /* where each row of the table is set, 0: nowhere */
	void (*complain)(void *arg, const char *text);
	void *arg;
	bool good;
};

/* Tells a mistake in LINE. */
void config_mistake(struct loading *l, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Reads the password that is the first line of the file NAME, which is looked for where systemd
 * puts credentials unless it is absolute. The caller frees it with secret_free(). Returns NULL
 * where it cannot be taken, which has been told as a mistake in LINE.
 */
char *config_password(struct loading *l, unsigned line, const char *name);

/* Makes l->config->access of the sections [access NAME]. */
void config_access(struct loading *l);

#endif
