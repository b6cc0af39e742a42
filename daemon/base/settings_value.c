#include "base/settings_value.h"

#include <stdlib.h>
#include <string.h>

#include "base/endpoint.h"
#include "base/mem.h"
#include "base/secret.h"

enum { WORD_MOST = 160 };

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

/* The largest first, for printing. */
static const struct unit duration_units[] = {
	{ "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }, { NULL, 0 },
};
static const struct unit size_units[] = {
	{ "G", 1 << 30 }, { "M", 1 << 20 }, { "K", 1 << 10 }, { "", 1 }, { NULL, 0 },
};

static const char *const bool_words[] = { "no", "yes", "false", "true", "off", "on", NULL };

/* How the types differ. A number without a unit counts `bare`. */
static const struct type {
	const struct unit *units;
	int64_t bare;
	int base;
	const char *what;
} types[] = {
	[SETTING_TEXT] = { .what = "a text" },
	[SETTING_SECRET] = { .what = "a text" },
	[SETTING_ENDPOINT] = { .what = "HOST:PORT or [ADDRESS]:PORT" },
	[SETTING_ENDPOINTS] = { .what = "HOST:PORT or [ADDRESS]:PORT, with commas between several" },
	[SETTING_BOOL] = { .what = "yes or no" },
	[SETTING_INTEGER] = { no_units, 1, 10, "a whole number" },
	[SETTING_DURATION] = { duration_units, 1000, 10, "a duration such as 500ms, 5s or 2m" },
	[SETTING_SIZE] = { size_units, 1, 10, "a size in bytes such as 512, 64K or 16M" },
	[SETTING_MODE] = { no_units, 1, 8, "an octal file mode such as 0660" },
	[SETTING_CHOICE] = { .what = "a word" },
	[SETTING_LIST] = { .what = "words with commas between, of at most 160 bytes each" },
};

static void *place(const struct setting *row, void *values)
{
	return (char *)values + row->offset;
}

static const void *place_in(const struct setting *row, const void *values)
{
	return (const char *)values + row->offset;
}

static const char *text_of(const struct setting *row, const void *values)
{
	const char *const *at = place_in(row, values);

	return *at == NULL ? "" : *at;
}

static char *copy_of(const struct setting *row, const char *text)
{
	return row->type == SETTING_SECRET ? secret_new(text, strlen(text)) : mem_text(text);
}

static void release(const struct setting *row, char *text)
{
	if (row->type == SETTING_SECRET)
		secret_free(text);
	else
		free(text);
}

static bool is_of_endpoints(const struct setting *row)
{
	return row->type == SETTING_ENDPOINT || row->type == SETTING_ENDPOINTS;
}

bool value_is_text(const struct setting *row)
{
	return row->type == SETTING_TEXT || row->type == SETTING_SECRET ||
	       row->type == SETTING_LIST || is_of_endpoints(row);
}

bool value_is_list(const struct setting *row)
{
	return row->type == SETTING_LIST || row->type == SETTING_ENDPOINTS;
}

static bool in_range(const struct setting *row, int64_t n)
{
	return (row->least == 0 && row->most == 0) || (n >= row->least && n <= row->most);
}

/* One endpoint, behind a prefix of the row or none; or several. */
static bool good_endpoints(const struct setting *row, const char *text)
{
	struct endpoint e;

	for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++) {
		size_t len = strlen(row->choices[i]);

		if (strncmp(text, row->choices[i], len) == 0)
			return endpoint_split(text + len, e.host, sizeof(e.host), &e.port);
	}
	if (row->type == SETTING_ENDPOINT)
		return endpoint_split(text, e.host, sizeof(e.host), &e.port);
	while (endpoint_next(&text, &e))
		;
	return text == NULL;
}

/* As settings_word(), but for an empty word, which has the length 0 too. *AT is NULL behind the
 * last.
 */
static size_t next_word(const char **at, const char **word)
{
	const char *p = *at + strspn(*at, " ");
	const char *end = p;

	while (*end != '\0' && *end != ',')
		end += *end == '\\' && end[1] != '\0' ? 2 : 1;
	*at = *end == ',' ? end + 1 : NULL;
	*word = p;
	while (end > p && end[-1] == ' ')
		end--;
	return (size_t)(end - p);
}

