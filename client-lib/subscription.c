#include "subscription.h"

#include <stdio.h>
#include <string.h>

#include "base/json_write.h"
#include "memory.h"
#include "request.h"

enum { AGAIN_MIN_MS = 100, AGAIN_MAX_MS = 5000 };

void subscription_free(struct subscription *sub)
{
	list_remove(&sub->place);
	if (sub->members != NULL && sub->secret)
		explicit_bzero(sub->members, strlen(sub->members));
	memory_release(sub->name);
	memory_release(sub->members);
	memory_release(sub->from);
	memory_release(sub);
}

struct subscription *subscription_find(struct esbridge *e, struct esbridge_span name)
{
	for (struct link *l = list_first(&e->subs); l != NULL; l = list_next(&e->subs, l)) {
		struct subscription *sub = CONTAINER(l, struct subscription, place);

		if (sub->state != SUB_ENDED && esbridge_span_is(name, sub->name))
			return sub;
	}
	return NULL;
}

/* SUB goes without a word. */
static void vanish(struct esbridge *e, struct subscription *sub)
{
	dispatch_purge(e, sub, true);
	request_forget_subscription(e, sub);
	subscription_free(sub);
}

void subscription_handed_out(struct esbridge *e, const struct item *item)
{
	struct subscription *sub = item->sub;

	if (sub == NULL || sub->state != SUB_ENDED ||
	    item->message->public.push != ESBRIDGE_PUSH_DROPPED)
		return;
	list_remove(&sub->place);
	list_append(&e->graves, &sub->place);
}

void subscription_bury(struct esbridge *e)
{
	struct link *l;

	while (e->entered == 0 && (l = list_first(&e->graves)) != NULL) {
		struct subscription *sub = CONTAINER(l, struct subscription, place);

		dispatch_purge(e, sub, true);
		request_forget_subscription(e, sub);
		subscription_free(sub);
	}
}

/* Telling ----------------------------------------------------------------------------------------- */

static void hand_on(struct esbridge *e, struct subscription *sub, struct message *message)
{
	message->epoch = e->epoch;
	message->public.user = sub->user;
	message->item.sub = sub;
	message->item.fn = sub->fn;
	message->item.user = sub->user;
	dispatch_put(e, &message->item);
}

/* Tells PUSH as the daemon would. False where memory is out. */
static bool tell(struct esbridge *e, struct subscription *sub, const char *push)
{
	bool resumed = strcmp(push, "resumed") == 0;
	struct message *message;
	struct buffer b;

	buffer_init(&b, 0);
	buffer_add_byte(&b, '{');
	json_key(&b, "push");
	json_text(&b, push);
	json_key(&b, "sub");
	json_text(&b, sub->name);
	if (!resumed) {
		json_key(&b, "reason");
		json_text(&b, sub->reason);
	} else if (sub->owes_gap) {
		json_key(&b, "gap");
		json_bool(&b, true);
	}
	buffer_add_byte(&b, '}');
	message = message_of_line(&b);
	if (message == NULL)
		return false;
	hand_on(e, sub, message);
	return true;
}

/* Tells what SUB owes, in the order in which it happened. False where memory is out. */
static bool pay(struct esbridge *e, struct subscription *sub)
{
	if (sub->owes_interrupted && !tell(e, sub, "interrupted"))
		return false;
	sub->owes_interrupted = false;
	if (sub->owes_resumed && !tell(e, sub, "resumed"))
		return false;
	sub->owes_resumed = false;
	sub->owes_gap = false;
	if (sub->owes_dropped && !tell(e, sub, "dropped"))
		return false;
	sub->owes_dropped = false;
	return true;
}

int subscription_pay(struct esbridge *e)
{
	for (struct link *l = list_first(&e->subs); l != NULL; l = list_next(&e->subs, l)) {
		if (!pay(e, CONTAINER(l, struct subscription, place))) {
			failure_no_memory(&e->failure);
			return -1;
		}
	}
	return 0;
}

static void interrupted(struct esbridge *e, struct subscription *sub, const char *reason)
{
	bool told = sub->state == SUB_LOST || sub->state == SUB_REMAKING;

	sub->state = SUB_LOST;
	sub->again_at = 0;
	sub->backoff_ms = AGAIN_MIN_MS;
	/* What is delivered again must not be there twice. */
	if (sub->mode == SUB_PERSISTENT || sub->checkpoint)
		dispatch_purge(e, sub, false);
	if (told)
		return;
	sub->owes_resumed = false;
	snprintf(sub->reason, sizeof(sub->reason), "%s", reason);
	sub->owes_interrupted = true;
	pay(e, sub);
}

