#include "bridge/execute.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/json_to_message.h"
#include "store/command.h"
#include "store/filters.h"
#include "store/operation.h"

struct execute {
	struct execute *next; /* among the spares */
	struct request request;
	struct operation operation;
	const struct message *message; /* NULL: a ping */
	struct render render;
	struct buffer event_ids; /* 16 bytes for each event written */
	uint64_t began_us;       /* of a ping, as exactly as can be */
	uint64_t taken_us;       /* of loop_now_us() */
	uint64_t timeout_ms;
	struct deadline patience; /* while it waits for its turn */
	struct idnode chosen;     /* the correlation id where the client has chosen it, or zeros */
};

enum {
	SUBJECT_TEXT = 400,
	PAGE_MOST = 4096,   /* events: the store reads no more at once */
	SPARES_MOST = 256,  /* requests kept to be used again, */
	SPARE_BYTES = 4096, /* each with two buffers of no more than this */
};

/* Empties B, and keeps its memory where that is little. */
static void reuse(struct buffer *b)
{
	if (b->size > SPARE_BYTES || b->failed)
		buffer_free(b);
	else
		buffer_consume(b, buffer_len(b));
}

static void execute_free(struct execute *e)
{
	struct bridge *bridge = e->request.bridge;

	if (!guid_is_zero(&e->chosen.id))
		idtable_remove(&bridge->correlations, &e->chosen);
	if (bridge->spare_count < SPARES_MOST) {
		reuse(&e->operation.frame);
		reuse(&e->event_ids);
		e->next = bridge->spares;
		bridge->spares = e;
		bridge->spare_count++;
		return;
	}
	buffer_free(&e->operation.frame);
	buffer_free(&e->event_ids);
	free(e);
}

void execute_free_spares(struct bridge *bridge)
{
	while (bridge->spares != NULL) {
		struct execute *e = bridge->spares;

		bridge->spares = e->next;
		buffer_free(&e->operation.frame);
		buffer_free(&e->event_ids);
		free(e);
	}
	bridge->spare_count = 0;
}

/* Memory for a request, zero but for its buffers, which are empty. */
static struct execute *execute_take(struct bridge *bridge)
{
	struct execute *e = bridge->spares;
	struct buffer frame, event_ids;

	if (e == NULL)
		return mem_new(sizeof(*e));
	bridge->spares = e->next;
	bridge->spare_count--;
	frame = e->operation.frame;
	event_ids = e->event_ids;
	memset(e, 0, sizeof(*e));
	e->operation.frame = frame;
	e->event_ids = event_ids;
	return e;
}

static bool changes_store(const struct execute *e)
{
	return e->message != NULL && e->message->kind != MESSAGE_READ;
}

/* DOUBT: of the last answer or its absence. An earlier sending may have been carried out. */
static enum outcome outcome_of(const struct execute *e, bool doubt)
{
	if (!changes_store(e))
		return OUTCOME_NOT_SAID;
	return doubt || e->operation.doubtful ? OUTCOME_UNKNOWN : OUTCOME_NONE;
}

static const char no_memory[] = "esbridge has no memory for a request of this size now";

/* Answers of the store -------------------------------------------------------------------------- */

static uint32_t field_number(const ProtobufCMessageDescriptor *d, const char *name)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(d, name);

	return f == NULL ? 0 : f->id;
}

static void add_event_ids(struct execute *e, struct buffer *out)
{
	const uint8_t *at = buffer_at(&e->event_ids);
	size_t count = buffer_len(&e->event_ids) / GUID_BYTES;
	char text[GUID_TEXT];

	if (!e->message->carries_events)
		return;
	json_key(out, "event_ids");
	buffer_add_byte(out, '[');
	for (size_t i = 0; i < count; i++, at += GUID_BYTES) {
		struct guid id;

		memcpy(id.bytes, at, GUID_BYTES);
		guid_format(&id, text);
		buffer_add_text(out, i == 0 ? "\"" : ",\"");
		buffer_add(out, text, GUID_TEXT);
		buffer_add_byte(out, '"');
	}
	buffer_add_byte(out, ']');
}

