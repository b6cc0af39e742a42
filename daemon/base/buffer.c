#include "base/buffer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/account.h"

enum {
	SMALLEST = 512,
	PAGE = 4096, /* of memory */
	HUGE = 4 * 1024 * 1024,
};

/* Spares: blocks of a power of two bytes, by that power ----------------------------------------- */

enum {
	SPARE_LEAST = 9,  /* 512 bytes */
	SPARE_SMALL = 16, /* 64 KiB: up to here any block serves for anything smaller */
	SPARE_MOST = 27,  /* 128 MiB */
	SPARE_TIMES = 3,  /* beyond, one of up to eight times the size */
};

/* Stands at the front of a block that is kept. */
struct spare {
	struct spare *next;
	bool aged; /* not used since buffer_age_spares() was last called */
};

static struct spare *spares[SPARE_MOST + 1];
static size_t spare_bytes;
static size_t spare_bytes_most;

static unsigned power_of(size_t size)
{
	return (unsigned)(sizeof(size) * CHAR_BIT - 1) - (unsigned)__builtin_clzl(size);
}

/*
 * A swift buffer with more than this grows in memory that is mapped for it alone. That moves
 * without a copy, and nothing stays behind: whoever else is served does not wait until 8 MiB of a
 * line are copied and wiped. AddressSanitizer does not watch what is mapped.
 */
#if defined(__SANITIZE_ADDRESS__)
#define SWIFT SIZE_MAX
#else
#define SWIFT ((size_t)128 * 1024)
#endif

/* Frees DATA, a block of SIZE bytes, or keeps it. */
static void give_back(uint8_t *data, size_t size)
{
	struct spare *s;
	unsigned power;

	if (spare_bytes + size > spare_bytes_most || size < (size_t)1 << SPARE_LEAST ||
	    size > (size_t)1 << SPARE_MOST) {
		free(data);
		return;
	}
	power = power_of(size);
	s = (struct spare *)(void *)data;
	s->next = spares[power];
	s->aged = false;
	spares[power] = s;
	spare_bytes += size;
}

/* The smallest block that is kept, has *SIZE bytes or more and is not far too large; *SIZE is then
 * what it has. NULL: there is none. */
static uint8_t *take_spare(size_t *size)
{
	unsigned power = *size <= (size_t)1 << SPARE_LEAST ? SPARE_LEAST : power_of(*size);
	unsigned last = power + SPARE_TIMES > SPARE_SMALL ? power + SPARE_TIMES : SPARE_SMALL;
	struct spare *s = NULL;

	if (spare_bytes < *size)
		return NULL;
	for (; s == NULL && power <= last && power <= SPARE_MOST; power++)
		s = spares[power];
	if (s == NULL)
		return NULL;
	power--;
	spares[power] = s->next;
	*size = (size_t)1 << power;
	spare_bytes -= *size;
	return (uint8_t *)s;
}

static void free_spares(bool aged_alone)
{
	for (unsigned power = SPARE_LEAST; power <= SPARE_MOST; power++) {
		struct spare **at = &spares[power];

		while (*at != NULL) {
			struct spare *s = *at;

			if (aged_alone && !s->aged) {
				s->aged = true;
				at = &s->next;
				continue;
			}
			*at = s->next;
			spare_bytes -= (size_t)1 << power;
			free(s);
		}
	}
}

void buffer_keep_spares(size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
	bytes = 0; /* what is kept could not be watched */
#endif
	spare_bytes_most = bytes;
	if (bytes == 0)
		free_spares(false);
}

void buffer_age_spares(void)
{
	free_spares(true);
}

/* Buffers --------------------------------------------------------------------------------------- */

void buffer_init(struct buffer *b, size_t limit)
{
	memset(b, 0, sizeof(*b));
	b->limit = limit;
}

/* Overwrites LEN bytes that leave B, from its byte AT on, where it holds a secret. What has left
 * before is overwritten already. */
static inline void forget(const struct buffer *b, size_t at, size_t len)
{
	if (b->secret && len > 0)
		explicit_bzero(b->data + at, len);
}

static void free_block(struct buffer *b)
{
	if (b->mapped)
		munmap(b->data, b->size);
	else if (b->data != NULL)
		give_back(b->data, b->size);
	b->mapped = false;
}

/* The memory of B is now DATA, a block of SIZE bytes. */
static void settle(struct buffer *b, uint8_t *data, size_t size)
{
	if (!b->apart) {
		account_charge(size);
		account_refund(b->size);
	}
	b->data = data;
	b->size = size;
}

void buffer_free(struct buffer *b)
{
	bool apart = b->apart;

	forget(b, b->start, buffer_len(b));
	free_block(b);
	settle(b, NULL, 0);
	buffer_init(b, b->limit);
	b->apart = apart;
}