static void dropped(struct esbridge *e, struct subscription *sub, const char *reason)
{
	sub->state = SUB_ENDED;
	/* An interruption that could not be told yet goes with it: one reason is enough. */
	snprintf(sub->reason, sizeof(sub->reason), "%s", reason);
	sub->owes_dropped = true;
	pay(e, sub);
}

/* Listening --------------------------------------------------------------------------------------- */

static bool is_after(struct esbridge_position a, struct esbridge_position b)
{
	return a.commit > b.commit || (a.commit == b.commit && a.prepare > b.prepare);
}

/* The event at the place from which SUB was made again, which the program has already. */
static bool is_repeat(struct subscription *sub, const struct esbridge_message *m)
{
	bool first = sub->skip_first;

	sub->skip_first = false;
	return first && m->position.commit == sub->last_seen.commit &&
	       m->position.prepare == sub->last_seen.prepare;
}

static void note_place(struct subscription *sub, const struct esbridge_message *m)
{
	const struct esbridge_event *own = m->link != NULL ? m->link : m->event;
	bool event = m->push == ESBRIDGE_PUSH_EVENT;
	int64_t number = event && own != NULL ? own->number : m->last_event_number;

	if (!sub->all && number > sub->last_number)
		sub->last_number = number;
	if (sub->all && is_after(m->position, sub->last_seen)) {
		sub->last_seen = m->position;
		sub->seen_event = event;
	}
}

/* Whether the daemon's own reason for `dropped` is one that another connection mends. */
static bool passes(const struct esbridge *e, struct esbridge_span reason)
{
	return !e->no_reconnect && (esbridge_span_is(reason, "shutting_down") ||
				    esbridge_span_is(reason, "slow_consumer"));
}

static void acknowledge_repeat(struct esbridge *e, const struct subscription *sub,
			       const struct esbridge_message *m)
{
	if (m->ack_id.at == NULL)
		return;
	request_begin(e, "ack", NULL);
	request_text(e, "sub", sub->name);
	json_key(&e->line, "events");
	buffer_add_byte(&e->line, '[');
	json_quoted(&e->line, m->ack_id.at, m->ack_id.len);
	buffer_add_byte(&e->line, ']');
	/* Without memory for it the event stays outstanding until the subscription ends. */
	request_finish(e, &(struct request_plan){ .bound = true, .internal = true });
}

/* What a push means for SUB. Returns whether the program is to see it. */
static bool listen(struct esbridge *e, struct subscription *sub, const struct esbridge_message *m)
{
	char reason[FAILURE_NAME];
	bool told;

	switch (m->push) {
	case ESBRIDGE_PUSH_EVENT:
		if (is_repeat(sub, m)) {
			acknowledge_repeat(e, sub, m);
			return false;
		}
		note_place(sub, m);
		return true;
	case ESBRIDGE_PUSH_CAUGHT_UP:
		told = sub->caught_up;
		sub->caught_up = true;
		note_place(sub, m);
		return !told;
	case ESBRIDGE_PUSH_DROPPED:
		snprintf(reason, sizeof(reason), "%.*s", ESBRIDGE_PRINT(m->reason));
		if (passes(e, m->reason)) {
			interrupted(e, sub, reason);
			return false;
		}
		sub->state = SUB_ENDED;
		return true;
	default:
		return true;
	}
}

void subscription_push(struct esbridge *e, struct message *message)
{
	struct subscription *sub = subscription_find(e, message->public.sub);

	if (sub == NULL) {
		/* One that the program has made with a line of its own. */
		dispatch_put(e, &message->item);
		return;
	}
	/* What was not told yet for lack of memory comes first. */
	pay(e, sub);
	if (sub->state == SUB_LEAVING || sub->state == SUB_LOST ||
	    !listen(e, sub, &message->public)) {
		esbridge_message_free(&message->public);
		return;
	}
	hand_on(e, sub, message);
}

/* Making it, and making it again ------------------------------------------------------------------ */

static void leave_done(struct esbridge *e, struct request *r, struct message *message)
{
	struct subscription *sub = r->sub;

	(void)message;
	if (sub != NULL)
		vanish(e, sub);
}

/* The program does not know whether it is subscribed: makes sure that it is not. */
static void leave_unseen(struct esbridge *e, struct subscription *sub)
{
	const struct request *r;

	request_begin(e, "unsubscribe", NULL);
	request_text(e, "sub", sub->name);
	r = request_finish(e, &(struct request_plan){ .reply = true,
						      .bound = true,
						      .internal = true,
						      .done = leave_done,
						      .sub = sub });
	if (r == NULL)
		vanish(e, sub);
	else
		sub->state = SUB_LEAVING;
}