/* The value of scalar field NUMBER of BYTES, or OTHERWISE. */
static int64_t number_in(struct span bytes, uint32_t number, int64_t otherwise)
{
	struct wire w;
	struct wire_field f = { .number = 0 };

	wire_start(&w, bytes.at, bytes.len);
	while (wire_next(&w, &f)) {
		if (f.number == number && f.type == WIRE_VARINT)
			otherwise = (int64_t)f.value;
	}
	return otherwise;
}

static struct span text_in(struct span bytes, uint32_t number)
{
	struct span found = { NULL, 0 };
	struct wire w;
	struct wire_field f = { .number = 0 };

	wire_start(&w, bytes.at, bytes.len);
	while (wire_next(&w, &f)) {
		if (f.number == number && f.type == WIRE_BYTES)
			found = f.bytes;
	}
	return found;
}

static struct span request_payload(const struct execute *e)
{
	struct package p;
	size_t size;

	frame_look(buffer_at(&e->operation.frame), buffer_len(&e->operation.frame), FRAME_MOST, &p,
		   &size);
	return (struct span){ p.payload, p.payload_len };
}

/* What the request was about, in words, for messages to people. */
static void describe(const struct execute *e, char text[SUBJECT_TEXT])
{
	const ProtobufCMessageDescriptor *d = e->message->request;
	struct span payload = request_payload(e);
	uint32_t stream_field = field_number(d, "event_stream_id");
	uint32_t group_field = field_number(d, "subscription_group_name");
	struct span stream =
		stream_field == 0 ? (struct span){ NULL, 0 } : text_in(payload, stream_field);
	struct span group =
		group_field == 0 ? (struct span){ NULL, 0 } : text_in(payload, group_field);
	int stream_len = stream.len > 128 ? 128 : (int)stream.len;
	int group_len = group.len > 128 ? 128 : (int)group.len;

	if (group_field != 0)
		snprintf(text, SUBJECT_TEXT, "group '%.*s' of stream '%.*s'", group_len,
			 (const char *)group.at, stream_len, (const char *)stream.at);
	else if (stream_field != 0)
		snprintf(text, SUBJECT_TEXT, "stream '%.*s'", stream_len, (const char *)stream.at);
	else if (field_number(d, "transaction_id") != 0)
		snprintf(text, SUBJECT_TEXT, "transaction %lld",
			 (long long)number_in(payload, 1, 0));
	else
		snprintf(text, SUBJECT_TEXT, "the request");
}

/* The stream that E is about, for the log: " stream=NAME"; "" where there is none. */
static void stream_of(const struct execute *e, char text[SUBJECT_TEXT])
{
	uint32_t field =
		e->message == NULL ? 0 : field_number(e->message->request, "event_stream_id");
	struct span stream;

	text[0] = '\0';
	if (field == 0)
		return;
	stream = text_in(request_payload(e), field);
	snprintf(text, SUBJECT_TEXT, " stream=%s", log_text((const char *)stream.at, stream.len));
}

/* Counts E, which has been answered as OUTCOME says: "ok" or the name of an error. Returns how many
 * microseconds that took. */
static uint64_t measure(const struct execute *e, const char *outcome)
{
	struct bridge *bridge = e->request.bridge;
	size_t which = e->message == NULL ? MESSAGE_COUNT : (size_t)(e->message - message_table);
	uint64_t took = loop_now_us(bridge->loop) - e->taken_us;
	char stream[SUBJECT_TEXT];

	histogram_add(&bridge->counters.operations[which], took);
	if (bridge->settings.slow_operation == 0 ||
	    took < (uint64_t)bridge->settings.slow_operation * 1000)
		return took;
	stream_of(e, stream);
	log_write(LOG_NOTICE, "slow operation client=%u message=%s%s duration_ms=%llu outcome=%s",
		  e->request.client, e->message == NULL ? "ping" : e->message->name, stream,
		  (unsigned long long)took / 1000, outcome);
	return took;
}

