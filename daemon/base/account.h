/*
 * The account of the memory that peers make the process take: all buffers but those that stand
 * apart, and whatever else is charged. It is asked before something large is taken on for a peer,
 * and tells when memory becomes short. Nothing is counted before it is opened.
 *
 * For a program with one thread; a library that never opens it may have many.
 */
#ifndef ESBRIDGE_BASE_ACCOUNT_H
#define ESBRIDGE_BASE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

/* What has more bytes than this is large: it is refused first. */
enum { ACCOUNT_LARGE = 64 * 1024 };

struct account {
	bool open;
	size_t used;  /* bytes */
	size_t limit; /* of them */
	size_t mark;  /* three quarters of that: the last quarter is for what is not large */
	void (*became_short)(void *arg);
	void *arg;
};

extern struct account account;

/* Begins to count, with LIMIT bytes. BECAME_SHORT is called each time the mark is passed, from
 * inside whatever takes the memory, or lowers the limit: it may do no more than make a note of it.
 */
void account_open(size_t limit, void (*became_short)(void *arg), void *arg);
void account_set_limit(size_t limit);
void account_close(void);

static inline void account_charge(size_t bytes)
{
	if (!account.open)
		return;
	account.used += bytes;
	if (account.used > account.mark && account.used - bytes <= account.mark)
		account.became_short(account.arg);
}

/* Takes BYTES off again that were charged. */
static inline void account_refund(size_t bytes)
{
	if (account.open)
		account.used -= bytes;
}

/* True where nothing large should be taken on. */
static inline bool account_is_short(void)
{
	return account.used > account.mark;
}

/* True where the limit is passed. */
static inline bool account_is_spent(void)
{
	return account.used > account.limit;
}

/* True where something of BYTES is too large to be taken on now. */
static inline bool account_refuses(size_t bytes)
{
	return bytes > ACCOUNT_LARGE && account_is_short();
}

#endif
