/*
 * The requests of the load generator: lines for the daemon, packages for the store.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "store/command.h"
#include "store/wire_write.h"

enum {
	ID_KEY = 2,           /* bytes before an id: field and length */
	SENT_ALONE = 1 << 16, /* bytes of a request from which on it is not copied first */
};

static const struct credentials admin = { "admin", "changeit" };

/* What events carry: a JSON object that is padded to its size. */
static const char head[] =
	"{\"customer\":\"0f8c7a1e-44\",\"amount\":129.95,\"currency\":\"EUR\",\"qty\":2,\"note\":\"";
static const char filling[] = "please ring twice, ";
static const char tail[] = "\"}";

static void add_data(struct buffer *b, uint32_t size)
{
	size_t n = size - (sizeof(head) - 1) - (sizeof(tail) - 1);

	buffer_add(b, head, sizeof(head) - 1);
	for (size_t i = 0; i < n; i++)
		buffer_add_byte(b, (uint8_t)filling[i % (sizeof(filling) - 1)]);
	buffer_add(b, tail, sizeof(tail) - 1);
}

/* The correlation id of request TAG: its number in the first bytes, and never zero. */
static struct guid correlation_of(uint32_t tag)
{
	struct guid id = { { 0 } };

	memcpy(id.bytes, &tag, sizeof(tag));
	id.bytes[15] = 1;
	return id;
}

/* Ends the package that was begun at BEGAN. */
static void end_package(struct buffer *b, size_t began)
{
	if (!frame_end(b, began))
		die("a package that is too long");
}

static void add_package(struct peer *p, uint8_t command, uint32_t tag, struct buffer *payload)
{
	struct guid id = correlation_of(tag);

	if (!frame_add(&p->out, command, &id, &admin, buffer_at(payload), buffer_len(payload)))
		die("a package that is too long");
	buffer_free(payload);
}

__attribute__((format(printf, 2, 3))) static void add_line(struct peer *p, const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(line))
		die("a line that is too long");
	buffer_add(&p->out, line, (size_t)n);
}

/* Writes --------------------------------------------------------------------------------------- */

static void write_line(struct template *t, const struct run *run)
{
	struct buffer *b = &t->bytes;

	buffer_add_text(b, "{\"op\":\"execute\",\"id\":\"");
	t->tag_at = buffer_len(b);
	buffer_add_text(
		b, "0000000000\",\"message\":\"WriteEvents\",\"body\":{\"event_stream_id\":\"");
	buffer_add_text(b, run->stream);
	buffer_add_text(b, "\",\"events\":[");
	for (unsigned i = 0; i < t->events; i++) {
		buffer_add_text(b, i == 0 ? "" : ",");
		buffer_add_text(b, "{\"event_type\":\"OrderPlaced\",\"data\":");
		add_data(b, run->size);
		buffer_add_text(b, "}");
	}
	buffer_add_text(b, "]}}\n");
}

static void write_package(struct template *t, const struct run *run)
{
	struct guid id = correlation_of(0);
	struct buffer *b = &t->bytes;
	struct buffer event = { 0 };
	struct buffer data = { 0 };
	size_t began = frame_begin(b, CMD_WRITE_EVENTS, &id, NULL);

	wire_bytes(b, 1, run->stream, strlen(run->stream));
	wire_int(b, 2, -2);
	add_data(&data, run->size);
	wire_bytes(&event, 1, &id, sizeof(id));
	wire_bytes(&event, 2, "OrderPlaced", 11);
	wire_int(&event, 3, 1);
	wire_int(&event, 4, 0);
	wire_bytes(&event, 5, buffer_at(&data), buffer_len(&data));
	t->tag_at = FRAME_PREFIX + 2;
	for (unsigned i = 0; i < t->events; i++) {
		size_t before = buffer_len(b);

		wire_bytes(b, 3, buffer_at(&event), buffer_len(&event));
		t->ids_step = buffer_len(b) - before;
		if (i == 0)
			t->ids_at = buffer_len(b) - buffer_len(&event) + ID_KEY;
	}
	wire_int(b, 4, 1);
	buffer_free(&event);
	buffer_free(&data);
	end_package(b, began);
}

