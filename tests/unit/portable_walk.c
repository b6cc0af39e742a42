#include <stdlib.h>

#define JSON_PORTABLE      1
#define json_check         portable_json_check
#define json_doc_free      portable_json_doc_free
#define json_doc_init      portable_json_doc_init
#define json_doc_shrink    portable_json_doc_shrink
#define json_int64_get     portable_json_int64_get
#define json_parse         portable_json_parse
#define json_string_get    portable_json_string_get
#define json_string_equals portable_json_string_equals
#define json_starved       portable_json_starved
#define json_string_is     portable_json_string_is
#define utf8_check         portable_utf8_check

int portable_allocations = -1;

static void *scarce_realloc(void *p, size_t size)
{
	if (portable_allocations == 0)
		return NULL;
	portable_allocations -= portable_allocations > 0;
	return realloc(p, size);
}

#define realloc scarce_realloc

#include "base/json_walk.c" /* NOLINT(bugprone-suspicious-include): compiled a second time on purpose */
