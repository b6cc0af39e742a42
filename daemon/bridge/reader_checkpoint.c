#include <string.h>

#include "base/log.h"
#include "bridge/reader_parts.h"

static void drop(struct reader *r)
{
	reader_drop(r, ERROR_FAIL, "checkpoint_failed",
		    checkpoints_fault(r->session->bridge->checkpoints));
}

static void on_failed(void *arg)
{
	struct reader *r = arg;

	if (r->is_leaving)
		reader_left(r);
	else
		drop(r);
}

bool reader_checkpoint_hold(struct reader *r, const struct subscribe_arguments *a,
			    struct checkpoint_refusal *refusal)
{
	struct checkpoint_claim claim = { .name = a->checkpoint,
					  .stream = r->stream,
					  .filter = a->filter,
					  .failed = on_failed,
					  .arg = r };

	r->checkpoint = checkpoint_hold(r->session->bridge->checkpoints, &claim, refusal);
	if (r->checkpoint == NULL)
		return false;
	r->resumed = *checkpoint_mark(r->checkpoint);
	if (r->resumed.set)
		outstanding_begin(&r->outstanding, r->resumed.place);
	return true;
}

bool reader_checkpoint_release(struct reader *r)
{
	struct checkpoint *c = r->checkpoint;

	r->checkpoint = NULL;
	return c == NULL || checkpoint_release(c);
}

void reader_checkpoint_move(struct reader *r, uint32_t acks)
{
	struct place done;

	if (r->checkpoint != NULL && outstanding_done(&r->outstanding, &done))
		checkpoint_move(r->checkpoint, done, acks);
}

/* Where the store ends before the checkpoint, it is not the one that the checkpoint was made at, or
 * has lost data: what it writes up to there is not delivered. */
static void look_at_end(struct reader *r, int64_t last)
{
	if (!r->resumed.set || last >= r->resumed.place.commit)
		return;
	r->beyond_end = true;
	log_write(LOG_WARNING,
		  "the store ends before a checkpoint client=%u sub=%s checkpoint=%s stream=%s "
		  "position=%lld end=%lld",
		  r->session->number, log_text(r->name, strlen(r->name)),
		  log_text(checkpoint_name(r->checkpoint), strlen(checkpoint_name(r->checkpoint))),
		  r->stream[0] == '\0' ? "$all" : log_text(r->stream, strlen(r->stream)),
		  (long long)r->resumed.place.commit, (long long)last);
}

bool reader_checkpoint_begun(struct reader *r, int64_t last)
{
	if (r->checkpoint == NULL)
		return true;
	if (!checkpoint_begin(r->checkpoint)) {
		drop(r);
		return false;
	}
	if (r->stream[0] != '\0')
		look_at_end(r, last);
	return true;
}

bool reader_checkpoint_caught_up(struct reader *r, struct place end)
{
	if (r->checkpoint == NULL)
		return true;
	if (r->stream[0] == '\0')
		look_at_end(r, r->catchup.live_from);
	/* Who began at the end would miss what is written before its first ack, if it began at the
	 * end again after that. */
	if (!r->catchup.from_end || checkpoint_mark(r->checkpoint)->set)
		return true;
	outstanding_begin(&r->outstanding, end);
	if (checkpoint_set(r->checkpoint, end))
		return true;
	drop(r);
	return false;
}

void reader_checkpoint_data_lost(struct reader *r)
{
	struct place end = r->catchup.last;

	/* Nothing is to be done where the reader had not come as far as the store ends now. */
	if (r->checkpoint == NULL || place_compare(end, r->outstanding.last) >= 0)
		return;
	outstanding_begin(&r->outstanding, end);
	/* Where it fails it is tried again, as with any ack. */
	if (checkpoint_mark(r->checkpoint)->set &&
	    place_compare(end, checkpoint_mark(r->checkpoint)->place) < 0)
		checkpoint_set(r->checkpoint, end);
}

static void add_name(const struct reader *r, struct buffer *out)
{
	json_key(out, "checkpoint");
	json_text(out, checkpoint_name(r->checkpoint));
}

void reader_checkpoint_tell(const struct reader *r, struct buffer *out)
{
	if (r->checkpoint == NULL)
		return;
	add_name(r, out);
	if (r->resumed.set) {
		json_key(out, "resumed_after");
		place_to_json(r->resumed.place, r->stream[0] == '\0', out);
	}
	reader_checkpoint_tell_end(r, out);
}

void reader_checkpoint_tell_end(const struct reader *r, struct buffer *out)
{
	if (r->beyond_end)
		buffer_add_text(out, ",\"beyond_end\":true");
}

void reader_checkpoint_list(const struct reader *r, struct buffer *out)
{
	const struct checkpoint_mark *stored;

	if (r->checkpoint == NULL)
		return;
	add_name(r, out);
	stored = checkpoint_stored(r->checkpoint);
	if (!stored->set)
		return;
	json_key(out, "checkpoint_position");
	place_to_json(stored->place, r->stream[0] == '\0', out);
}
