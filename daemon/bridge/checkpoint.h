/*
 * Checkpoints: positions kept under a name for subscriptions that resume after them. This keeps
 * those in use: who holds which name, up to where all is acknowledged, and what of that is not in
 * the file yet. It is written in groups, late by a set time or number of acks at most.
 *
 * A checkpoint belongs to one stream, or to all streams with one filter: under another filter the
 * same position would leave out events that were never delivered. Whether links are resolved does
 * not matter, for the position is the link's.
 *
 * The file is opened when the first checkpoint is used.
 */
#ifndef ESBRIDGE_BRIDGE_CHECKPOINT_H
#define ESBRIDGE_BRIDGE_CHECKPOINT_H

#include "base/loop.h"
#include "base/metrics.h"
#include "bridge/answer.h"
#include "bridge/checkpoint_file.h"

/* May change while it runs. */
struct checkpoint_settings {
	uint32_t delay;   /* most milliseconds that an ack waits to be stored */
	uint32_t acks;    /* most acks that do */
	uint32_t timeout; /* milliseconds that a failure is borne, before holders are told */
};

struct checkpoints;
struct checkpoint;

/* DIRECTORY is where the file is or will be; it is copied. */
struct checkpoints *checkpoints_new(struct loop *loop, const char *directory,
				    const struct checkpoint_settings *settings);
void checkpoints_set(struct checkpoints *k, const struct checkpoint_settings *settings);

/* Stores what is not stored yet, and frees K. Nothing may be held any more. */
void checkpoints_free(struct checkpoints *k);

/* What went wrong last: path and reason. "" where nothing has. */
const char *checkpoints_fault(const struct checkpoints *k);

/* Holding a checkpoint -------------------------------------------------------------------------- */

struct checkpoint_claim {
	const char *name;   /* 1 to CHECKPOINT_NAME_MOST bytes of UTF-8 */
	const char *stream; /* "": all streams */
	struct span filter; /* as the store takes it; empty: none */
	/* The position could not be stored for the time that is set. The holder gives it up. */
	void (*failed)(void *arg);
	void *arg;
};

/* Why a name is not to be had. */
struct checkpoint_refusal {
	enum error_code
		code; /* already_exists: held; bad_request: another stream's; fail: the file */
	char text[768];
};

/* Holds the checkpoint of CLAIM, whose texts are copied, until checkpoint_release(). Returns NULL
 * with the reason in REFUSAL. */
struct checkpoint *checkpoint_hold(struct checkpoints *k, const struct checkpoint_claim *claim,
				   struct checkpoint_refusal *refusal);

/* Where C stands, and what of that is stored. */
const struct checkpoint_mark *checkpoint_mark(const struct checkpoint *c);
const struct checkpoint_mark *checkpoint_stored(const struct checkpoint *c);
const char *checkpoint_name(const struct checkpoint *c);

/*
 * The subscription that holds C has begun: C belongs to its stream from now on, and is in the file,
 * also after a power failure. False where it cannot be stored.
 */
bool checkpoint_begin(struct checkpoint *c);

/* All up to PLACE is acknowledged, by ACKS more acks. Is stored in time. */
void checkpoint_move(struct checkpoint *c, struct place place, uint32_t acks);

/* The same, forward or back, stored before it returns, also for a power failure. False where it
 * cannot be. */
bool checkpoint_set(struct checkpoint *c, struct place place);

/*
 * Stores where C stands and gives it up. False where it could not be stored: then it is tried again
 * until it is, or the daemon ends.
 */
bool checkpoint_release(struct checkpoint *c);

/* By hand --------------------------------------------------------------------------------------- */

/* Calls EACH with every checkpoint, or with the one named NAME; HELD: a subscription has it. False
 * where the file cannot be read. */
bool checkpoints_read(struct checkpoints *k, const char *name,
		      void (*each)(void *arg, const struct checkpoint_row *row, bool held),
		      void *arg);

/* Stores POSITION under NAME, of a stream or, OF_ALL, of all streams; a new name is made. Each of
 * the two is false with the reason in REFUSAL: also `not_found` for a name that is not there. */
bool checkpoints_put(struct checkpoints *k, const char *name, bool of_all, struct place position,
		     struct checkpoint_refusal *refusal);
bool checkpoints_remove(struct checkpoints *k, const char *name,
			struct checkpoint_refusal *refusal);

/* For `status` and `metrics` ----------------------------------------------------------------------- */

struct checkpoints_view {
	const char *state; /* unused, open, failing */
	const char *path;
	const char *last_error; /* "": none */
	uint32_t held;
	uint32_t dirty; /* not stored yet */
	uint64_t flushes;
	uint64_t failures;
	const struct histogram *durations; /* of what was written; lives as long as the keeper */
};

void checkpoints_look(const struct checkpoints *k, struct checkpoints_view *view);

#endif
