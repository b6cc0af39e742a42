/*
 * A store that may say anything, to a client that has asked for everything: each of its requests is
 * answered once.
 *
 * The bytes are records: command (0: the one that answers the request), the number of the request
 * that it is for, length, and so many bytes of payload. A number from 128 on: the payload goes out
 * as it is, in no frame.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "world.h"

enum { REQUESTS = 12, REQUESTS_MOST = 64, RAW = 128, AT_ONCE = 2, RECORD = 3 };

/* Those with a number as id are executed, and are all answered. */
static const char lines[] =
	"{\"op\":\"ping\",\"id\":0}\n"
	"{\"op\":\"execute\",\"id\":1,\"message\":\"WriteEvents\",\"body\":{\"event_stream_id\":\"s\","
	"\"events\":[{\"event_type\":\"t\",\"data\":{}}]}}\n"
	"{\"op\":\"execute\",\"id\":2,\"message\":\"ReadEvent\",\"body\":{\"event_stream_id\":\"s\"}}\n"
	"{\"op\":\"execute\",\"id\":3,\"message\":\"ReadStreamEvents\",\"body\":{\"event_stream_id\":\"s\"}}\n"
	"{\"op\":\"execute\",\"id\":4,\"message\":\"ReadAllEvents\",\"body\":{}}\n"
	"{\"op\":\"execute\",\"id\":5,\"message\":\"FilteredReadAllEvents\",\"body\":{\"filter\":{"
	"\"context\":\"StreamId\",\"type\":\"Prefix\",\"data\":[\"s\"]}}}\n"
	"{\"op\":\"execute\",\"id\":6,\"message\":\"DeleteStream\",\"body\":{\"event_stream_id\":\"s\"}}\n"
	"{\"op\":\"execute\",\"id\":7,\"message\":\"TransactionStart\",\"body\":{\"event_stream_id\":\"s\"}}\n"
	"{\"op\":\"execute\",\"id\":8,\"message\":\"TransactionCommit\",\"body\":{\"transaction_id\":1}}\n"
	"{\"op\":\"execute\",\"id\":9,\"message\":\"CreatePersistentSubscription\",\"body\":{"
	"\"event_stream_id\":\"s\",\"subscription_group_name\":\"g\"}}\n"
	"{\"op\":\"execute\",\"id\":10,\"message\":\"ScavengeDatabase\",\"body\":{}}\n"
	"{\"op\":\"execute\",\"id\":11,\"message\":\"ReadStreamEventsBackward\",\"payload\":\"base64\","
	"\"body\":{\"event_stream_id\":\"s\"}}\n"
	"{\"op\":\"subscribe\",\"id\":\"a\",\"sub\":\"live\",\"stream\":\"s\"}\n"
	"{\"op\":\"subscribe\",\"id\":\"b\",\"sub\":\"group\",\"stream\":\"s\",\"group\":\"g\"}\n"
	"{\"op\":\"subscribe\",\"id\":\"c\",\"sub\":\"past\",\"stream\":\"s\",\"from\":\"start\"}\n"
	"{\"op\":\"subscribe\",\"id\":\"d\",\"sub\":\"all\",\"stream\":\"$all\",\"from\":\"start\",\"window\":4}\n"
	"{\"op\":\"subscribe\",\"id\":\"e\",\"sub\":\"few\",\"stream\":\"$all\",\"filter\":{\"context\":"
	"\"StreamId\",\"type\":\"Prefix\",\"data\":[\"s\"]}}\n"
	"{\"op\":\"unsubscribe\",\"id\":\"f\",\"sub\":\"live\"}\n";

struct telling {
	const uint8_t *data;
	size_t size;
	size_t at;
	struct {
		struct guid id;
		uint8_t command;
	} requests[REQUESTS_MOST];
	unsigned count;
	unsigned answers[REQUESTS];
};

/* Says what the next record says. False where there is none. */
static bool tell(struct world *w, struct telling *t)
{
	const uint8_t *record = t->data + t->at;
	size_t len;
	unsigned which;

	if (t->size - t->at < RECORD || t->count == 0)
		return false;
	len = record[2];
	if (len > t->size - t->at - RECORD)
		len = t->size - t->at - RECORD;
	t->at += RECORD + len;
	which = record[1] % t->count;
	if (record[1] >= RAW)
		world_send(w, record + RECORD, len);
	else
		world_answer(w,
			     record[0] != 0 ? record[0] : (uint8_t)(t->requests[which].command + 1),
			     &t->requests[which].id, record + RECORD, len);
	return true;
}

static void on_request(struct world *w, const struct package *request)
{
	struct telling *t = world_arg(w);

	t->requests[t->count % REQUESTS_MOST].id = request->correlation;
	t->requests[t->count % REQUESTS_MOST].command = request->command;
	if (t->count < REQUESTS_MOST)
		t->count++;
}

static bool more(struct world *w)
{
	struct telling *t = world_arg(w);
	bool told = false;

	for (int i = 0; i < AT_ONCE; i++)
		told = tell(w, t) || told;
	return told;
}

static void on_line(struct world *w, const char *line, size_t len)
{
	struct telling *t = world_arg(w);
	char start[16] = "";
	char *end;
	unsigned long id;

	memcpy(start, line, len < sizeof(start) - 1 ? len : sizeof(start) - 1);
	if (strncmp(start, "{\"id\":", 6) != 0 || start[6] == '"')
		return;
	id = strtoul(start + 6, &end, 10);
	if (id >= REQUESTS || ++t->answers[id] > 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct telling telling = { .data = data, .size = size };
	const struct script script = { lines,   sizeof(lines) - 1, on_request, more,
				       on_line, RULED_NEVER,       &telling };

	world_play(&script);
	for (unsigned id = 0; id < REQUESTS; id++) {
		if (telling.answers[id] != 1)
			abort();
	}
	return 0;
}
