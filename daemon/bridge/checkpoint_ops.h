/*
 * The op `checkpoint`: what is stored, and changes to it by hand.
 */
#ifndef ESBRIDGE_BRIDGE_CHECKPOINT_OPS_H
#define ESBRIDGE_BRIDGE_CHECKPOINT_OPS_H

#include "bridge/checkpoint.h"
#include "bridge/session.h"

/* Adds PLACE as programs have it: the number of an event, or a position of the log of all streams.
 */
void place_to_json(struct place place, bool of_all, struct buffer *out);

/* Each answers the request ID of S before it returns. NAME as in struct checkpoint_claim. */
void checkpoint_answer_list(struct session *s, const struct request_id *id);
void checkpoint_answer_get(struct session *s, const struct request_id *id, const char *name);
void checkpoint_answer_set(struct session *s, const struct request_id *id, const char *name,
			   bool of_all, struct place position);
void checkpoint_answer_delete(struct session *s, const struct request_id *id, const char *name);

/* Adds the member `checkpoints` of `status`. */
void checkpoints_to_json(const struct checkpoints *k, struct buffer *out);

#endif
