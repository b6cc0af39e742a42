/*
 * Settings: one table tells the name, type, range, default and meaning of each. From it they are
 * parsed, checked, printed and documented, so that these cannot disagree.
 *
 * A file is INI (libinih): [section], NAME = VALUE or NAME: VALUE, each on a line of at most 197
 * bytes. A ; or # that begins a line makes it a comment, of any length; a ; behind a blank begins
 * one in any line, so no value can hold that. A byte order mark at the start of the file is
 * skipped.
 *
 * Durations: 500ms, 5s, 2m, 1h; a bare number is seconds. Sizes: 64K, 16M, 1G, powers of 1024; a
 * bare number is bytes.
 */
#ifndef ESBRIDGE_BASE_SETTINGS_H
#define ESBRIDGE_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum setting_type {
	SETTING_TEXT,      /* char *, allocated; "" where nothing is set */
	SETTING_SECRET,    /* the same, from secret_new(), printed as (set) or (not set) */
	SETTING_BOOL,      /* bool: yes, no, true, false, on, off */
	SETTING_INTEGER,   /* int64_t */
	SETTING_DURATION,  /* int64_t, milliseconds */
	SETTING_SIZE,      /* int64_t, bytes */
	SETTING_MODE,      /* int64_t, an octal file mode */
	SETTING_ENDPOINT,  /* char *, allocated: HOST:PORT, see base/endpoint.h, behind one of
			      `choices` or none */
	SETTING_ENDPOINTS, /* the same, any number of them, see endpoint_next(); given again, it
			      adds */
	SETTING_CHOICE,    /* int64_t, the index of a word in `choices` */
	SETTING_LIST, /* char *, allocated: words with commas between, see settings_word(); words
			 of `choices` where there are any; given again, it adds */
};

/* A table is an array of settings, a section's together, ended by one whose name is NULL. */
struct setting {
	const char *section;
	const char *name;
	enum setting_type type;
	size_t offset;              /* of the value in the caller's struct, VALUES below */
	const char *standard;       /* the default, as one would write it in a file */
	int64_t least, most;        /* range, in the unit of the type, texts: bytes; both 0: any */
	const char *const *choices; /* for SETTING_CHOICE and SETTING_LIST words, for
				       SETTING_ENDPOINT prefixes (or NULL), ended by NULL */
	bool reloadable;
	const char *text; /* what it does, in sentences, for the manual and the sample */
};

/*
 * Sections of one kind, of which a file may have any number, each with a name of its own:
 * [KIND NAME]. A name has 1 to SECTION_NAME_MOST letters, digits, '.', '-' and '_'.
 */
enum { SECTION_NAME_MOST = 32 };

struct settings_section {
	struct settings_section *next;
	char *name;
	unsigned line;   /* where it begins */
	unsigned *lines; /* for each row of the table the last line that sets it, or 0 */
	void *values;
};

struct settings_sections {
	const char *kind;
	const struct setting *table;    /* of one of them; the section of each row is `kind` */
	size_t size;                    /* of the values of one */
	struct settings_section *first; /* in the order of the file; allocated */
};

/* Frees the sections of S, which has none then. */
void settings_sections_free(struct settings_sections *s);

/* True where A and B have the same sections, in the same order, with the same values. */
bool settings_sections_equal(const struct settings_sections *a, const struct settings_sections *b);

/* Prints them as settings_print() does, behind what it has printed. */
void settings_sections_print(const struct settings_sections *s, FILE *to);

/* Prints the table of S as settings_print_sample() does, with the head of the section commented out
 * as well; NAME is the one in that head. */
void settings_sections_sample(const struct settings_sections *s, const char *name, FILE *to);

/*
 * Takes the next word of the list at *AT and moves *AT behind it. Sets *WORD to its first byte and
 * returns its length; 0 where there is none any more. Blanks around a word are left out; a comma
 * behind a backslash belongs to the word, and the backslash too.
 */
size_t settings_word(const char **at, const char **word);

/*
 * Fills VALUES, which must be all zeros, with the defaults. A default that its own row refuses is a
 * mistake of the programmer: aborts.
 */
void settings_defaults(const struct setting *table, void *values);

/* Frees the texts in VALUES (secrets are wiped) and makes all values zero. */
void settings_free(const struct setting *table, void *values);

/* The number of rows of TABLE. */
size_t settings_count(const struct setting *table);

/*
 * Reads the file PATH into VALUES. Returns true where every line was right. Otherwise false, and
 * each mistake has been reported through COMPLAIN as one text, "PATH:LINE: what is wrong and what
 * is accepted", or "PATH: reason" where it cannot be read: an unknown section or setting (with the
 * nearest name), a setting given twice, a value that does not parse or is out of range, a line that
 * is none. The right lines of a bad file have been taken.
 * LINES, where not NULL, has one place for each row, and gets the line that sets it, or 0.
 * SECTIONS, where not NULL, gets the named sections, behind those that it has.
 */
bool settings_read(const struct setting *table, void *values, struct settings_sections *sections,
		   const char *path, unsigned *lines, void (*complain)(void *arg, const char *text),
		   void *arg);

/*
 * Sets one setting from TEXT, for the command line. Returns false with the reason (what is wrong
 * and what is accepted) in FAULT, which has FAULT_SIZE bytes.
 */
bool settings_set(const struct setting *table, void *values, const char *section, const char *name,
		  const char *text, char *fault, size_t fault_size);

/*
 * Prints all settings as a file that settings_read() would accept and that gives the same values.
 * Comments are secrets, and the setting named IDLE (or NULL), which counts for nothing as the
 * others are.
 */
void settings_print(const struct setting *table, const void *values, const char *idle, FILE *to);

/* Prints each setting with its text, what it accepts and its default, commented out. */
void settings_print_sample(const struct setting *table, FILE *to);

/*
 * Copies the reloadable settings of FROM into TO. Calls CHANGED for every setting that differs,
 * reloadable (it is copied then) or not.
 */
void settings_reload(const struct setting *table, void *to, const void *from,
		     void (*changed)(void *arg, const struct setting *row), void *arg);

#endif
