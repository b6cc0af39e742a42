#include "store/catchup.h"

#include <stdlib.h>
#include <string.h>

#include "base/account.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/command.h"
#include "store/wire_write.h"

enum {
	PASSED_MOST = 1000, /* live events let pass for want of room, until the live subscription is
			       left */
	RETRY = 100,        /* milliseconds until a read that failed is tried again */
	KEEP_PAGE = 64 * 1024,
	PAGE_LARGE = 512 * 1024,   /* the next one is to have no more than this, */
	PAGE_IN_NEED = 256 * 1024, /* or this, where memory is short, */
	PAGE_BESIDE = 128 * 1024,  /* or this, while others ask for little, who wait behind it */
	FIRST_EVENTS = 32,         /* asked for while it is not known how large they are, */
	FIRST_BESIDE = 8,          /* or as many beside such others, */
	GROWTH = 4,                /* and as many times more than the last, at most, then */
};

/* The number of the event that ends a hard-deleted stream. */
#define DELETED INT64_MAX

/* What a read says of itself, whichever the message. */
enum page_result { PAGE_SUCCESS, PAGE_NO_STREAM, PAGE_DELETED, PAGE_ACCESS_DENIED, PAGE_ERROR };

/*
 * The messages that pages come in: the numbers of their fields, and the meaning of their results
 * (0: the message has no such field).
 */
struct page_kind {
	uint8_t request;
	uint8_t answer;
	uint8_t other_answer;
	uint32_t events, next_commit, next_prepare, last, end, result;
	enum page_result results[6];
};

enum { KIND_STREAM, KIND_ALL, KIND_FILTERED };

static const struct page_kind kinds[] = {
	[KIND_STREAM] = { CMD_READ_STREAM_EVENTS_FORWARD,
			  CMD_READ_STREAM_EVENTS_FORWARD_COMPLETED,
			  0,
			  1,
			  3,
			  0,
			  4,
			  5,
			  2,
			  { PAGE_SUCCESS, PAGE_NO_STREAM, PAGE_DELETED, PAGE_ERROR, PAGE_ERROR,
			    PAGE_ACCESS_DENIED } },
	[KIND_ALL] = { CMD_READ_ALL_EVENTS_FORWARD,
		       CMD_READ_ALL_EVENTS_FORWARD_COMPLETED,
		       0,
		       3,
		       4,
		       5,
		       0,
		       0,
		       6,
		       { PAGE_SUCCESS, PAGE_ERROR, PAGE_ERROR, PAGE_ACCESS_DENIED, PAGE_ERROR,
			 PAGE_ERROR } },
	/* 20.10 answers a filtered read that it denies with the other message (WIRE 7.8), of the
	   same results. */
	[KIND_FILTERED] = { CMD_FILTERED_READ_ALL_EVENTS_FORWARD,
			    CMD_FILTERED_READ_ALL_EVENTS_FORWARD_COMPLETED,
			    CMD_READ_ALL_EVENTS_FORWARD_COMPLETED,
			    3,
			    4,
			    5,
			    0,
			    6,
			    7,
			    { PAGE_SUCCESS, PAGE_ERROR, PAGE_ERROR, PAGE_ACCESS_DENIED, PAGE_ERROR,
			      PAGE_ERROR } },
};

struct redelivery {
	struct link link;
	struct place place;
};

static bool of_one_stream(const struct catchup *c)
{
	return c->key.stream[0] != '\0';
}

static const struct page_kind *kind_of(const struct catchup *c)
{
	return &kinds[of_one_stream(c)        ? KIND_STREAM
		      : c->key.filter.len > 0 ? KIND_FILTERED
					      : KIND_ALL];
}

/* The one place where the state changes. */
static void set_state(struct catchup *c, enum catchup_state state)
{
	if (state != CATCHUP_QUEUED && state != CATCHUP_READING)
		turn_end(&c->store->turns, &c->turn);
	c->state = state;
}