static void fail(struct execute *e, enum error_code code, bool doubt, const char *text)
{
	measure(e, error_name(code));
	request_fail(&e->request, code, outcome_of(e, doubt), "%s", text);
	execute_free(e);
}

/* Of a request that has one; else -2, any. */
static int64_t expected_version(const struct execute *e)
{
	uint32_t field = field_number(e->message->request, "expected_version");

	return field == 0 ? -2 : number_in(request_payload(e), field, -2);
}

static void wrong_version(const struct execute *e, struct span answer, const char *subject,
			  char message[SUBJECT_TEXT * 2])
{
	uint32_t current_field = field_number(e->message->response, "current_version");
	int64_t current =
		current_field == 0 ? INT64_MIN : number_in(answer, current_field, INT64_MIN);
	int64_t expected = expected_version(e);

	if (current == INT64_MIN || expected < -1)
		snprintf(message, SUBJECT_TEXT * 2, "%s is not at the expected version", subject);
	else if (current == -1)
		snprintf(message, SUBJECT_TEXT * 2,
			 "%s does not exist, and version %lld was expected", subject,
			 (long long)expected);
	else if (expected == -1)
		snprintf(message, SUBJECT_TEXT * 2, "%s is at %lld, and was expected not to exist",
			 subject, (long long)current);
	else
		snprintf(message, SUBJECT_TEXT * 2, "%s is at %lld, not %lld", subject,
			 (long long)current, (long long)expected);
}

/* What a refusal of the store means, in words; the code that is not here says it by its name. */
static const char *explain(enum error_code code)
{
	static const char *const texts[ERROR_COUNT] = {
		[ERROR_STREAM_DELETED] = "is deleted",
		[ERROR_NO_STREAM] = "does not exist",
		[ERROR_NOT_FOUND] = "has no such event",
		[ERROR_ACCESS_DENIED] = "may not be used so by this user of the store",
		[ERROR_INVALID_TRANSACTION] =
			"cannot be committed: the store does not find its beginning",
		[ERROR_PREPARE_TIMEOUT] = "was not prepared by the store in its time",
		[ERROR_COMMIT_TIMEOUT] = "was not committed by the store in its time",
		[ERROR_FORWARD_TIMEOUT] =
			"was forwarded to the leader, which did not answer in its time",
		[ERROR_ALREADY_EXISTS] = "exists already",
		[ERROR_DOES_NOT_EXIST] = "does not exist",
		[ERROR_NOT_MODIFIED] = "is not modified",
	};

	return texts[code] != NULL ? texts[code] : "was refused by the store";
}

static void answer_refusal(struct execute *e, const ProtobufCMessageDescriptor *response,
			   struct span answer, enum error_code code)
{
	struct buffer *out = request_out(&e->request);
	enum outcome outcome = outcome_of(e, error_leaves_doubt(code));
	char subject[SUBJECT_TEXT];
	char message[SUBJECT_TEXT * 2];

	describe(e, subject);
	if (code == ERROR_WRONG_EXPECTED_VERSION)
		wrong_version(e, answer, subject, message);
	else
		snprintf(message, sizeof(message), "%s %s", subject, explain(code));
	answer_error(out, &e->request.id, code, outcome, "%s", message);
	json_key(out, "body");
	message_to_json(response, answer.at, answer.len, &e->render, out, NULL);
	add_event_ids(e, out);
	answer_end(out);
}

/* The number of events in ANSWER, a read's. */
static uint64_t events_in(const ProtobufCMessageDescriptor *response, struct span answer)
{
	uint32_t many = field_number(response, "events");
	uint32_t one = field_number(response, "event");
	struct wire w;
	struct wire_field f = { .number = 0 };
	uint64_t count = 0;

	wire_start(&w, answer.at, answer.len);
	while (wire_next(&w, &f))
		count += f.number == many || f.number == one;
	return count;
}