static void started(struct esbridge *e, struct request *r, struct message *message)
{
	struct subscription *sub = r->sub;

	if (sub == NULL || sub->state == SUB_LEAVING)
		return;
	if (message != NULL && message->public.kind == ESBRIDGE_OK) {
		sub->state = SUB_ACTIVE;
		if (sub->from_end)
			sub->last_number = message->public.last_event_number;
		return;
	}
	r->sub = NULL;
	if (message == NULL && r->failed == ESBRIDGE_E_TIMEOUT)
		leave_unseen(e, sub);
	else
		vanish(e, sub);
}

static bool knows_place(const struct subscription *sub)
{
	return sub->all ? sub->last_seen.commit >= 0 : sub->last_number >= 0;
}

static void remade(struct esbridge *e, struct request *r, struct message *message)
{
	struct subscription *sub = r->sub;
	char reason[FAILURE_NAME];

	if (sub == NULL || sub->state != SUB_REMAKING)
		return;
	if (message == NULL || (message->public.kind == ESBRIDGE_ERROR && message->public.retry)) {
		sub->state = SUB_LOST;
		sub->again_at = now_ms() + sub->backoff_ms;
		sub->backoff_ms =
			sub->backoff_ms < AGAIN_MAX_MS / 2 ? sub->backoff_ms * 2 : AGAIN_MAX_MS;
		return;
	}
	if (message->public.kind == ESBRIDGE_ERROR) {
		snprintf(reason, sizeof(reason), "%.*s", ESBRIDGE_PRINT(message->public.code_name));
		dropped(e, sub, reason);
		return;
	}
	sub->state = SUB_ACTIVE;
	sub->owes_resumed = true;
	sub->owes_gap = sub->mode == SUB_LIVE || (sub->mode == SUB_CATCHUP && !sub->checkpoint &&
						  sub->from_end && !knows_place(sub));
	sub->skip_first =
		sub->mode == SUB_CATCHUP && !sub->checkpoint && sub->all && sub->seen_event;
	if (sub->from_end && !sub->all && !knows_place(sub))
		sub->last_number = message->public.last_event_number;
	pay(e, sub);
}

/* Adds where SUB goes on to the line. */
static void add_from(struct esbridge *e, const struct subscription *sub)
{
	bool goes_on = sub->mode == SUB_CATCHUP && !sub->checkpoint && knows_place(sub);

	if (goes_on && sub->all) {
		json_key(&e->line, "from");
		buffer_add_byte(&e->line, '{');
		request_int(e, "commit", sub->last_seen.commit);
		request_int(e, "prepare", sub->last_seen.prepare);
		buffer_add_byte(&e->line, '}');
	} else if (goes_on) {
		request_int(e, "from",
			    sub->last_number < sub->first_number ? sub->first_number
								 : sub->last_number + 1);
	} else if (sub->from != NULL) {
		json_key(&e->line, "from");
		buffer_add_text(&e->line, sub->from);
	}
}

static bool make_again(struct esbridge *e, struct subscription *sub)
{
	struct request *r;

	request_drop_line(e);
	e->secret = sub->secret;
	buffer_add_text(&e->line, sub->members);
	add_from(e, sub);
	r = request_finish(e, &(struct request_plan){ .reply = true,
						      .bound = true,
						      .internal = true,
						      .timeout_ms = sub->timeout_ms,
						      .done = remade,
						      .sub = sub });
	if (r == NULL)
		return false;
	request_to_front(e, r);
	sub->state = SUB_REMAKING;
	return true;
}

int subscription_remake(struct esbridge *e, int64_t now)
{
	for (struct link *l = list_first(&e->subs); l != NULL; l = list_next(&e->subs, l)) {
		struct subscription *sub = CONTAINER(l, struct subscription, place);

		if (sub->state == SUB_LOST && sub->again_at <= now && !make_again(e, sub))
			return -1;
	}
	return 0;
}

int64_t subscription_due(const struct esbridge *e)
{
	int64_t at = -1;

	for (struct link *l = list_first(&e->subs); l != NULL; l = list_next(&e->subs, l)) {
		const struct subscription *sub = CONTAINER(l, struct subscription, place);

		if (e->greeted && sub->state == SUB_LOST && (at < 0 || sub->again_at < at))
			at = sub->again_at;
	}
	return at;
}