static void quiet(struct catchup *c)
{
	struct link *l;

	if (c->state == CATCHUP_IDLE)
		return;
	set_state(c, CATCHUP_IDLE);
	operation_cancel(&c->read);
	store_unwatch(&c->watcher);
	loop_clear_deadline(c->store->loop, &c->retry);
	job_cancel(&c->give);
	buffer_free(&c->read.frame);
	buffer_free(&c->page);
	while ((l = list_first(&c->redeliveries)) != NULL) {
		list_remove(l);
		free(CONTAINER(l, struct redelivery, link));
	}
}

void catchup_stop(struct catchup *c)
{
	quiet(c);
	live_leave(&c->listener);
}

bool catchup_leave(struct catchup *c)
{
	quiet(c);
	c->leaving = live_leave_politely(&c->listener);
	return c->leaving;
}

/* The bytes of PACKAGE stay what they are: they are the connection's. */
static void end(struct catchup *c, enum catchup_end why, const struct package *package)
{
	catchup_stop(c);
	c->events->ended(c, why, package);
}

/* The store has lost what it had ---------------------------------------------------------------- */

/* A follower may lag behind the leader: what it lacks counts as lost when that lasts. */
static bool is_lost(struct catchup *c)
{
	uint64_t now = loop_now(c->store->loop);

	if (c->short_since == 0)
		c->short_since = now;
	return c->require_master || now - c->short_since >= c->timeout_ms;
}

/* Goes on from where the store ends now, NEWEST being its newest event. */
static void start_anew(struct catchup *c, struct place newest, struct place next)
{
	log_write(LOG_WARNING,
		  "the store has lost events: it has less than before stream=%s had=%lld has=%lld",
		  of_one_stream(c) ? log_text(c->key.stream, strlen(c->key.stream)) : "$all",
		  (long long)c->had.commit, (long long)newest.commit);
	c->short_since = 0;
	c->known = c->had = newest;
	if (place_compare(c->next, next) > 0) {
		c->next = c->least = next;
		c->seen = !of_one_stream(c); /* what stands at that very position is old */
		c->last = newest;
	}
	if (!c->told_lost)
		c->events->lost(c, "data_lost");
	c->told_lost = false;
	if (c->state != CATCHUP_IDLE)
		c->events->resumed(c, true);
}

/* Reading --------------------------------------------------------------------------------------- */

static void write_read(struct catchup *c, struct buffer *b, struct place from, int32_t count)
{
	uint32_t field = 3;

	if (of_one_stream(c)) {
		wire_bytes(b, 1, c->key.stream, strlen(c->key.stream));
		wire_int(b, 2, from.commit);
	} else {
		wire_int(b, 1, from.commit);
		wire_int(b, 2, from.prepare);
	}
	wire_int(b, field++, count);
	if (c->key.filter.len > 0)
		wire_int(b, field++,
			 c->batch); /* max_search_window: events looked at for one page */
	wire_int(b, field++, c->key.resolve_link_tos);
	wire_int(b, field++, c->require_master);
	if (c->key.filter.len > 0)
		wire_bytes(b, field, c->key.filter.at, c->key.filter.len);
}

/* False where the store has no place for one more operation: it is tried again. */
static bool send_read(struct catchup *c, struct place from, int32_t count)
{
	const struct page_kind *kind = kind_of(c);
	struct guid id;
	size_t began;

	buffer_consume(&c->read.frame, buffer_len(&c->read.frame));
	guid_next(&id);
	c->read.answer = kind->answer;
	c->read.other_answer = kind->other_answer;
	c->read.repeatable = true;
	c->read.filtered = c->key.filter.len > 0;
	began = frame_begin(&c->read.frame, kind->request, &id, &c->key.credentials);
	write_read(c, &c->read.frame, from, count);
	if (frame_end(&c->read.frame, began) && operation_start(&c->read, &id, c->timeout_ms))
		return true;
	loop_set_deadline(c->store->loop, &c->retry, RETRY);
	return false;
}

/* It has its turn. */
static void ask_page(struct catchup *c)
{
	c->read_is_late = c->listener.begun;
	c->redelivering = false;
	/* Where there is no room one event is enough to tell how far the store is. */
	c->asked = c->events->room(c, 0) ? c->batch_now : 1;
	set_state(c, send_read(c, c->next, c->asked) ? CATCHUP_READING : CATCHUP_BEHIND);
}

