#include "bridge/reader_parts.h"

#include "bridge/execute.h"

struct ack_run {
	struct reader *reader;
	const struct ack_arguments *arguments;
	struct buffer ids;     /* of a nack: those to send */
	struct buffer unknown; /* tokens' spans of those that are not outstanding */
	uint32_t count;
};

/* A nack with retry of what was read leaves it where it is in the window, and reads it once more.
 */
static void take_delivery(struct ack_run *run, struct delivery *d)
{
	struct reader *r = run->reader;

	run->count++;
	if (r->mode != READER_PERSISTENT && run->arguments->negative &&
	    run->arguments->action == NACK_RETRY) {
		if (!d->wanted)
			catchup_redeliver(&r->catchup, d->place);
		d->wanted = true;
		return;
	}
	if (r->mode == READER_PERSISTENT)
		buffer_add(run->arguments->negative ? &run->ids : &r->acks, d->node.id.bytes,
			   GUID_BYTES);
	histogram_add(&r->session->bridge->counters.acks[r->mode],
		      loop_now_us(r->session->bridge->loop) - d->since_us);
	outstanding_remove(&r->outstanding, d);
}

static struct delivery *delivery_of(const struct ack_run *run, uint32_t token)
{
	const struct json_doc *doc = run->arguments->doc;
	const struct json_token *t = &doc->tokens[token];
	struct guid id;

	/* The text stands between two quotes; an id needs no escapes. */
	if (!guid_parse(doc->text + t->at + 1, t->len - 2, &id))
		return NULL;
	return outstanding_find(&run->reader->outstanding, &id);
}

static void take_list(struct ack_run *run)
{
	const struct json_doc *doc = run->arguments->doc;
	uint32_t end = doc->tokens[run->arguments->events].next;

	for (uint32_t i = run->arguments->events + 1; i < end; i = doc->tokens[i].next) {
		struct delivery *d = delivery_of(run, i);

		if (d != NULL) {
			take_delivery(run, d);
			continue;
		}
		json_comma(&run->unknown);
		buffer_add(&run->unknown, doc->text + doc->tokens[i].at, doc->tokens[i].len);
	}
}

static void take_up_to(struct ack_run *run)
{
	const struct json_doc *doc = run->arguments->doc;
	const struct json_token *t = &doc->tokens[run->arguments->up_to];
	struct delivery *last = delivery_of(run, run->arguments->up_to);
	struct link *l = run->reader->outstanding.order.next;
	bool is_last;

	if (last == NULL) {
		buffer_add(&run->unknown, doc->text + t->at, t->len);
		return;
	}
	do {
		struct delivery *d = CONTAINER(l, struct delivery, link);

		is_last = d == last;
		l = l->next;
		take_delivery(run, d);
	} while (!is_last);
}

static void send_acks(struct ack_run *run)
{
	struct reader *r = run->reader;
	struct bridge_counters *counters = &r->session->bridge->counters;
	const struct ack_arguments *a = run->arguments;
	struct span name = { buffer_at(&r->group_id), buffer_len(&r->group_id) };

	if (a->negative)
		counters->nacked[a->action] += run->count;
	else
		counters->acked[r->mode] += run->count;
	r->acked += a->negative ? 0 : run->count;
	r->retried += a->negative && a->action == NACK_RETRY ? run->count : 0;
	if (r->mode != READER_PERSISTENT) {
		reader_checkpoint_move(r, run->count);
		catchup_pump(&r->catchup);
	} else if (a->negative) {
		group_flush(r);
		subscription_nack(&r->subscription, name,
				  (const struct guid *)(const void *)buffer_at(&run->ids),
				  buffer_len(&run->ids) / GUID_BYTES, a->action, a->reason,
				  a->reason_len);
	} else {
		loop_put_off(r->session->bridge->loop, &r->flush);
	}
}

static void answer_acks(struct ack_run *run, const struct request_id *id)
{
	struct session *s = run->reader->session;
	struct buffer *out = s->out;

	if (buffer_len(&run->unknown) > 0) {
		answer_error(out, id, ERROR_UNKNOWN_EVENT, OUTCOME_NOT_SAID,
			     "events that are not outstanding on subscription '%s'",
			     run->reader->name);
		buffer_add_text(out, ",\"body\":{\"events\":[");
		buffer_add(out, buffer_at(&run->unknown), buffer_len(&run->unknown));
		buffer_add_text(out, "]}");
	} else if (id->len > 0) {
		answer_ok(out, id);
		buffer_add_text(out, run->arguments->negative ? "\"nacked\":" : "\"acked\":");
		json_uint(out, run->count);
	} else {
		return;
	}
	answer_end(out);
	s->events->wrote(s);
}

void reader_acknowledge(struct session *s, const struct request_id *id, const char *name,
			const struct ack_arguments *a)
{
	struct ack_run run = { .reader = reader_find(s, name), .arguments = a };

	if (run.reader == NULL || run.reader->is_leaving) {
		session_refuse(s, id, ERROR_UNKNOWN_SUBSCRIPTION, OUTCOME_NOT_SAID,
			       "there is no subscription '%s' on this connection", name);
		return;
	}
	if (run.reader->window == 0) {
		session_refuse(s, id, ERROR_BAD_REQUEST, OUTCOME_NOT_SAID,
			       "subscription '%s' expects no acknowledgements", name);
		return;
	}
	if (run.reader->mode != READER_PERSISTENT && a->negative && a->action != NACK_RETRY &&
	    a->action != NACK_SKIP) {
		session_refuse(
			s, id, ERROR_BAD_REQUEST, OUTCOME_NOT_SAID,
			"action of a nack on a subscription without a group must be \"retry\" or \"skip\"");
		return;
	}
	if (a->events != NO_TOKEN)
		take_list(&run);
	else
		take_up_to(&run);
	send_acks(&run);
	answer_acks(&run, id);
	buffer_free(&run.ids);
	buffer_free(&run.unknown);
}
