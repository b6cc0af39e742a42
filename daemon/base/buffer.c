#include "base/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALLEST = 512 };

void buffer_init(struct buffer *b, size_t limit)
{
	memset(b, 0, sizeof(*b));
	b->limit = limit;
}

void buffer_free(struct buffer *b)
{
	free(b->data);
	buffer_init(b, b->limit);
}

bool buffer_grow(struct buffer *b, size_t n)
{
	size_t len = buffer_len(b);
	size_t size = b->size < SMALLEST ? SMALLEST : b->size;
	uint8_t *data;

	if (b->failed || n > SIZE_MAX / 4 - len || (b->limit != 0 && len + n > b->limit)) {
		b->failed = true;
		return false;
	}
	/* Moving to the front pays when at least as much has been read as is moved. */
	if (b->start >= len && b->size - len >= n) {
		if (len > 0)
			memcpy(b->data, b->data + b->start, len);
		b->start = 0;
		b->end = len;
		return true;
	}
	while (size < len + n)
		size *= 2;
	data = malloc(size);
	if (data == NULL) {
		b->failed = true;
		return false;
	}
	if (len > 0)
		memcpy(data, b->data + b->start, len);
	free(b->data);
	b->data = data;
	b->start = 0;
	b->end = len;
	b->size = size;
	return true;
}

void buffer_consume(struct buffer *b, size_t n)
{
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buffer_cut(struct buffer *b, size_t n)
{
	b->end -= n;
}

void buffer_shrink(struct buffer *b, size_t keep)
{
	bool failed = b->failed;

	if (b->start == b->end && b->size > keep) {
		buffer_free(b);
		b->failed = failed;
	}
}

ssize_t buffer_read_fd(struct buffer *b, int fd, size_t most)
{
	uint8_t *at = buffer_room(b, most);
	ssize_t n;

	if (at == NULL) {
		errno = ENOMEM;
		return -1;
	}
	do
		n = read(fd, at, most);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		b->end += (size_t)n;
	return n;
}

ssize_t buffer_write_fd(struct buffer *b, int fd)
{
	ssize_t n;

	do
		n = send(fd, buffer_at(b), buffer_len(b), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		buffer_consume(b, (size_t)n);
	return n;
}
