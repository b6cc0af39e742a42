/*
 * What the parts of the reader share: its life in reader.c, groups in reader_group.c, live and
 * catch-up subscriptions in reader_follow.c, acknowledgements in reader_ack.c, checkpoints in
 * reader_checkpoint.c. For these files alone.
 */
#ifndef ESBRIDGE_BRIDGE_READER_PARTS_H
#define ESBRIDGE_BRIDGE_READER_PARTS_H

#include "base/json_write.h"
#include "bridge/checkpoint_ops.h"
#include "bridge/outstanding.h"
#include "bridge/reader.h"
#include "store/catchup.h"

enum { NACK_RETRY = 2, NACK_SKIP = 3 }; /* of the store's NakAction */

#define TEXT_EVENT_TOO_LARGE \
	"an event is longer than the package that esbridge takes from the store (store.frame_limit)"

struct reader {
	struct link link; /* on the session's subscriptions */
	struct session *session;
	enum reader_mode mode;
	char *name;
	char *stream;   /* "": all */
	char *group;    /* of a persistent one */
	size_t charged; /* to the account, for these texts and itself */
	int32_t window; /* 0: no acknowledgements are expected */
	struct render render;
	bool own_credentials; /* the request has brought them */

	struct request subscribing; /* until the store has accepted it */
	struct request leaving;     /* while `unsubscribe` waits for the store */
	bool is_subscribing;
	bool is_leaving;
	bool leave_when_confirmed; /* `unsubscribe` came before */
	bool interrupted;          /* the client was told, and not yet that it goes on */
	struct deadline time;      /* of the request under way */

	struct subscription subscription; /* a persistent one: to the group */
	struct deadline again;            /*   when to ask for it again after a drop */
	struct buffer group_id;           /*   what acks carry: stream::group, as confirmed */
	struct buffer acks;               /*   ids acknowledged in this turn of the loop */
	struct job flush;
	struct outstanding held; /*   delivered while the client's output was full: not given */
	struct deadline release; /*   when more of that is to come again */
	struct catchup catchup;  /* any other */
	struct buffer filter;    /*   its filter as the store takes it; empty: none */
	struct buffer push;      /* how the push of an event begins: {"push":"event","sub":… */
	struct checkpoint *checkpoint;  /*   held, or NULL */
	struct checkpoint_mark resumed; /*   where that stood at first */
	bool beyond_end;                /*   the store ends before that */

	struct outstanding outstanding;
	uint64_t delivered;
	uint64_t acked;
	uint64_t retried;  /* nacks with retry */
	bool moved;        /* an event was delivered: */
	struct place last; /*   the place of the last one */
	int64_t newest;    /* of a group: the highest number of its stream that was heard of */
};

/* Begins the push of an event, as reader_push() does. */
static inline struct buffer *reader_push_event(struct reader *r)
{
	struct buffer *out = r->session->out;

	buffer_add(out, buffer_at(&r->push), buffer_len(&r->push));
	out->failed |= r->push.failed;
	return out;
}

/* Begins a push; members may be added to what it returns until reader_push_end(). */
struct buffer *reader_push(struct reader *r, const char *what);
void reader_push_end(struct reader *r);

void reader_push_interrupted(struct reader *r, const char *reason);
void reader_push_resumed(struct reader *r, bool gap);

/* Counts EVENT, which stands at PLACE, as delivered. NEW: it came live, and for the first time. */
void reader_count(struct reader *r, const struct resolved_event *event, struct place place,
		  bool is_new);

/* The store has accepted the subscription: answers `subscribe`. NUMBERED: LAST is the number of the
 * stream's newest event. */
void reader_accepted(struct reader *r, bool numbered, int64_t last);

/* Tells the client that R is over, by the answer that it waits for or by a push, and ends it.
 * REASON: of the push. */
void reader_drop(struct reader *r, enum error_code code, const char *reason, const char *text);

/* How the end of a subscription at the store is told: as an error of `subscribe`, or as a `dropped`
 * push. */
struct refusal {
	enum error_code code;
	const char *reason; /* of the push; NULL: the name of the code */
	const char *text;   /* the message of the error */
	bool quotes;        /* the package carries a text of the server, which is added to that */
};

/* Drops R as REFUSAL says. PACKAGE is what ended it, or NULL. */
void reader_refuse(struct reader *r, const struct refusal *refusal, const struct package *package);

/* Answers `unsubscribe` and ends R. */
void reader_left(struct reader *r);

/* Each kind: begins at the store; asks to leave (true: the answer comes later); ends silently. */
void group_begin(struct reader *r, const struct subscribe_arguments *a);
bool group_leave(struct reader *r);
void group_end(struct reader *r);
void follow_begin(struct reader *r, const struct subscribe_arguments *a);
bool follow_leave(struct reader *r);
void follow_end(struct reader *r);

/* Holds the checkpoint that A names. False with the reason in REFUSAL. */
bool reader_checkpoint_hold(struct reader *r, const struct subscribe_arguments *a,
			    struct checkpoint_refusal *refusal);

/* Gives it up, if there is one. False where the position could not be stored. */
bool reader_checkpoint_release(struct reader *r);

/* ACKS more deliveries are done. */
void reader_checkpoint_move(struct reader *r, uint32_t acks);

/* The store has accepted R, and the stream ends with event LAST; R has caught up with END. False
 * where the checkpoint cannot be stored, and R was dropped for that. */
bool reader_checkpoint_begun(struct reader *r, int64_t last);
bool reader_checkpoint_caught_up(struct reader *r, struct place end);

/* The store has lost events, and R goes on from where it ends now: so does the checkpoint. */
void reader_checkpoint_data_lost(struct reader *r);

/* Adds what concerns the checkpoint to the answer of `subscribe`, to `caught_up`, to `status`. */
void reader_checkpoint_tell(const struct reader *r, struct buffer *out);
void reader_checkpoint_tell_end(const struct reader *r, struct buffer *out);
void reader_checkpoint_list(const struct reader *r, struct buffer *out);

/* A word for `status`. */
const char *group_state(const struct reader *r);
const char *follow_state(const struct reader *r);

/* True where the store has been asked, so that silence is its fault. */
bool group_is_asked(const struct reader *r);
bool follow_is_asked(const struct reader *r);

/* Sends the acks of this turn; hands back what is outstanding; has what was held delivered again,
 * now that there is room. Of a group. */
void group_flush(struct reader *r);
void group_give_back(struct reader *r);
void group_resume(struct reader *r);

/* How often the store was asked for the subscription since it was last confirmed. */
uint32_t group_asked(const struct reader *r);
uint32_t follow_asked(const struct reader *r);

/* There is room in the client's output again. */
void follow_resume(struct reader *r);

/* The subscription named NAME on S, or NULL. */
struct reader *reader_find(const struct session *s, const char *name);

#endif
