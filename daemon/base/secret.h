/*
 * Texts that nobody else must see and that have to be kept: passwords of the settings.
 *
 * Each lies in pages of its own, which no core dump has, which are not swapped out as far as the
 * limit of locked memory allows, and which are overwritten before they are given back.
 */
#ifndef ESBRIDGE_BASE_SECRET_H
#define ESBRIDGE_BASE_SECRET_H

#include <stddef.h>

/*
 * Returns a copy of the LEN bytes at AT with a NUL behind it, never NULL: without memory the
 * process exits, as in base/mem.h. For bounded LEN alone. To be freed with secret_free() alone.
 */
char *secret_new(const char *at, size_t len);

/* Overwrites and frees SECRET, from secret_new() and as long as it was made, or NULL. */
void secret_free(char *secret);

#endif
