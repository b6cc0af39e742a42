/*
 * What the library adds for each event. Takes the same pushes apart several times, once only
 * looking for the ends of the lines, once with the reader. Prints nanoseconds for each line, of the
 * best run.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "esbridge.h"

enum { RUNS = 200, LINES = 2000, PIECE = 65536 };

static const char event[] =
	"{\"push\":\"event\",\"sub\":\"s1\",\"ack_id\":\"5cf95f2a-8f3d-4c49-9b4c-7e2f8a1d0001\","
	"\"retry_count\":0,\"event\":{\"event_stream_id\":\"people\",\"event_number\":%d,"
	"\"event_id\":\"5cf95f2a-8f3d-4c49-9b4c-7e2f8a1d0001\",\"event_type\":\"PersonCreated\","
	"\"data_content_type\":1,\"metadata_content_type\":1,"
	"\"created\":\"2026-11-23T21:48:24.067499Z\",\"created_epoch\":1795470504067,"
	"\"data\":{\"name\":\"Pera\",\"address\":{\"street\":\"Main Street 7\",\"town\":\"Split\"},"
	"\"balance\":129.95,\"tags\":[\"a\",\"b\",\"c\"]}},"
	"\"position\":{\"commit\":1241,\"prepare\":1241}}\n";

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Counts the lines of the LEN bytes at TEXT: what a program without the library does at least. */
static size_t raw(const char *text, size_t len)
{
	size_t count = 0;

	for (const char *at = text, *lf; (lf = memchr(at, '\n', (size_t)(text + len - at))) != NULL;
	     at = lf + 1)
		count++;
	return count;
}

/* The same with the reader, in pieces as they come from a socket. */
static size_t parsed(struct esbridge_reader *reader, const char *text, size_t len)
{
	struct esbridge_message *message;
	size_t count = 0;

	for (size_t at = 0; at < len; at += PIECE) {
		if (esbridge_reader_feed(reader, text + at, len - at < PIECE ? len - at : PIECE) !=
		    0)
			return 0;
		while (esbridge_reader_next(reader, &message) == 1) {
			count += message->event->raw_data.len > 0;
			esbridge_message_free(message);
		}
	}
	return count;
}

int main(void)
{
	static char text[LINES * (sizeof(event) + 10)];
	struct esbridge_reader *reader = esbridge_reader_new(0);
	double best_raw = 1, best = 1;
	bool good = true;
	size_t len = 0;

	if (reader == NULL)
		return 1;
	for (int i = 0; i < LINES; i++)
		len += (size_t)sprintf(text + len, event, i);
	for (int run = 0; run < RUNS; run++) {
		double began = seconds(), between;

		good = good && raw(text, len) == LINES;
		between = seconds();
		good = good && parsed(reader, text, len) == LINES;
		if (between - began < best_raw)
			best_raw = between - began;
		if (seconds() - between < best)
			best = seconds() - between;
	}
	printf("line_bytes %zu\nraw_ns %.0f\nlibrary_ns %.0f\nadded_ns %.0f\n", len / LINES,
	       best_raw / LINES * 1e9, best / LINES * 1e9, (best - best_raw) / LINES * 1e9);
	esbridge_reader_free(reader);
	return good ? 0 : 1;
}
