#include "base/settings.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/settings_value.h"

enum {
	FAULT_MOST = 512,
	NAME_MOST = 48,
	TEXT_COLUMNS = 80,
	LINE_MOST = 197,         /* bytes of a line that libinih takes */
	LINE_FIRST = 512,        /* bytes for a line at first */
	STACK_WIPED = 32 * 1024, /* more than libinih takes */
};

/* Names ----------------------------------------------------------------------------------------- */

static const struct setting *find(const struct setting *table, const char *section,
				  const char *name)
{
	for (const struct setting *row = table; row->name != NULL; row++) {
		if (strcmp(row->section, section) == 0 && strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

static bool has_section(const struct setting *table, const char *section)
{
	while (table->name != NULL && strcmp(table->section, section) != 0)
		table++;
	return table->name != NULL;
}

/* The number of characters to be changed, added or taken away to make B of A (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[NAME_MOST + 1];
	size_t len = strnlen(b, NAME_MOST);

	for (size_t j = 0; j <= len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; i < NAME_MOST && a[i] != '\0'; i++) {
		unsigned corner = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < len; j++) {
			unsigned change = corner + (a[i] != b[j]);
			unsigned other = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;

			corner = row[j + 1];
			row[j + 1] = change < other ? change : other;
		}
	}
	return row[len];
}

static const char *nearest_section(const struct setting *table, const char *section)
{
	const char *best = table->section;

	for (const struct setting *row = table; row->name != NULL; row++) {
		if (distance(section, row->section) < distance(section, best))
			best = row->section;
	}
	return best;
}

/* The same name in another section is nearer than any other name in this one. */
static const struct setting *nearest(const struct setting *table, const char *section,
				     const char *name)
{
	const struct setting *best = table;
	unsigned least = UINT32_MAX;

	for (const struct setting *row = table; row->name != NULL; row++) {
		unsigned far = 2 * distance(name, row->name) + (strcmp(section, row->section) != 0);

		if (far < least) {
			least = far;
			best = row;
		}
	}
	return best;
}

static void fault_unknown(const struct setting *table, const char *section, const char *name,
			  char *fault, size_t size)
{
	const struct setting *row = nearest(table, section, name);

	snprintf(fault, size, "there is no setting %s in [%s]; the nearest is %s in [%s]",
		 log_text(name, strlen(name)), section, row->name, row->section);
}

static void fault_value(const struct setting *row, const char *text, char *fault, size_t size)
{
	char range[RANGE_TEXT];

	value_describe(row, range);
	if (row->type == SETTING_SECRET)
		snprintf(fault, size, "%s: expected %s", row->name, range);
	else
		snprintf(fault, size, "%s: expected %s, not %s", row->name, range,
			 log_text(text, strlen(text)));
}

/* Single settings ------------------------------------------------------------------------------- */

void settings_defaults(const struct setting *table, void *values)
{
	for (const struct setting *row = table; row->name != NULL; row++) {
		if (!value_parse(row, values, row->standard)) {
			log_write(LOG_ERROR, "the default of %s is not valid", row->name);
			abort();
		}
	}
}

void settings_free(const struct setting *table, void *values)
{
	for (const struct setting *row = table; row->name != NULL; row++)
		value_clear(row, values);
}

bool settings_set(const struct setting *table, void *values, const char *section, const char *name,
		  const char *text, char *fault, size_t fault_size)
{
	const struct setting *row = find(table, section, name);

	if (row == NULL) {
		fault_unknown(table, section, name, fault, fault_size);
		return false;
	}
	if (!value_parse(row, values, text)) {
		fault_value(row, text, fault, fault_size);
		return false;
	}
	return true;
}

/* Files ----------------------------------------------------------------------------------------- */

/* What the section that is read has: settings and where each was set. */
struct scope {
	const struct setting *table; /* NULL: the section is unknown, which was said */
	void *values;
	unsigned *given_at; /* for each row the line that set it, 0: none did */
};

/*
 * A file while it is read. libinih asks for it line by line through give_line(), which keeps from
 * it all that it would take otherwise than we say: lines it would cut in two, indented lines (it
 * takes them for more values of the setting above), and what it skips without a word. It tells
 * neither the number of a line nor of a second bad one, so that is kept here: a line that was given
 * to it and did not come back through take_setting() is none.
 */
struct reading {
	struct scope single; /* the sections that there are once */
	struct scope here;
	struct settings_sections *sections; /* or NULL */
	const char *path;
	void (*complain)(void *arg, const char *text);
	void *arg;
	FILE *file;
	char *line; /* for getline(); with what it has read overwritten before the next */
	size_t line_size;
	unsigned number; /* of that line, from 1 */
	bool due;        /* the line must come back as a setting */
	bool good;
};

static void complain(struct reading *r, const char *fault)
{
	char text[FAULT_MOST + 512];

	snprintf(text, sizeof(text), "%s:%u: %s", r->path, r->number, fault);
	r->complain(r->arg, text);
	r->good = false;
}

/* Where NAME is that of a kind of sections: what follows it, "" where nothing does. */
static const char *name_of_kind(const struct reading *r, const char *name)
{
	size_t len = r->sections == NULL ? 0 : strlen(r->sections->kind);

	if (len == 0 || strncmp(name, r->sections->kind, len) != 0 ||
	    (name[len] != '\0' && name[len] != ' ' && name[len] != '\t'))
		return NULL;
	return name + len + strspn(name + len, " \t");
}

/* A section of the kind that has names begins. */
static void begin_named(struct reading *r, const char *name)
{
	struct settings_section *section = section_find(r->sections, name);
	char fault[FAULT_MOST];

	if (!section_name_is_good(name, strlen(name))) {
		snprintf(fault, sizeof(fault),
			 "[%s] needs a name, as [%s NAME]: 1 to %d letters, digits, '.', '-', '_'",
			 r->sections->kind, r->sections->kind, SECTION_NAME_MOST);
		complain(r, fault);
	} else if (section != NULL) {
		snprintf(fault, sizeof(fault), "[%s %s] is there a second time, first in line %u",
			 r->sections->kind, name, section->line);
		complain(r, fault);
	} else {
		section = section_add(r->sections, name, r->number);
		r->here = (struct scope){ r->sections->table, section->values, section->lines };
	}
}

static void begin_section(struct reading *r, const char *name)
{
	const char *own = name_of_kind(r, name);
	char fault[FAULT_MOST];

	if (own != NULL) {
		begin_named(r, own);
	} else if (has_section(r->single.table, name)) {
		r->here = r->single;
	} else {
		snprintf(fault, sizeof(fault), "there is no section [%s]; the nearest is [%s]",
			 log_text(name, strlen(name)), nearest_section(r->single.table, name));
		complain(r, fault);
	}
}

/* AT is behind the bracket. */
static void check_section(struct reading *r, const char *at)
{
	size_t len = strcspn(at, "]");
	const char *rest = at + len + (at[len] == ']');
	char *name = mem_text_of(at, len);

	rest += strspn(rest, " \t");
	r->here = (struct scope){ NULL, NULL, NULL };
	if (at[len] != ']' || (*rest != '\0' && *rest != ';' && *rest != '#'))
		complain(r, "expected [section] alone on the line");
	else
		begin_section(r, name);
	free(name);
}

/* A secret must not be cut where libinih sees a comment in it. */
static bool cuts_secret(const struct setting *row, const char *line)
{
	const char *value = strpbrk(line, "=:");

	return row->type == SETTING_SECRET && value != NULL &&
	       (strstr(value, " ;") != NULL || strstr(value, "\t;") != NULL);
}

/* More words for the list that is ROW, behind those that it has. */
static bool add_to_list(const struct setting *row, void *values, const char *text, char *fault,
			size_t size)
{
	char space[VALUE_TEXT];
	const char *has = value_format(row, values, space);
	size_t room = strlen(has) + strlen(text) + sizeof(", ");
	char *all = mem_new(room);
	bool good;

	snprintf(all, room, "%s%s%s", has, *has == '\0' ? "" : ", ", text);
	good = value_parse(row, values, all);
	if (!good)
		fault_value(row, text, fault, size);
	free(all);
	return good;
}

static bool set_row(const struct scope *here, const struct setting *row, const char *text,
		    char *fault, size_t size)
{
	if (value_is_list(row) && here->given_at[row - here->table] != 0)
		return add_to_list(row, here->values, text, fault, size);
	if (value_parse(row, here->values, text))
		return true;
	fault_value(row, text, fault, size);
	return false;
}

static int take_setting(void *arg, const char *section, const char *name, const char *text)
{
	struct reading *r = arg;
	const struct scope *here = &r->here;
	const struct setting *row;
	char fault[FAULT_MOST];

	r->due = false;
	if (section[0] == '\0')
		complain(r, "expected a [section] before the first setting");
	if (here->table == NULL)
		return 1;
	/* libinih has the names behind the kind in the section's, the table has not. */
	row = find(here->table, here->table == r->single.table ? section : here->table->section,
		   name);
	if (row == NULL) {
		fault_unknown(here->table, section, name, fault, sizeof(fault));
		complain(r, fault);
	} else if (here->given_at[row - here->table] != 0 && !value_is_list(row)) {
		snprintf(fault, sizeof(fault), "%s is set a second time, first in line %u", name,
			 here->given_at[row - here->table]);
		complain(r, fault);
	} else if (cuts_secret(row, r->line)) {
		snprintf(fault, sizeof(fault), "%s: a semicolon behind a blank begins a comment",
			 name);
		complain(r, fault);
	} else {
		if (!set_row(here, row, text, fault, sizeof(fault)))
			complain(r, fault);
		here->given_at[row - here->table] = r->number;
	}
	return 1;
}

/* Says so where the line before was no setting. */
static void settle(struct reading *r)
{
	if (r->due)
		complain(r, "expected NAME = VALUE, [section], or a comment");
	r->due = false;
}

/*
 * Returns what of the line that was read is for libinih, with at most MOST bytes; "" where nothing
 * is.
 */
static const char *sift(struct reading *r, size_t len, size_t most)
{
	const char *at = r->line;
	char fault[FAULT_MOST];

	if (r->number == 1 && strncmp(at, "\xef\xbb\xbf", 3) == 0)
		at += 3;
	at += strspn(at, " \t");
	if (*at == ';' || *at == '#')
		return "";
	if (strlen(r->line) != len) {
		complain(r, "a byte of zero in the line");
		return "";
	}
	if (strlen(at) > most) {
		snprintf(fault, sizeof(fault), "the line is longer than %zu bytes", most);
		complain(r, fault);
		return "";
	}
	if (*at == '[')
		check_section(r, at + 1);
	else
		r->due = *at != '\0';
	return at;
}

static char *give_line(char *to, int size, void *arg)
{
	struct reading *r = arg;
	ssize_t len;

	settle(r);
	mem_wipe(r->line, r->line_size);
	len = getline(&r->line, &r->line_size, r->file);
	if (len < 0)
		return NULL;
	while (len > 0 && (r->line[len - 1] == '\n' || r->line[len - 1] == '\r'))
		r->line[--len] = '\0';
	r->number++;
	/* libinih wants room for a line end of two bytes and for the NUL. */
	snprintf(to, (size_t)size, "%s", sift(r, (size_t)len, (size_t)size - 3));
	return to;
}

static void complain_file(struct reading *r, int error)
{
	char text[FAULT_MOST];

	snprintf(text, sizeof(text), "%s: %s", r->path, strerror(error));
	r->complain(r->arg, text);
	r->good = false;
}

size_t settings_count(const struct setting *table)
{
	size_t n = 0;

	while (table[n].name != NULL)
		n++;
	return n;
}

/* Overwrites what libinih, which copies each line to its stack, has left below the caller's frame.
 */
static __attribute__((noinline)) void wipe_stack(void)
{
	char below[STACK_WIPED];

	mem_wipe(below, sizeof(below));
}

/* Reads the whole file and leaves no copy of a line anywhere. */
static void read_lines(struct reading *r)
{
	char *block = mem_new(BUFSIZ);

	setvbuf(r->file, block, _IOFBF, BUFSIZ);
	r->line_size = LINE_FIRST;
	r->line = mem_new(r->line_size);
	if (ini_parse_stream(give_line, r, take_setting, r) == -2)
		complain_file(r, ENOMEM);
	settle(r);
	if (ferror(r->file))
		complain_file(r, errno);
	fclose(r->file);
	mem_wipe(r->line, r->line_size);
	free(r->line);
	mem_wipe(block, BUFSIZ);
	free(block);
	wipe_stack();
}

bool settings_read(const struct setting *table, void *values, struct settings_sections *sections,
		   const char *path, unsigned *lines,
		   void (*complain_to)(void *arg, const char *text), void *arg)
{
	struct reading r = {
		.single = { table, values, NULL },
		.sections = sections,
		.path = path,
		.complain = complain_to,
		.arg = arg,
		.file = fopen(path, "re"),
		.good = true,
	};

	if (r.file == NULL) {
		complain_file(&r, errno);
		return false;
	}
	r.single.given_at = mem_new((settings_count(table) + 1) * sizeof(*r.single.given_at));
	read_lines(&r);
	if (lines != NULL)
		memcpy(lines, r.single.given_at, settings_count(table) * sizeof(*lines));
	free(r.single.given_at);
	return r.good;
}

/* Printing and reloading ------------------------------------------------------------------------ */

/* The name of ROW and the LEN bytes at VALUE, without blanks where they would be too many. */
static void print_pair(const struct setting *row, const char *value, size_t len, FILE *to)
{
	bool fits = strlen(row->name) + strlen(" = ") + len <= LINE_MOST;

	fprintf(to, "%s%s=%s%.*s", row->name, fits ? " " : "", fits && len > 0 ? " " : "", (int)len,
		value);
}

/* A list on as many lines as it needs to be read again: about 100 bytes of each. */
static void print_list(const struct setting *row, const char *text, FILE *to)
{
	enum { ENOUGH = 100 };
	size_t column = 0, len, next;
	const char *word;

	if (*text == '\0')
		fprintf(to, "%s =\n", row->name);
	for (len = settings_word(&text, &word); len > 0; len = next) {
		if (column == 0)
			print_pair(row, word, len, to);
		else
			fprintf(to, ", %.*s", (int)len, word);
		column += len + strlen(", ");
		next = settings_word(&text, &word);
		if (next == 0 || column + next > ENOUGH) {
			fputc('\n', to);
			column = 0;
		}
	}
}

static void print_row(const struct setting *row, const void *values, FILE *to)
{
	char space[VALUE_TEXT];
	const char *text = value_format(row, values, space);

	if (row->type == SETTING_SECRET) {
		fprintf(to, "# %s = %s\n", row->name, *text == '\0' ? "(not set)" : "(set)");
	} else if (value_is_list(row)) {
		print_list(row, text, to);
	} else {
		print_pair(row, text, strlen(text), to);
		fputc('\n', to);
	}
}

/* Begins a section where ROW is its first. */
static void print_section(const struct setting *table, const struct setting *row, FILE *to)
{
	if (row == table || strcmp(row->section, row[-1].section) != 0)
		fprintf(to, "%s[%s]\n", row == table ? "" : "\n", row->section);
}

void settings_print(const struct setting *table, const void *values, const char *idle, FILE *to)
{
	for (const struct setting *row = table; row->name != NULL; row++) {
		print_section(table, row, to);
		if (idle != NULL && strcmp(row->name, idle) == 0)
			fputs("# ", to);
		print_row(row, values, to);
	}
}

void settings_sections_print(const struct settings_sections *s, FILE *to)
{
	for (const struct settings_section *one = s->first; one != NULL; one = one->next) {
		fprintf(to, "\n[%s %s]\n", s->kind, one->name);
		for (const struct setting *row = s->table; row->name != NULL; row++)
			print_row(row, one->values, to);
	}
}

/* How much of TEXT goes on one line of MOST columns: all, or up to its last blank there. */
static size_t line_length(const char *text, size_t most)
{
	size_t n = most;

	if (strlen(text) <= most)
		return strlen(text);
	while (n > 0 && text[n] != ' ')
		n--;
	return n > 0 ? n : strcspn(text, " ");
}

static void print_comment(const char *text, FILE *to)
{
	while (*text != '\0') {
		size_t n = line_length(text, TEXT_COLUMNS - strlen("# "));

		fprintf(to, "# %.*s\n", (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
}

static void print_sample_row(const struct setting *row, FILE *to)
{
	char range[RANGE_TEXT];
	char note[RANGE_TEXT + sizeof("(; reload)")];

	value_describe(row, range);
	snprintf(note, sizeof(note), "(%s%s)", range, row->reloadable ? "; reload" : "");
	fputc('\n', to);
	print_comment(row->text, to);
	print_comment(note, to);
	fprintf(to, "#%s =%s%s\n", row->name, *row->standard == '\0' ? "" : " ", row->standard);
}

void settings_print_sample(const struct setting *table, FILE *to)
{
	for (const struct setting *row = table; row->name != NULL; row++) {
		print_section(table, row, to);
		print_sample_row(row, to);
	}
}

void settings_sections_sample(const struct settings_sections *s, const char *name, FILE *to)
{
	fprintf(to, "\n#[%s %s]\n", s->kind, name);
	for (const struct setting *row = s->table; row->name != NULL; row++)
		print_sample_row(row, to);
}

void settings_reload(const struct setting *table, void *to, const void *from,
		     void (*changed)(void *arg, const struct setting *row), void *arg)
{
	for (const struct setting *row = table; row->name != NULL; row++) {
		if (value_equal(row, to, from))
			continue;
		if (row->reloadable)
			value_copy(row, to, from);
		changed(arg, row);
	}
}
