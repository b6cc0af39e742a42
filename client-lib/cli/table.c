#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "output.h"

enum { NUMBER_TEXT = 24, FIRST_CELLS = 64, GAP = 2 };

void table_begin(struct table *t, size_t columns)
{
	*t = (struct table){ .columns = columns };
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

/* Characters of TEXT in UTF-8; each is taken for one column wide. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static void print_row(const struct table *t, size_t row, const int *widths)
{
	for (size_t c = 0; c < t->columns && row + c < t->cells; c++) {
		const char *text = t->texts[row + c];
		bool last = c + 1 == t->columns;

		output_text((struct esbridge_span){ text, strlen(text) });
		printf("%*s", last ? 0 : widths[c] - width_of(text) + GAP, "");
	}
}

void table_print(struct table *t, unsigned indent, bool bold)
{
	int *widths = mem_new(t->columns * sizeof(*widths));

	for (size_t i = 0; i < t->cells; i++) {
		int width = width_of(t->texts[i]);

		if (width > widths[i % t->columns])
			widths[i % t->columns] = width;
	}
	for (size_t row = 0; row < t->cells; row += t->columns) {
		printf("%*s%s", (int)indent, "", bold && row == 0 ? "\033[1m" : "");
		print_row(t, row, widths);
		puts(bold && row == 0 ? "\033[0m" : "");
	}
	for (size_t i = 0; i < t->cells; i++)
		free(t->texts[i]);
	free(t->texts);
	free(widths);
}
