/*
 * A file of settings. What is taken can be printed, and printed again the same.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz.h"

static void complain(void *arg, const char *text)
{
	if (text[0] == '\0')
		abort();
	++*(unsigned *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	unsigned complaints = 0;
	struct config config;
	char path[64];
	FILE *nowhere;

	log_setup(LOG_ERROR, LOG_PREFIX_NEVER, LOG_FORMAT_TEXT);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (config_load(&config, path, complain, &complaints)) {
		nowhere = fopen("/dev/null", "w");
		if (nowhere == NULL || complaints != 0)
			abort();
		config_print(&config, nowhere);
		(void)fclose(nowhere);
		config_free(&config);
	} else if (complaints == 0) {
		abort();
	}
	close(fd);
	return 0;
}
