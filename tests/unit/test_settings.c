#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/settings.h"
#include "suites.h"

struct values {
	char *name;
	char *secret;
	bool on;
	int64_t count;
	int64_t pause;
	int64_t room;
	int64_t mode;
	int64_t color;
	int64_t any;
};

static const char *const colors[] = { "red", "green", "blue", NULL };

static const struct setting table[] = {
	{ "first", "name", SETTING_TEXT, offsetof(struct values, name), "", 0, 20, NULL, true,
	  "A name." },
	{ "first", "secret", SETTING_SECRET, offsetof(struct values, secret), "", 0, 0, NULL, true,
	  "A secret." },
	{ "first", "on", SETTING_BOOL, offsetof(struct values, on), "yes", 0, 0, NULL, true,
	  "On?" },
	{ "first", "count", SETTING_INTEGER, offsetof(struct values, count), "5", 1, 10, NULL,
	  false, "How many." },
	{ "second", "pause", SETTING_DURATION, offsetof(struct values, pause), "1500ms", 100,
	  3600000, NULL, true, "A pause." },
	{ "second", "room", SETTING_SIZE, offsetof(struct values, room), "64K", 0, 1 << 30, NULL,
	  false,
	  "Room, which is explained with so many words here that they need a second line of the file." },
	{ "second", "mode", SETTING_MODE, offsetof(struct values, mode), "0660", 0, 0777, NULL,
	  false, "A mode." },
	{ "second", "color", SETTING_CHOICE, offsetof(struct values, color), "green", 0, 0, colors,
	  true, "A color." },
	{ "second", "any", SETTING_INTEGER, offsetof(struct values, any), "0", 0, 0, NULL, true,
	  "Any number." },
	{ .name = NULL },
};

/* What was complained about: the lines, one after the other, without the name of the file. */
struct complaints {
	char text[4096];
	size_t skip;
};

static void complain(void *arg, const char *text)
{
	struct complaints *c = arg;

	ck_assert_uint_gt(strlen(text), c->skip);
	strcat(c->text, text + c->skip);
	strcat(c->text, "\n");
}

/* Reads TEXT as a file into VALUES, the defaults before. */
static bool read_text(struct values *v, const char *text, size_t len, struct complaints *c)
{
	char *path = unit_file(text, len);
	bool good;

	memset(v, 0, sizeof(*v));
	memset(c, 0, sizeof(*c));
	c->skip = strlen(path) + 1;
	settings_defaults(table, v);
	good = settings_read(table, v, NULL, path, NULL, complain, c);
	ck_assert(good == (c->text[0] == '\0'));
	unlink(path);
	free(path);
	return good;
}

static void accepts(struct values *v, const char *text)
{
	struct complaints c;

	ck_assert_msg(read_text(v, text, strlen(text), &c), "%s", c.text);
}

static void refuses(const char *text, const char *complaints)
{
	struct values v;
	struct complaints c;

	ck_assert(!read_text(&v, text, strlen(text), &c));
	ck_assert_str_eq(c.text, complaints);
	settings_free(table, &v);
}

START_TEST(has_defaults)
{
	struct values v = { 0 };

	settings_defaults(table, &v);
	ck_assert_str_eq(v.name, "");
	ck_assert_str_eq(v.secret, "");
	ck_assert(v.on);
	ck_assert_int_eq(v.count, 5);
	ck_assert_int_eq(v.pause, 1500);
	ck_assert_int_eq(v.room, 65536);
	ck_assert_int_eq(v.mode, 0660);
	ck_assert_int_eq(v.color, 1);
	settings_free(table, &v);
	ck_assert_ptr_null(v.name);
	ck_assert_int_eq(v.count, 0);
	ck_assert(!v.on);
}
END_TEST

START_TEST(reads_a_file)
{
	struct values v;

	accepts(&v, "\xef\xbb\xbf; a comment\r\n"
		    "[first] ; another\r\n"
		    "\r\n"
		    "  name = a # b;c = d : \xc3\xa9 ; cut \r\n"
		    "\tcount: 7\r\n"
		    "on=off\r\n"
		    "# more\r\n"
		    "[second]\r\n"
		    "pause = 2m\r\n"
		    "color = blue");
	ck_assert_str_eq(v.name, "a # b;c = d : \xc3\xa9");
	ck_assert_int_eq(v.count, 7);
	ck_assert(!v.on);
	ck_assert_int_eq(v.pause, 120000);
	ck_assert_int_eq(v.color, 2);
	settings_free(table, &v);
}
END_TEST

START_TEST(takes_sections_in_pieces)
{
	struct values v;

	accepts(&v, "[first]\ncount = 2\n[second]\nroom = 1\n[first]\nname =\non = no\n[second]");
	ck_assert_int_eq(v.count, 2);
	ck_assert_int_eq(v.room, 1);
	ck_assert(!v.on);
	settings_free(table, &v);
	accepts(&v, "");
	settings_free(table, &v);
}
END_TEST

