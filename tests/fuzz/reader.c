/*
 * The daemon's lines as libesbridge reads them: whole or in pieces, the same messages come of them.
 */
#include <stdlib.h>

#include <esbridge.h>

#include "fuzz.h"

enum { LINE_MOST = 2048 };

struct tally {
	unsigned messages;
	unsigned faults;
};

static void take_all(struct esbridge_reader *reader, struct tally *tally)
{
	struct esbridge_message *message;
	int got;

	while ((got = esbridge_reader_next(reader, &message)) != 0) {
		if (got > 0) {
			tally->messages++;
			esbridge_message_free(message);
		} else {
			tally->faults++;
		}
	}
}

static struct tally read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
	struct esbridge_reader *reader = esbridge_reader_new(LINE_MOST);
	struct tally tally = { 0, 0 };

	if (reader == NULL)
		abort();
	for (size_t at = 0; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		if (esbridge_reader_feed(reader, data + at, n) != 0)
			abort();
		take_all(reader, &tally);
	}
	esbridge_reader_free(reader);
	return tally;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tally whole, pieces;

	if (size == 0)
		return 0;
	whole = read_in_pieces(data, size, size);
	pieces = read_in_pieces(data, size, 1 + data[0] % 13);
	if (whole.messages != pieces.messages || whole.faults != pieces.faults)
		abort();
	return 0;
}