/* The answer of the store to a TransactionStart: what follows names the transaction alone. */
static void tell_begun(const struct execute *e, struct span answer)
{
	struct session *s = e->request.session;
	uint32_t stream = field_number(e->message->request, "event_stream_id");
	uint32_t transaction = field_number(e->message->response, "transaction_id");

	if (s->bounds != NULL)
		s->bounds->began(s, text_in(request_payload(e), stream),
				 number_in(answer, transaction, 0));
}

/* The answer of LEN bytes, which began at BEFORE, is taken back. */
static const char *refuse_answer(struct execute *e, size_t before, size_t len)
{
	struct buffer *out = request_out(&e->request);

	buffer_cut(out, buffer_len(out) - before);
	out->failed = false;
	answer_error(out, &e->request.id, ERROR_OVERLOADED, outcome_of(e, true),
		     "esbridge has no memory now for the line of this answer, %zu bytes as it "
		     "came from the store",
		     len);
	answer_end(out);
	return error_name(ERROR_OVERLOADED);
}

/* Writes the answer as a success, and takes it back where it turns out to be none. Returns "ok" or
 * the name of the error. */
static const char *answer_message(struct execute *e, const struct package *package)
{
	struct buffer *out = request_out(&e->request);
	size_t before = buffer_len(out);
	struct span answer = { package->payload, package->payload_len };
	const ProtobufCMessageDescriptor *response =
		message_response(e->message, package->command, answer.at, answer.len);
	const char *result = NULL;
	const char *code;
	bool well;

	if (out->failed)
		return "client_gone"; /* it is about to be closed */
	e->render.screen = e->request.session->screen;
	/* It does not become shorter by being JSON: room for all of it, not by doubling. */
	(void)buffer_room(out, answer.len);
	answer_ok(out, &e->request.id);
	json_key(out, "message");
	json_text(out, response->short_name);
	json_key(out, "body");
	well = message_to_json(response, answer.at, answer.len, &e->render, out, &result);
	code = message_result_code(result);
	if (well && code == NULL) {
		if (e->message->begins_transaction)
			tell_begun(e, answer);
		if (e->request.session->meter != NULL)
			session_pay(e->request.session, events_in(response, answer));
		add_event_ids(e, out);
		answer_end(out);
		if (!out->failed)
			return "ok";
	}
	if (out->failed)
		return refuse_answer(e, before, answer.len);
	buffer_cut(out, buffer_len(out) - before);
	if (well) {
		answer_refusal(e, response, answer, error_of_name(code));
		return code;
	}
	answer_error(out, &e->request.id, ERROR_PROTOCOL_ERROR, outcome_of(e, true),
		     "the store answered %s with bytes that are no %s", e->message->name,
		     response->short_name);
	answer_end(out);
	return error_name(ERROR_PROTOCOL_ERROR);
}

static const char *answer_pong(struct execute *e)
{
	struct buffer *out = request_out(&e->request);

	answer_ok(out, &e->request.id);
	buffer_add_text(out, "\"pong\":true,\"rtt_us\":");
	json_uint(out, loop_clock_us() - e->began_us);
	answer_end(out);
	return "ok";
}

/* operation_start() has refused it. */
static void fail_overloaded(struct execute *e)
{
	fail(e, ERROR_OVERLOADED, false,
	     account_refuses(buffer_len(&e->operation.frame))
		     ? no_memory
		     : "too many requests wait for the store");
}

static void ask_again(struct request *r);

static void ask_store(struct execute *e, uint64_t timeout_ms)
{
	if (!operation_start(&e->operation, &e->operation.conversation.node.id, timeout_ms))
		fail_overloaded(e);
}

/* Nobody waits for the answer. */
static void give_up(struct execute *e)
{
	request_end(&e->request);
	execute_free(e);
}