void subscription_connection_lost(struct esbridge *e, bool for_good)
{
	struct link *l, *next;

	for (l = list_first(&e->subs); l != NULL; l = next) {
		struct subscription *sub = CONTAINER(l, struct subscription, place);

		next = list_next(&e->subs, l);
		if (sub->state == SUB_STARTING || sub->state == SUB_ENDED ||
		    sub->state == SUB_LEAVING)
			continue;
		if (for_good)
			dropped(e, sub, "daemon_lost");
		else
			interrupted(e, sub, "daemon_lost");
	}
}

/* subscribe --------------------------------------------------------------------------------------- */

static enum sub_mode mode_of(const struct esbridge_subscribe *s)
{
	if (s->mode != NULL)
		return strcmp(s->mode, "persistent") == 0 ? SUB_PERSISTENT
		       : strcmp(s->mode, "catchup") == 0  ? SUB_CATCHUP
							  : SUB_LIVE;
	if (s->group != NULL)
		return SUB_PERSISTENT;
	return s->from != ESBRIDGE_FROM_DEFAULT || s->checkpoint != NULL ? SUB_CATCHUP : SUB_LIVE;
}

/* Writes where S begins as JSON to FROM. False where it says nothing. */
static bool write_from(const struct esbridge_subscribe *s, char from[96])
{
	switch (s->from) {
	case ESBRIDGE_FROM_START:
		snprintf(from, 96, "\"start\"");
		return true;
	case ESBRIDGE_FROM_END:
		snprintf(from, 96, "\"end\"");
		return true;
	case ESBRIDGE_FROM_NUMBER:
		snprintf(from, 96, "%lld", (long long)s->number);
		return true;
	case ESBRIDGE_FROM_POSITION:
		snprintf(from, 96, "{\"commit\":%lld,\"prepare\":%lld}",
			 (long long)s->position.commit, (long long)s->position.prepare);
		return true;
	case ESBRIDGE_FROM_DEFAULT:
		break;
	}
	return false;
}

static void add_optional_text(struct esbridge *e, const char *name, const char *text)
{
	if (text != NULL)
		request_text(e, name, text);
}

static void add_optional_int(struct esbridge *e, const char *name, int value)
{
	if (value != 0)
		request_int(e, name, value);
}

static void add_members(struct esbridge *e, const struct subscription *sub,
			const struct esbridge_subscribe *s)
{
	request_text(e, "sub", sub->name);
	request_text(e, "stream", sub->all ? "$all" : s->stream);
	add_optional_text(e, "mode", s->mode);
	add_optional_text(e, "group", s->group);
	add_optional_int(e, "in_flight", s->in_flight);
	add_optional_text(e, "checkpoint", s->checkpoint);
	add_optional_int(e, "window", s->window);
	add_optional_int(e, "read_batch", s->read_batch);
	if (s->keep_links)
		request_bool(e, "resolve_link_tos", false);
	if (s->filter != NULL)
		request_json(e, "filter", s->filter, strlen(s->filter));
	if (s->require_master != 0)
		request_bool(e, "require_master", s->require_master > 0);
}

/* The library's own names: s1, s2 and so on, without those that are in use. */
static void make_name(struct esbridge *e, char name[16])
{
	do
		snprintf(name, 16, "s%u", ++e->next_sub);
	while (subscription_find(e, (struct esbridge_span){ name, strlen(name) }) != NULL);
}

static struct subscription *make(struct esbridge *e, const struct esbridge_subscribe *s)
{
	struct subscription *sub = memory_zeroed(sizeof(*sub));
	char from[96], name[16];

	if (sub == NULL)
		return NULL;
	link_init(&sub->place);
	make_name(e, name);
	sub->name = memory_text(s->sub != NULL ? s->sub : name);
	if (write_from(s, from))
		sub->from = memory_text(from);
	sub->mode = mode_of(s);
	sub->all = request_is_all(s->stream);
	sub->checkpoint = s->checkpoint != NULL;
	sub->first_number = s->from == ESBRIDGE_FROM_NUMBER ? s->number : 0;
	sub->from_end = s->from == ESBRIDGE_FROM_END;
	sub->last_number = -1;
	sub->last_seen = (struct esbridge_position){ -1, -1 };
	sub->fn = s->on_push;
	sub->user = s->user;
	if (sub->name == NULL || (write_from(s, from) && sub->from == NULL)) {
		subscription_free(sub);
		return NULL;
	}
	return sub;
}

/* Notes the line up to where it says where to begin. */
static bool keep_members(struct esbridge *e, struct subscription *sub)
{
	size_t len = buffer_len(&e->line);

	sub->members = e->line.failed ? NULL : memory_get(len + 1);
	if (sub->members == NULL)
		return false;
	memcpy(sub->members, buffer_at(&e->line), len);
	sub->members[len] = '\0';
	sub->secret = e->secret;
	return true;
}