void template_write(struct template *t, const struct peer *p, const struct run *run,
		    unsigned events)
{
	memset(t, 0, sizeof(*t));
	t->events = events;
	if (p->bridge)
		write_line(t, run);
	else
		write_package(t, run);
	if (t->bytes.failed)
		die("out of memory");
}

void template_free(struct template *t)
{
	buffer_free(&t->bytes);
}

static void put_digits(uint8_t *at, uint32_t tag)
{
	for (int i = TAG_DIGITS - 1; i >= 0; i--, tag /= 10)
		at[i] = (uint8_t)('0' + tag % 10);
}

/* Makes the request of T at AT, where its bytes are already, one of its own. */
static void fill_in(const struct peer *p, const struct template *t, uint8_t *at, uint32_t tag)
{
	static uint64_t next_id;

	if (p->bridge) {
		put_digits(at + t->tag_at, tag);
		return;
	}
	/* Ids that no other run has: the store must not take them for repetitions. */
	if (next_id == 0)
		next_id = clock_of(CLOCK_REALTIME);
	memcpy(at + t->tag_at, &tag, sizeof(tag));
	for (unsigned i = 0; i < t->events; i++, next_id++) {
		memcpy(at + t->ids_at + i * t->ids_step, &next_id, sizeof(next_id));
		memcpy(at + t->ids_at + i * t->ids_step + 8, &tag, sizeof(tag));
	}
}

void request_write(struct peer *p, struct template *t, uint32_t tag)
{
	size_t len = buffer_len(&t->bytes);
	uint8_t *at;

	if (len >= SENT_ALONE && p->ssl == NULL) {
		peer_send(p);
		fill_in(p, t, buffer_at(&t->bytes), tag);
		peer_send_alone(p, buffer_at(&t->bytes), len);
		return;
	}
	at = buffer_room(&p->out, len);
	if (at == NULL)
		die("out of memory");
	memcpy(at, buffer_at(&t->bytes), len);
	buffer_added(&p->out, len);
	fill_in(p, t, at, tag);
}

/* Reads ---------------------------------------------------------------------------------------- */

void request_read(struct peer *p, const struct run *run, uint32_t from, uint32_t tag)
{
	struct guid id = correlation_of(tag);
	size_t began;

	if (p->bridge) {
		add_line(p,
			 "{\"op\":\"execute\",\"id\":\"%010" PRIu32
			 "\",\"message\":\"ReadStreamEvents\",\"body\":{\"event_stream_id\":"
			 "\"%s\",\"from_event_number\":%" PRIu32 ",\"max_count\":%" PRIu32 "}}\n",
			 tag, run->stream, from, run->page);
		return;
	}
	began = frame_begin(&p->out, CMD_READ_STREAM_EVENTS_FORWARD, &id, NULL);
	wire_bytes(&p->out, 1, run->stream, strlen(run->stream));
	wire_int(&p->out, 2, from);
	wire_int(&p->out, 3, run->page);
	wire_int(&p->out, 4, 1);
	wire_int(&p->out, 5, 1);
	end_package(&p->out, began);
}

void request_read_all(struct peer *p, const struct run *run, int64_t commit, int64_t prepare,
		      uint32_t tag)
{
	struct buffer b = { 0 };

	wire_int(&b, 1, commit);
	wire_int(&b, 2, prepare);
	wire_int(&b, 3, run->page);
	wire_int(&b, 4, 1);
	wire_int(&b, 5, 1);
	add_package(p, CMD_READ_ALL_EVENTS_FORWARD, tag, &b);
}

/* Subscriptions -------------------------------------------------------------------------------- */