static void on_turn(struct turn *t, bool granted)
{
	struct execute *e = CONTAINER(t, struct execute, request.turn);
	struct loop *loop = e->request.bridge->loop;
	uint64_t end = e->patience.at;

	loop_clear_deadline(loop, &e->patience);
	if (!granted)
		fail(e, ERROR_SHUTTING_DOWN, false, "esbridge is shutting down");
	else if (!e->request.session->events->is_there(e->request.session))
		give_up(e);
	else if (session_is_full(e->request.session, e->request.expected))
		request_hold(&e->request, e->request.expected, ask_again);
	else
		ask_store(e, end > loop_now(loop) ? end - loop_now(loop) : 1);
}

static void on_impatient(void *arg)
{
	struct execute *e = arg;
	bool ready = store_is_ready(e->request.bridge->store);

	fail(e, ready ? ERROR_OVERLOADED : ERROR_UNAVAILABLE, false,
	     ready ? "too many large reads wait for the store"
		   : "no connection to the store within the time allowed");
}

/* Sends E, which reads a page, when it is its turn. */
static void ask_in_turn(struct execute *e)
{
	if (request_take_turn(&e->request, on_turn, ask_again)) {
		e->operation.has_turn = e->request.turn.had;
		ask_store(e, e->timeout_ms);
		return;
	}
	e->operation.has_turn = true;
	deadline_init(&e->patience, on_impatient, e);
	loop_set_deadline(e->request.bridge->loop, &e->patience, e->timeout_ms);
}

/*
 * A client that asks for more than it reads: the answer is let go, and the read is sent again when
 * there is room. Reads alone have large answers, and may be repeated.
 */
static void ask_again(struct request *r)
{
	struct execute *e = CONTAINER(r, struct execute, request);

	loop_clear_deadline(r->bridge->loop, &e->patience);
	if (r->session == NULL)
		give_up(e);
	else
		ask_in_turn(e);
}

static void answered(struct execute *e, const struct package *package)
{
	const char *outcome = "client_gone";

	request_count_page(&e->request, package->payload_len);

	if (e->message != NULL && e->message->kind == MESSAGE_READ &&
	    request_out(&e->request) != NULL &&
	    session_is_full(e->request.session, package->payload_len)) {
		request_hold(&e->request, package->payload_len, ask_again);
		return;
	}
	if (request_out(&e->request) != NULL)
		outcome = e->message == NULL ? answer_pong(e) : answer_message(e, package);
	bridge_answered(e->request.bridge, e->message == NULL ? MESSAGE_READ : e->message->kind,
			e->request.bytes + package->payload_len, measure(e, outcome),
			loop_now_us(e->request.bridge->loop));
	request_end(&e->request);
	execute_free(e);
}

static void fail_with_text(struct execute *e, enum error_code code, const char *what,
			   const struct package *package)
{
	char message[STORE_TEXT];

	store_text(package, what, message);
	fail(e, code, false, message);
}

static void fail_bad_request(struct execute *e, const struct package *package)
{
	if (e->operation.filtered && filters_refused(e->request.bridge->store))
		fail(e, ERROR_SERVER_BAD_REQUEST, false, TEXT_NO_FILTERS);
	else
		fail_with_text(e, ERROR_SERVER_BAD_REQUEST, "the store does not accept the request",
			       package);
}

static void fail_too_large(struct execute *e)
{
	bool counted = e->message != NULL && field_number(e->message->request, "max_count") != 0;
	size_t limit = e->request.bridge->store->settings.connection.frame_limit;
	char message[STORE_TEXT];

	if (connection_is_starved(e->request.bridge->store->connection)) {
		fail(e, ERROR_OVERLOADED, true, "esbridge has no memory for the answer now");
		return;
	}
	snprintf(message, sizeof(message),
		 "the answer is longer than the %zu bytes that esbridge takes from the store%s",
		 limit, counted ? "; a lower max_count makes it shorter" : " (store.frame_limit)");
	fail(e, ERROR_LIMIT_EXCEEDED, true, message);
}

