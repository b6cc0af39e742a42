/*
 * The file of checkpoints: any bytes as the database, and where it opens, rows read, written and
 * removed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "bridge/checkpoint_file.h"
#include "fuzz.h"

static char folder[4000]; /* in $TMPDIR, or /tmp */
static char path[sizeof(folder) + 16];

static void remove_files(void)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
	char name[sizeof(path) + 16];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		(void)unlink(name);
	}
}

static void remove_folder(void)
{
	remove_files();
	(void)rmdir(folder);
}

static void make_folder(void)
{
	const char *where = getenv("TMPDIR");

	if (path[0] != '\0')
		return;
	(void)snprintf(folder, sizeof(folder), "%s/esb-fuzz-XXXXXX",
		       where == NULL ? "/tmp" : where);
	if (mkdtemp(folder) == NULL || atexit(remove_folder) != 0)
		abort();
	(void)snprintf(path, sizeof(path), "%s/checkpoints", folder);
}

static void put_bytes(const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

/* Reads all of what it is given. */
static void each(void *arg, const struct checkpoint_row *row)
{
	size_t *sum = arg;

	*sum += strlen(row->name) + (row->stream == NULL ? 0 : strlen(row->stream));
	for (size_t i = 0; i < row->filter.len; i++)
		*sum += row->filter.at[i];
}

static void use(struct checkpoint_file *f)
{
	const struct checkpoint_row row = { .name = "mine", .stream = "people" };
	size_t sum = 0;
	bool stored;

	(void)checkpoint_file_read(f, NULL, each, &sum);
	(void)checkpoint_file_read(f, "a", each, &sum);
	stored = checkpoint_file_begin(f, false) && checkpoint_file_put(f, &row) &&
		 checkpoint_file_remove(f, "a") && checkpoint_file_commit(f);
	if (!stored && checkpoint_file_fault(f)[0] == '\0')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char fault[CHECKPOINT_FAULT] = "";
	struct checkpoint_file *f;

	log_setup(LOG_ERROR, LOG_PREFIX_NEVER, LOG_FORMAT_TEXT);
	make_folder();
	remove_files();
	put_bytes(data, size);
	f = checkpoint_file_open(path, fault);
	if (f == NULL && fault[0] == '\0')
		abort();
	if (f != NULL) {
		use(f);
		checkpoint_file_close(f);
	}
	return 0;
}
