/*
 * Who may do what: the users of a new server and the access lists of its streams.
 */
#ifndef MEMSTORE_ACCESS_H
#define MEMSTORE_ACCESS_H

#include <stdbool.h>

#include "store.h"

/* A user; NULL is nobody. Lives as long as the process. */
struct user {
	const char *login;
	const char *group;
};

/* Gives all users the password TEXT, which outlives them. */
void users_set_password(const char *text);

/* The user with this login and password, or NULL. */
const struct user *user_find(struct span login, struct span password);

bool user_is_admin(const struct user *user);
bool user_is_operator(const struct user *user);

/*
 * True where USER may do ACTION to the stream called NAME. STREAM is that stream as store_find()
 * gives it. What is done to a metastream is taken for what is done to the metadata of the stream it
 * describes.
 */
bool access_allowed(const struct store *store, const struct user *user, struct span name,
		    const struct stream *stream, enum action action);

#endif