static void on_ended(struct operation *op, enum operation_end how, const struct package *package)
{
	struct execute *e = CONTAINER(op, struct execute, operation);

	switch (how) {
	case OPERATION_ANSWERED:
		answered(e, package);
		break;
	case OPERATION_BAD_REQUEST:
		fail_bad_request(e, package);
		break;
	case OPERATION_NOT_AUTHENTICATED:
		fail_with_text(e, ERROR_NOT_AUTHENTICATED,
			       "the store does not know this user and password", package);
		break;
	case OPERATION_NOT_HANDLED:
		fail(e, ERROR_NOT_HANDLED, false, "this node of the store is read-only");
		break;
	case OPERATION_UNEXPECTED:
		fail(e, ERROR_PROTOCOL_ERROR, true,
		     "the store answered with a command that is no answer to this");
		break;
	case OPERATION_TOO_LARGE:
		fail_too_large(e);
		break;
	case OPERATION_UNAVAILABLE:
		fail(e, ERROR_UNAVAILABLE, false,
		     "no connection to the store within the time allowed");
		break;
	case OPERATION_TIMEOUT:
		fail(e, ERROR_TIMEOUT, true, "the store did not answer within the time allowed");
		break;
	case OPERATION_LOST:
		fail(e, ERROR_CONNECTION_LOST, true,
		     "the connection to the store was lost before the answer came");
		break;
	case OPERATION_CANCELLED:
		fail(e, ERROR_SHUTTING_DOWN, op->sent, "esbridge is shutting down");
		break;
	}
}

/* Requests -------------------------------------------------------------------------------------- */

static struct execute *execute_new(struct bridge *bridge, const struct message *message)
{
	struct execute *e = execute_take(bridge);

	e->request.bridge = bridge;
	e->message = message;
	operation_init(&e->operation, bridge->store);
	e->operation.ended = on_ended;
	return e;
}

static uint32_t events_wanted(const struct execute *e)
{
	int64_t count = number_in(request_payload(e),
				  field_number(e->message->request, "max_count"), PAGE_MOST);

	return count < 1 ? 1 : count > PAGE_MOST ? PAGE_MOST : (uint32_t)count;
}

static void start(struct execute *e, struct session *s, const struct request_id *id,
		  const struct guid *correlation, uint64_t timeout_ms)
{
	e->timeout_ms = timeout_ms;
	e->taken_us = loop_now_us(s->bridge->loop);
	request_begin(&e->request, s, id, buffer_len(&e->operation.frame));
	e->operation.conversation.node.id = *correlation;
	if (e->message != NULL && e->message->reads_page) {
		request_expect_page(&e->request, events_wanted(e));
		ask_in_turn(e);
	} else {
		ask_store(e, timeout_ms);
	}
}

/*
 * False, with the request refused, where the client's own correlation id cannot be taken: another
 * request has it, be it in flight or still waiting.
 */
static bool choose_correlation(struct session *s, const struct request_id *id,
			       const struct guid *wanted, enum outcome outcome,
			       struct guid *correlation)
{
	if (wanted == NULL) {
		guid_next(correlation);
		return true;
	}
	*correlation = *wanted;
	if (idtable_find(&s->bridge->store->conversations, wanted) == NULL &&
	    idtable_find(&s->bridge->correlations, wanted) == NULL)
		return true;
	session_refuse(s, id, ERROR_ALREADY_EXISTS, outcome, "correlation_id is in flight already");
	return false;
}

/* What E is about is told by the bytes that go to the store. False: S may not, and was told. */
static bool is_allowed(const struct execute *e, struct session *s, const struct request_id *id)
{
	struct span payload = request_payload(e), stream = { NULL, 0 };
	uint32_t stream_field = field_number(e->message->request, "event_stream_id");
	uint32_t transaction_field = field_number(e->message->request, "transaction_id");

	if (stream_field != 0)
		stream = text_in(payload, stream_field);
	return s->bounds->message(s, id, e->message, stream,
				  number_in(payload, transaction_field, 0));
}

/*
 * Puts in what json_to_message() has left out: by writing the frame around it, into the memory of
 * LINE, or else by a copy.
 */
