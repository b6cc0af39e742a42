/*
 * The daemon's rooms in this process, with a client at one end and a store at the other that are
 * both played: what they say is the script's.
 */
#ifndef ESBRIDGE_FUZZ_WORLD_H
#define ESBRIDGE_FUZZ_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/frame.h"

struct world;

/* When the client's access rule begins to count, which lets it have little. */
enum ruled { RULED_NEVER, RULED_ALWAYS, RULED_LATE, RULED_WAYS };

struct script {
	const char *lines; /* what the client sends, */
	size_t lines_len;
	/* A request of the daemon has come; heartbeats and the handshake are seen to. */
	void (*request)(struct world *w, const struct package *request);
	/* Nothing has happened for a while: says more, or returns false where it has no more. */
	bool (*more)(struct world *w);
	/* A line for the client, without its LF, which is known to be JSON. */
	void (*line)(struct world *w, const char *line, size_t len);
	enum ruled ruled;
	void *arg;
};

/*
 * Plays SCRIPT from connecting to the end of all, after which every line of the client that asked
 * for something has been answered and no memory is left behind.
 */
void world_play(const struct script *script);

void *world_arg(const struct world *w);

/* Sends the bytes, or a package, to the daemon as the store. */
void world_send(struct world *w, const void *bytes, size_t len);
void world_answer(struct world *w, uint8_t command, const struct guid *correlation,
		  const void *payload, size_t len);

#endif
