/*
 * Loaded before the C library (LD_PRELOAD), it counts what is asked of malloc() and its kin: in the
 * file named by ALLOCATIONS, 8 bytes in the order of this machine.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../shim.h"

/* The C library's own, by the names that it has for programs that replace them. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static atomic_uint_least64_t *counter;

__attribute__((constructor)) static void begin(void)
{
	counter = shim_map("ALLOCATIONS", sizeof(*counter));
}

static void count(void)
{
	if (counter != NULL)
		atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
	count();
	return __libc_malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
	count();
	return __libc_calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
	count();
	return __libc_realloc(ptr, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	count();
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **memptr, size_t alignment, size_t size)
{
	void *at;

	count();
	at = __libc_memalign(alignment, size);
	if (at == NULL)
		return ENOMEM;
	*memptr = at;
	return 0;
}
