/*
 * Memory of a fixed, small size.
 *
 * For objects whose size no peer decides. When the machine has none left, the process says so and
 * exits with EX_OSERR: systemd starts it again, and the store delivers again what was not
 * acknowledged. Whatever has its size from a peer goes into a struct buffer, which can fail.
 */
#ifndef ESBRIDGE_BASE_MEM_H
#define ESBRIDGE_BASE_MEM_H

#include <stddef.h>

/* Returns SIZE zeroed bytes, never NULL. The caller frees them with free(). */
void *mem_new(size_t size);

/* Returns a copy of TEXT, never NULL. The caller frees it with free(). */
char *mem_text(const char *text);

/* Returns a NUL-terminated copy of the LEN bytes at AT, never NULL. For bounded LEN alone. */
char *mem_text_of(const char *at, size_t len);

/* Overwrites LEN bytes at AT with zeros in a way that the compiler may not leave out. */
void mem_wipe(void *at, size_t len);

#endif
