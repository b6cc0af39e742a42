#include "memory.h"

#include <stdlib.h>
#include <string.h>

#include "esbridge.h"

static const struct esbridge_allocator libc = { malloc, realloc, free };

static struct esbridge_allocator in_use = { malloc, realloc, free };

void esbridge_set_allocator(const struct esbridge_allocator *allocator)
{
	in_use = allocator == NULL ? libc : *allocator;
}

void *memory_get(size_t size)
{
	return in_use.allocate(size);
}

void *memory_resize(void *at, size_t size)
{
	return in_use.reallocate(at, size);
}

void memory_release(void *at)
{
	in_use.release(at);
}

void *memory_zeroed(size_t size)
{
	void *at = memory_get(size);

	return at == NULL ? NULL : memset(at, 0, size);
}

char *memory_text(const char *text)
{
	size_t size = text == NULL ? 0 : strlen(text) + 1;
	char *copy = text == NULL ? NULL : memory_get(size);

	return copy == NULL ? NULL : memcpy(copy, text, size);
}