static void on_turn(struct turn *t, bool granted)
{
	struct catchup *c = CONTAINER(t, struct catchup, turn);

	if (granted)
		ask_page(c);
	else
		set_state(c, CATCHUP_BEHIND);
}

static void read_page(struct catchup *c)
{
	if (turn_take(&c->store->turns, &c->turn, c->lane, c->page_bytes))
		ask_page(c);
	else
		set_state(c, CATCHUP_QUEUED);
}

static void read_again(struct catchup *c, const struct redelivery *r)
{
	c->redelivering = true;
	send_read(c, r->place, 1);
}

/* Goes on with whatever is due: an event that is wanted again, the rest of a page, the next page.
 */
void catchup_pump(struct catchup *c)
{
	/* Nothing is given between `lost` and `resumed`, which comes with a page. */
	const struct link *again = c->told_lost ? NULL : list_first(&c->redeliveries);

	if (c->read.state != OPERATION_IDLE || deadline_is_set(&c->retry))
		return;
	switch (c->state) {
	case CATCHUP_GIVING:
	case CATCHUP_BEHIND:
		if (again != NULL)
			read_again(c, CONTAINER(again, struct redelivery, link));
		else if (c->state == CATCHUP_GIVING)
			loop_put_off(c->store->loop, &c->give);
		else if (c->told_lost || c->page_is_last || c->events->room(c, 0))
			read_page(c); /* neither `resumed` nor the question whether that was all
					 waits for room */
		break;
	case CATCHUP_QUEUED: /* its turn comes by itself */
	case CATCHUP_IDLE:
	case CATCHUP_READING:
	case CATCHUP_JOINING:
	case CATCHUP_LIVE:
	case CATCHUP_LOST:
		break;
	}
}

/* The read will not come: it is sent again when the connection is there, at once or later. */
static void try_later(struct catchup *c)
{
	if (c->state == CATCHUP_READING)
		set_state(c, CATCHUP_BEHIND);
	loop_set_deadline(c->store->loop, &c->retry, RETRY);
}

static void on_retry(void *arg)
{
	catchup_pump(arg);
}

void catchup_redeliver(struct catchup *c, struct place place)
{
	struct redelivery *r = mem_new(sizeof(*r));

	link_init(&r->link);
	r->place = place;
	list_append(&c->redeliveries, &r->link);
	if (c->told_lost)
		return;
	/* What comes live meanwhile is later, and has to wait: it is let pass and read. */
	if (c->state == CATCHUP_LIVE || c->state == CATCHUP_JOINING || c->state == CATCHUP_QUEUED)
		set_state(c, CATCHUP_BEHIND);
	catchup_pump(c);
}

/* Giving ---------------------------------------------------------------------------------------- */

static bool is_new(const struct catchup *c, struct place place)
{
	return place_compare(place, c->next) >= 0 &&
	       (!c->seen || place_compare(place, c->last) > 0);
}

/* Servers from 22.10 on leave zeros out: an event of the log has a position, sent or not. */
static bool read_event(const struct catchup *c, struct span bytes, struct resolved_event *event)
{
	bool well = resolved_event_read(bytes, event);

	event->positioned = !of_one_stream(c);
	return well;
}

/* A position of the log is read from inclusively, and a number is followed by the next one. */
static void go_past(struct catchup *c, struct place place)
{
	c->seen = true;
	c->last = place;
	if (place_compare(place, c->known) > 0)
		c->known = place;
	c->next = c->least = of_one_stream(c) ? (struct place){ place.commit + 1, 0 } : place;
	c->told_deleted = false;
}

/* At the end of the pages ----------------------------------------------------------------------- */

static void be_live(struct catchup *c)
{
	set_state(c, CATCHUP_LIVE);
	c->noted.commit = -1;
	c->passed = 0;
	if (c->reached_end)
		return;
	c->reached_end = true;
	c->events->caught_up(c, c->page_last, c->next);
}

static void join(struct catchup *c)
{
	set_state(c, CATCHUP_JOINING);
	live_join(&c->listener, c->store, &c->key);
}