/* Starts to subscribe. The new subscription is in the context's list; NULL with the failure set. */
static struct subscription *start(struct esbridge *e, const struct esbridge_subscribe *subscribe,
				  const struct esbridge_request *request, int64_t *id)
{
	struct esbridge_subscribe s;
	struct subscription *sub;
	const struct request *r = NULL;

	request_begin(e, "subscribe", request);
	if (!copy_sized(&s, sizeof(s), subscribe))
		request_refuse(e, "size of struct esbridge_subscribe is not set");
	if (!e->refused && s.sub != NULL &&
	    subscription_find(e, (struct esbridge_span){ s.sub, strlen(s.sub) }) != NULL) {
		failure_set(&e->failure, ESBRIDGE_E_ALREADY_EXISTS,
			    "subscription '%s' is there already", s.sub);
		return NULL;
	}
	sub = e->refused ? NULL : make(e, &s);
	if (sub == NULL) {
		if (!e->refused)
			failure_no_memory(&e->failure);
		return NULL;
	}
	add_members(e, sub, &s);
	if (e->refused || keep_members(e, sub)) {
		sub->timeout_ms = request_timeout(request);
		add_from(e, sub);
		r = request_finish(e, &(struct request_plan){ .reply = true,
							      .timeout_ms = sub->timeout_ms,
							      .done = started,
							      .sub = sub });
	} else {
		failure_no_memory(&e->failure);
	}
	if (r == NULL) {
		subscription_free(sub);
		return NULL;
	}
	list_append(&e->subs, &sub->place);
	*id = r->id;
	return sub;
}

int64_t esbridge_start_subscribe(struct esbridge *e, const struct esbridge_subscribe *subscribe,
				 const struct esbridge_request *request)
{
	int64_t id = -1;

	start(e, subscribe, request, &id);
	dispatch_watch(e);
	return id;
}

const char *esbridge_subscribe(struct esbridge *e, const struct esbridge_subscribe *subscribe,
			       const struct esbridge_request *request)
{
	int64_t id = -1;
	const struct subscription *sub = start(e, subscribe, request, &id);
	struct esbridge_message *reply = sub == NULL ? NULL : request_call(e, id);

	if (reply == NULL)
		return NULL;
	esbridge_message_free(reply);
	/* It is there until its last push was handed out, also where that has come already. */
	return sub->name;
}

/* unsubscribe ------------------------------------------------------------------------------------- */

/* There is nothing at the daemon to end: R is answered at once. False where memory is out. */
static bool answer_leave(struct esbridge *e, struct request *r, const char *name)
{
	struct message *message;
	struct buffer b;

	buffer_init(&b, 0);
	buffer_add_byte(&b, '{');
	json_key(&b, "id");
	json_int(&b, r->id);
	json_key(&b, "ok");
	buffer_add_byte(&b, '{');
	json_key(&b, "sub");
	json_text(&b, name);
	buffer_add(&b, "}}", 2);
	message = message_of_line(&b);
	if (message == NULL)
		return false;
	request_answer_here(e, r, message);
	return true;
}

int64_t esbridge_start_unsubscribe(struct esbridge *e, const char *name)
{
	struct subscription *sub =
		subscription_find(e, (struct esbridge_span){ name, strlen(name) });
	struct request *r;
	int64_t id;

	if (sub == NULL || sub->state == SUB_LEAVING) {
		failure_set(&e->failure, ESBRIDGE_E_UNKNOWN_SUBSCRIPTION,
			    "there is no subscription '%s'", name);
		return -1;
	}
	request_begin(e, "unsubscribe", NULL);
	request_text(e, "sub", name);
	r = request_finish(e, &(struct request_plan){ .reply = true,
						      .bound = sub->state != SUB_STARTING,
						      .done = leave_done,
						      .sub = sub });
	if (r == NULL)
		return -1;
	id = r->id;
	if (sub->state == SUB_LOST) {
		if (!answer_leave(e, r, name)) {
			r->sub = NULL;
			request_release(e, r);
			failure_no_memory(&e->failure);
			return -1;
		}
	} else {
		sub->state = SUB_LEAVING;
		dispatch_purge(e, sub, false);
	}
	dispatch_watch(e);
	return id;
}

int esbridge_unsubscribe(struct esbridge *e, const char *sub)
{
	int64_t id = esbridge_start_unsubscribe(e, sub);
	struct esbridge_message *reply = request_call(e, id);

	if (reply == NULL)
		return id >= 0 && e->failure.error.code == ESBRIDGE_E_CONNECTION_LOST ? 0 : -1;
	esbridge_message_free(reply);
	return 0;
}
