/*
 * ReadAllEvents and FilteredReadAllEvents in both directions.
 *
 * A position is the pair of commit and prepare. Forward it names the first event that is wanted,
 * backward the end of the last one; so the same event has other positions in each direction.
 */
#include "filter.h"
#include "handlers.h"
#include "read.h"
#include "reply.h"

#define ALL_RESULT(name) ES__READ_ALL_EVENTS_COMPLETED__READ_ALL_RESULT__##name

struct position {
	int64_t commit;
	int64_t prepare;
};

static bool before(struct position a, struct position b)
{
	return a.commit != b.commit ? a.commit < b.commit : a.prepare < b.prepare;
}

static struct position starts_at(const struct record *record)
{
	return (struct position){ record->commit, record->prepare };
}

static struct position ends_at(const struct record *record)
{
	return (struct position){ record->commit_end, record->prepare };
}

/* Where an ordinary event and one of a transaction let the next page begin. */
static struct position next_forward(const struct record *record)
{
	if (record->commit == record->prepare)
		return (struct position){ record->prepare_end, 0 };
	return (struct position){ record->commit, record->prepare_end };
}

static struct position next_backward(const struct record *record)
{
	return record->commit == record->prepare ? starts_at(record) : ends_at(record);
}

/* How many events of the log are before POSITION, by what PLACE says of each. */
static size_t count_before(const struct store *store, struct position position,
			   struct position (*place)(const struct record *record))
{
	size_t low = 0, high = store->log_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (before(place(store->log[middle]), position))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct all_read {
	struct connection *c;
	const struct request *r;
	enum command reply;
	bool forward;
	bool resolve_links;
	int32_t max_count;
	int32_t window; /* how many events are looked at for a filtered page; 0: no limit */
	struct filter filter;
	struct position from;
	struct page page;
	struct all_page_end end;
};

/* The next event of the log, from place *I on, or NULL at the end of the log. */
static const struct record *take_record(const struct all_read *read, size_t *i)
{
	const struct store *store = &read->c->server->store;

	if (read->forward)
		return *i < store->log_count ? store->log[(*i)++] : NULL;
	return *i > 0 ? store->log[--*i] : NULL;
}

static void set_next(struct all_read *read, const struct record *record)
{
	struct position next = read->forward ? next_forward(record) : next_backward(record);

	read->end.next_commit = next.commit;
	read->end.next_prepare = next.prepare;
}

/* Adds events until the page has enough. Returns false where a link leads to what the user may not
 * read. */
static bool add_events(struct all_read *read)
{
	const struct store *store = &read->c->server->store;
	size_t i = count_before(store, read->from, read->forward ? starts_at : ends_at);
	int64_t now = clock_now();
	int32_t seen = 0;

	while (read->page.count < (size_t)read->max_count &&
	       (read->window == 0 || seen < read->window)) {
		const struct record *record = take_record(read, &i);
		struct resolved resolved;

		read->end.end_of_stream = record == NULL;
		if (record == NULL)
			return true;
		seen++;
		if (filter_matches(&read->filter, record)) {
			if (!resolve(store, read->r->user, record, read->resolve_links, now,
				     &resolved))
				return false;
			if (!page_has_room(&read->page, &resolved))
				return true;
			all_page_add(&read->page, &resolved);
		}
		set_next(read, record);
	}
	return true;
}

static struct all_page_end failed(Es__ReadAllEventsCompleted__ReadAllResult result,
				  const char *error)
{
	return (struct all_page_end){
		.result = result, .next_commit = -1, .next_prepare = -1, .error = error
	};
}

/* Why nothing can be read from there, or NULL. Beyond the end there is nothing, which forward is no
 * error. */
static const char *position_error(const struct all_read *read)
{
	const struct store *store = &read->c->server->store;

	if (read->from.commit < 0 || read->from.prepare < 0)
		return "The position is not to be negative.";
	if (read->forward && read->from.commit > store->end)
		return NULL;
	return store_is_boundary(store, read->from.commit) ? NULL
							   : "No event starts at the position.";
}

static bool may_read(struct all_read *read)
{
	const char *error = page_size_error(read->max_count);

	if (error == NULL)
		error = position_error(read);
	if (error != NULL)
		read->end = failed(ALL_RESULT(Error), error);
	return error == NULL && read->max_count > 0;
}

static void begin(struct all_read *read)
{
	all_page_begin(&read->page, read->c, read->reply, read->r->correlation, read->from.commit,
		       read->from.prepare);
}

/* A plain reply stands in for a filtered one in one version. */
static enum command denial_of(const struct all_read *read)
{
	if (!traits_of(read->c)->denies_filtered_unfiltered)
		return read->reply;
	return read->forward ? CMD_READ_ALL_EVENTS_FORWARD_COMPLETED
			     : CMD_READ_ALL_EVENTS_BACKWARD_COMPLETED;
}

/* What is told of the position differs between versions. */
static void deny(struct all_read *read)
{
	bool first = traits_of(read->c)->denies_first;

	if (first) {
		read->from = (struct position){ -1, -1 };
		read->reply = denial_of(read);
	}
	begin(read);
	read->end = failed(ALL_RESULT(AccessDenied), first ? text_denied : NULL);
	all_page_end(&read->page, &read->end);
}

static bool is_allowed(const struct all_read *read)
{
	const struct store *store = &read->c->server->store;
	struct span all = span_of("$all");

	return access_allowed(store, read->r->user, all, store_find(store, all), ACTION_READ);
}

static void read_page(struct all_read *read)
{
	const struct store *store = &read->c->server->store;

	if (read->from.commit == -1 && read->from.prepare == -1)
		read->from = (struct position){ store->end, store->end };
	if (!is_allowed(read)) {
		deny(read);
		return;
	}
	begin(read);
	read->end = (struct all_page_end){ .next_commit = read->from.commit,
					   .next_prepare = read->from.prepare };
	if (may_read(read) && !add_events(read)) {
		buffer_cut(&read->c->out, buffer_len(&read->c->out) - read->page.began);
		deny(read);
		return;
	}
	all_page_end(&read->page, &read->end);
}

static void handle_read_all(struct connection *c, const struct request *r, enum command reply,
			    bool forward)
{
	Es__ReadAllEvents *m = es__read_all_events__unpack(NULL, r->body.len, r->body.at);
	struct all_read read = { .c = c, .r = r, .reply = reply, .forward = forward };

	if (m != NULL) {
		read.from = (struct position){ m->commit_position, m->prepare_position };
		read.max_count = m->max_count;
		read.resolve_links = m->resolve_link_tos;
		read_page(&read);
	} else {
		refuse_body(c, r);
	}
	es__read_all_events__free_unpacked(m, NULL);
}

void handle_read_all_forward(struct connection *c, const struct request *r)
{
	handle_read_all(c, r, CMD_READ_ALL_EVENTS_FORWARD_COMPLETED, true);
}

void handle_read_all_backward(struct connection *c, const struct request *r)
{
	handle_read_all(c, r, CMD_READ_ALL_EVENTS_BACKWARD_COMPLETED, false);
}

/* A page may be empty and yet not the last one, where no event of the window matches. */
static void handle_filtered(struct connection *c, const struct request *r, enum command reply,
			    bool forward)
{
	Es__FilteredReadAllEvents *m =
		es__filtered_read_all_events__unpack(NULL, r->body.len, r->body.at);
	struct all_read read = { .c = c, .r = r, .reply = reply, .forward = forward };

	if (m != NULL && filter_read(&read.filter, m->filter)) {
		read.from = (struct position){ m->commit_position, m->prepare_position };
		read.max_count = m->max_count;
		read.window = m->max_search_window > 0 ? m->max_search_window : m->max_count;
		read.resolve_links = m->resolve_link_tos;
		read_page(&read);
	} else {
		refuse_body(c, r);
	}
	filter_free(&read.filter);
	es__filtered_read_all_events__free_unpacked(m, NULL);
}

void handle_filtered_forward(struct connection *c, const struct request *r)
{
	handle_filtered(c, r, CMD_FILTERED_READ_ALL_EVENTS_FORWARD_COMPLETED, true);
}

void handle_filtered_backward(struct connection *c, const struct request *r)
{
	handle_filtered(c, r, CMD_FILTERED_READ_ALL_EVENTS_BACKWARD_COMPLETED, false);
}