/*
 * Asks for large pages of memory for DATA, SIZE bytes that have just been allocated: 48 MiB are
 * otherwise more than ten thousand faults, in which nobody is served.
 */
static void want_large_pages(uint8_t *data, size_t size)
{
	size_t ahead = -(uintptr_t)data & (PAGE - 1);

	if (size >= HUGE)
		madvise(data + ahead, size - ahead, MADV_HUGEPAGE);
}

/* Memory of at least *SIZE bytes, a power of two, for a buffer that once had HAD and is likely to
 * want as much again. *SIZE is then what there is. */
static uint8_t *new_block(size_t *size, size_t had)
{
	size_t wanted = had > *size ? had : *size;
	uint8_t *data = take_spare(&wanted);

	if (data == NULL && wanted > *size && wanted > (size_t)1 << SPARE_SMALL) {
		wanted = *size;
		data = take_spare(&wanted);
	}
	*size = wanted;
	if (data != NULL)
		return data;
	data = malloc(wanted);
	if (data != NULL)
		want_large_pages(data, wanted);
	return data;
}

static uint8_t *map(size_t size)
{
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return data == MAP_FAILED ? NULL : data;
}

/* Makes room for N more bytes at the end of B, which is mapped. */
static bool widen(struct buffer *b, size_t n)
{
	size_t size = b->size;
	void *data;

	while (size < b->end + n)
		size *= 2;
	data = mremap(b->data, b->size, size, MREMAP_MAYMOVE);
	if (data == MAP_FAILED) {
		b->failed = true;
		return false;
	}
	settle(b, data, size);
	return true;
}

bool buffer_grow(struct buffer *b, size_t n)
{
	size_t len = buffer_len(b);
	size_t size = b->size < SMALLEST ? SMALLEST : b->size;
	bool mapped = b->swift && len > SWIFT;
	uint8_t *data;

	if (b->failed || n > SIZE_MAX / 4 - len || (b->limit != 0 && len + n > b->limit)) {
		b->failed = true;
		return false;
	}
	/* Moving to the front pays when at least as much has been read as is moved. */
	if (b->start >= len && b->size - len >= n) {
		if (len > 0)
			memcpy(b->data, b->data + b->start, len);
		forget(b, b->start, len);
		b->start = 0;
		b->end = len;
		return true;
	}
	if (b->mapped)
		return widen(b, n);
	while (size < len + n)
		size *= 2;
	data = mapped ? map(size) : new_block(&size, b->had);
	if (data == NULL) {
		b->failed = true;
		return false;
	}
	if (len > 0)
		memcpy(data, b->data + b->start, len);
	forget(b, b->start, len);
	free_block(b);
	settle(b, data, size);
	b->mapped = mapped;
	b->start = 0;
	b->end = len;
	return true;
}

void buffer_pass(struct buffer *b, size_t n)
{
	b->start += n;
	if (b->start == b->end) {
		b->start = b->end = 0;
		b->secret = false;
	}
}

void buffer_consume(struct buffer *b, size_t n)
{
	forget(b, b->start, n);
	buffer_pass(b, n);
}

void buffer_add_all(struct buffer *b, const struct buffer *from)
{
	b->secret |= from->secret;
	buffer_add(b, buffer_at(from), buffer_len(from));
}

bool buffer_enclose(struct buffer *b, const void *kept, size_t len, const struct buffer *around,
		    size_t front)
{
	size_t at = (size_t)((const uint8_t *)kept - b->data);
	size_t back = buffer_len(around) - front;

	if (at < front || b->size - at - len < back)
		return false;
	forget(b, b->start, at - b->start);
	forget(b, at + len, b->end - at - len);
	if (front > 0)
		memcpy(b->data + at - front, buffer_at(around), front);
	if (back > 0)
		memcpy(b->data + at + len, buffer_at(around) + front, back);
	b->start = at - front;
	b->end = at + len + back;
	b->secret |= around->secret;
	return true;
}

void buffer_insert(struct buffer *b, size_t at, const void *bytes, size_t len)
{
	uint8_t *to = buffer_room(b, len);

	if (to == NULL || len == 0)
		return;
	to = buffer_at(b) + at;
	memmove(to + len, to, buffer_len(b) - at);
	memcpy(to, bytes, len);
	b->end += len;
}

void buffer_cut(struct buffer *b, size_t n)
{
	forget(b, b->end - n, n);
	b->end -= n;
}

void buffer_shrink(struct buffer *b, size_t keep)
{
	bool failed = b->failed;
	size_t size = b->size;

	if (b->start == b->end && size > keep) {
		buffer_free(b);
		b->failed = failed;
		b->had = size;
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
