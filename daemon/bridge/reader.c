#include "bridge/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/account.h"
#include "base/mem.h"
#include "bridge/reader_parts.h"

/* What is particular to a persistent subscription on one hand, and to all others on the other. */
struct kind {
	void (*begin)(struct reader *r, const struct subscribe_arguments *a);
	bool (*leave)(struct reader *r);
	void (*end)(struct reader *r);
	const char *(*state)(const struct reader *r);
	bool (*is_asked)(const struct reader *r);
	uint32_t (*asked)(const struct reader *r);
	void (*resume)(struct reader *r);
};

static const struct kind group = {
	group_begin, group_leave, group_end, group_state, group_is_asked, group_asked, group_resume,
};
static const struct kind follow = {
	follow_begin,    follow_leave, follow_end,    follow_state,
	follow_is_asked, follow_asked, follow_resume,
};

static const char *const modes[] = {
	[READER_LIVE] = "live",
	[READER_CATCHUP] = "catchup",
	[READER_PERSISTENT] = "persistent",
};

const char *reader_mode_name(enum reader_mode mode)
{
	return modes[mode];
}

static const struct kind *kind_of(const struct reader *r)
{
	return r->mode == READER_PERSISTENT ? &group : &follow;
}

/* Pushes ---------------------------------------------------------------------------------------- */

static void begin_push(struct reader *r, const char *what, struct buffer *out)
{
	buffer_add_text(out, "{\"push\":\"");
	buffer_add_text(out, what);
	buffer_add_text(out, "\",\"sub\":");
	json_text(out, r->name);
}

struct buffer *reader_push(struct reader *r, const char *what)
{
	begin_push(r, what, r->session->out);
	return r->session->out;
}

void reader_push_end(struct reader *r)
{
	buffer_add(r->session->out, "}\n", 2);
	r->session->events->wrote(r->session);
}

static void push_with_reason(struct reader *r, const char *what, const char *reason)
{
	struct buffer *out = reader_push(r, what);

	json_key(out, "reason");
	json_text(out, reason);
	reader_push_end(r);
}

void reader_push_interrupted(struct reader *r, const char *reason)
{
	if (r->interrupted)
		return;
	r->interrupted = true;
	push_with_reason(r, "interrupted", reason);
}

void reader_push_resumed(struct reader *r, bool gap)
{
	struct buffer *out;

	if (!r->interrupted)
		return;
	r->interrupted = false;
	out = reader_push(r, "resumed");
	if (gap)
		buffer_add_text(out, ",\"gap\":true");
	reader_push_end(r);
}

void reader_count(struct reader *r, const struct resolved_event *event, struct place place,
		  bool is_new)
{
	struct bridge *bridge = r->session->bridge;
	int64_t created = original_event(event)->created_epoch;
	int64_t now;

	r->delivered++;
	r->moved = true;
	r->last = place;
	bridge->counters.pushed[r->mode]++;
	if (!is_new || created <= 0)
		return;
	/* Two machines' clocks: an event from the future has the age 0. */
	now = loop_wall_ms(bridge->loop);
	histogram_add(&bridge->counters.delivery[r->mode],
		      now > created ? (uint64_t)(now - created) * 1000 : 0);
}

/* Life ------------------------------------------------------------------------------------------ */

static void reader_free(void *object)
{
	struct reader *r = object;

	mem_wipe(&r->subscription.credentials, sizeof(r->subscription.credentials));
	mem_wipe(&r->catchup.key.credentials, sizeof(r->catchup.key.credentials));
	buffer_free(&r->subscription.request);
	buffer_free(&r->group_id);
	buffer_free(&r->acks);
	buffer_free(&r->filter);
	buffer_free(&r->push);
	outstanding_free(&r->outstanding);
	outstanding_free(&r->held);
	account_refund(r->charged);
	free(r->name);
	free(r->stream);
	free(r->group);
	free(r);
}

/* Takes R off its session; the store forgets it, acks that were given go out before. */
static void reader_end(struct reader *r)
{
	struct session *s = r->session;
	struct loop *loop = s->bridge->loop;

	kind_of(r)->end(r);
	loop_clear_deadline(loop, &r->time);
	reader_checkpoint_release(r);
	list_remove(&r->link);
	s->subscription_count--;
	loop_park(loop, r, reader_free);
}

/* Answers both requests that may be under way, where R ends before the store has answered them. */
static void fail_requests(struct reader *r, enum error_code code, const char *text)
{
	if (r->is_subscribing) {
		r->is_subscribing = false;
		request_fail(&r->subscribing, code, OUTCOME_NOT_SAID, "%s", text);
	}
	if (r->is_leaving) {
		r->is_leaving = false;
		request_fail(&r->leaving, ERROR_UNKNOWN_SUBSCRIPTION, OUTCOME_NOT_SAID,
			     "subscription '%s' never came to be", r->name);
	}
}

