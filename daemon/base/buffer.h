/*
 * A queue of bytes: written at the end, read from the front.
 *
 * Sizes here come from peers, so nothing exits. A write that finds no memory, or that would pass
 * the buffer's limit, sets `failed` and stores nothing, and so do all writes after it: who fills
 * the buffer writes on without looking, and its owner looks once, at the end.
 *
 * A pointer into a buffer lives until the next call that writes to it or shrinks it.
 *
 * Who is about to put a password into a buffer sets `secret` first. From then on nothing that was
 * in the buffer stays behind in memory, wherever the buffer has moved meanwhile; once it is empty
 * it is an ordinary one again.
 */
#ifndef ESBRIDGE_BASE_BUFFER_H
#define ESBRIDGE_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/*
 * Memory that buffers give back may be kept to be used again (buffer_keep_spares()): a program
 * whose buffers empty and fill all the time then asks the C library, and the kernel, for nothing.
 */

struct buffer {
	uint8_t *data;
	size_t start; /* first byte not yet read */
	size_t end;   /* one past the last byte written */
	size_t size;  /* bytes allocated */
	size_t limit; /* most bytes that may wait at one time; 0: no limit */
	size_t had;   /* bytes allocated when it was last given back */
	bool failed;
	bool secret; /* what leaves the buffer, and memory that it leaves, is overwritten */
	bool apart;  /* its memory is not charged to the account, account.h */
	bool swift;  /* from some size on it grows without a copy, and pays for it with each page */
	bool mapped; /* it does: its memory comes from mmap(2) */
};

/* A buffer with nothing in it and nothing allocated is all zeros; LIMIT as in the struct. */
void buffer_init(struct buffer *b, size_t limit);

/* Frees the memory and leaves an empty buffer with the same limit, that stands apart as before. */
void buffer_free(struct buffer *b);

static inline size_t buffer_len(const struct buffer *b)
{
	return b->end - b->start;
}

static inline uint8_t *buffer_at(const struct buffer *b)
{
	return b->data + b->start;
}

/* Makes room for N more bytes at the end. Returns false, with `failed` set, where it cannot. */
bool buffer_grow(struct buffer *b, size_t n);

/*
 * Returns a place for N bytes at the end, to be filled and then counted with buffer_added(), or
 * NULL with `failed` set.
 */
static inline uint8_t *buffer_room(struct buffer *b, size_t n)
{
	if (b->failed)
		return NULL;
	if (b->size - b->end < n || (b->limit != 0 && buffer_len(b) + n > b->limit)) {
		if (!buffer_grow(b, n))
			return NULL;
	}
	return b->data + b->end;
}

/* Counts N bytes that were written at the place that buffer_room() gave. */
static inline void buffer_added(struct buffer *b, size_t n)
{
	b->end += n;
}

static inline void buffer_add(struct buffer *b, const void *bytes, size_t n)
{
	uint8_t *at = buffer_room(b, n);

	if (at != NULL && n > 0) {
		memcpy(at, bytes, n);
		b->end += n;
	}
}

static inline void buffer_add_byte(struct buffer *b, uint8_t byte)
{
	uint8_t *at = buffer_room(b, 1);

	if (at != NULL) {
		*at = byte;
		b->end++;
	}
}

/* Adds a NUL-terminated text without its NUL. */
static inline void buffer_add_text(struct buffer *b, const char *text)
{
	buffer_add(b, text, strlen(text));
}

/* Takes N bytes, at most buffer_len(), from the front. */
void buffer_consume(struct buffer *b, size_t n);

/* The same where these bytes are known to be no secret, whatever else is in B. */
void buffer_pass(struct buffer *b, size_t n);

/* Adds all that is in FROM, which stays as it is; a secret is one in B as well. */
void buffer_add_all(struct buffer *b, const struct buffer *from);

/*
 * B keeps LEN of its bytes, those at KEPT, where they are, and the bytes of AROUND take the place
 * of all others: FRONT of them before, the rest behind. Returns false, with nothing done, where
 * there is no room for them in B's memory.
 */
bool buffer_enclose(struct buffer *b, const void *kept, size_t len, const struct buffer *around,
		    size_t front);

/* Puts LEN bytes in before the byte AT of B. They do not lie in B. */
void buffer_insert(struct buffer *b, size_t at, const void *bytes, size_t len);

/* Takes the last N bytes away again. */
void buffer_cut(struct buffer *b, size_t n);

/*
 * From now on up to BYTES of memory that buffers give back are kept for all of them; 0, as at the
 * start: none. For a program with one thread.
 */
void buffer_keep_spares(size_t bytes);

/* Frees what was kept and not used since the last call. */
void buffer_age_spares(void);

/* Gives memory back if nothing waits and more than KEEP bytes are allocated. */
void buffer_shrink(struct buffer *b, size_t keep);

/*
 * Reads once from FD, at most MOST bytes, into the end of B. Returns the number of bytes, 0 at the
 * end of the input, -1 with errno (EAGAIN, ENOMEM, what read(2) gives).
 */
ssize_t buffer_read_fd(struct buffer *b, int fd, size_t most);

/*
 * Writes once to FD what waits in B and takes it from the front. Returns as write(2); EPIPE raises
 * no signal.
 */
ssize_t buffer_write_fd(struct buffer *b, int fd);

#endif