/* The log of all streams ends before what was read of it. The live subscription alone tells where
 * the log ends. */
static bool has_lost_log(const struct catchup *c)
{
	return !of_one_stream(c) && c->page_is_last && c->read_is_late &&
	       c->live_from < c->had.commit;
}

static void find_log_again(struct catchup *c)
{
	struct place end = { c->live_from, c->live_from };

	set_state(c, CATCHUP_BEHIND);
	if (is_lost(c)) {
		start_anew(c, end, end);
		catchup_pump(c);
	} else {
		live_leave(&c->listener); /* what it tells next time is news */
		try_later(c);
	}
}

/* Goes on where the store says; of one stream that may be before what was hidden for a time. */
static void go_to_next_page(struct catchup *c)
{
	if (of_one_stream(c) && place_compare(c->page_next, c->least) < 0)
		c->next = c->least;
	else if (of_one_stream(c) || place_compare(c->page_next, c->next) > 0)
		c->next = c->page_next;
}

/* Everything of a page is given. */
static void finish_page(struct catchup *c)
{
	go_to_next_page(c);
	buffer_consume(&c->page, buffer_len(&c->page));
	buffer_shrink(&c->page, KEEP_PAGE);
	if (c->page_is_last && c->listener.live == NULL) {
		join(c);
	} else if (c->page_is_last && !c->listener.begun) {
		set_state(c, CATCHUP_JOINING);
	} else if (has_lost_log(c)) {
		find_log_again(c);
	} else if (c->page_is_last && c->read_is_late &&
		   (c->noted.commit < 0 || !is_new(c, c->noted))) {
		be_live(c);
	} else {
		set_state(c, CATCHUP_BEHIND);
		catchup_pump(c);
	}
}

/* Has the next page take no more than about MOST bytes, after one that took PAGE. */
static void fit_batch(struct catchup *c, size_t page, size_t most)
{
	uint64_t count = page == 0 ? INT32_MAX : (uint64_t)c->asked * most / page;

	if (count < (uint64_t)c->batch_now)
		c->batch_now = count > 0 ? (int32_t)count : 1;
}

static size_t page_most(struct catchup *c)
{
	return turns_has_others(&c->store->turns) ? PAGE_BESIDE : PAGE_LARGE;
}

/* Chooses how many events the next page has, after one that took PAGE bytes: reading far ahead of a
 * reader takes memory, and holds up all others while it is looked at. */
static void choose_batch(struct catchup *c, size_t page)
{
	size_t most = c->store->settings.connection.frame_limit / 2;
	size_t large = page_most(c);
	int32_t longest = c->asked < c->batch_now ? c->batch_now : GROWTH * c->batch_now;

	if (most > large)
		most = large;
	c->batch_now = longest > c->batch ? c->batch : longest;
	fit_batch(c, page, most);
	c->page_bytes = (size_t)((uint64_t)page * (uint64_t)c->batch_now / (uint64_t)c->asked);
	if (c->page_bytes < TURN_FREE)
		c->page_bytes = TURN_FREE;
}

/* Memory is short, and the reader has no room: the rest of a page is let go, and read again in
 * smaller ones. `next` stands behind the last event given. */
static void let_go(struct catchup *c)
{
	size_t page = buffer_len(&c->page);

	if (c->state != CATCHUP_GIVING || page <= KEEP_PAGE)
		return;
	job_cancel(&c->give);
	set_state(c, CATCHUP_BEHIND);
	c->page_is_last = false;
	fit_batch(c, page, PAGE_IN_NEED);
	buffer_consume(&c->page, page);
	buffer_shrink(&c->page, KEEP_PAGE);
}

/*
 * Gives what is left of a page, as far as there is room. Runs at the end of a turn of the loop: it
 * is asked for from inside the owner's own calls.
 */
