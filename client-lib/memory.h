/*
 * Where the library's memory comes from: what the program has set with esbridge_set_allocator().
 * Every function here can fail, and none of the callers takes that for the end.
 */
#ifndef ESBRIDGE_CLIENT_MEMORY_H
#define ESBRIDGE_CLIENT_MEMORY_H

#include <stddef.h>

/* As malloc(3), realloc(3) and free(3). */
void *memory_get(size_t size);
void *memory_resize(void *at, size_t size);
void memory_release(void *at);

/* SIZE zeroed bytes, or NULL. */
void *memory_zeroed(size_t size);

/* A copy of TEXT with its NUL, or NULL. TEXT itself may be NULL: so is the copy. */
char *memory_text(const char *text);

#endif
