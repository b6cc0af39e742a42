/*
 * One connection of the load generator, and what goes over it: lines to the daemon, packages to the
 * store.
 *
 * Cheap on purpose: requests are copies of a template, and of what comes only the first bytes are
 * looked at.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"
#include "store/command.h"
#include "store/wire_read.h"
#include "store/wire_write.h"

enum { READ_MOST = 256 * 1024, HEAD = 160 };

/* What each event carries: about what an order or a click has. */
static const char payload[] =
	"{\"customer\":\"0f8c7a1e-44\",\"amount\":129.95,\"currency\":\"EUR\","
	"\"lines\":[{\"sku\":\"A-1001\",\"qty\":2},"
	"{\"sku\":\"B-2002\",\"qty\":1}],\"note\":\"please ring twice\"}";

static const struct credentials admin = { "admin", "changeit" };

void peer_open(struct peer *p, const struct run *run, bool bridge)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in tcp = { .sin_family = AF_INET,
				   .sin_port = htons(run->port),
				   .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct sockaddr *to = bridge ? (struct sockaddr *)&local : (struct sockaddr *)&tcp;
	int on = 1;

	memset(p, 0, sizeof(*p));
	p->bridge = bridge;
	snprintf(local.sun_path, sizeof(local.sun_path), "%s", run->path);
	p->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || connect(p->fd, to, bridge ? sizeof(local) : sizeof(tcp)) < 0)
		die("cannot connect");
	if (!bridge)
		setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void peer_close(struct peer *p)
{
	close(p->fd);
	buffer_free(&p->in);
	buffer_free(&p->out);
}

void peer_send(struct peer *p)
{
	while (buffer_len(&p->out) > 0) {
		if (buffer_write_fd(&p->out, p->fd) < 0)
			die("cannot send");
	}
	if (p->out.failed)
		die("out of memory");
}

void peer_receive(struct peer *p)
{
	if (buffer_read_fd(&p->in, p->fd, READ_MOST) <= 0)
		die("the connection was closed");
}

/* Requests ------------------------------------------------------------------------------------- */

/* The correlation id of request TAG: its number in the first bytes, and never zero. */
static struct guid correlation_of(uint32_t tag)
{
	struct guid id = { { 0 } };

	memcpy(id.bytes, &tag, sizeof(tag));
	id.bytes[15] = 1;
	return id;
}

static void write_line(struct template *t, const char *stream, unsigned events)
{
	struct buffer *b = &t->bytes;

	buffer_add_text(b, "{\"op\":\"execute\",\"id\":\"");
	t->tag_at = buffer_len(b);
	buffer_add_text(
		b, "0000000000\",\"message\":\"WriteEvents\",\"body\":{\"event_stream_id\":\"");
	buffer_add_text(b, stream);
	buffer_add_text(b, "\",\"events\":[");
	for (unsigned i = 0; i < events; i++) {
		buffer_add_text(b, i == 0 ? "" : ",");
		buffer_add_text(b, "{\"event_type\":\"OrderPlaced\",\"data\":");
		buffer_add_text(b, payload);
		buffer_add_text(b, "}");
	}
	buffer_add_text(b, "]}}\n");
}

static void write_package(struct template *t, const char *stream, unsigned events)
{
	struct guid id = correlation_of(0);
	struct buffer *b = &t->bytes;
	struct buffer event = { 0 };
	size_t began = frame_begin(b, CMD_WRITE_EVENTS, &id, NULL);

	wire_bytes(b, 1, stream, strlen(stream));
	wire_int(b, 2, -2);
	wire_bytes(&event, 1, &id, sizeof(id));
	wire_bytes(&event, 2, "OrderPlaced", 11);
	wire_int(&event, 3, 1);
	wire_int(&event, 4, 0);
	wire_bytes(&event, 5, payload, sizeof(payload) - 1);
	t->tag_at = FRAME_PREFIX + 2;
	/* Key and length of the event take three bytes, key and length of its id two. */
	t->ids_at = buffer_len(b) + 3 + 2;
	t->ids_step = buffer_len(&event) + 3;
	for (unsigned i = 0; i < events; i++)
		wire_bytes(b, 3, buffer_at(&event), buffer_len(&event));
	wire_int(b, 4, 1);
	buffer_free(&event);
	if (!frame_end(b, began))
		die("a package that is too long");
}

