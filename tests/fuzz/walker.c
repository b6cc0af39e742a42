/*
 * A JSON text: the walker in each of its forms, and jansson as the judge.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/oracle_compare.h"
#include "fuzz.h"

enum { DEPTH = 64, VALUES = 4096, SIZE = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_doc doc;
	const char *text = (const char *)data;
	const char *how;
	bool deep, breaks, taken;

	if (size > SIZE)
		return 0;
	/* Deeper than the walker is told to go, which jansson does not know of. */
	deep = !json_check(text, size, DEPTH, &breaks) && json_check(text, size, SIZE, &breaks);
	json_doc_init(&doc, DEPTH, DEPTH, VALUES);
	how = deep ? NULL : oracle_compare(&doc, text, size, DEPTH, &taken);
	if (how != NULL) {
		(void)fprintf(stderr, "%s\n", how);
		abort();
	}
	json_doc_free(&doc);
	return 0;
}
