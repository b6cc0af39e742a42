#include "table.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "output.h"

enum { NUMBER_TEXT = 24, FIRST_CELLS = 64, GAP = 2 };

void table_begin(struct table *t, size_t columns)
{
	*t = (struct table){ .columns = columns, .most = INT_MAX };
}

void table_text(struct table *t, const char *text)
{
	if (t->cells == t->size) {
		size_t size = t->size == 0 ? FIRST_CELLS : 2 * t->size;
		char **texts = mem_new(size * sizeof(*texts));

		if (t->cells > 0)
			memcpy(texts, t->texts, t->cells * sizeof(*texts));
		free(t->texts);
		t->texts = texts;
		t->size = size;
	}
	t->texts[t->cells++] = mem_text(text);
}

void table_number(struct table *t, int64_t number)
{
	char text[NUMBER_TEXT];

	snprintf(text, sizeof(text), "%" PRId64, number);
	table_text(t, text);
}

static void print_row(const struct table *t, size_t row, const int *widths)
{
	int left = t->most;

	for (size_t c = 0; c < t->columns && row + c < t->cells; c++) {
		int cut = output_cut(t->texts[row + c], left);
		int gap = c + 1 == t->columns ? 0 : widths[c] - cut + GAP;

		left -= cut;
		if (gap > left)
			gap = left;
		printf("%*s", gap, "");
		left -= gap;
	}
}

void table_print(struct table *t, bool bold)
{
	int *widths = mem_new(t->columns * sizeof(*widths));

	for (size_t i = 0; i < t->cells; i++) {
		int width = output_width(t->texts[i]);

		if (width > widths[i % t->columns])
			widths[i % t->columns] = width;
	}
	for (size_t row = 0; row < t->cells; row += t->columns) {
		fputs(bold && row == 0 ? "\033[1m" : "", stdout);
		print_row(t, row, widths);
		puts(bold && row == 0 ? "\033[0m" : "");
	}
	for (size_t i = 0; i < t->cells; i++)
		free(t->texts[i]);
	free(t->texts);
	free(widths);
}