static void on_give(void *arg)
{
	struct catchup *c = arg;
	const struct page_kind *kind = kind_of(c);
	struct resolved_event event;
	struct wire_field f = { .number = 0 };

	while (c->state == CATCHUP_GIVING && list_empty(&c->redeliveries) &&
	       c->read.state == OPERATION_IDLE) {
		struct wire before = c->page_at;

		if (!wire_next(&c->page_at, &f)) {
			finish_page(c);
			return;
		}
		if (f.number != kind->events)
			continue;
		read_event(c, f.bytes, &event); /* the page was found good as it came */
		if (!is_new(c, place_of(&event, of_one_stream(c))))
			continue;
		if (!c->events->room(c, f.bytes.len)) {
			c->page_at = before;
			if (account_is_short())
				let_go(c);
			return;
		}
		go_past(c, place_of(&event, of_one_stream(c)));
		c->events->event(c, &event, c->last, 0);
	}
	catchup_pump(c);
}

/* Pages come ------------------------------------------------------------------------------------ */

/* What a page says of itself. */
struct page_facts {
	enum page_result result;
	struct place next;
	int64_t last;
	bool is_last;
};

/* Reads all of a page but its events, of which it only looks whether they are events. False where
 * the bytes are no page. */
static bool look_at_page(const struct page_kind *kind, struct span bytes, struct page_facts *facts)
{
	struct resolved_event event;
	struct wire w;
	struct wire_field f = { .number = 0 };
	uint64_t number = 0;

	/* Zeros are left out. */
	*facts = (struct page_facts){ .last = kind->last != 0 ? 0 : -1, .is_last = kind->end == 0 };
	wire_start(&w, bytes.at, bytes.len);
	while (wire_next(&w, &f)) {
		if (f.number == kind->events) {
			if (f.type != WIRE_BYTES || !resolved_event_read(f.bytes, &event) ||
			    (!event.event.present && !event.link.present))
				return false;
			facts->is_last = facts->is_last && kind->end != 0;
		} else if (f.type != WIRE_VARINT) {
			continue;
		} else if (f.number == kind->result) {
			number = f.value;
		} else if (f.number == kind->next_commit) {
			facts->next.commit = (int64_t)f.value;
		} else if (f.number == kind->next_prepare) {
			facts->next.prepare = (int64_t)f.value;
		} else if (f.number == kind->last) {
			facts->last = (int64_t)f.value;
		} else if (f.number == kind->end) {
			facts->is_last = f.value != 0;
		}
	}
	facts->result = number < 6 ? kind->results[number] : PAGE_ERROR;
	facts->is_last = facts->is_last || facts->result == PAGE_NO_STREAM;
	return !w.broken;
}

/* False, with C ended, where what came is no page, or one that says that the store will not. */
static bool is_good_page(struct catchup *c, const struct package *package, struct page_facts *facts)
{
	struct span bytes = { package->payload, package->payload_len };
	/* A denied filtered read may come in the message of the unfiltered one. */
	const struct page_kind *kind =
		package->command == kind_of(c)->answer ? kind_of(c) : &kinds[KIND_ALL];

	if (!look_at_page(kind, bytes, facts))
		end(c, CATCHUP_BROKEN, package);
	else if (facts->result == PAGE_ACCESS_DENIED)
		end(c, CATCHUP_REFUSED_ACCESS, package);
	else if (facts->result == PAGE_ERROR)
		end(c, CATCHUP_FAILED, package);
	else
		return true;
	return false;
}

/* No stream, although it had events: they are all deleted, and their numbers will not come again.
 */
static void take_no_stream(struct catchup *c)
{
	c->page_next = (struct place){ c->page_last + 1, 0 };
	if (c->page_last < 0 || c->told_deleted)
		return;
	c->told_deleted = true;
	c->events->soft_deleted(c);
}

/* The stream ends before what was known to be in it. False where it has to be read once more. */
static bool take_short_page(struct catchup *c)
{
	struct place newest = { c->page_last, 0 };

	if (!is_lost(c)) {
		c->page_is_last = true; /* so that it is read, room or not */
		try_later(c);
		return false;
	}
	start_anew(c, newest, (struct place){ c->page_last + 1, 0 });
	return c->state != CATCHUP_IDLE;
}

