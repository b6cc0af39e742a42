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

static int file_of(const void *data, size_t size, char path[64])
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	(void)snprintf(path, 64, "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

/* What is printed is taken, and has the access rules that were read. */
static void read_again(const struct config *c)
{
	unsigned complaints = 0;
	struct config again;
	char path[64];
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	int fd;

	if (to == NULL)
		abort();
	config_print(c, to);
	(void)fclose(to);
	fd = file_of(text, len, path);
	if (!config_load(&again, path, complain, &complaints) ||
	    !settings_sections_equal(&c->rules, &again.rules))
		abort();
	config_free(&again);
	free(text);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned complaints = 0;
	struct config config;
	char path[64];
	int fd;

	log_setup(LOG_ERROR, LOG_PREFIX_NEVER, LOG_FORMAT_TEXT);
	fd = file_of(data, size, path);
	if (config_load(&config, path, complain, &complaints)) {
		if (complaints != 0)
			abort();
		read_again(&config);
		config_free(&config);
	} else if (complaints == 0) {
		abort();
	}
	close(fd);
	return 0;
}
