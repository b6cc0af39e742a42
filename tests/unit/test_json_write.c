#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json_walk.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "portable.h"
#include "suites.h"

static void (*const writers[])(struct buffer *b, const char *text, size_t len) = {
	json_quoted,
	portable_json_quoted,
};

enum { WRITERS = sizeof(writers) / sizeof(writers[0]) };

static void check_written(struct buffer *b, const char *text)
{
	ck_assert_uint_eq(buffer_len(b), strlen(text));
	ck_assert_mem_eq(buffer_at(b), text, strlen(text));
	buffer_consume(b, buffer_len(b));
}

START_TEST(puts_commas)
{
	struct buffer b = { 0 };

	buffer_add_byte(&b, '{');
	json_key(&b, "a");
	json_int(&b, -5);
	json_key(&b, "b");
	buffer_add_byte(&b, '[');
	for (int i = 0; i < 3; i++) {
		json_comma(&b);
		json_bool(&b, i == 1);
	}
	buffer_add_text(&b, "]");
	json_key(&b, "c");
	json_text(&b, "{");
	json_key(&b, "d");
	json_text(&b, "");
	buffer_add_byte(&b, '}');
	check_written(&b, "{\"a\":-5,\"b\":[false,true,false],\"c\":\"{\",\"d\":\"\"}");
	json_comma(&b);
	ck_assert_uint_eq(buffer_len(&b), 0);
	buffer_free(&b);
}
END_TEST

START_TEST(writes_numbers)
{
	struct buffer b = { 0 };

	json_int(&b, INT64_MIN);
	check_written(&b, "-9223372036854775808");
	json_int(&b, INT64_MAX);
	check_written(&b, "9223372036854775807");
	json_int(&b, 0);
	check_written(&b, "0");
	json_uint(&b, UINT64_MAX);
	check_written(&b, "18446744073709551615");
	json_uint(&b, 10);
	check_written(&b, "10");
	buffer_free(&b);
}
END_TEST

START_TEST(escapes)
{
	static const struct {
		const char *text;
		size_t len;
		const char *is;
	} texts[] = {
		{ "", 0, "\"\"" },
		{ "a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"" },
		{ "\b\t\n\v\f\r\x0e", 7, "\"\\b\\t\\n\\u000b\\f\\r\\u000e\"" },
		{ "\0\x1f\x7f", 3, "\"\\u0000\\u001f\x7f\"" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.", 10,
		  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.\"" },
		{ "\xff", 1, "\"\xef\xbf\xbd\"" },
		{ "a\xc3", 2, "\"a\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe2\x82x\xc3\xa9", 5, "\"\xef\xbf\xbd\xef\xbf\xbdx\xc3\xa9\"" },
	};
	struct buffer b = { 0 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		writers[_i](&b, texts[i].text, texts[i].len);
		check_written(&b, texts[i].is);
	}
	buffer_free(&b);
}
END_TEST

/* Whatever the bytes: what is written is JSON, and where they are UTF-8 it reads back the same. */
START_TEST(reads_back)
{
	static const char mix[] = "abcdefghijklmnopqrstuvwxyz01234567890 ,.:\"\\\n\x01\xc3\xa9";
	unsigned rounds = unit_is_slow() ? 300 : 20000;
	struct buffer b = { 0 }, back = { 0 }, other = { 0 };
	uint64_t random = 5;
	struct json_doc doc;

	json_doc_init(&doc, 1, 1, 1);
	for (unsigned i = 0; i < rounds; i++) {
		size_t len = unit_random(&random) % 100;
		unsigned any = (unsigned)(unit_random(&random) % 40);
		char *text = mem_new(len == 0 ? 1 : len);

		for (size_t j = 0; j < len; j++)
			text[j] = unit_random(&random) % 40 < any
					  ? (char)unit_random(&random)
					  : mix[unit_random(&random) % (sizeof(mix) - 3)];
		writers[_i](&b, text, len);
		ck_assert(json_parse(&doc, (char *)buffer_at(&b), buffer_len(&b)));
		ck_assert(json_string_get(&doc, 0, &back));
		ck_assert(utf8_check((char *)buffer_at(&back), buffer_len(&back)));
		if (utf8_check(text, len)) {
			ck_assert_uint_eq(buffer_len(&back), len);
			ck_assert(len == 0 || memcmp(buffer_at(&back), text, len) == 0);
		}
		json_quoted(&other, text, len);
		ck_assert_uint_eq(buffer_len(&other), buffer_len(&b));
		ck_assert_mem_eq(buffer_at(&other), buffer_at(&b), buffer_len(&b));
		buffer_consume(&b, buffer_len(&b));
		buffer_consume(&back, buffer_len(&back));
		buffer_consume(&other, buffer_len(&other));
		free(text);
	}
	json_doc_free(&doc);
	buffer_free(&b);
	buffer_free(&back);
	buffer_free(&other);
}
END_TEST

START_TEST(stays_within_its_limit)
{
	char text[300];

	memset(text, '\n', 100);
	memset(text + 100, '\xff', 100);
	memset(text + 200, 'x', 100);
	for (size_t limit = 1; limit < 900; limit++) {
		struct buffer b;

		buffer_init(&b, limit);
		writers[_i](&b, text, sizeof(text));
		ck_assert_uint_le(buffer_len(&b), limit);
		ck_assert(b.failed || buffer_len(&b) == 2 + 200 + 300 + 100);
		buffer_free(&b);
	}
}
END_TEST

START_TEST(copies_raw_json)
{
	struct buffer b = { 0 };

	json_raw(&b, "{\"a\" :\r\n1}", 10, true);
	check_written(&b, "{\"a\" :  1}");
	json_raw(&b, "[1]", 3, false);
	check_written(&b, "[1]");
	json_raw(&b, "", 0, true);
	ck_assert_uint_eq(buffer_len(&b), 0);
	buffer_free(&b);
}
END_TEST

START_TEST(writes_base64)
{
	struct buffer b = { 0 };

	json_base64(&b, (const uint8_t *)"fooba", 5);
	check_written(&b, "\"Zm9vYmE=\"");
	json_base64(&b, NULL, 0);
	check_written(&b, "\"\"");
	buffer_free(&b);
	buffer_init(&b, 4);
	json_base64(&b, (const uint8_t *)"fooba", 5);
	json_key(&b, "name");
	json_raw(&b, "[1,2]", 5, false);
	ck_assert(b.failed);
	ck_assert_uint_eq(buffer_len(&b), 0);
	buffer_free(&b);
}
END_TEST

Suite *json_write_suite(void)
{
	Suite *s = suite_create("json_write");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, puts_commas);
	tcase_add_test(tc, writes_numbers);
	tcase_add_loop_test(tc, escapes, 0, WRITERS);
	tcase_add_loop_test(tc, reads_back, 0, WRITERS);
	tcase_add_loop_test(tc, stays_within_its_limit, 0, WRITERS);
	tcase_add_test(tc, copies_raw_json);
	tcase_add_test(tc, writes_base64);
	suite_add_tcase(s, tc);
	return s;
}