static void complete_frame(struct buffer *frame, struct buffer *line, const struct encoded *encoded)
{
	if (frame->failed)
		return;
	if (!buffer_enclose(line, encoded->left_out, encoded->left_out_len, frame,
			    encoded->left_out_at)) {
		buffer_insert(frame, encoded->left_out_at, encoded->left_out,
			      encoded->left_out_len);
		return;
	}
	buffer_free(frame);
	*frame = *line;
	*line = (struct buffer){ .limit = line->limit };
}

/* Makes the package of E. False, and refused, where that cannot be. */
static bool make_package(struct execute *e, struct session *s, const struct request_id *id,
			 const struct execute_arguments *a, const struct guid *correlation,
			 enum outcome outcome)
{
	struct encoded encoded = { .event_ids = &e->event_ids,
				   .large = a->line == NULL ? 0 : buffer_len(a->line) / 2 };
	struct buffer *frame = &e->operation.frame;
	char fault[FAULT_TEXT];
	size_t began = frame_begin(frame, a->message->command, correlation, a->who);
	bool well = json_to_message(a->message, a->doc, a->body, s->bridge->settings.require_master,
				    frame, &encoded, fault);

	if (well && a->line != NULL && encoded.left_out != NULL)
		complete_frame(frame, a->line, &encoded);
	if (encoded.starved || frame->failed)
		session_refuse(s, id, ERROR_OVERLOADED, outcome, "%s", no_memory);
	else if (!well)
		session_refuse(s, id, ERROR_BAD_REQUEST, outcome, "%s", fault);
	else if (!frame_end(frame, began))
		session_refuse(s, id, ERROR_LIMIT_EXCEEDED, outcome,
			       "the message is larger than the %d bytes that the store takes",
			       FRAME_MOST);
	else
		return true;
	return false;
}

void bridge_execute(struct session *s, const struct request_id *id,
		    const struct execute_arguments *a)
{
	struct bridge *bridge = s->bridge;
	const struct message *m = a->message;
	enum outcome outcome = m->kind == MESSAGE_READ ? OUTCOME_NOT_SAID : OUTCOME_NONE;
	struct guid correlation;
	struct execute *e;

	if (bridge->settings.read_only && m->kind != MESSAGE_READ) {
		session_refuse(s, id, ERROR_READ_ONLY, outcome,
			       "esbridge runs read-only: %s is refused", m->name);
		return;
	}
	if (!choose_correlation(s, id, a->correlation, outcome, &correlation))
		return;
	e = execute_new(bridge, m);
	e->render = (struct render){ .payload = a->payload, .depth = bridge->settings.depth };
	e->operation.answer = m->reply_command;
	e->operation.other_answer = m->other_reply_command;
	e->operation.repeatable = m->repeatable;
	e->operation.filtered = m->kind == MESSAGE_READ && field_number(m->request, "filter") != 0;
	if (!make_package(e, s, id, a, &correlation, outcome) ||
	    (s->bounds != NULL && !is_allowed(e, s, id))) {
		execute_free(e);
		return;
	}
	if (a->correlation != NULL) {
		e->chosen.id = correlation;
		idtable_insert(&bridge->correlations, &e->chosen);
	}
	bridge->executed++;
	session_count(s, m->carries_events ? buffer_len(&e->event_ids) / GUID_BYTES : 0);
	start(e, s, id, &correlation, a->timeout_ms);
}

void bridge_ping(struct session *s, const struct request_id *id, const struct credentials *who,
		 uint64_t timeout_ms)
{
	struct execute *e = execute_new(s->bridge, NULL);
	struct guid correlation;

	guid_next(&correlation);
	e->operation.answer = CMD_PONG;
	e->operation.repeatable = true;
	e->began_us = loop_clock_us();
	frame_add(&e->operation.frame, CMD_PING, &correlation, who, NULL, 0);
	start(e, s, id, &correlation, timeout_ms);
}
