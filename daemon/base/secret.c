#include "base/secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/mem.h"

/* What stands in front of each. */
struct secret {
	size_t size; /* of the mapping */
	char text[];
};

char *secret_new(const char *at, size_t len)
{
	size_t size = sizeof(struct secret) + len + 1;
	struct secret *s =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED) {
		log_write(LOG_ERROR, "out of memory");
		exit(EX_OSERR);
	}
	/* Both make a good thing better: it works without them. */
	madvise(s, size, MADV_DONTDUMP);
	mlock(s, size);
	s->size = size;
	memcpy(s->text, at, len);
	return s->text;
}

void secret_free(char *secret)
{
	struct secret *s;

	if (secret == NULL)
		return;
	s = (struct secret *)(void *)(secret - offsetof(struct secret, text));
	mem_wipe(s->text, s->size - sizeof(*s));
	munmap(s, s->size);
}
