/*
 * A table of texts on standard output, its columns as wide as they must be.
 */
#ifndef ESBRIDGE_CLI_TABLE_H
#define ESBRIDGE_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
	size_t columns;
	size_t cells; /* those that there are, row by row */
	size_t size;
	char **texts;
	int most; /* columns of the terminal that a row may take; what is beyond is cut off */
};

/* A table of COLUMNS columns (1 or more), with nothing in it, whose rows are not cut. table_print()
 * ends it. */
void table_begin(struct table *t, size_t columns);

/* Adds the next cell, a copy of TEXT. */
void table_text(struct table *t, const char *text);

/* Adds the next cell, a number. */
void table_number(struct table *t, int64_t number);

/* Prints the rows; with BOLD the first one so. Frees everything. */
void table_print(struct table *t, bool bold);

#endif