/* Tells the owner how far it is. False where it has been ended by that. */
static bool tell_progress(struct catchup *c)
{
	if (!c->begun) {
		c->begun = true;
		c->events->begun(c, c->page_last);
	} else if (c->told_lost) {
		c->told_lost = false;
		c->events->resumed(c, false);
	}
	return c->state != CATCHUP_IDLE;
}

static void take_page(struct catchup *c, const struct package *package)
{
	struct span bytes = { package->payload, package->payload_len };
	struct page_facts facts;

	if (!is_good_page(c, package, &facts))
		return;
	c->page_next = facts.next;
	c->page_last = facts.last;
	c->page_is_last = facts.is_last;
	/* Nothing up to the end may be seen, nor what is written next ($tb), unless that changes.
	 */
	if (of_one_stream(c) && facts.last < INT64_MAX && facts.next.commit > facts.last + 1) {
		c->page_next.commit = facts.last + 1;
		c->page_is_last = true;
	}
	if (of_one_stream(c) && c->page_last < c->had.commit) {
		if (!take_short_page(c))
			return;
	} else if (of_one_stream(c)) {
		c->known.commit = c->page_last;
	}
	if (!tell_progress(c))
		return;
	if (facts.result == PAGE_DELETED) {
		end(c, CATCHUP_STREAM_DELETED, NULL);
		return;
	}
	if (facts.result == PAGE_NO_STREAM)
		take_no_stream(c);
	choose_batch(c, bytes.len);
	buffer_add(&c->page, bytes.at, bytes.len);
	if (c->page.failed) {
		end(c, CATCHUP_NO_MEMORY, NULL);
		return;
	}
	wire_start(&c->page_at, buffer_at(&c->page), buffer_len(&c->page));
	set_state(c, CATCHUP_GIVING);
	on_give(c);
}

/* The answer to read_again(). The event may be gone: then the page begins with a later one, or has
 * none. */
static void take_again(struct catchup *c, const struct package *package)
{
	struct redelivery *r = CONTAINER(c->redeliveries.next, struct redelivery, link);
	struct place place = r->place;
	struct resolved_event event;
	const struct resolved_event *found = NULL;
	struct page_facts facts;
	struct wire w;
	struct wire_field f = { .number = 0 };

	if (!is_good_page(c, package, &facts))
		return;
	list_remove(&r->link);
	free(r);
	wire_start(&w, package->payload, package->payload_len);
	while (found == NULL && wire_next(&w, &f)) {
		if (f.number != kind_of(c)->events || f.type != WIRE_BYTES ||
		    !read_event(c, f.bytes, &event))
			continue;
		if (place_compare(place_of(&event, of_one_stream(c)), place) == 0)
			found = &event;
	}
	c->events->redelivered(c, found, place);
	catchup_pump(c);
}

int64_t catchup_newest(const struct catchup *c)
{
	int64_t newest = c->page_last;

	if (!c->begun || !of_one_stream(c))
		return -1;
	if (newest < c->noted.commit)
		newest = c->noted.commit;
	return newest < c->next.commit - 1 && c->seen ? c->next.commit - 1 : newest;
}

static enum catchup_end end_of_too_large(const struct catchup *c)
{
	return connection_is_starved(c->store->connection) ? CATCHUP_NO_MEMORY : CATCHUP_TOO_LARGE;
}

/* The page was too large for a frame: half as many events are asked for. */
static void read_less(struct catchup *c)
{
	if (c->redelivering || c->asked == 1) {
		end(c, end_of_too_large(c), NULL);
		return;
	}
	c->batch_now = c->asked / 2;
	log_write(LOG_INFO,
		  "a page of events was larger than what is taken in, reading less events=%d",
		  (int)c->batch_now);
	set_state(c, CATCHUP_BEHIND);
	read_page(c);
}