void reader_drop(struct reader *r, enum error_code code, const char *reason, const char *text)
{
	struct session *s = r->session;
	bool was_subscribing = r->is_subscribing;

	if (was_subscribing)
		fail_requests(r, code, text);
	else
		push_with_reason(r, "dropped", reason);
	s->bridge->counters.dropped += !was_subscribing;
	reader_end(r);
	s->events->eased(s);
}

void reader_refuse(struct reader *r, const struct refusal *refusal, const struct package *package)
{
	const char *reason = refusal->reason != NULL ? refusal->reason : error_name(refusal->code);
	char message[STORE_TEXT];

	if (refusal->quotes && package != NULL)
		store_text(package, refusal->text, message);
	else
		snprintf(message, sizeof(message), "%s", refusal->text);
	reader_drop(r, refusal->code, reason, message);
}

void reader_left(struct reader *r)
{
	struct session *s = r->session;
	struct buffer *out = request_out(&r->leaving);

	r->is_leaving = false;
	if (reader_checkpoint_release(r)) {
		answer_ok(out, &r->leaving.id);
		json_key(out, "sub");
		json_text(out, r->name);
		answer_end(out);
		request_end(&r->leaving);
	} else {
		request_fail(
			&r->leaving, ERROR_FAIL, OUTCOME_NOT_SAID,
			"subscription '%s' has ended, but its checkpoint is not stored yet: %s",
			r->name, checkpoints_fault(s->bridge->checkpoints));
	}
	reader_end(r);
	s->events->eased(s);
}

static void leave(struct reader *r)
{
	if (!kind_of(r)->leave(r))
		reader_left(r);
}

void reader_accepted(struct reader *r, bool numbered, int64_t last)
{
	struct buffer *out;

	if (!r->is_subscribing)
		return;
	out = request_out(&r->subscribing);
	answer_ok(out, &r->subscribing.id);
	json_key(out, "sub");
	json_text(out, r->name);
	json_key(out, "mode");
	json_text(out, modes[r->mode]);
	json_key(out, "window");
	json_int(out, r->window);
	if (numbered) {
		json_key(out, "last_event_number");
		json_int(out, last);
	}
	reader_checkpoint_tell(r, out);
	answer_end(out);
	r->is_subscribing = false;
	request_end(&r->subscribing);
	loop_clear_deadline(r->session->bridge->loop, &r->time);
	if (r->leave_when_confirmed)
		leave(r);
}

/* subscribe ------------------------------------------------------------------------------------- */

/* The time of `subscribe` or of `unsubscribe` is over. */
static void on_time(void *arg)
{
	struct reader *r = arg;
	struct session *s = r->session;
	bool asked = kind_of(r)->is_asked(r);

	if (r->is_subscribing) {
		fail_requests(
			r, asked ? ERROR_TIMEOUT : ERROR_UNAVAILABLE,
			asked ? "the store did not confirm the subscription within the time allowed"
			      : "no connection to the store within the time allowed");
	} else if (r->is_leaving) {
		r->is_leaving = false;
		request_fail(
			&r->leaving, ERROR_TIMEOUT, OUTCOME_NOT_SAID,
			"the store did not confirm within the time allowed; nothing more comes of '%s'",
			r->name);
	}
	reader_end(r);
	s->events->eased(s);
}

struct reader *reader_find(const struct session *s, const char *name)
{
	const struct link *l;

	for (l = list_first(&s->subscriptions); l != NULL; l = list_next(&s->subscriptions, l)) {
		struct reader *r = CONTAINER(l, struct reader, link);

		if (strcmp(r->name, name) == 0)
			return r;
	}
	return NULL;
}

static char *choose_name(struct session *s, const char *wanted)
{
	char name[32];

	if (wanted != NULL)
		return mem_text(wanted);
	do
		snprintf(name, sizeof(name), "s%llu", (unsigned long long)++s->subscriptions_made);
	while (reader_find(s, name) != NULL);
	return mem_text(name);
}

/* What a subscription takes before anything comes of it; the store's side has the texts too. */
static size_t bytes_of(const struct subscribe_arguments *a)
{
	size_t group_len = a->mode == READER_PERSISTENT ? strlen(a->group) : 0;

	return sizeof(struct reader) + 2 * (strlen(a->stream) + group_len);
}

static struct reader *reader_new(struct session *s, const struct subscribe_arguments *a)
{
	struct reader *r = mem_new(sizeof(*r));

