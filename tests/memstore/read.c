/*
 * ReadEvent and ReadStreamEvents in both directions.
 */
#include "read.h"
#include "handlers.h"
#include "reply.h"

enum { PAGE_EVENTS_MOST = 4096 };

static const char text_too_many[] = "A page has at most 4096 events.";

bool resolve(const struct store *store, const struct user *user, const struct record *record,
	     bool resolve_links, int64_t now, struct resolved *resolved)
{
	struct span name;
	int64_t number;

	*resolved = (struct resolved){ .event = record };
	if (!resolve_links || !record->link)
		return true;
	if (link_target(record, &name, &number)) {
		*resolved = (struct resolved){ .link = record };
		const struct stream *stream = store_find(store, name);

		if (store->traits->checks_links &&
		    !access_allowed(store, user, name, stream, ACTION_READ))
			return false;
		resolved->event = stream_event(stream, number, now);
	} else if (store->traits->follows_rubbish) {
		*resolved = (struct resolved){ .link = record };
	}
	return true;
}

const char *page_size_error(int32_t max_count)
{
	return max_count > PAGE_EVENTS_MOST ? text_too_many : NULL;
}

/* ReadEvent ------------------------------------------------------------------------------------ */

typedef Es__ReadEventCompleted__ReadEventResult event_result;

#define EVENT_RESULT(name) ES__READ_EVENT_COMPLETED__READ_EVENT_RESULT__##name

/* A stream that is there but has no metadata is a success without an event. */
static event_result missing(const struct store *store, struct span name, event_result result)
{
	struct span described = { name.at + 2, name.len - 2 };

	if (is_metastream_name(name) && stream_last(store_find(store, described)) >= 0)
		return EVENT_RESULT(Success);
	return result;
}

static event_result find_event(struct connection *c, const struct request *r,
			       const Es__ReadEvent *m, struct resolved *resolved)
{
	const struct store *store = &c->server->store;
	struct span name = field_text(r->body, 1);
	const struct stream *stream = store_find(store, name);
	int64_t last = stream_last(stream);
	int64_t now = clock_now();
	const struct record *record;

	if (!access_allowed(store, r->user, name, stream, ACTION_READ))
		return EVENT_RESULT(AccessDenied);
	if (last == NUMBER_DELETED)
		return EVENT_RESULT(StreamDeleted);
	if (last < 0 || stream_soft_deleted(stream))
		return missing(store, name, EVENT_RESULT(NoStream));
	record = stream_event(stream, m->event_number < 0 ? last : m->event_number, now);
	if (record == NULL)
		return missing(store, name, EVENT_RESULT(NotFound));
	return resolve(store, r->user, record, m->resolve_link_tos, now, resolved)
		       ? EVENT_RESULT(Success)
		       : EVENT_RESULT(AccessDenied);
}

void handle_read_event(struct connection *c, const struct request *r)
{
	Es__ReadEvent *m = es__read_event__unpack(NULL, r->body.len, r->body.at);
	struct resolved resolved = { 0 };
	event_result result;

	if (m != NULL && name_of(m->event_stream_id).len > 0 && m->event_number >= -1) {
		result = find_event(c, r, m, &resolved);
		reply_read_event(c, r->correlation, result,
				 result == EVENT_RESULT(Success) ? &resolved : NULL);
	} else {
		refuse_body(c, r);
	}
	es__read_event__free_unpacked(m, NULL);
}

/* ReadStreamEvents ----------------------------------------------------------------------------- */

#define STREAM_RESULT(name) ES__READ_STREAM_EVENTS_COMPLETED__READ_STREAM_RESULT__##name

/* A read of a stream while it goes on. */
struct stream_read {
	struct connection *c;
	const struct request *r;
	const struct stream *stream;
	int64_t from;
	int64_t count;
	int64_t now;
	bool resolve_links;
	bool forbidden; /* a link leads to what the user may not read */
	bool cut;       /* the package is full */
	struct page page;
	struct stream_page_end end;
};

static struct stream_page_end failed(Es__ReadStreamEventsCompleted__ReadStreamResult result,
				     int64_t last, const char *error)
{
	return (struct stream_page_end){
		.result = result,
		.next = -1,
		.last = last,
		.end_of_stream = true,
		.error = error != NULL ? error : "",
	};
}

/* A refusal with nothing of the stream in it. */
static struct stream_page_end denied(void)
{
	struct stream_page_end end = failed(STREAM_RESULT(AccessDenied), 0, text_denied);

	end.no_position = true;
	return end;
}

/* Adds the event NUMBER unless it has expired. Returns false where the page ends before it. */
static bool add_event(struct stream_read *read, int64_t number, bool *added)
{
	const struct record *record = read->stream->events[number];
	struct resolved resolved;

	*added = false;
	if (record_expired(record, read->now))
		return true;
	if (!resolve(&read->c->server->store, read->r->user, record, read->resolve_links, read->now,
		     &resolved)) {
		read->forbidden = true;
		return false;
	}
	if (!page_has_room(&read->page, &resolved)) {
		read->cut = true;
		return false;
	}
	stream_page_add(&read->page, &resolved);
	*added = true;
	return true;
}

