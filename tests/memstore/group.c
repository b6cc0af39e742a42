#include "group_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "decide.h"

enum {
	BATCH = 20,
	BATCH_MOST = 100
}; /* old events read at one time: where none are set, and most */

/* Messages ------------------------------------------------------------------------------------- */

static int64_t message_number(const struct message *m)
{
	return resolved_original(&m->resolved)->number;
}

static struct message *message_make(struct group *group, const struct record *record)
{
	struct message *m = mem_new(sizeof(*m));

	memcpy(m->node.id.bytes, record_id(record).at, GUID_BYTES);
	link_init(&m->place);
	link_init(&m->of_consumer);
	m->resolved.event = record;
	if (group->settings.resolve_links && record->link) {
		m->resolved.event = store_follow(&group->server->store, record, clock_now());
		m->resolved.link = record;
	}
	return m;
}

/* Frees the place that M takes with its consumer. */
static void free_place(struct group *group, struct message *m)
{
	struct consumer *consumer = m->consumer;

	list_remove(&m->of_consumer);
	m->consumer = NULL;
	if (consumer->in_flight-- == consumer->allowed) {
		list_remove(&consumer->of_group);
		list_append(&group->ready, &consumer->of_group);
	}
}

/* Takes M off all lists but those of its consumer. */
static void withdraw(struct group *group, struct message *m)
{
	list_remove(&m->place);
	if (m->consumer != NULL)
		(void)idtable_remove(&group->messages, &m->node);
}

static void message_end(struct group *group, struct message *m)
{
	withdraw(group, m);
	if (m->consumer != NULL)
		free_place(group, m);
	free(m);
	group->processed++;
}

/* Has M, which is out, delivered again. */
static void message_again(struct group *group, struct message *m, int32_t retry_count)
{
	withdraw(group, m);
	free_place(group, m);
	m->retry_count = retry_count;
	list_append(&group->retry, &m->place);
	group->retry_length++;
}

/* M has failed: again, or aside if that was tried often enough. */
static void message_failed(struct group *group, struct message *m)
{
	char reason[64];

	if (m->retry_count < group->settings.max_retry_count) {
		message_again(group, m, m->retry_count + 1);
		return;
	}
	(void)snprintf(reason, sizeof(reason), "Reached retry count of %d",
		       group->settings.max_retry_count);
	group_park(group, m, reason);
	message_end(group, m);
}

/* Delivery ------------------------------------------------------------------------------------- */

static void message_send(struct group *group, struct message *m, struct consumer *consumer)
{
	m->consumer = consumer;
	m->sent_at = loop_now(group->server->loop);
	idtable_insert(&group->messages, &m->node);
	list_append(&group->sent, &m->place);
	list_append(&consumer->messages, &m->of_consumer);
	consumer->in_flight++;
	reply_delivered(consumer->c, &consumer->correlation, &m->resolved, m->retry_count);
	strategy_sent(group, consumer);
}

/* A message whose id is out already is passed over. */
static bool is_out(const struct group *group, const struct message *m)
{
	return idtable_find(&group->messages, &m->node.id) != NULL;
}

/* Sends what waits on LIST; with pinned messages one that has to wait does not hold up the others.
 */
static void push_list(struct group *group, struct link *list, size_t *length)
{
	struct link *next;

	for (struct link *l = list_first(list); l != NULL && !list_empty(&group->ready); l = next) {
		struct message *m = CONTAINER(l, struct message, place);
		struct consumer *consumer = strategy_choose(group, m);

		next = list_next(list, l);
		if (consumer == NULL)
			continue;
		list_remove(l);
		--*length;
		if (is_out(group, m))
			free(m);
		else
			message_send(group, m, consumer);
	}
}

/* The next event of the stream that a reader may see, or NULL. */
static const struct record *take_event(struct group *group)
{
	const struct stream *stream = group->stream;
	int64_t first = stream_first(stream);
	int64_t now = clock_now();

	if (group->next < first && first < (int64_t)stream->count)
		group->next = first;
	while (group->next < (int64_t)stream->count) {
		const struct record *record = stream_event(stream, group->next, now);

		if (record == NULL && (stream->tombstone != NULL || stream_soft_deleted(stream)))
			return NULL;
		group->next++;
		if (record != NULL)
			return record;
	}
	return NULL;
}

