/*
 * ReadAllEvents in both directions.
 *
 * A position is the pair of commit and prepare. Forward it names the first event that is wanted,
 * backward the end of the last one; so the same event has other positions in each direction.
 */
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
	const Es__ReadAllEvents *m;
	struct position from;
	bool forward;
	struct page page;
	struct all_page_end end;
};

/* Adds events until the page has enough. Returns false where a link leads to what the user may not
 * read. */
static bool add_events(struct all_read *read)
{
	const struct store *store = &read->c->server->store;
	size_t i = count_before(store, read->from, read->forward ? starts_at : ends_at);
	int64_t now = clock_now();

	while (read->page.count < (size_t)read->m->max_count &&
	       (read->forward ? i < store->log_count : i > 0)) {
		const struct record *record = store->log[read->forward ? i++ : --i];
		struct resolved resolved;
		struct position next;

		if (!resolve(store, read->r->user, record, read->m->resolve_link_tos, now,
			     &resolved))
			return false;
		if (!page_has_room(&read->page, &resolved))
			return true;
		all_page_add(&read->page, &resolved);
		next = read->forward ? next_forward(record) : next_backward(record);
		read->end.next_commit = next.commit;
		read->end.next_prepare = next.prepare;
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
	static const char all[] = "$all";
	const struct store *store = &read->c->server->store;
	const char *error = page_size_error(read->m->max_count);

	if (error == NULL)
		error = position_error(read);
	if (!access_allowed(store, read->r->user, span_of(all), store_find(store, span_of(all)),
			    ACTION_READ))
		read->end = failed(ALL_RESULT(AccessDenied), NULL);
	else if (error != NULL)
		read->end = failed(ALL_RESULT(Error), error);
	else
		return read->m->max_count > 0;
	return false;
}

static void read_page(struct all_read *read, enum command reply)
{
	struct connection *c = read->c;

	if (read->m->commit_position == -1 && read->m->prepare_position == -1)
		read->from = (struct position){ c->server->store.end, c->server->store.end };
	else
		read->from =
			(struct position){ read->m->commit_position, read->m->prepare_position };
	all_page_begin(&read->page, c, reply, read->r->correlation, read->from.commit,
		       read->from.prepare);
	read->end = (struct all_page_end){ .next_commit = read->from.commit,
					   .next_prepare = read->from.prepare };
	if (may_read(read) && !add_events(read)) {
		buffer_cut(&c->out, buffer_len(&c->out) - read->page.began);
		all_page_begin(&read->page, c, reply, read->r->correlation, read->from.commit,
			       read->from.prepare);
		read->end = failed(ALL_RESULT(AccessDenied), NULL);
	}
	all_page_end(&read->page, &read->end);
}

static void handle_read_all(struct connection *c, const struct request *r, enum command reply,
			    bool forward)
{
	Es__ReadAllEvents *m = es__read_all_events__unpack(NULL, r->body.len, r->body.at);
	struct all_read read = { .c = c, .r = r, .m = m, .forward = forward };

	if (m != NULL)
		read_page(&read, reply);
	else
		refuse_body(c, r);
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