void request_create_group(struct peer *p, const char *stream, uint32_t tag)
{
	/* message timeout, statistics, live buffer, read batch, buffer, retries, round robin,
	 * checkpoints, subscribers */
	static const int64_t settings[] = { 60000, 0, 5000, 500, 5000, 10, 1, 2000, 1000, 10, 0 };
	struct buffer b = { 0 };

	wire_bytes(&b, 1, "g", 1);
	wire_bytes(&b, 2, stream, strlen(stream));
	wire_int(&b, 3, 0);
	wire_int(&b, 4, 0);
	for (uint32_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		wire_int(&b, 5 + i, settings[i]);
	add_package(p, CMD_CREATE_PERSISTENT_SUBSCRIPTION, tag, &b);
}

void request_subscribe(struct peer *p, const char *stream, const char *name, uint32_t tag)
{
	struct buffer b = { 0 };

	if (p->bridge) {
		add_line(p,
			 "{\"op\":\"subscribe\",\"id\":\"%010" PRIu32
			 "\",\"sub\":\"%s\",\"stream\":\"%s\"}\n",
			 tag, name, stream);
		return;
	}
	wire_bytes(&b, 1, stream, strlen(stream));
	wire_int(&b, 2, 1);
	add_package(p, CMD_SUBSCRIBE_TO_STREAM, tag, &b);
}

void request_catch_up(struct peer *p, const struct run *run, const char *name, uint32_t tag)
{
	add_line(p,
		 "{\"op\":\"subscribe\",\"id\":\"%010" PRIu32
		 "\",\"sub\":\"%s\",\"stream\":\"%s\",\"from\":\"start\",\"read_batch\":%" PRIu32
		 "}\n",
		 tag, name, run->all ? "$all" : run->stream, run->page);
}

void request_connect_group(struct peer *p, const struct run *run, uint32_t tag)
{
	struct buffer b = { 0 };

	if (p->bridge) {
		add_line(p,
			 "{\"op\":\"subscribe\",\"id\":\"%010" PRIu32
			 "\",\"sub\":\"s\",\"stream\":\"%s\",\"group\":\"g\",\"in_flight\":%" PRIu32
			 "}\n",
			 tag, run->stream, run->in_flight);
		return;
	}
	wire_bytes(&b, 1, "g", 1);
	wire_bytes(&b, 2, run->stream, strlen(run->stream));
	wire_int(&b, 3, run->in_flight);
	add_package(p, CMD_CONNECT_TO_PERSISTENT_SUBSCRIPTION, tag, &b);
}

/* Acknowledgements ----------------------------------------------------------------------------- */

static void ack_in_line(struct peer *p, const struct guid *ids, size_t count, enum ack_way way)
{
	char text[GUID_TEXT + 2] = "\"";

	text[GUID_TEXT + 1] = '"';
	buffer_add_text(&p->out, way == ACK_UP_TO ? "{\"op\":\"ack\",\"sub\":\"s\",\"up_to\":"
						  : "{\"op\":\"ack\",\"sub\":\"s\",\"events\":[");
	for (size_t i = way == ACK_UP_TO ? count - 1 : 0; i < count; i++) {
		if (i > 0 && way != ACK_UP_TO)
			buffer_add_byte(&p->out, ',');
		guid_format(&ids[i], text + 1);
		buffer_add(&p->out, text, sizeof(text));
	}
	buffer_add_text(&p->out, way == ACK_UP_TO ? "}\n" : "]}\n");
}

static void ack_in_package(struct peer *p, const struct run *run, const struct guid *ids,
			   size_t count)
{
	struct buffer b = { 0 };
	char name[128];

	snprintf(name, sizeof(name), "%s::g", run->stream);
	wire_bytes(&b, 1, name, strlen(name));
	for (size_t i = 0; i < count; i++)
		wire_bytes(&b, 2, &ids[i], sizeof(ids[i]));
	/* It goes with the id of the request that has connected. */
	add_package(p, CMD_PERSISTENT_SUBSCRIPTION_ACK_EVENTS, SETUP_TAG, &b);
}

void request_ack(struct peer *p, const struct run *run, const struct guid *ids, size_t count)
{
	size_t step = run->ack == ACK_ONE ? 1 : count;

	for (size_t i = 0; i < count; i += step) {
		if (p->bridge)
			ack_in_line(p, ids + i, step, (enum ack_way)run->ack);
		else
			ack_in_package(p, run, ids + i, step);
	}
}