void template_write(struct template *t, const struct peer *p, const char *stream, unsigned events)
{
	memset(t, 0, sizeof(*t));
	t->events = events;
	if (p->bridge)
		write_line(t, stream, events);
	else
		write_package(t, stream, events);
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

void request_write(struct peer *p, struct template *t, uint32_t tag)
{
	static uint64_t next_id = 1;
	size_t len = buffer_len(&t->bytes);
	uint8_t *at = buffer_room(&p->out, len);

	if (at == NULL)
		die("out of memory");
	memcpy(at, buffer_at(&t->bytes), len);
	buffer_added(&p->out, len);
	if (p->bridge) {
		put_digits(at + t->tag_at, tag);
		return;
	}
	memcpy(at + t->tag_at, &tag, sizeof(tag));
	for (unsigned i = 0; i < t->events; i++, next_id++) {
		memcpy(at + t->ids_at + i * t->ids_step, &next_id, sizeof(next_id));
		memcpy(at + t->ids_at + i * t->ids_step + 8, &tag, sizeof(tag));
	}
}

static void add_package(struct peer *p, uint8_t command, uint32_t tag, struct buffer *payload_of)
{
	struct guid id = correlation_of(tag);

	if (!frame_add(&p->out, command, &id, &admin, buffer_at(payload_of),
		       buffer_len(payload_of)))
		die("a package that is too long");
	buffer_free(payload_of);
}

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

static void add_subscribe_line(struct peer *p, const char *stream, const char *more, uint32_t tag)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "{\"op\":\"subscribe\",\"id\":\"%010u\",\"sub\":\"s\",\"stream\":\"%s\"%s}\n", tag,
		 stream, more);
	buffer_add_text(&p->out, line);
}

void request_subscribe(struct peer *p, const char *stream, uint32_t tag)
{
	struct buffer b = { 0 };

	if (p->bridge) {
		add_subscribe_line(p, stream, "", tag);
		return;
	}
	wire_bytes(&b, 1, stream, strlen(stream));
	wire_int(&b, 2, 1);
	add_package(p, CMD_SUBSCRIBE_TO_STREAM, tag, &b);
}

void request_connect_group(struct peer *p, const char *stream, unsigned in_flight, uint32_t tag)
{
	struct buffer b = { 0 };
	char more[64];

	if (p->bridge) {
		snprintf(more, sizeof(more), ",\"group\":\"g\",\"in_flight\":%u", in_flight);
		add_subscribe_line(p, stream, more, tag);
		return;
	}
	wire_bytes(&b, 1, "g", 1);
	wire_bytes(&b, 2, stream, strlen(stream));
	wire_int(&b, 3, in_flight);
	add_package(p, CMD_CONNECT_TO_PERSISTENT_SUBSCRIPTION, tag, &b);
}

void request_ack(struct peer *p, const char *stream, const struct guid *ids, size_t count)
{
	struct buffer b = { 0 };
	char name[64];
	char text[GUID_TEXT + 1] = "";

	if (count == 0)
		return;
	if (p->bridge) {
		guid_format(&ids[count - 1], text);
		buffer_add_text(&p->out, "{\"op\":\"ack\",\"sub\":\"s\",\"up_to\":\"");
		buffer_add_text(&p->out, text);
		buffer_add_text(&p->out, "\"}\n");
		return;
	}
	snprintf(name, sizeof(name), "%s::g", stream);
	wire_bytes(&b, 1, name, strlen(name));
	for (size_t i = 0; i < count; i++)
		wire_bytes(&b, 2, &ids[i], sizeof(ids[i]));
	add_package(p, CMD_PERSISTENT_SUBSCRIPTION_ACK_EVENTS, 0, &b);
}

/* What comes ----------------------------------------------------------------------------------- */

/* Finds TEXT near the start of the line, and returns where it ends, or NULL. */
static const char *after(const char *line, size_t len, const char *text)
{
	const char *found = memmem(line, len < HEAD ? len : HEAD, text, strlen(text));

	return found == NULL ? NULL : found + strlen(text);
}

static struct arrived look_at_line(const char *line, size_t len, bool ids)
{
	struct arrived a = { ARRIVAL_EVENT, 0, { { 0 } } };
	const char *at;

