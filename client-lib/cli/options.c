#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fault.h"

enum { LONG_BASE = 256, FAULT_TEXT = 256 };

static bool set_text(const struct option_row *row, void *value, const char *text, char *fault,
		     size_t size)
{
	if (*text == '\0') {
		snprintf(fault, size, "an empty word is no %s", row->argument);
		return false;
	}
	*(const char **)value = text;
	return true;
}

static bool set_integer(const struct option_row *row, void *value, const char *text, char *fault,
			size_t size)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || number < row->least ||
	    number > row->most) {
		snprintf(fault, size, "'%s' is no number from %" PRId64 " to %" PRId64, text,
			 row->least, row->most);
		return false;
	}
	*(int64_t *)value = number;
	return true;
}

static const struct {
	const char *unit;
	int64_t ms;
} units[] = { { "ms", 1 }, { "s", 1000 }, { "", 1000 }, { "m", 60000 }, { "h", 3600000 } };

static bool set_time(const struct option_row *row, void *value, const char *text, char *fault,
		     size_t size)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	for (size_t i = 0; end != text && errno == 0 && i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (number > row->most / units[i].ms || number * units[i].ms < row->least)
			break;
		*(int64_t *)value = number * units[i].ms;
		return true;
	}
	snprintf(fault, size,
		 "'%s' is no time from %" PRId64 " ms to %" PRId64
		 " s; it takes a number with ms, s (the default), m or h",
		 text, row->least, row->most / 1000);
	return false;
}

static bool set_choice(const struct option_row *row, void *value, const char *text, char *fault,
		       size_t size)
{
	size_t used;

	for (int i = 0; row->choices[i] != NULL; i++) {
		if (strcmp(row->choices[i], text) == 0) {
			*(int *)value = i;
			return true;
		}
	}
	used = (size_t)snprintf(fault, size, "'%s' is none of", text);
	for (int i = 0; row->choices[i] != NULL && used < size; i++)
		used += (size_t)snprintf(fault + used, size - used, "%s %s", i > 0 ? "," : "",
					 row->choices[i]);
	return false;
}

const char *const version_words[] = { "any", "no_stream", "stream_exists", NULL };

static bool set_version(const struct option_row *row, void *value, const char *text, char *fault,
			size_t size)
{
	static const int64_t versions[] = { ESBRIDGE_ANY, ESBRIDGE_NO_STREAM,
					    ESBRIDGE_STREAM_EXISTS };
	char *end;
	long long number;

	(void)row;
	for (size_t i = 0; version_words[i] != NULL; i++) {
		if (strcmp(version_words[i], text) == 0) {
			*(int64_t *)value = versions[i];
			return true;
		}
	}
	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || number < 0) {
		snprintf(fault, size,
			 "'%s' is no version; it takes any, no_stream, stream_exists or the number "
			 "of the last event",
			 text);
		return false;
	}
	*(int64_t *)value = number;
	return true;
}

const char *const place_words[] = { "start", "end", NULL };

bool place_read(const char *text, struct place *place)
{
	long long first, second;
	char *end;

	*place = (struct place){ .from = ESBRIDGE_FROM_START };
	if (strcmp(text, "start") == 0)
		return true;
	place->from = ESBRIDGE_FROM_END;
	if (strcmp(text, "end") == 0)
		return true;
	errno = 0;
	first = strtoll(text, &end, 10);
	if (end == text || errno != 0 || first < 0)
		return false;
	*place = (struct place){ .from = ESBRIDGE_FROM_NUMBER, .number = first };
	if (*end == '\0')
		return true;
	if (*end++ != '/')
		return false;
	text = end;
	second = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || second < 0)
		return false;
	*place = (struct place){ .from = ESBRIDGE_FROM_POSITION, .position = { first, second } };
	return true;
}

static bool set_place(const struct option_row *row, void *value, const char *text, char *fault,
		      size_t size)
{
	(void)row;
	if (place_read(text, value))
		return true;
	snprintf(
		fault, size,
		"'%s' is no place; it takes start, end, the number of an event, or for all streams "
		"COMMIT/PREPARE",
		text);
	return false;
}

