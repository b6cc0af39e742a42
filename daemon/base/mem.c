#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"

static void *checked(void *p)
{
	if (p == NULL) {
		log_write(LOG_ERROR, "out of memory");
		exit(EX_OSERR);
	}
	return p;
}

void *mem_new(size_t size)
{
	return checked(calloc(1, size));
}

char *mem_text(const char *text)
{
	return checked(strdup(text));
}

char *mem_text_of(const char *at, size_t len)
{
	return checked(strndup(at, len));
}

void mem_wipe(void *at, size_t len)
{
	explicit_bzero(at, len);
}