static void on_read_ended(struct operation *op, enum operation_end how,
			  const struct package *package)
{
	struct catchup *c = CONTAINER(op, struct catchup, read);

	switch (how) {
	case OPERATION_ANSWERED:
		if (c->redelivering)
			take_again(c, package);
		else
			take_page(c, package);
		break;
	case OPERATION_BAD_REQUEST:
		end(c, CATCHUP_REFUSED_REQUEST, package);
		break;
	case OPERATION_NOT_AUTHENTICATED:
		end(c, CATCHUP_REFUSED_LOGIN, package);
		break;
	case OPERATION_NOT_HANDLED:
		end(c, CATCHUP_REFUSED_NODE, package);
		break;
	case OPERATION_UNEXPECTED:
		end(c, CATCHUP_BROKEN, package);
		break;
	case OPERATION_TOO_LARGE:
		read_less(c);
		break;
	case OPERATION_UNAVAILABLE:
	case OPERATION_TIMEOUT:
	case OPERATION_LOST:
		try_later(c);
		break;
	case OPERATION_CANCELLED:
		break;
	}
}

/* Live events come ------------------------------------------------------------------------------ */

void catchup_begin_after(struct catchup *c, struct place last)
{
	c->next = of_one_stream(c)  ? (struct place){ last.commit + 1, 0 }
		  : last.commit < 0 ? (struct place){ 0, 0 }
				    : last;
	c->least = c->next;
	c->seen = !of_one_stream(c); /* what stands at that very position of the log is old */
	c->last = last;
}

/* The next event wanted is the one after LAST, the newest there is. */
static void start_after(struct catchup *c, struct place last)
{
	catchup_begin_after(c, last);
	c->known = last;
	be_live(c);
}

/* The first time, where it begins at the end; LAST is where that is. */
static void begin_at(struct catchup *c, struct place last)
{
	c->page_last = of_one_stream(c) ? last.commit : -1;
	c->begun = true;
	c->events->begun(c, c->page_last);
	if (c->state == CATCHUP_IDLE)
		return;
	if (of_one_stream(c) && last.commit == DELETED) {
		end(c, CATCHUP_STREAM_DELETED, NULL);
		return;
	}
	start_after(c, last);
}

/*
 * After a loss, where it follows: everything up to LAST has passed. Where that is before what was
 * given, the store has lost its data and begins anew.
 */
static void follow_from(struct catchup *c, struct place last)
{
	bool gap = of_one_stream(c) ? last.commit != c->next.commit - 1
				    : place_compare(last, c->last) != 0;

	c->told_lost = false;
	c->events->resumed(c, gap);
	if (c->state != CATCHUP_IDLE)
		start_after(c, last);
}

static void on_begun(struct live_listener *l, struct place last)
{
	struct catchup *c = CONTAINER(l, struct catchup, listener);

	c->live_from = last.commit;
	if (!c->begun) {
		begin_at(c, last);
	} else if (c->follows && c->told_lost) {
		follow_from(c, last);
	} else if (c->state == CATCHUP_JOINING) {
		set_state(c, CATCHUP_BEHIND);
		catchup_pump(c);
	}
}

/* Live events that were let pass are no longer waited for; that they exist stays known. */
static void forget_passed(struct catchup *c)
{
	c->page_last = catchup_newest(c);
	c->passed = 0;
	c->noted.commit = -1;
}

static void let_pass(struct catchup *c, struct place place)
{
	c->noted = place;
	/* While nothing is read, the store need not go on sending what nobody takes. */
	if (++c->passed > PASSED_MOST && c->state != CATCHUP_READING) {
		live_leave(&c->listener);
		forget_passed(c);
	}
}

static void on_live_event(struct live_listener *l, const struct live_event *e)
{
	struct catchup *c = CONTAINER(l, struct catchup, listener);

	if (c->state != CATCHUP_LIVE) {
		let_pass(c, e->place);
		return;
	}
	if (!is_new(c, e->place))
		return;
	if (of_one_stream(c) && e->place.commit == DELETED) {
		end(c, CATCHUP_STREAM_DELETED, NULL);
		return;
	}
	if (!c->events->room(c, account_is_short() ? resolved_event_bytes(e->event) : 0)) {
		set_state(c, CATCHUP_BEHIND);
		let_pass(c, e->place);
		return;
	}
	go_past(c, e->place);
	c->events->event(c, e->event, e->place, e->serial);
}

/* The live subscription alone was dropped, or goes with the connection: it comes again by itself.
 */
