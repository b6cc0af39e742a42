/*
 * A session is what the bridge knows of one local client: where its lines go, what it has asked
 * for, and its subscriptions. The client's socket is the local room's.
 *
 * Requests outlive sessions. When the client goes, they only forget it: a write is still finished
 * and counted.
 */
#ifndef ESBRIDGE_BRIDGE_SESSION_H
#define ESBRIDGE_BRIDGE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/account.h"
#include "base/buffer.h"
#include "base/idtable.h"
#include "base/list.h"
#include "base/loop.h"
#include "bridge/answer.h"
#include "bridge/message.h"
#include "bridge/metrics.h"
#include "store/store.h"
#include "store/wire_read.h"

struct bridge_settings {
	uint32_t operation_timeout; /* milliseconds, where a request says nothing */
	unsigned depth;             /* of JSON, in and out */
	size_t output_pause;        /* unread bytes at which subscriptions wait for the client */
	size_t output_cap;          /* and at which it gets nothing large any more */
	uint32_t slow_operation;    /* milliseconds; 0: none is */
	bool require_master;
	bool read_only;
};

/*
 * An event as its pushes have it from `"event"` on: made once for each form of the payload, and
 * copied to every reader of the same live subscription.
 */
struct rendering {
	uint64_t serial; /* of the live event; 0: none */
	struct buffer text;
};

enum { RENDERINGS = 3 }; /* one for each enum payload_mode */

struct checkpoints;
struct execute;

/* What all sessions share. */
struct bridge {
	struct loop *loop;
	struct store *store;
	struct checkpoints *checkpoints;
	struct bridge_settings settings;
	uint32_t requests;        /* begun and not ended, of clients that are gone too */
	uint32_t busy;            /* sessions that have requests in flight */
	uint64_t shared_until_us; /* until then more than one is taken to have, */
	uint64_t light_until_us;  /* and one of them no more than a few */
	struct {
		uint64_t us;        /* the quickest answer of the store, of the last second, */
		uint64_t now_us;    /* and of this one so far; 0: none */
	} quickest[MESSAGE_MANAGE]; /* to little that reads or writes, by what it does */
	uint64_t second_ends_us;    /* that one does */
	uint64_t answered_us;       /* when the store last has answered one */
	uint64_t executed;          /* executes taken up since the start */
	struct bridge_counters counters;
	struct rendering renderings[RENDERINGS];
	struct idtable correlations; /* those that clients have chosen, of requests not ended */
	struct execute *spares;      /* requests that have ended, to be used again */
	unsigned spare_count;
};

/* Events given to clients since the start. */
uint64_t bridge_pushed(const struct bridge *bridge);

/* Frees what the bridge itself has allocated. */
void bridge_free(struct bridge *bridge);

struct session;
struct message;
struct screen;

/*
 * What asks, for a client that may not do everything, whether it may: the local room knows who it
 * is. Whatever is false has been refused by an answer to ID.
 */
struct session_bounds {
	/* May S send MESSAGE about STREAM, or else about transaction TRANSACTION? */
	bool (*message)(struct session *s, const struct request_id *id,
			const struct message *message, struct span stream, int64_t transaction);
	/* S has begun transaction TRANSACTION for STREAM. */
	void (*began)(struct session *s, struct span stream, int64_t transaction);
	/* May S know of the checkpoint NAME of STREAM ("": all; NULL: of none yet)? */
	bool (*checkpoint)(const struct session *s, const char *name, const char *stream);
	/* It may not, and has asked for it. */
	void (*refuse_checkpoint)(struct session *s, const struct request_id *id);
};

/*
 * How many events a second all sessions that share it may be given, and write, together. Each event
 * takes its time, which is paid when it has passed: whoever has had one waits until then with
 * whatever is next, and nothing is refused. What is not used is kept for one second.
 */
struct meter {
	uint32_t rate;      /* events a second, from 1 to 1000000 */
	uint64_t paid_till; /* microseconds of loop_now_us(): all that was had is paid then */
};

struct session_events {
	/* Lines were added to `out`. */
	void (*wrote)(struct session *session);
	/* A request or a subscription has ended: another may be taken up, or the client may be
	 * done. */
	void (*eased)(struct session *session);
	/* False where the client has gone, which is not noticed while it is not read from. */
	bool (*is_there)(struct session *session);
	/* The session waits (`waits` is set) until session_go_on(), which is to be called in MS. */
	void (*waits)(struct session *session, uint64_t ms);
};

struct session {
	struct bridge *bridge;
	const struct session_events *events;
	const struct session_bounds *bounds; /* NULL: none */
	const struct screen *screen;         /* for all that it is given; NULL: none */
	struct meter *meter;                 /* NULL: none */
	bool waits;                          /* for the meter: nothing is taken up, nor given */
	uint32_t subscriptions_most;
	struct buffer *out; /* the client's; whole lines are added */
	unsigned number;    /* of the client in the log */
	struct link requests;
	uint32_t in_flight; /* length of that list */
	size_t asked;       /* bytes of the packages of those requests, */
	size_t expected;    /* and about as many of the answers to those that read pages */
	size_t event_bytes; /* of such an answer, for each event that was asked for, about */
	struct lane lane;   /* of all that is large and asked of the store for it */
	struct link held;   /* reads whose answer had no room; asked again by session_resume() */
	size_t awaited;     /* bytes of those answers that are asked for again, and have not come */
	bool hungry;        /* something waits for room in the output: session_resume() is wanted */
	struct link subscriptions;
	uint32_t subscription_count;
	uint64_t subscriptions_made; /* for the names that the daemon gives */
};