START_TEST(reports_each_mistake)
{
	refuses("count = 1\n[first]\ncuont = 1\npause = 1s\nnone\n= 5\n"
		"[frist]\nx = 1\n\n[first\n[second] x\n[]\n"
		"[second]\npause = 1s\npause = 2s\n[first]\ncount = 11",
		"1: expected a [section] before the first setting\n"
		"3: there is no setting cuont in [first]; the nearest is count in [first]\n"
		"4: there is no setting pause in [first]; the nearest is pause in [second]\n"
		"5: expected NAME = VALUE, [section], or a comment\n"
		"6: there is no setting \"\" in [first]; the nearest is on in [first]\n"
		"7: there is no section [frist]; the nearest is [first]\n"
		"10: expected [section] alone on the line\n"
		"11: expected [section] alone on the line\n"
		"12: there is no section [\"\"]; the nearest is [first]\n"
		"15: pause is set a second time, first in line 14\n"
		"17: count: expected a whole number, from 1 to 10, not 11\n");
}
END_TEST

START_TEST(reports_the_last_line)
{
	refuses("[first]\nnone", "2: expected NAME = VALUE, [section], or a comment\n");
	refuses("[first]\nname ; = x\n", "2: expected NAME = VALUE, [section], or a comment\n");
}
END_TEST

START_TEST(tells_what_is_accepted)
{
	refuses("[first]\nname = 123456789012345678901\non = maybe\ncount =\n"
		"[second]\npause = 1d\nroom = 2G\nmode = 0888\ncolor = Red\nany = 1.5",
		"2: name: expected a text of 0 to 20 bytes, not 123456789012345678901\n"
		"3: on: expected yes or no, not maybe\n"
		"4: count: expected a whole number, from 1 to 10, not \"\"\n"
		"6: pause: expected a duration such as 500ms, 5s or 2m, from 100ms to 1h, not 1d\n"
		"7: room: expected a size in bytes such as 512, 64K or 16M, from 0 to 1G, not 2G\n"
		"8: mode: expected an octal file mode such as 0660, from 0000 to 0777, not 0888\n"
		"9: color: expected one of red, green, blue, not Red\n"
		"10: any: expected a whole number, not 1.5\n");
}
END_TEST

START_TEST(reports_lines_that_cannot_be_read)
{
	char text[1000] = "[first]\nname = ";
	size_t len = strlen(text);
	struct values v;
	struct complaints c;

	/* A line of 197 bytes is the longest. */
	memset(text + len, ' ', 190);
	strcpy(text + 8 + 196, "x\ncount = 2\n");
	ck_assert(read_text(&v, text, strlen(text), &c));
	ck_assert_str_eq(v.name, "x");
	ck_assert_int_eq(v.count, 2);
	settings_free(table, &v);

	memset(text + 8 + 196, 'x', 500);
	strcpy(text + 8 + 696, " count = 2\n#");
	memset(text + strlen(text), '#', 250);
	ck_assert(!read_text(&v, text, strlen(text), &c));
	ck_assert_str_eq(c.text, "2: the line is longer than 197 bytes\n");
	ck_assert_int_eq(v.count, 5);
	settings_free(table, &v);

	ck_assert(!read_text(&v, "[first]\nna\0me = x\n", 18, &c));
	ck_assert_str_eq(c.text, "2: a byte of zero in the line\n");
	settings_free(table, &v);
}
END_TEST

START_TEST(never_cuts_a_secret)
{
	struct values v;

	accepts(&v, "[first]\nsecret = a;b #c=d: e\n");
	ck_assert_str_eq(v.secret, "a;b #c=d: e");
	settings_free(table, &v);
	refuses("[first]\nsecret = a ;b\n",
		"2: secret: a semicolon behind a blank begins a comment\n");
	refuses("[first]\nsecret = a\x01"
		"b\n",
		"2: secret: expected a text\n");
}
END_TEST

START_TEST(reports_files_that_cannot_be_read)
{
	struct values v = { 0 };
	struct complaints c = { .skip = 0 };

	settings_defaults(table, &v);
	ck_assert(!settings_read(table, &v, NULL, "/nowhere/x.conf", NULL, complain, &c));
	ck_assert(!settings_read(table, &v, NULL, "/tmp", NULL, complain, &c));
	ck_assert_str_eq(c.text, "/nowhere/x.conf: No such file or directory\n"
				 "/tmp: Is a directory\n");
	settings_free(table, &v);
}
END_TEST