	r->session = s;
	r->mode = a->mode;
	r->name = choose_name(s, a->name);
	r->stream = mem_text(a->stream);
	r->group = a->mode == READER_PERSISTENT ? mem_text(a->group) : NULL;
	r->window = a->window;
	r->render = (struct render){ a->payload, s->bridge->settings.depth, s->screen };
	r->own_credentials = a->own;
	r->charged = bytes_of(a);
	account_charge(r->charged);
	buffer_add(&r->filter, a->filter.at, a->filter.len);
	begin_push(r, "event", &r->push);
	outstanding_init(&r->outstanding);
	outstanding_init(&r->held);
	deadline_init(&r->time, on_time, r);
	return r;
}

void reader_subscribe(struct session *s, const struct request_id *id,
		      const struct subscribe_arguments *a)
{
	struct checkpoint_refusal refusal;
	struct reader *r;

	if (a->name != NULL && reader_find(s, a->name) != NULL) {
		session_refuse(s, id, ERROR_ALREADY_EXISTS, OUTCOME_NOT_SAID,
			       "sub '%s' is in use on this connection", a->name);
		return;
	}
	if (s->subscription_count >= s->subscriptions_most) {
		session_refuse(s, id, ERROR_LIMIT_EXCEEDED, OUTCOME_NOT_SAID,
			       "a client may have %u subscriptions", s->subscriptions_most);
		return;
	}
	if (account_refuses(bytes_of(a))) {
		session_refuse(s, id, ERROR_OVERLOADED, OUTCOME_NOT_SAID,
			       "esbridge has no memory for a subscription now");
		return;
	}
	r = reader_new(s, a);
	if (r->filter.failed) {
		session_refuse(s, id, ERROR_OVERLOADED, OUTCOME_NOT_SAID,
			       "esbridge has no memory for a subscription now");
		reader_free(r);
		return;
	}
	if (a->checkpoint != NULL && !reader_checkpoint_hold(r, a, &refusal)) {
		session_refuse(s, id, refusal.code, OUTCOME_NOT_SAID, "%s", refusal.text);
		reader_free(r);
		return;
	}
	list_append(&s->subscriptions, &r->link);
	s->subscription_count++;
	request_begin(&r->subscribing, s, id, 0);
	r->is_subscribing = true;
	loop_set_deadline(s->bridge->loop, &r->time, a->timeout_ms);
	kind_of(r)->begin(r, a);
}

void reader_unsubscribe(struct session *s, const struct request_id *id, const char *name,
			uint64_t timeout_ms)
{
	struct reader *r = reader_find(s, name);

	if (r == NULL || r->is_leaving) {
		session_refuse(s, id, ERROR_UNKNOWN_SUBSCRIPTION, OUTCOME_NOT_SAID,
			       "there is no subscription '%s' on this connection", name);
		return;
	}
	request_begin(&r->leaving, s, id, 0);
	r->is_leaving = true;
	if (r->is_subscribing) {
		r->leave_when_confirmed = true;
		return;
	}
	loop_set_deadline(s->bridge->loop, &r->time, timeout_ms);
	leave(r);
}

/* The client or the daemon goes ----------------------------------------------------------------- */

/* Hands what a group has delivered back to it before the end. */
static void give_back(struct reader *r)
{
	if (r->mode == READER_PERSISTENT)
		group_give_back(r);
}

/* The requests under way end with the session, which forgets them. */
static void end_silently(struct reader *r)
{
	if (r->is_subscribing)
		request_end(&r->subscribing);
	if (r->is_leaving)
		request_end(&r->leaving);
	give_back(r);
	reader_end(r);
}

void reader_end_all(struct session *s)
{
	struct link *l;

	while ((l = list_first(&s->subscriptions)) != NULL)
		end_silently(CONTAINER(l, struct reader, link));
}

void reader_end_acknowledging(struct session *s)
{
	struct link *l = list_first(&s->subscriptions);

	while (l != NULL) {
		struct reader *r = CONTAINER(l, struct reader, link);

		l = list_next(&s->subscriptions, l);
		if (r->window > 0 && !r->is_subscribing && !r->is_leaving) {
			give_back(r);
			reader_end(r);
		}
	}
}

void reader_drop_all(struct session *s)
{
	struct link *l;

	while ((l = list_first(&s->subscriptions)) != NULL) {
		struct reader *r = CONTAINER(l, struct reader, link);

		if (r->is_leaving && !r->is_subscribing)
			reader_left(r);
		else
			reader_drop(r, ERROR_SHUTTING_DOWN, "shutting_down",
				    "esbridge is shutting down");
	}
}