/* Returns false where there is no event to be read. */
static bool read_event(struct group *group)
{
	const struct record *record = take_event(group);

	if (record == NULL)
		return false;
	list_append(&group->waiting, &message_make(group, record)->place);
	group->waiting_length++;
	return true;
}

/* A batch of old events. */
static void read_batch(struct group *group)
{
	int32_t left = group->settings.read_batch > 0 ? group->settings.read_batch : BATCH;

	if (left > BATCH_MOST)
		left = BATCH_MOST;
	while (left > 0 && read_event(group))
		left--;
	group->live = left > 0 || group->next >= (int64_t)group->stream->count;
}

/* True where old events are to be read; a batch must leave room for one more. */
static bool wants_batch(const struct group *group)
{
	int64_t taken = (int64_t)(group->retry_length + group->waiting_length);

	return !group->live && group->settings.buffer_size - taken > group->settings.read_batch;
}

static void group_push(struct group *group)
{
	push_list(group, &group->retry, &group->retry_length);
	push_list(group, &group->waiting, &group->waiting_length);
}

/* Servers ask for the next batch before they deliver the one that has come. */
void group_go_on(struct group *group)
{
	bool more = wants_batch(group);

	group_push(group);
	while (more) {
		read_batch(group);
		more = wants_batch(group);
		group_push(group);
	}
}

static void push_put_off(void *arg)
{
	group_push(arg);
}

/* A new event; what the full buffer does not take is read as an old one later. */
static void read_new(struct group *group)
{
	size_t most = group->settings.buffer_size > 0 ? (size_t)group->settings.buffer_size : 1;

	while (group->live && group->next < (int64_t)group->stream->count) {
		if (group->waiting_length >= most)
			group->live = false;
		else if (!read_event(group))
			return;
	}
}

void groups_deliver(const struct record *record)
{
	const struct link *groups = &record->stream->groups;

	for (struct link *l = list_first(groups); l != NULL; l = list_next(groups, l)) {
		struct group *group = CONTAINER(l, struct group, of_stream);

		read_new(group);
		group_push(group);
	}
}

/* Checkpoints ---------------------------------------------------------------------------------- */

static int64_t first_on(const struct link *list, int64_t otherwise)
{
	const struct link *l = list_first(list);

	return l == NULL ? otherwise : message_number(CONTAINER(l, struct message, place));
}

static int64_t lowest_on(const struct link *list, int64_t lowest)
{
	for (struct link *l = list_first(list); l != NULL; l = list_next(list, l)) {
		const struct message *m = CONTAINER(l, struct message, place);

		if (message_number(m) < lowest)
			lowest = message_number(m);
	}
	return lowest;
}

/* The number up to which all is processed. */
static int64_t processed_up_to(const struct group *group)
{
	int64_t lowest = first_on(&group->waiting, group->next);

	return lowest_on(&group->sent, lowest_on(&group->retry, lowest)) - 1;
}

static void mark_checkpoint(struct group *group, bool tick)
{
	const struct group_settings *s = &group->settings;
	uint64_t now = loop_now(group->server->loop);
	int64_t number = processed_up_to(group);
	int64_t advance = number - group->checkpoint;
	bool due = s->checkpoint_after > 0 &&
		   now - group->checkpoint_at >= (uint64_t)s->checkpoint_after;

	if (advance <= 0)
		return;
	if (advance >= s->checkpoint_max || (tick && due && advance >= s->checkpoint_min)) {
		group->checkpoint = number;
		group->checkpoint_at = now;
		group->processed = 0;
	}
}

/* Each second ---------------------------------------------------------------------------------- */

static void expire(struct group *group)
{
	int32_t timeout = group->settings.message_timeout;
	uint64_t now = loop_now(group->server->loop);
	struct link *l;

	if (timeout < 0 || (timeout == 0 && group->server->store.traits->zero_never))
		return;
	while ((l = list_first(&group->sent)) != NULL) {
		struct message *m = CONTAINER(l, struct message, place);

		if (now - m->sent_at < (uint64_t)timeout)
			break;
		message_failed(group, m);
	}
}

static void tick(struct name_node *node)
{
	struct group *group = CONTAINER(node, struct group, node);

	expire(group);
	mark_checkpoint(group, true);
	group_push(group);
}

void groups_tick(struct server *server)
{
	names_each(&server->groups, tick);
}

/* Consumers ------------------------------------------------------------------------------------ */

