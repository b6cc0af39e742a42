/*
 * What the newest event of a metastream says about its stream, and the access lists in it.
 */
#ifndef MEMSTORE_METADATA_H
#define MEMSTORE_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "wire.h"

enum action {
	ACTION_READ,
	ACTION_WRITE,
	ACTION_DELETE,
	ACTION_META_READ,
	ACTION_META_WRITE,
	ACTIONS
};

/* The roles that may do one thing. Not set: what is more general decides. */
struct roles {
	bool set;
	size_t count;
	char **names;
};

struct acl {
	struct roles may[ACTIONS];
};

struct metadata {
	int64_t max_count;       /* 0: no limit */
	int64_t max_age;         /* seconds; 0: no limit */
	int64_t truncate_before; /* NUMBER_DELETED: the stream is soft-deleted */
	struct acl *acl;         /* or NULL */
};

/* Reads the JSON text TEXT into *METADATA, which is empty. Text that is no metadata leaves it
 * empty. */
void metadata_read(struct metadata *metadata, struct span text);
void metadata_clear(struct metadata *metadata);

/* Adds TEXT, a JSON object, with $tb set to NUMBER to OUT. Returns false where TEXT is no JSON
 * object. */
bool metadata_set_truncate_before(struct span text, int64_t number, struct buffer *out);

/* Reads the JSON text of a $settings event: the default lists for users' and for system streams, or
 * NULL. */
void settings_read(struct span text, struct acl **user, struct acl **system);

void acl_free(struct acl *acl);

#endif