size_t settings_word(const char **at, const char **word)
{
	return *at == NULL || **at == '\0' ? 0 : next_word(at, word);
}

/* True where WORD ends with a backslash that would take the comma behind it. */
static bool ends_escaping(const char *word, size_t len)
{
	bool escaping = false;

	while (len > 0 && word[--len] == '\\')
		escaping = !escaping;
	return escaping;
}

/* True where WORD is one of CHOICES, or these are NULL. */
static bool good_word(const char *const *choices, const char *word, size_t len)
{
	if (choices == NULL)
		return len > 0 && len <= WORD_MOST && !ends_escaping(word, len);
	while (*choices != NULL && (strlen(*choices) != len || memcmp(*choices, word, len) != 0))
		choices++;
	return *choices != NULL;
}

/* A copy of the list TEXT with its words as they are printed; NULL where one of them is wrong. */
static char *copy_list(const struct setting *row, const char *text)
{
	/* A comma alone may become a comma and a blank. */
	char *copy = mem_new(2 * strlen(text) + 1);
	char *to = copy;
	const char *word;
	size_t len;

	while (text != NULL && (*text != '\0' || to != copy)) {
		len = next_word(&text, &word);
		if (!good_word(row->choices, word, len)) {
			free(copy);
			return NULL;
		}
		if (to != copy)
			to = stpcpy(to, ", ");
		to = mempcpy(to, word, len);
	}
	return copy;
}

/* A copy of the endpoints of TEXT, which are good, as they are printed. */
static char *copy_endpoints(const char *text)
{
	/* A blank alone may become a comma and a blank. */
	char *copy = mem_new(2 * strlen(text) + 1);
	char *to = copy;
	struct endpoint e;
	char one[ENDPOINT_TEXT];

	while (endpoint_next(&text, &e)) {
		endpoint_format(&e, one);
		to = stpcpy(stpcpy(to, to == copy ? "" : ", "), one);
	}
	return copy;
}

/* Reading --------------------------------------------------------------------------------------- */

/* The index of TEXT in WORDS, or -1. */
static int find_word(const char *const *words, const char *text)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], text) == 0)
			return i;
	}
	return -1;
}

/* What a file cannot hold is refused everywhere, so that what is printed can be read again. */
static bool writable(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	}
	return strstr(text, " ;") == NULL && text[0] != ';' &&
	       (len == 0 || (text[0] != ' ' && text[len - 1] != ' '));
}

static bool parse_text(const struct setting *row, void *values, const char *text)
{
	char **at = place(row, values);
	char *copy;

	if (!in_range(row, (int64_t)strlen(text)) || !writable(text) ||
	    (is_of_endpoints(row) && !good_endpoints(row, text)))
		return false;
	copy = row->type == SETTING_LIST        ? copy_list(row, text)
	       : row->type == SETTING_ENDPOINTS ? copy_endpoints(text)
						: copy_of(row, text);
	if (copy == NULL || !writable(copy)) {
		release(row, copy);
		return false;
	}
	value_clear(row, values);
	*at = copy;
	return true;
}

static bool parse_word(const struct setting *row, void *values, const char *text)
{
	int i = find_word(row->type == SETTING_BOOL ? bool_words : row->choices, text);

	if (i < 0)
		return false;
	if (row->type == SETTING_BOOL)
		*(bool *)place(row, values) = i % 2 == 1;
	else
		*(int64_t *)place(row, values) = i;
	return true;
}

static bool parse_number(const struct setting *row, void *values, const char *text)
{
	const struct type *type = &types[row->type];
	const struct unit *unit = type->units;
	int64_t n = 0, factor = type->bare;
	const char *p = text;

	for (; *p >= '0' && *p < '0' + type->base; p++) {
		if (__builtin_mul_overflow(n, type->base, &n) ||
		    __builtin_add_overflow(n, *p - '0', &n))
			return false;
	}
	if (p == text)
		return false;
	if (*p != '\0') {
		while (unit->name != NULL && strcmp(unit->name, p) != 0)
			unit++;
		factor = unit->factor;
	}
	if (factor == 0 || __builtin_mul_overflow(n, factor, &n) || !in_range(row, n))
		return false;
	*(int64_t *)place(row, values) = n;
	return true;
}

