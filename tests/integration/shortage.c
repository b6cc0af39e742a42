/*
 * Loaded before the C library (LD_PRELOAD), it makes large allocations fail, as the file named by
 * SHORTAGE has it: a struct shortage in the order of this machine, which the test writes. The
 * allocator is that of the program, an address sanitizer's too.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../shim.h"

struct shortage {
	uint64_t least;  /* bytes of an allocation that counts; 0: none does */
	uint64_t pass;   /* so many of these are made, */
	uint64_t fail;   /* so many then fail, and the rest are made */
	uint64_t failed; /* how many have failed */
};

static volatile struct shortage *shortage;

__attribute__((constructor)) static void begin(void)
{
	shortage = shim_map("SHORTAGE", sizeof(*shortage));
}

static int fails(size_t size)
{
	if (shortage == NULL || shortage->least == 0 || size < shortage->least)
		return 0;
	if (shortage->pass > 0) {
		shortage->pass--;
		return 0;
	}
	if (shortage->fail == 0)
		return 0;
	shortage->fail--;
	shortage->failed++;
	errno = ENOMEM;
	return 1;
}

/* A pointer to a function, from the pointer to anything that dlsym(3) gives. */
union symbol {
	void *found;
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t count, size_t size);
	void *(*realloc)(void *old, size_t size);
};

static union symbol next_malloc, next_calloc, next_realloc;

static const union symbol *next(union symbol *s, const char *name)
{
	if (s->found == NULL)
		s->found = dlsym(RTLD_NEXT, name);
	if (s->found == NULL)
		_exit(97);
	return s;
}

void *malloc(size_t size)
{
	return fails(size) ? NULL : next(&next_malloc, "malloc")->malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
	size_t bytes;

	if (!__builtin_mul_overflow(nmemb, size, &bytes) && fails(bytes))
		return NULL;
	return next(&next_calloc, "calloc")->calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
	return fails(size) ? NULL : next(&next_realloc, "realloc")->realloc(ptr, size);
}