static int compare_numbers(const void *a, const void *b)
{
	const struct message *const *x = a;
	const struct message *const *y = b;

	return (message_number(*x) > message_number(*y)) -
	       (message_number(*x) < message_number(*y));
}

/*
 * What CONSUMER had out goes back in the order of the stream. How often it was delivered is
 * forgotten, or counted; then what was tried often enough is put aside, if the consumer's
 * connection is GONE.
 */
static void give_back(struct consumer *consumer, bool gone)
{
	struct group *group = consumer->group;
	size_t count = (size_t)consumer->in_flight;
	struct message **messages = mem_new((count + 1) * sizeof(struct message *));
	struct link *l = list_first(&consumer->messages);
	size_t kept = 0;

	while (l != NULL) {
		struct message *m = CONTAINER(l, struct message, of_consumer);

		l = list_next(&consumer->messages, l);
		if (m->done)
			message_end(group, m);
		else
			messages[kept++] = m;
	}
	qsort(messages, kept, sizeof(struct message *), compare_numbers);
	for (size_t i = 0; i < kept; i++) {
		if (group->server->store.traits->forgets_retries)
			message_again(group, messages[i], 1);
		else if (gone)
			message_failed(group, messages[i]);
		else
			message_again(group, messages[i], messages[i]->retry_count + 1);
	}
	free(messages);
}

static void consumer_end(struct consumer *consumer, bool gone)
{
	struct group *group = consumer->group;

	give_back(consumer, gone);
	strategy_leave(group, consumer);
	list_remove(&consumer->of_group);
	list_remove(&consumer->of_connection);
	group->consumer_count--;
	loop_put_off(group->server->loop, &group->push);
	free(consumer);
}

void consumers_end(struct connection *c)
{
	struct link *next;

	for (struct link *l = c->consumers.next; l != &c->consumers; l = next) {
		next = l->next;
		consumer_end(CONTAINER(l, struct consumer, of_connection), true);
	}
}

size_t consumers_leave(struct connection *c, const struct guid *correlation)
{
	struct link *next;
	size_t count = 0;

	for (struct link *l = list_first(&c->consumers); l != NULL; l = next) {
		struct consumer *consumer = CONTAINER(l, struct consumer, of_connection);

		next = list_next(&c->consumers, l);
		if (guid_equal(&consumer->correlation, correlation)) {
			consumer_end(consumer, false);
			count++;
		}
	}
	return count;
}

bool group_is_full(const struct group *group)
{
	return group->settings.consumers_max > 0 &&
	       group->consumer_count >= (size_t)group->settings.consumers_max;
}

void group_join(struct group *group, struct connection *c, const struct guid *correlation,
		int32_t allowed)
{
	struct consumer *consumer = mem_new(sizeof(*consumer));

	consumer->group = group;
	consumer->c = c;
	consumer->correlation = *correlation;
	consumer->allowed = allowed;
	link_init(&consumer->messages);
	list_append(allowed > 0 ? &group->ready : &group->full, &consumer->of_group);
	list_append(&c->consumers, &consumer->of_connection);
	group->consumer_count++;
	reply_joined(c, correlation, group->node.name, stream_last(group->stream));
	group_push(group);
}

/* Answers -------------------------------------------------------------------------------------- */

/* The message with ID. */
static struct message *answered(struct group *group, const struct guid *id)
{
	struct idnode *node = idtable_find(&group->messages, id);

	return node == NULL ? NULL : CONTAINER(node, struct message, node);
}

/* True where an answer with CORRELATION frees the place that M takes. */
static bool is_owner(const struct message *m, const struct guid *correlation)
{
	if (!m->consumer->group->server->store.traits->acks_by_owner)
		return true;
	return guid_equal(&m->consumer->correlation, correlation);
}

/* M is processed. Where another than its consumer said so, it goes on taking that one's place. */
static void message_processed(struct group *group, struct message *m,
			      const struct guid *correlation)
{
	if (is_owner(m, correlation)) {
		message_end(group, m);
	} else if (!m->done) {
		m->done = true;
		list_remove(&m->place);
		group->processed++;
	}
	if (group->processed >= group->settings.checkpoint_max)
		mark_checkpoint(group, false);
}

void group_acknowledge(struct group *group, const struct guid *correlation, const struct guid *id)
{
	struct message *m = answered(group, id);

	if (m != NULL)
		message_processed(group, m, correlation);
}