bool value_parse(const struct setting *row, void *values, const char *text)
{
	if (value_is_text(row))
		return parse_text(row, values, text);
	if (types[row->type].units == NULL)
		return parse_word(row, values, text);
	return parse_number(row, values, text);
}

/* Writing --------------------------------------------------------------------------------------- */

static const char *format_number(const struct setting *row, int64_t n, char space[VALUE_TEXT])
{
	const struct unit *unit = types[row->type].units;

	if (row->type == SETTING_MODE) {
		snprintf(space, VALUE_TEXT, "%04llo", (unsigned long long)n);
		return space;
	}
	if (n == 0) {
		snprintf(space, VALUE_TEXT, "0");
		return space;
	}
	while (n % unit->factor != 0)
		unit++;
	snprintf(space, VALUE_TEXT, "%lld%s", (long long)(n / unit->factor), unit->name);
	return space;
}

const char *value_format(const struct setting *row, const void *values, char space[VALUE_TEXT])
{
	if (value_is_text(row))
		return text_of(row, values);
	if (row->type == SETTING_BOOL)
		return bool_words[*(const bool *)place_in(row, values)];
	if (row->type == SETTING_CHOICE)
		return row->choices[*(const int64_t *)place_in(row, values)];
	return format_number(row, *(const int64_t *)place_in(row, values), space);
}

static void describe_words(const struct setting *row, char to[RANGE_TEXT])
{
	size_t n = (size_t)snprintf(to, RANGE_TEXT, "%s",
				    row->type == SETTING_LIST ? "some of" : "one of");

	for (size_t i = 0; row->choices[i] != NULL && n < RANGE_TEXT; i++)
		n += (size_t)snprintf(to + n, RANGE_TEXT - n, "%s %s", i == 0 ? "" : ",",
				      row->choices[i]);
}

void value_describe(const struct setting *row, char to[RANGE_TEXT])
{
	char least[VALUE_TEXT], most[VALUE_TEXT];
	size_t n;

	if (row->type == SETTING_CHOICE || (row->type == SETTING_LIST && row->choices != NULL)) {
		describe_words(row, to);
		return;
	}
	n = (size_t)snprintf(to, RANGE_TEXT, "%s", types[row->type].what);
	for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL && n < RANGE_TEXT; i++)
		n += (size_t)snprintf(to + n, RANGE_TEXT - n, ", or %sHOST:PORT", row->choices[i]);
	if (row->least == 0 && row->most == 0)
		return;
	if (value_is_text(row))
		snprintf(to + n, RANGE_TEXT - n, "%s of %lld to %lld bytes",
			 row->type == SETTING_ENDPOINT ? "," : "", (long long)row->least,
			 (long long)row->most);
	else
		snprintf(to + n, RANGE_TEXT - n, ", from %s to %s",
			 format_number(row, row->least, least),
			 format_number(row, row->most, most));
}

/* Whole values ---------------------------------------------------------------------------------- */

bool value_equal(const struct setting *row, const void *a, const void *b)
{
	if (value_is_text(row))
		return strcmp(text_of(row, a), text_of(row, b)) == 0;
	if (row->type == SETTING_BOOL)
		return *(const bool *)place_in(row, a) == *(const bool *)place_in(row, b);
	return *(const int64_t *)place_in(row, a) == *(const int64_t *)place_in(row, b);
}

void value_copy(const struct setting *row, void *to, const void *from)
{
	if (value_is_text(row)) {
		char *copy = copy_of(row, text_of(row, from));

		value_clear(row, to);
		*(char **)place(row, to) = copy;
	} else if (row->type == SETTING_BOOL) {
		*(bool *)place(row, to) = *(const bool *)place_in(row, from);
	} else {
		*(int64_t *)place(row, to) = *(const int64_t *)place_in(row, from);
	}
}

void value_clear(const struct setting *row, void *values)
{
	if (value_is_text(row)) {
		char **at = place(row, values);

		release(row, *at);
		*at = NULL;
	} else if (row->type == SETTING_BOOL) {
		*(bool *)place(row, values) = false;
	} else {
		*(int64_t *)place(row, values) = 0;
	}
}
