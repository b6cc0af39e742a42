/*
 * The file that checkpoints are kept in: an SQLite database with one table, a row for each name.
 *
 * It is written in WAL mode with synchronous=NORMAL: what was committed survives the death of the
 * process at any moment; a power failure may take the last commits back, which makes events come
 * again and never skips one. A commit that must survive that too is made `durable`.
 *
 * The process has the file for itself, so that two daemons cannot hold the same name. Every call is
 * synchronous, and runs on the loop.
 */
#ifndef ESBRIDGE_BRIDGE_CHECKPOINT_FILE_H
#define ESBRIDGE_BRIDGE_CHECKPOINT_FILE_H

#include <stdbool.h>

#include "store/live.h"

enum { CHECKPOINT_NAME_MOST = 200, CHECKPOINT_FAULT = 256 };

/* Where a checkpoint stands: all up to `place` is done, and it; or nothing is stored yet. */
struct checkpoint_mark {
	bool set;
	struct place place;
};

struct checkpoint_row {
	const char *name;
	const char *stream; /* "": all streams; NULL: no subscription has had it yet */
	struct span filter; /* of all streams, as the store takes it; empty: none */
	bool of_all;        /* the mark is a position of the log of all streams */
	struct checkpoint_mark mark;
};

struct checkpoint_file;

/*
 * Opens the file PATH, which is made if it is not there. Returns NULL with the reason in
 * FAULT: it cannot be opened or written, is no such file, or one of a later version.
 */
struct checkpoint_file *checkpoint_file_open(const char *path, char fault[CHECKPOINT_FAULT]);
void checkpoint_file_close(struct checkpoint_file *f);

/* What went wrong in the last call that returned false. */
const char *checkpoint_file_fault(const struct checkpoint_file *f);

/*
 * Calls EACH with the row named NAME, if there is one; with NAME NULL, with each row in the order
 * of names. The texts live until EACH returns, which must not use the file.
 */
bool checkpoint_file_read(struct checkpoint_file *f, const char *name,
			  void (*each)(void *arg, const struct checkpoint_row *row), void *arg);

/*
 * A group of changes: begin, put and remove as many as there are, commit. False from any of them:
 * nothing of the group is stored, and it is over.
 */
bool checkpoint_file_begin(struct checkpoint_file *f, bool durable);
bool checkpoint_file_put(struct checkpoint_file *f, const struct checkpoint_row *row);
bool checkpoint_file_remove(struct checkpoint_file *f, const char *name);
bool checkpoint_file_commit(struct checkpoint_file *f);

#endif