static void park(struct group *group, struct message *m, struct span client_reason)
{
	struct buffer reason = { 0 };

	buffer_add_text(&reason, "Client explicitly NAK'ed message.\n");
	buffer_add(&reason, client_reason.at, client_reason.len);
	buffer_add_byte(&reason, 0);
	if (!reason.failed)
		group_park(group, m, (const char *)buffer_at(&reason));
	buffer_free(&reason);
	message_end(group, m);
}

void group_refuse(struct group *group, const struct guid *correlation, const struct guid *id,
		  enum nak nak, struct span reason)
{
	struct message *m = answered(group, id);

	if (m == NULL)
		return;
	if (m->done) {
		message_processed(group, m, correlation);
		return;
	}
	switch (nak) {
	case NAK_RETRY:
		message_failed(group, m);
		break;
	case NAK_PARK:
		park(group, m, reason);
		break;
	case NAK_DONE:
		message_processed(group, m, correlation);
		break;
	}
}

/* Groups --------------------------------------------------------------------------------------- */

struct group *group_find(const struct server *server, struct span key)
{
	struct name_node *node = names_find(&server->groups, key);

	return node == NULL ? NULL : CONTAINER(node, struct group, node);
}

static void begin(struct group *group)
{
	if (group->checkpoint >= 0)
		group->next = group->checkpoint + 1;
	else if (group->settings.start_from == -1)
		group->next = (int64_t)group->stream->count;
	else
		group->next = group->settings.start_from > 0 ? group->settings.start_from : 0;
	group->live = group->checkpoint < 0 && group->settings.start_from == -1;
	group->checkpoint_at = loop_now(group->server->loop);
	group->processed = 0;
	group_go_on(group);
}

struct group *group_make(struct server *server, struct span key, struct span stream,
			 const struct group_settings *settings)
{
	struct group *group = mem_new(sizeof(*group) + key.len);
	uint8_t *name = (uint8_t *)(group + 1);

	memcpy(name, key.at, key.len);
	group->node.name = (struct span){ name, key.len };
	group->server = server;
	group->stream = store_stream(&server->store, stream);
	group->settings = *settings;
	group->checkpoint = -1;
	link_init(&group->ready);
	link_init(&group->full);
	link_init(&group->sent);
	link_init(&group->retry);
	link_init(&group->waiting);
	job_init(&group->push, push_put_off, group);
	begin(group);
	list_append(&group->stream->groups, &group->of_stream);
	names_insert(&server->groups, &group->node);
	return group;
}

static void drop_consumers(const struct link *list)
{
	struct link *next;

	for (struct link *l = list->next; l != list; l = next) {
		struct consumer *consumer = CONTAINER(l, struct consumer, of_group);

		next = l->next;
		reply_dropped(consumer->c, &consumer->correlation,
			      ES__SUBSCRIPTION_DROPPED__SUBSCRIPTION_DROP_REASON__Unsubscribed);
		consumer_end(consumer, false);
	}
}

static void forget_messages(struct link *list)
{
	struct link *next;

	for (struct link *l = list->next; l != list; l = next) {
		next = l->next;
		free(CONTAINER(l, struct message, place));
	}
	link_init(list);
}

/* Afterwards the group has neither consumers nor messages. */
static void empty(struct group *group)
{
	drop_consumers(&group->ready);
	drop_consumers(&group->full);
	forget_messages(&group->retry);
	forget_messages(&group->waiting);
	group->retry_length = 0;
	group->waiting_length = 0;
	job_cancel(&group->push);
}

void group_update(struct group *group, const struct group_settings *settings)
{
	empty(group);
	group->settings = *settings;
	begin(group);
}

static void group_free(struct name_node *node)
{
	struct group *group = CONTAINER(node, struct group, node);

	empty(group);
	list_remove(&group->of_stream);
	idtable_free(&group->messages);
	free(group->pins);
	free(group);
}

void group_delete(struct group *group)
{
	struct store *store = &group->server->store;
	struct buffer name = { 0 };
	struct span parked;

	group_parked_name(group, &name);
	parked = (struct span){ buffer_at(&name), buffer_len(&name) };
	if (!name.failed && stream_last(store_find(store, parked)) >= 0)
		(void)delete_stream(store, parked, false);
	buffer_free(&name);
	names_remove(&group->server->groups, &group->node);
	group_free(&group->node);
}

void groups_free(struct server *server)
{
	names_each(&server->groups, group_free);
	names_free(&server->groups);
}
