/*
 * A client that may say anything, before a store that answers nonsense. Each line is answered with
 * JSON, and nothing ends the daemon.
 */
#include <string.h>

#include "fuzz.h"
#include "store/command.h"
#include "world.h"

enum { SIZE_MOST = 64 * 1024 };

/* What the store says is chosen by the client's bytes, so that a file tells the whole story. */
struct teller {
	const uint8_t *data;
	size_t size;
	uint64_t number;
};

static uint32_t choose(struct teller *t, uint32_t below)
{
	t->number = t->number * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)(t->number >> 33) % below;
}

static void on_request(struct world *w, const struct package *request)
{
	static const uint8_t commands[] = { CMD_NOT_HANDLED, CMD_BAD_REQUEST, CMD_NOT_AUTHENTICATED,
					    CMD_STREAM_EVENT_APPEARED, CMD_SUBSCRIPTION_DROPPED };
	struct teller *t = world_arg(w);
	uint8_t command = (uint8_t)(request->command + 1);
	size_t at = choose(t, (uint32_t)t->size);
	size_t len = choose(t, 4) == 0 ? choose(t, (uint32_t)(t->size - at)) : choose(t, 2) * 2;
	static const uint8_t plain[] = { 0x08, 0x00 };

	if (choose(t, 8) == 0)
		command = commands[choose(t, sizeof(commands))];
	world_answer(w, command, &request->correlation, len == 2 ? plain : t->data + at, len);
}

static bool no_more(struct world *w)
{
	(void)w;
	return false;
}

static void on_line(struct world *w, const char *line, size_t len)
{
	(void)w;
	(void)line;
	(void)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct teller teller = { data, size, 1 };
	struct script script = { (const char *)data, size,   on_request, no_more, on_line,
				 RULED_NEVER,        &teller };

	if (size == 0 || size > SIZE_MOST)
		return 0;
	for (size_t i = 0; i < size; i++)
		teller.number = teller.number * 31 + data[i];
	script.ruled = (enum ruled)choose(&teller, RULED_WAYS);
	world_play(&script);
	return 0;
}