static void on_live_lost(struct live_listener *l)
{
	struct catchup *c = CONTAINER(l, struct catchup, listener);

	if (c->state == CATCHUP_LIVE)
		set_state(c, CATCHUP_JOINING);
}

static void on_live_ended(struct live_listener *l, enum subscription_end why,
			  const struct package *package)
{
	static const enum catchup_end ends[] = {
		[SUBSCRIPTION_UNSUBSCRIBED] = CATCHUP_BROKEN,
		[SUBSCRIPTION_ACCESS_DENIED] = CATCHUP_REFUSED_ACCESS,
		[SUBSCRIPTION_NOT_FOUND] = CATCHUP_BROKEN,
		[SUBSCRIPTION_DELETED] = CATCHUP_BROKEN,
		[SUBSCRIPTION_TOO_MANY] = CATCHUP_BROKEN,
		[SUBSCRIPTION_BAD_REQUEST] = CATCHUP_REFUSED_REQUEST,
		[SUBSCRIPTION_NOT_AUTHENTICATED] = CATCHUP_REFUSED_LOGIN,
		[SUBSCRIPTION_NOT_HANDLED] = CATCHUP_REFUSED_NODE,
		[SUBSCRIPTION_UNEXPECTED] = CATCHUP_BROKEN,
	};
	struct catchup *c = CONTAINER(l, struct catchup, listener);

	if (c->leaving) {
		c->leaving = false;
		c->events->left(c);
	} else {
		end(c, why == SUBSCRIPTION_TOO_LARGE ? end_of_too_large(c) : ends[why], package);
	}
}

static const struct live_events live_events = {
	.begun = on_begun,
	.event = on_live_event,
	.lost = on_live_lost,
	.ended = on_live_ended,
};

/* The connection -------------------------------------------------------------------------------- */

/* The rest of a page is let go: `next` stands behind the last event given. */
static void on_lost(struct watcher *w)
{
	struct catchup *c = CONTAINER(w, struct catchup, watcher);

	c->had = c->known;
	c->short_since = 0;
	operation_cancel(&c->read);
	loop_clear_deadline(c->store->loop, &c->retry);
	job_cancel(&c->give);
	buffer_consume(&c->page, buffer_len(&c->page));
	forget_passed(c);
	set_state(c, CATCHUP_LOST);
	if (c->begun && !c->told_lost) {
		c->told_lost = true;
		c->events->lost(c, "connection_lost");
	}
}

/* Whoever has room is about to be given what it reads. */
static void on_relieve(struct watcher *w)
{
	struct catchup *c = CONTAINER(w, struct catchup, watcher);

	if (!c->events->room(c, buffer_len(&c->page)))
		let_go(c);
}

static void on_ready(struct watcher *w)
{
	struct catchup *c = CONTAINER(w, struct catchup, watcher);

	if (c->state != CATCHUP_LOST)
		return;
	if ((!c->begun && c->from_end) || c->follows) {
		set_state(c,
			  CATCHUP_JOINING); /* the live subscription is asked for again by itself */
		return;
	}
	set_state(c, CATCHUP_BEHIND);
	catchup_pump(c);
}

void catchup_start(struct catchup *c, struct store *store)
{
	c->store = store;
	c->watcher.ready = on_ready;
	c->watcher.lost = on_lost;
	c->watcher.relieve = on_relieve;
	c->listener.events = &live_events;
	c->read.ended = on_read_ended;
	c->noted.commit = -1;
	c->live_from = -1;
	c->known.commit = c->had.commit = -1;
	c->batch_now = turns_has_others(&store->turns) ? FIRST_BESIDE : FIRST_EVENTS;
	if (c->batch_now > c->batch)
		c->batch_now = c->batch;
	c->page_bytes = page_most(c);
	c->read.has_turn = true;
	c->least = c->next;
	operation_init(&c->read, store);
	deadline_init(&c->retry, on_retry, c);
	job_init(&c->give, on_give, c);
	link_init(&c->redeliveries);
	turn_init(&c->turn, on_turn);
	store_watch(store, &c->watcher);
	if (c->from_end) {
		join(c);
		return;
	}
	set_state(c, CATCHUP_BEHIND);
	read_page(c);
}