void session_init(struct session *s, struct bridge *bridge, const struct session_events *events,
		  struct buffer *out, unsigned number);

/* True where S has so much unread output, or the process so little memory left, that no answer of
 * about BYTES is added. */
static inline bool session_is_full(const struct session *s, size_t bytes)
{
	size_t waits = buffer_len(s->out);

	if (!account_is_short())
		return waits > s->bridge->settings.output_cap;
	return waits > s->bridge->settings.output_pause ||
	       (bytes > ACCOUNT_LARGE && (waits > 0 || account_is_spent()));
}

/* Milliseconds after which a share may be another: nothing else need tell that it is. */
enum { SHARE_LASTS = 20 };

/*
 * How many requests S may have in flight at NOW, in microseconds of the loop's clock. While others
 * have some too, it is a share of as many as keep the store busy: who asks for little waits behind
 * all of them. Where the store is far away these are more, and where it does not answer nobody has
 * to wait for somebody else: UINT32_MAX.
 */
uint32_t session_share(const struct session *s, uint64_t now);

/* True while sessions have shares, that is, while more than one has requests in flight. */
bool bridge_is_shared(const struct bridge *bridge, uint64_t now);

/* S, which had nothing in flight, has asked for all it has to ask for. Where that is little, those
 * who ask for much make way for a while. */
void session_asks_no_more(const struct session *s);

/* True while those who ask for much are to make way for one who asks for little: they are taken up
 * by a few requests at a time, each in its turn. */
bool bridge_makes_way(const struct bridge *bridge, uint64_t now);

/*
 * False where they wait for the store, which has enough left to do of what it was sent. BRIDGE is a
 * struct bridge. It becomes true with an answer of the store, or within SHARE_LASTS ms.
 */
bool bridge_has_room(void *bridge);

/* An answer of the store to a request that does KIND has come at NOW, TOOK microseconds after the
 * request; both together have BYTES. */
void bridge_answered(struct bridge *bridge, enum message_kind kind, size_t bytes, uint64_t took,
		     uint64_t now);

/* Counts EVENTS that S was given, or writes. */
void session_pay(struct session *s, uint64_t events);

static inline void session_count(struct session *s, uint64_t events)
{
	if (s->meter != NULL)
		session_pay(s, events);
}

/* S has METER, or NULL for none, from now on, and waits for nothing. */
void session_set_meter(struct session *s, struct meter *meter);

/* What S waited for has passed. */
void session_go_on(struct session *s);

/* True where a subscription may push more; if not, it waits for session_resume(). */
static inline bool session_has_room(struct session *s)
{
	if (!s->waits && buffer_len(s->out) <= s->bridge->settings.output_pause)
		return true;
	s->hungry = true;
	return false;
}

/* The client has read most of its output: what was held back for it is asked for again. */
void session_resume(struct session *s);

/* The client is gone: its subscriptions end at the store, its requests forget it. */
void session_end(struct session *s);

/* A request under way. Embedded in what a kind of request needs, all of whose memory is zero at
 * first; begun with request_begin(). */
struct request {
	struct bridge *bridge;
	struct session *session; /* NULL once the client is gone */
	struct link link;
	struct link held;                 /* on the session's list of that name, or on none */
	void (*again)(struct request *r); /* for a request that is held, or waits for its turn */
	size_t size;                      /* of its answer */
	size_t awaited;                   /* what of `awaited` of the session is for it */
	struct request_id id;
	unsigned client;  /* its number in the log, also when it is gone */
	size_t bytes;     /* of its package, counted in `asked` of the session */
	size_t expected;  /* of its answer, counted in `expected`; 0 where it reads no page */
	uint32_t count;   /* of the events that it asks for, where it reads one */
	struct turn turn; /* to be asked of the store, where it is likely to be large */
};

/* R, which has begun, is answered by a page of up to COUNT events of the store. Lines wait while
 * more is expected than the client may have unread: what is not asked for needs no room. */
void request_expect_page(struct request *r, uint32_t count);

/*
 * True where R, which reads a page, may be sent to the store; where it has to wait for its turn,
 * COME is called then, and AGAIN where its client goes before that.
 */
bool request_take_turn(struct request *r, void (*come)(struct turn *t, bool granted),
		       void (*again)(struct request *r));

/* A page of BYTES has come for R. */
void request_count_page(struct request *r, size_t bytes);

/* BYTES: of the package that it sends to the store. */
void request_begin(struct request *r, struct session *s, const struct request_id *id, size_t bytes);

/* Where the answer goes, or NULL where nobody waits for it. */
static inline struct buffer *request_out(const struct request *r)
{
	return r->session == NULL ? NULL : r->session->out;
}

/* Holds R, whose answer of SIZE bytes has no room in its client's output, until session_resume():
 * then AGAIN is called. */
void request_hold(struct request *r, size_t size, void (*again)(struct request *r));

/* Nobody reads what S is given any more: reads that are held are not asked again. */
void session_forget_held(struct session *s);

/* Ends R, which has been answered or has nobody to be answered to. */
void request_end(struct request *r);

/* Answers R with an error and ends it. */
void request_fail(struct request *r, enum error_code code, enum outcome outcome, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));

/* Answers a request that was never begun. */
void session_refuse(struct session *s, const struct request_id *id, enum error_code code,
		    enum outcome outcome, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

#endif