static int64_t add_saturated(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* Where the version looks for it: the first event from read->from on that has not expired. */
static void skip_expired(struct stream_read *read)
{
	const struct stream *stream = read->stream;
	int64_t number = stream_first(stream);

	if (!read->c->server->store.traits->skips_expired || stream->metadata.max_age == 0)
		return;
	if (read->from > number)
		number = read->from;
	while (number <= stream_last(stream) && record_expired(stream->events[number], read->now))
		number++;
	read->from = number;
}

static void read_forward(struct stream_read *read)
{
	int64_t last = stream_last(read->stream);
	int64_t first = stream_first(read->stream);
	int64_t end = add_saturated(read->from, read->count - 1);
	int64_t number = read->from > first ? read->from : first;
	int64_t given = -1;
	bool added = false;

	read->end = (struct stream_page_end){ .last = last, .error = "" };
	if (end < first) {
		read->end.next = first;
		return;
	}
	for (; number <= end && number <= last && add_event(read, number, &added); number++) {
		if (added)
			given = number;
	}
	read->end.next = end < last ? end + 1 : last + 1;
	if (given >= 0)
		read->end.next = given + 1;
	read->end.end_of_stream = end >= last && !read->cut;
}

/* END and START are the highest and the lowest number wanted. */
static void read_backward(struct stream_read *read)
{
	int64_t last = stream_last(read->stream);
	int64_t first = stream_first(read->stream);
	int64_t end = read->from < 0 ? last : read->from;
	int64_t start = end - read->count + 1 > 0 ? end - read->count + 1 : 0;
	int64_t number = end < last ? end : last;
	int64_t given = -1;
	bool added = false;

	read->end = (struct stream_page_end){
		.last = last, .next = -1, .end_of_stream = true, .error = ""
	};
	if (end < first)
		return;
	read->end.end_of_stream = start <= first;
	if (start < first)
		start = first;
	for (; number >= start && add_event(read, number, &added); number--) {
		if (added)
			given = number;
	}
	if (read->cut) {
		read->end.end_of_stream = false;
		read->end.next = number;
		return;
	}
	/* What is missing at the low end has expired, and all before it. */
	if (start == 0 || (start <= last && given != start))
		read->end.end_of_stream = true;
	if (!read->end.end_of_stream)
		read->end.next = start - 1 < last ? start - 1 : last;
}

static const char *range_error(const Es__ReadStreamEvents *m, bool forward)
{
	if (m->max_count <= 0)
		return "The count of events is to be positive.";
	if (forward && m->from_event_number < 0)
		return "The number to read from is not to be negative.";
	return page_size_error(m->max_count);
}

/* Fills read->end where there is nothing to read, and returns false then. */
static bool may_read(struct stream_read *read, const Es__ReadStreamEvents *m, bool forward)
{
	struct store *store = &read->c->server->store;
	struct span name = field_text(read->r->body, 1);
	const char *error = range_error(m, forward);
	int64_t last;
	bool allowed;

	read->stream = store_find(store, name);
	last = stream_last(read->stream);
	allowed = access_allowed(store, read->r->user, name, read->stream, ACTION_READ);
	if (!allowed && store->traits->denies_first)
		read->end = denied();
	else if (error != NULL)
		read->end = failed(STREAM_RESULT(Error), -1, error);
	else if (!allowed)
		read->end = failed(STREAM_RESULT(AccessDenied), -1, NULL);
	else if (last == NUMBER_DELETED)
		read->end = failed(STREAM_RESULT(StreamDeleted), last, NULL);
	else if (last < 0 || stream_soft_deleted(read->stream))
		read->end = failed(STREAM_RESULT(NoStream), last, NULL);
	else
		return true;
	return false;
}

static void read_page(struct stream_read *read, const Es__ReadStreamEvents *m, enum command reply,
		      bool forward)
{
	struct connection *c = read->c;

	stream_page_begin(&read->page, c, reply, read->r->correlation);
	if (may_read(read, m, forward)) {
		if (forward) {
			skip_expired(read);
			read_forward(read);
		} else {
			read_backward(read);
		}
	}
	if (read->forbidden) {
		buffer_cut(&c->out, buffer_len(&c->out) - read->page.began);
		stream_page_begin(&read->page, c, reply, read->r->correlation);
		read->end = failed(STREAM_RESULT(AccessDenied), -1, NULL);
	}
	stream_page_end(&read->page, &read->end);
}

static void handle_read(struct connection *c, const struct request *r, enum command reply,
			bool forward)
{
	Es__ReadStreamEvents *m = es__read_stream_events__unpack(NULL, r->body.len, r->body.at);
	struct stream_read read = { .c = c, .r = r, .now = clock_now() };

	if (m != NULL && name_of(m->event_stream_id).len > 0 && m->from_event_number >= -1) {
		read.from = m->from_event_number;
		read.count = m->max_count;
		read.resolve_links = m->resolve_link_tos;
		read_page(&read, m, reply, forward);
	} else {
		refuse_body(c, r);
	}
	es__read_stream_events__free_unpacked(m, NULL);
}

void handle_read_forward(struct connection *c, const struct request *r)
{
	handle_read(c, r, CMD_READ_STREAM_EVENTS_FORWARD_COMPLETED, true);
}

void handle_read_backward(struct connection *c, const struct request *r)
{
	handle_read(c, r, CMD_READ_STREAM_EVENTS_BACKWARD_COMPLETED, false);
}