START_TEST(reads_every_form)
{
	static const struct {
		const char *section, *name, *text;
		int64_t is;
	} forms[] = {
		{ "second", "pause", "100ms", 100 },
		{ "second", "pause", "1", 1000 },
		{ "second", "pause", "60s", 60000 },
		{ "second", "pause", "1h", 3600000 },
		{ "second", "room", "0", 0 },
		{ "second", "room", "1023", 1023 },
		{ "second", "room", "1K", 1024 },
		{ "second", "room", "3M", 3 << 20 },
		{ "second", "room", "1G", 1 << 30 },
		{ "second", "mode", "600", 0600 },
		{ "second", "mode", "0777", 0777 },
		{ "second", "color", "red", 0 },
		{ "first", "count", "010", 10 },
		{ "second", "any", "9223372036854775807", INT64_MAX },
	};
	static const struct {
		const char *section, *name, *text;
	} bad[] = {
		{ "second", "pause", "99ms" },
		{ "second", "pause", "0" },
		{ "second", "pause", "s" },
		{ "second", "pause", "1 s" },
		{ "second", "pause", "1S" },
		{ "second", "pause", "-1s" },
		{ "second", "pause", "9223372036854775807h" },
		{ "second", "room", "1k" },
		{ "second", "room", "1Kb" },
		{ "second", "mode", "1000" },
		{ "second", "mode", "8" },
		{ "second", "any", "9223372036854775808" },
		{ "second", "any", "1K" },
		{ "second", "color", "" },
		{ "first", "on", "YES" },
		{ "first", "on", "1" },
		{ "first", "name", "a ;b" },
		{ "first", "name", " a" },
		{ "first", "name", "a\n" },
		{ "third", "name", "a" },
		{ "first", "nothing", "a" },
	};
	struct values v = { 0 };
	char fault[256];

	settings_defaults(table, &v);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct setting *row = table;

		ck_assert_msg(settings_set(table, &v, forms[i].section, forms[i].name,
					   forms[i].text, fault, sizeof(fault)),
			      "%s", fault);
		while (strcmp(row->name, forms[i].name) != 0)
			row++;
		ck_assert_int_eq(*(int64_t *)(void *)((char *)&v + row->offset), forms[i].is);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fault[0] = '\0';
		ck_assert_msg(!settings_set(table, &v, bad[i].section, bad[i].name, bad[i].text,
					    fault, sizeof(fault)),
			      "%s = %s", bad[i].name, bad[i].text);
		ck_assert_uint_gt(strlen(fault), 10);
	}
	settings_free(table, &v);
}
END_TEST

START_TEST(prints_what_it_can_read)
{
	struct values v, again;
	struct complaints c;
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	accepts(&v,
		"[first]\nname = x\nsecret = s3cret\n[second]\npause = 61s\nroom = 1025\nmode = 7\n");
	settings_print(table, &v, NULL, to);
	fclose(to);
	ck_assert_str_eq(text, "[first]\nname = x\n# secret = (set)\non = yes\ncount = 5\n\n"
			       "[second]\npause = 61s\nroom = 1025\nmode = 0007\ncolor = green\n"
			       "any = 0\n");
	ck_assert_msg(read_text(&again, text, len, &c), "%s", c.text);
	ck_assert_str_eq(again.name, "x");
	ck_assert_int_eq(again.pause, v.pause);
	ck_assert_int_eq(again.room, v.room);
	ck_assert_int_eq(again.mode, v.mode);
	settings_free(table, &v);
	settings_free(table, &again);
	free(text);
}
END_TEST

START_TEST(prints_a_sample)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	settings_print_sample(table, to);
	fclose(to);
	ck_assert_ptr_nonnull(strstr(text,
				     "[first]\n\n# A name.\n# (a text of 0 to 20 bytes; reload)\n"
				     "#name =\n\n# A secret.\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n# Room, which is explained with so many words here "
					   "that they need a second line\n# of the file.\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n\n[second]\n\n# A pause.\n"));
	free(text);
}
END_TEST

/* Collects the names of what changed. */
static void collect(void *arg, const struct setting *row)
{
	strcat(arg, row->name);
	strcat(arg, row->reloadable ? "+ " : "- ");
}

START_TEST(reloads)
{
	struct values v, other;
	char changed[256] = "";

	accepts(&v, "[first]\nname = x\n");
	accepts(&other,
		"[first]\nname = y\nsecret = s\ncount = 9\non = no\n[second]\ncolor = red\n");
	settings_reload(table, &v, &other, collect, changed);
	ck_assert_str_eq(changed, "name+ secret+ on+ count- color+ ");
	ck_assert_str_eq(v.name, "y");
	ck_assert_str_eq(v.secret, "s");
	ck_assert(!v.on);
	ck_assert_int_eq(v.count, 5);
	ck_assert_int_eq(v.color, 0);
	settings_free(table, &other);
	settings_free(table, &v);
}
END_TEST

Suite *settings_suite(void)
{
	Suite *s = suite_create("settings");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, has_defaults);
	tcase_add_test(tc, reads_a_file);
	tcase_add_test(tc, takes_sections_in_pieces);
	tcase_add_test(tc, reports_each_mistake);
	tcase_add_test(tc, reports_the_last_line);
	tcase_add_test(tc, tells_what_is_accepted);
	tcase_add_test(tc, reports_lines_that_cannot_be_read);
	tcase_add_test(tc, never_cuts_a_secret);
	tcase_add_test(tc, reports_files_that_cannot_be_read);
	tcase_add_test(tc, reads_every_form);
	tcase_add_test(tc, prints_what_it_can_read);
	tcase_add_test(tc, prints_a_sample);
	tcase_add_test(tc, reloads);
	suite_add_tcase(s, tc);
	return s;
}