	if (after(line, len, "\"push\":\"event\"") != NULL) {
		at = ids ? after(line, len, "\"ack_id\":\"") : NULL;
		if (ids && (at == NULL || !guid_parse(at, GUID_TEXT, &a.id)))
			die("an event without ack_id");
		return a;
	}
	at = after(line, len, "\"id\":\"");
	if (at == NULL || after(line, len, "\"ok\":") == NULL) {
		fprintf(stderr, "%.*s\n", (int)len, line);
		die("a request failed");
	}
	a.kind = ARRIVAL_REPLY;
	a.tag = (uint32_t)strtoul(at, NULL, 10);
	return a;
}

static struct arrived next_line(struct peer *p, bool ids)
{
	struct arrived a = { ARRIVAL_NONE, 0, { { 0 } } };
	const char *line = (const char *)buffer_at(&p->in);
	const char *lf = buffer_len(&p->in) == 0 ? NULL : memchr(line, '\n', buffer_len(&p->in));

	if (lf == NULL)
		return a;
	a = look_at_line(line, (size_t)(lf - line), ids);
	buffer_consume(&p->in, (size_t)(lf - line) + 1);
	return a;
}

/* The bytes of field NUMBER of a message. */
static struct span field_of(struct span message, uint32_t number)
{
	struct wire w;
	struct wire_field f;

	wire_start(&w, message.at, message.len);
	while (wire_next(&w, &f)) {
		if (f.number == number && f.type == WIRE_BYTES)
			return f.bytes;
	}
	die("a message without its field");
}

/* StreamEventAppeared and its kin: the event's record is field 1 of field 1, its id field 3. */
static struct guid event_id_of(const struct package *package)
{
	struct span message = { package->payload, package->payload_len };
	struct span id = field_of(field_of(field_of(message, 1), 1), 3);
	struct guid guid;

	if (id.len != sizeof(guid))
		die("an event without id");
	memcpy(&guid, id.at, sizeof(guid));
	return guid;
}

static struct arrived look_at_package(struct peer *p, const struct package *package, bool ids)
{
	struct arrived a = { ARRIVAL_REPLY, 0, { { 0 } } };

	memcpy(&a.tag, package->correlation.bytes, sizeof(a.tag));
	switch (package->command) {
	case CMD_HEARTBEAT_REQUEST:
		frame_add(&p->out, CMD_HEARTBEAT_RESPONSE, &package->correlation, NULL, NULL, 0);
		a.kind = ARRIVAL_NONE;
		return a;
	case CMD_STREAM_EVENT_APPEARED:
	case CMD_PERSISTENT_SUBSCRIPTION_STREAM_EVENT_APPEARED:
		a.kind = ARRIVAL_EVENT;
		if (ids)
			a.id = event_id_of(package);
		return a;
	case CMD_WRITE_EVENTS_COMPLETED:
		/* The result is the first field, and 0 or left out where it succeeded. */
		if (package->payload_len >= 2 && package->payload[0] == 0x08 &&
		    package->payload[1] != 0)
			die("a write failed");
		return a;
	case CMD_SUBSCRIPTION_CONFIRMATION:
	case CMD_PERSISTENT_SUBSCRIPTION_CONFIRMATION:
	case CMD_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED:
		return a;
	}
	fprintf(stderr, "command 0x%02x\n", package->command);
	die("a request failed");
}

static struct arrived next_package(struct peer *p, bool ids)
{
	struct arrived a = { ARRIVAL_NONE, 0, { { 0 } } };
	struct package package;
	size_t size;

	while (a.kind == ARRIVAL_NONE) {
		switch (frame_look(buffer_at(&p->in), buffer_len(&p->in), FRAME_MOST, &package,
				   &size)) {
		case FRAME_INCOMPLETE:
			return a;
		case FRAME_BAD_LENGTH:
		case FRAME_BAD_HEADER:
			die("no frame");
		case FRAME_WHOLE:
			break;
		}
		a = look_at_package(p, &package, ids);
		buffer_consume(&p->in, size);
	}
	return a;
}

struct arrived peer_next(struct peer *p, bool ids)
{
	return p->bridge ? next_line(p, ids) : next_package(p, ids);
}

void peer_await(struct peer *p, uint32_t tag)
{
	struct arrived a;

	peer_send(p);
	while ((a = peer_next(p, false)).kind == ARRIVAL_NONE)
		peer_receive(p);
	if (a.kind != ARRIVAL_REPLY || a.tag != tag)
		die("another answer than expected");
}