static bool stays(const struct reader *r,
		  bool (*may)(const struct session *s, const struct reader_standing *standing))
{
	const struct reader_standing standing = {
		.stream = r->stream,
		.checkpoint = r->checkpoint == NULL ? NULL : checkpoint_name(r->checkpoint),
		.who = r->mode == READER_PERSISTENT ? &r->subscription.credentials
						    : &r->catchup.key.credentials,
		.own = r->own_credentials,
	};

	return r->is_leaving || may(r->session, &standing);
}

void reader_review(struct session *s,
		   bool (*may)(const struct session *s, const struct reader_standing *standing))
{
	struct link *l = list_first(&s->subscriptions);

	while (l != NULL) {
		struct reader *r = CONTAINER(l, struct reader, link);

		l = list_next(&s->subscriptions, l);
		r->render.screen = s->screen;
		if (stays(r, may))
			continue;
		give_back(r);
		reader_drop(r, ERROR_PERMISSION_DENIED, "access_denied",
			    "the access rules have changed, and do not allow it");
	}
}

size_t reader_memory(const struct session *s)
{
	const struct link *l;
	size_t count = 0;

	for (l = list_first(&s->subscriptions); l != NULL; l = list_next(&s->subscriptions, l)) {
		const struct reader *r = CONTAINER(l, struct reader, link);

		count += r->outstanding.count + r->held.count;
	}
	return count * sizeof(struct delivery);
}

void reader_resume_all(struct session *s)
{
	struct link *l;

	for (l = list_first(&s->subscriptions); l != NULL; l = list_next(&s->subscriptions, l)) {
		struct reader *r = CONTAINER(l, struct reader, link);

		kind_of(r)->resume(r);
	}
}

/* What they are at ------------------------------------------------------------------------------ */

/*
 * Events that R has not been given yet, and those that it has not acknowledged. Of all streams only
 * the latter are known, and of a group what its stream had when it was asked.
 */
static uint64_t lag(const struct reader *r)
{
	bool grouped = r->mode == READER_PERSISTENT;
	int64_t newest = grouped ? r->newest : catchup_newest(&r->catchup);
	int64_t given = grouped ? r->last.commit : r->catchup.next.commit - 1;
	bool known = (grouped ? r->moved : r->stream[0] != '\0') && newest > given;

	return (known ? (uint64_t)(newest - given) : 0) + r->outstanding.count;
}

void reader_total(const struct session *s, struct reader_totals *totals)
{
	const struct link *l;

	for (l = list_first(&s->subscriptions); l != NULL; l = list_next(&s->subscriptions, l)) {
		const struct reader *r = CONTAINER(l, struct reader, link);
		uint64_t behind = lag(r);

		totals->subscriptions[r->mode]++;
		totals->window[r->mode] += (uint64_t)r->window;
		totals->outstanding[r->mode] += r->outstanding.count;
		if (totals->lag[r->mode] < behind)
			totals->lag[r->mode] = behind;
	}
}

/* status ---------------------------------------------------------------------------------------- */

static void add_text(struct buffer *out, const char *key, const char *text)
{
	json_key(out, key);
	json_text(out, text);
}

static void add_number(struct buffer *out, const char *key, uint64_t number)
{
	json_key(out, key);
	json_uint(out, number);
}

static void add_last(const struct reader *r, struct buffer *out)
{
	if (!r->moved)
		return;
	if (r->stream[0] != '\0') {
		json_key(out, "last_event_number");
		json_int(out, r->last.commit);
		return;
	}
	json_key(out, "last_position");
	place_to_json(r->last, true, out);
}

void reader_list(const struct session *s, struct buffer *out)
{
	const struct link *l;

	buffer_add_byte(out, '[');
	for (l = list_first(&s->subscriptions); l != NULL; l = list_next(&s->subscriptions, l)) {
		const struct reader *r = CONTAINER(l, struct reader, link);

		json_comma(out);
		buffer_add_byte(out, '{');
		add_text(out, "sub", r->name);
		add_text(out, "mode", modes[r->mode]);
		add_text(out, "stream", r->stream[0] == '\0' ? "$all" : r->stream);
		if (r->group != NULL)
			add_text(out, "group", r->group);
		add_text(out, "state", kind_of(r)->state(r));
		add_number(out, "asked", kind_of(r)->asked(r));
		add_number(out, "window", (uint64_t)r->window);
		add_number(out, "outstanding", r->outstanding.count);
		add_number(out, "delivered", r->delivered);
		add_number(out, "acked", r->acked);
		add_number(out, "retried", r->retried);
		add_number(out, "lag", lag(r));
		add_last(r, out);
		reader_checkpoint_list(r, out);
		buffer_add_byte(out, '}');
	}
	buffer_add_byte(out, ']');
}
