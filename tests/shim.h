/*
 * For the libraries that tests preload into the daemon: a file, shared with the test, in which it
 * says what they are to do, or reads what they have seen.
 */
#ifndef ESBRIDGE_TESTS_SHIM_H
#define ESBRIDGE_TESTS_SHIM_H

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The first SIZE bytes of the file that the environment's VARIABLE names, for as long as the
 * process lives. Where that cannot be, the process ends, with a status that the daemon does not
 * have: the test sees it. */
static inline void *shim_map(const char *variable, size_t size)
{
	const char *path = getenv(variable);
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void *at =
		fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (at == MAP_FAILED)
		_exit(97);
	return at;
}

#endif