bool option_set(const struct option_row *row, void *values, const char *text, char *fault,
		size_t size)
{
	static bool (*const setters[])(const struct option_row *, void *, const char *, char *,
				       size_t) = {
		[OPTION_TEXT] = set_text,       [OPTION_FILE] = set_text,
		[OPTION_INTEGER] = set_integer, [OPTION_TIME] = set_time,
		[OPTION_CHOICE] = set_choice,   [OPTION_VERSION] = set_version,
		[OPTION_PLACE] = set_place,
	};
	void *value = (char *)values + row->at;

	if (row->kind == OPTION_FLAG) {
		*(bool *)value = true;
		return true;
	}
	return setters[row->kind](row, value, text, fault, size);
}

const struct option_row *option_find(const struct option_row *rows, const char *word)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, rows->name) == 0)
			return rows;
		if (word[0] == '-' && word[1] == rows->letter && word[1] != '\0' && word[2] == '\0')
			return rows;
	}
	return NULL;
}

/* What getopt_long() is given, made of all the rows. */
struct parser {
	struct option *longs;
	char *letters;
	const struct option_row **rows; /* of which each of `longs` was made */
	void **values;
	size_t count;
};

static void parser_make(struct parser *p, const struct option_set *sets, size_t count,
			bool first_only)
{
	size_t total = 0;
	char *letter;

	for (size_t s = 0; s < count; s++) {
		for (const struct option_row *r = sets[s].rows; r != NULL && r->name != NULL; r++)
			total++;
	}
	p->longs = mem_new((total + 1) * sizeof(*p->longs));
	p->rows = mem_new((total + 1) * sizeof(*p->rows));
	p->values = mem_new((total + 1) * sizeof(*p->values));
	p->letters = mem_new(2 * total + 3);
	p->count = 0;
	letter = p->letters;
	if (first_only)
		*letter++ = '+';
	*letter++ = ':'; /* a missing argument is told apart from an unknown option */
	for (size_t s = 0; s < count; s++) {
		for (const struct option_row *r = sets[s].rows; r != NULL && r->name != NULL; r++) {
			p->rows[p->count] = r;
			p->values[p->count] = sets[s].values;
			p->longs[p->count] = (struct option){
				.name = r->name,
				.has_arg = r->kind == OPTION_FLAG ? no_argument : required_argument,
				.val = LONG_BASE + (int)p->count,
			};
			p->count++;
			if (r->letter == 0)
				continue;
			*letter++ = r->letter;
			if (r->kind != OPTION_FLAG)
				*letter++ = ':';
		}
	}
}

static void parser_free(struct parser *p)
{
	free(p->longs);
	free(p->rows);
	free(p->values);
	free(p->letters);
}

/* The index of the row that getopt_long() means by OPTION, or -1. */
static int row_of(const struct parser *p, int option)
{
	if (option >= LONG_BASE)
		return option - LONG_BASE;
	for (size_t i = 0; i < p->count; i++) {
		if (p->rows[i]->letter == option && option != 0)
			return (int)i;
	}
	return -1;
}

/* Says what getopt_long() did not like; WORD is where it stood. */
static void say_wrong(const struct parser *p, int option, const char *word, const char *who)
{
	int i = row_of(p, optopt);

	if (option == ':')
		say("%s: %s needs an argument: %s", who, word, p->rows[i]->argument);
	else if (i >= 0)
		say("%s: --%s takes no argument", who, p->rows[i]->name);
	else if (optopt != 0)
		say("%s: there is no option -%c", who, optopt);
	else
		say("%s: there is no option %s, or it is not the only one that begins so", who,
		    word);
}

static bool take(const struct parser *p, int option, const char *who)
{
	char fault[FAULT_TEXT];
	int i = row_of(p, option);

	if (option == ':' || option == '?' || i < 0)
		return false;
	if (option_set(p->rows[i], p->values[i], optarg, fault, sizeof(fault)))
		return true;
	say("%s: --%s: %s", who, p->rows[i]->name, fault);
	return false;
}

int options_read(const struct option_set *sets, size_t count, int argc, char **argv,
		 bool first_only, const char *who)
{
	struct parser p;
	int option;
	bool good = true;

	parser_make(&p, sets, count, first_only);
	opterr = 0;
	optind = 0; /* glibc: begin anew */
	while (good && (option = getopt_long(argc, argv, p.letters, p.longs, NULL)) != -1) {
		good = take(&p, option, who);
		if (!good && (option == ':' || option == '?'))
			say_wrong(&p, option, argv[optind - 1], who);
	}
	parser_free(&p);
	return good ? optind : -1;
}
