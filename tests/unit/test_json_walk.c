#include <stdlib.h>
#include <string.h>

#include "base/json_walk.h"
#include "base/mem.h"
#include "portable.h"
#include "suites.h"

/* Both forms of the walker; the tests loop over them. */
static const struct walker {
	bool (*parse)(struct json_doc *doc, const char *text, size_t len);
	bool (*check)(const char *text, size_t len, unsigned depth, bool *breaks);
} walkers[] = {
	{ json_parse, json_check },
	{ portable_json_parse, portable_json_check },
};

enum { WALKERS = sizeof(walkers) / sizeof(walkers[0]), DEEPEST = 65535 };

/* A text of SIZE - 1 bytes; with sizeof(), so that it may hold a NUL. */
#define TEXT(literal) literal, sizeof(literal) - 1

/* A text, and the offset of its first wrong byte, or -1 where it is good. */
static const struct verdict {
	const char *text;
	size_t len;
	int error_at;
} verdicts[] = {
	/* White space and the ends */
	{ TEXT(""), 0 },
	{ TEXT(" "), 1 },
	{ TEXT(" \t\r\n1 \t\r\n"), -1 },
	{ TEXT("\v1"), 0 },
	{ TEXT("\f1"), 0 },
	{ TEXT("\xc2\xa0"
	       "1"),
	  0 },
	{ TEXT("1 2"), 2 },
	{ TEXT("{}}"), 2 },
	{ TEXT("[]]"), 2 },
	{ TEXT("{}\0"), 2 },
	{ TEXT("\0"), 0 },
	{ TEXT("[\0]"), 1 },
	{ TEXT("\xef\xbb\xbf{}"), 0 },
	{ TEXT("\xef\xbb\xbf"), 0 },
	{ TEXT("\xef\xbb"), 0 },
	{ TEXT("{}\xef\xbb\xbf"), 2 },
	{ TEXT("/**/1"), 0 },
	/* Words */
	{ TEXT("true"), -1 },
	{ TEXT("false"), -1 },
	{ TEXT("null"), -1 },
	{ TEXT("tru"), 3 },
	{ TEXT("trux"), 3 },
	{ TEXT("nulL"), 3 },
	{ TEXT("True"), 0 },
	{ TEXT("nullx"), 4 },
	{ TEXT("NaN"), 0 },
	{ TEXT("Infinity"), 0 },
	{ TEXT("undefined"), 0 },
	/* Numbers */
	{ TEXT("0"), -1 },
	{ TEXT("-0"), -1 },
	{ TEXT("-"), 1 },
	{ TEXT("+1"), 0 },
	{ TEXT("-x"), 1 },
	{ TEXT("--1"), 1 },
	{ TEXT("01"), 1 },
	{ TEXT("-01"), 2 },
	{ TEXT("00"), 1 },
	{ TEXT("1."), 2 },
	{ TEXT("1.x"), 2 },
	{ TEXT(".5"), 0 },
	{ TEXT("1.5"), -1 },
	{ TEXT("0.0"), -1 },
	{ TEXT("1.5."), 3 },
	{ TEXT("1e"), 2 },
	{ TEXT("1e+"), 3 },
	{ TEXT("1e5"), -1 },
	{ TEXT("1E-05"), -1 },
	{ TEXT("1e5.5"), 3 },
	{ TEXT("0e0"), -1 },
	{ TEXT("1e400"), -1 },
	{ TEXT("0x10"), 1 },
	{ TEXT("1_000"), 1 },
	{ TEXT("9223372036854775808"), -1 },
	{ TEXT("123456789012345678901234567890.123456789e-99999"), -1 },
	/* Strings */
	{ TEXT("\"\""), -1 },
	{ TEXT("\""), 1 },
	{ TEXT("'a'"), 0 },
	{ TEXT("\"a"), 2 },
	{ TEXT("\"\x7f\""), -1 },
	{ TEXT("\"\x1f\""), 1 },
	{ TEXT("\"a\0b\""), 2 },
	{ TEXT("\"a\nb\""), 2 },
	{ TEXT("\"0123456789abcdef0123456789\tabcdef\""), 27 },
	{ TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\""), -1 },
	{ TEXT("\"\\"), 2 },
	{ TEXT("\"\\\""), 3 },
	{ TEXT("\"\\a\""), 2 },
	{ TEXT("\"\\\0\""), 2 },
	{ TEXT("\"\\U0041\""), 2 },
	{ TEXT("\"\\u\""), 3 },
	{ TEXT("\"\\u00g0\""), 5 },
	{ TEXT("\"\\u004"), 6 },
	{ TEXT("\"\\u0041"), 7 },
	{ TEXT("\"\\uAbCd\""), -1 },
	{ TEXT("\"\\ud83d\\ude00\""), -1 },
	{ TEXT("\"\\ud83d\""), -1 },
	{ TEXT("\"\\ude00\\ud83d\""), -1 },
	{ TEXT("\"\\ud83d\\"), 8 },
	{ TEXT("\"\\ud83d\\u"), 9 },
	{ TEXT("\"\\ud83d\\uzzzz\""), 9 },
	{ TEXT("\"\\ud83d\\x\""), 8 },
	/* UTF-8 */
	{ TEXT("\"\xc3\xa9\""), -1 },
	{ TEXT("\"\xe2\x82\xac\xf0\x9f\x98\x80\""), -1 },
	{ TEXT("\"\xef\xbb\xbf\""), -1 },
	{ TEXT("\"ab\xc3\""), 3 },
	{ TEXT("\"\xc3"), 1 },
	{ TEXT("\"\xc0\x80\""), 1 },
	{ TEXT("\"\xc1\xbf\""), 1 },
	{ TEXT("\"\x80\""), 1 },
	{ TEXT("\"\xe0\x9f\xbf\""), 1 },
	{ TEXT("\"\xe0\xa0\x80\""), -1 },
	{ TEXT("\"\xed\x9f\xbf\xee\x80\x80\""), -1 },
	{ TEXT("\"\xed\xa0\x80\""), 1 },
	{ TEXT("\"\xe2\x82\""), 1 },
	{ TEXT("\"\xf0\x8f\xbf\xbf\""), 1 },
	{ TEXT("\"\xf4\x8f\xbf\xbf\""), -1 },
	{ TEXT("\"\xf4\x90\x80\x80\""), 1 },
	{ TEXT("\"\xf5\x80\x80\x80\""), 1 },
	{ TEXT("\"\xff\""), 1 },
	{ TEXT("\"0123456789abcdef\xc3\xa9\xc3\""), 19 },
	/* Arrays and objects */
	{ TEXT("[]"), -1 },
	{ TEXT("[ ]"), -1 },
	{ TEXT("["), 1 },
	{ TEXT("[1"), 2 },
	{ TEXT("[1,"), 3 },
	{ TEXT("[1,]"), 3 },
	{ TEXT("[,1]"), 1 },
	{ TEXT("[1 2]"), 3 },
	{ TEXT("[1}"), 2 },
	{ TEXT("[1:2]"), 2 },
	{ TEXT("[[],[[]],{}]"), -1 },
	{ TEXT("{}"), -1 },
	{ TEXT("{ }"), -1 },
	{ TEXT("{"), 1 },
	{ TEXT("{]"), 1 },
	{ TEXT("{1:2}"), 1 },
	{ TEXT("{a:2}"), 1 },
	{ TEXT("{\"a\"}"), 4 },
	{ TEXT("{\"a\""), 4 },
	{ TEXT("{\"a\":"), 5 },
	{ TEXT("{\"a\":}"), 5 },
	{ TEXT("{\"a\":1"), 6 },
	{ TEXT("{\"a\":1,"), 7 },
	{ TEXT("{\"a\":1,}"), 7 },
	{ TEXT("{\"a\":1]"), 6 },
	{ TEXT("{\"a\":1 \"b\":2}"), 7 },
	{ TEXT("{\"a\"=1}"), 4 },
	{ TEXT("{,}"), 1 },
	{ TEXT("{\"a\" : 1 , \"a\" : [ 2 , { } ] }"), -1 },
	{ TEXT("{null:1}"), 1 },
	{ TEXT("[\"a\",{\"b\":[1,2,{\"c\":tru}]}]"), 23 },
};

static void check_verdict(const struct walker *w, const struct verdict *v)
{
	/* A copy of the exact size, so that a sanitizer sees a byte read beyond it. */
	char *text = mem_new(v->len == 0 ? 1 : v->len);
	struct json_doc doc;
	bool breaks;
	bool good;

	memcpy(text, v->text, v->len);
	json_doc_init(&doc, 8, 8, 100);
	good = w->parse(&doc, text, v->len);
	ck_assert_msg(good == (v->error_at < 0), "%s: %s", v->text, doc.error);
	ck_assert_int_eq(w->check(text, v->len, 8, &breaks), good);
	if (!good) {
		ck_assert_msg((int)doc.error_at == v->error_at, "%s: %s at %zu", v->text, doc.error,
			      doc.error_at);
		ck_assert_ptr_nonnull(doc.error);
		ck_assert_uint_eq(doc.count, 0);
	}
	json_doc_free(&doc);
	free(text);
}

START_TEST(gives_a_verdict)
{
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		check_verdict(&walkers[_i], &verdicts[i]);
}
END_TEST

static void check_token(const struct json_doc *doc, uint32_t i, enum json_kind kind,
			const char *text, uint32_t next)
{
	const struct json_token *t = &doc->tokens[i];

	ck_assert_uint_eq(t->kind, kind);
	ck_assert_uint_eq(t->len, strlen(text));
	ck_assert_mem_eq(doc->text + t->at, text, t->len);
	ck_assert_uint_eq(t->next, next);
}

START_TEST(notes_every_value)
{
	static const char text[] =
		" {\"a\":[1,-2.5,[]],\"b\":{\"c\":null},\"d\":true , \"e\":false} ";
	struct json_doc doc;

	json_doc_init(&doc, 3, 3, 100);
	ck_assert(walkers[_i].parse(&doc, text, strlen(text)));
	ck_assert_uint_eq(doc.count, 14);
	check_token(&doc, 0, JSON_OBJECT,
		    "{\"a\":[1,-2.5,[]],\"b\":{\"c\":null},\"d\":true , \"e\":false}", 14);
	check_token(&doc, 1, JSON_STRING, "\"a\"", 2);
	check_token(&doc, 2, JSON_ARRAY, "[1,-2.5,[]]", 6);
	check_token(&doc, 3, JSON_NUMBER, "1", 4);
	check_token(&doc, 4, JSON_NUMBER, "-2.5", 5);
	check_token(&doc, 5, JSON_ARRAY, "[]", 6);
	check_token(&doc, 6, JSON_STRING, "\"b\"", 7);
	check_token(&doc, 7, JSON_OBJECT, "{\"c\":null}", 10);
	check_token(&doc, 9, JSON_NULL, "null", 10);
	check_token(&doc, 11, JSON_TRUE, "true", 12);
	check_token(&doc, 13, JSON_FALSE, "false", 14);
	ck_assert_uint_eq(doc.tokens[3].flags, JSON_INTEGER);
	ck_assert_uint_eq(doc.tokens[4].flags, 0);
	json_doc_free(&doc);
}
END_TEST

START_TEST(notes_no_deeper_than_asked)
{
	static const char text[] = "{\"a\":[[1,[2]],{\"b\":{}}],\"c\":3}";
	struct json_doc doc;

	json_doc_init(&doc, 8, 2, 100);
	ck_assert(walkers[_i].parse(&doc, text, strlen(text)));
	ck_assert_uint_eq(doc.count, 7);
	check_token(&doc, 2, JSON_ARRAY, "[[1,[2]],{\"b\":{}}]", 5);
	check_token(&doc, 3, JSON_ARRAY, "[1,[2]]", 4);
	check_token(&doc, 4, JSON_OBJECT, "{\"b\":{}}", 5);
	check_token(&doc, 5, JSON_STRING, "\"c\"", 6);
	doc.detail = 0;
	ck_assert(walkers[_i].parse(&doc, text, strlen(text)));
	ck_assert_uint_eq(doc.count, 1);
	check_token(&doc, 0, JSON_OBJECT, text, 1);
	json_doc_free(&doc);
}
END_TEST

START_TEST(counts_values)
{
	struct json_doc doc;
	char text[4001] = "[";

	for (int i = 0; i < 1999; i++)
		memcpy(text + 1 + 2 * i, i == 1998 ? "1]" : "1,", 3);
	json_doc_init(&doc, 8, 8, 2000);
	ck_assert(walkers[_i].parse(&doc, text, strlen(text)));
	ck_assert_uint_eq(doc.count, 2000);
	json_doc_shrink(&doc, 2000);
	ck_assert_ptr_nonnull(doc.tokens);
	json_doc_shrink(&doc, 100);
	ck_assert_ptr_null(doc.tokens);
	doc.most = 1999;
	ck_assert(!walkers[_i].parse(&doc, text, strlen(text)));
	ck_assert_uint_eq(doc.error_at, 1 + 2 * 1998);
	ck_assert_str_eq(doc.error, "more values than are allowed");
	ck_assert(walkers[_i].parse(&doc, "[1]", 3));
	json_doc_free(&doc);
}
END_TEST

START_TEST(fails_without_memory)
{
	struct json_doc doc;
	char text[1001];

	memset(text, '[', 500);
	memset(text + 500, ']', 500);
	for (portable_allocations = 0; portable_allocations < 4; portable_allocations++) {
		int allowed = portable_allocations;

		json_doc_init(&doc, 500, 500, 1000);
		ck_assert(!portable_json_parse(&doc, text, 1000));
		ck_assert_str_eq(doc.error, "out of memory");
		ck_assert_uint_eq(doc.error_at, allowed == 0 ? 0 : 64 << (allowed - 1));
		json_doc_free(&doc);
		portable_allocations = allowed;
	}
	portable_allocations = -1;
}
END_TEST

/* LEVELS containers in each other: arrays, or every second one an object. Returns the length. */
static size_t nest(char *text, size_t levels, bool objects)
{
	char *p = text;

	for (size_t i = 0; i < levels; i++) {
		if (objects && i % 2 == 1)
			p = (char *)memcpy(p, "{\"\":", 4) + 4;
		else
			*p++ = '[';
	}
	if (objects && levels % 2 == 0)
		*p++ = '0';
	for (size_t i = levels; i-- > 0;)
		*p++ = objects && i % 2 == 1 ? '}' : ']';
	return (size_t)(p - text);
}

START_TEST(goes_as_deep_as_allowed)
{
	const struct walker *w = &walkers[_i / 2];
	char *text = mem_new((size_t)DEEPEST * 6);
	struct json_doc doc;
	size_t len;
	bool breaks;

	for (unsigned levels = 1; levels <= DEEPEST; levels = levels * 4 + 3) {
		len = nest(text, levels, _i % 2);
		json_doc_init(&doc, levels, levels, 200000);
		ck_assert_msg(w->parse(&doc, text, len), "%u: %s", levels, doc.error);
		ck_assert(w->check(text, len, levels, &breaks));
		ck_assert_uint_eq(doc.tokens[0].next, doc.count);
		ck_assert_uint_eq(doc.tokens[0].len, len);
		doc.depth--;
		ck_assert(!w->parse(&doc, text, len));
		ck_assert_str_eq(doc.error, "deeper than is allowed");
		ck_assert(!w->check(text, len, levels - 1, &breaks));
		json_doc_free(&doc);
	}
	len = nest(text, DEEPEST + 1, _i % 2);
	json_doc_init(&doc, 1000000, 1, 100);
	ck_assert(!w->parse(&doc, text, len));
	ck_assert(!w->check(text, len, 1000000, &breaks));
	ck_assert_str_eq(doc.error, "deeper than is allowed");
	json_doc_free(&doc);
	free(text);
}
END_TEST

START_TEST(tells_breaks)
{
	static const struct {
		const char *text;
		bool breaks;
	} texts[] = {
		{ "{\"a\": [1, 2]}", false }, { "{\n\"a\":1}", true },   { "[1\r,2]", true },
		{ "[1,2]\n", true },          { "[\"\\n\\r\"]", false }, { " \t1\t ", false },
	};
	bool breaks;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert(walkers[_i].check(texts[i].text, strlen(texts[i].text), 8, &breaks));
		ck_assert_msg(breaks == texts[i].breaks, "%s", texts[i].text);
	}
}
END_TEST

/* Every plain text has its end found, wherever it lies in a block. */
START_TEST(finds_the_end_at_every_place)
{
	static const char ends[] = "\"\\\x01\x1f\x80\xff";
	char text[80];
	struct json_doc doc;

	json_doc_init(&doc, 8, 8, 8);
	for (size_t n = 0; n < 70; n++) {
		for (const char *end = ends; *end != '\0'; end++) {
			text[0] = '"';
			memset(text + 1, 'a' + (int)(n % 26), n);
			text[n + 1] = *end;
			text[n + 2] = 'x';
			ck_assert_int_eq(walkers[_i].parse(&doc, text, n + 2), *end == '"');
			if (*end != '"')
				ck_assert_uint_eq(doc.error_at, n + 1 + (*end == '\\'));
		}
	}
	json_doc_free(&doc);
}
END_TEST

START_TEST(resolves_strings)
{
	static const struct {
		const char *text, *is;
		size_t len;
		unsigned flags;
	} strings[] = {
		{ "\"\"", "", 0, 0 },
		{ "\"plain\"", "plain", 5, 0 },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8, JSON_ESCAPED },
		{ "\"a\\u0000b\"", "a\0b", 3, JSON_ESCAPED },
		{ "\"\\u007F\\u0080\\u07ff\"", "\x7f\xc2\x80\xdf\xbf", 5, JSON_ESCAPED },
		{ "\"\\u0800\\uFFFF\"", "\xe0\xa0\x80\xef\xbf\xbf", 6, JSON_ESCAPED },
		{ "\"\\uD800\\uDC00\\udbff\\udfff.\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf.", 9,
		  JSON_ESCAPED },
	};
	struct buffer out = { 0 };
	struct json_doc doc;

	json_doc_init(&doc, 8, 8, 8);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		const char *is = strings[i].is;
		size_t len = strings[i].len;

		ck_assert(walkers[_i].parse(&doc, strings[i].text, strlen(strings[i].text)));
		ck_assert_uint_eq(doc.tokens[0].flags, strings[i].flags);
		ck_assert(json_string_get(&doc, 0, &out));
		ck_assert_uint_eq(buffer_len(&out), len);
		ck_assert(len == 0 || memcmp(out.data, is, len) == 0);
		buffer_consume(&out, len);
		ck_assert(json_string_is(&doc, 0, is, len));
		ck_assert(!json_string_is(&doc, 0, is, len + 1));
		ck_assert(len == 0 || !json_string_is(&doc, 0, is, len - 1));
	}
	json_doc_free(&doc);
	buffer_free(&out);
}
END_TEST

START_TEST(flags_lone_surrogates)
{
	static const char *const texts[] = {
		"\"\\ud800\"",         "\"\\udfff\"",
		"\"\\udc00\\ud800\"",  "\"\\ud800\\ud800\\udc00\"",
		"\"\\ud800\\u0041\"",  "\"\\ud800\\n\"",
		"\"\\ud800x\\udc00\"", "\"\\uD834\\udd1e\\udd1e\"",
	};
	struct buffer out = { 0 };
	struct json_doc doc;

	json_doc_init(&doc, 8, 8, 8);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert(walkers[_i].parse(&doc, texts[i], strlen(texts[i])));
		ck_assert_uint_eq(doc.tokens[0].flags, JSON_ESCAPED | JSON_LONE_SURROGATE);
		ck_assert(!json_string_get(&doc, 0, &out));
		ck_assert_uint_eq(buffer_len(&out), 0);
		ck_assert(!json_string_is(&doc, 0, "x", 1));
	}
	json_doc_free(&doc);
}
END_TEST

START_TEST(takes_integers)
{
	static const struct {
		const char *text;
		bool good;
		int64_t value;
	} numbers[] = {
		{ "0", true, 0 },
		{ "-0", true, 0 },
		{ "42", true, 42 },
		{ "-2", true, -2 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "18446744073709551616", false, 0 },
		{ "1.0", false, 0 },
		{ "1e2", false, 0 },
		{ "\"1\"", false, 0 },
		{ "true", false, 0 },
	};
	struct json_doc doc;

	json_doc_init(&doc, 8, 8, 8);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int64_t value = 0;

		ck_assert(json_parse(&doc, numbers[i].text, strlen(numbers[i].text)));
		ck_assert_msg(json_int64_get(&doc, 0, &value) == numbers[i].good, "%s",
			      numbers[i].text);
		ck_assert_int_eq(value, numbers[i].value);
	}
	ck_assert(!json_string_is(&doc, 0, "true", 4));
	json_doc_free(&doc);
}
END_TEST

/* The definition of UTF-8 the other way round: decode, encode, compare. */
static bool is_utf8(const unsigned char *p, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	for (size_t i = 0; i < len;) {
		unsigned char lead = p[i];
		size_t n = lead < 0xc0 ? lead < 0x80 : 2u + (lead >= 0xe0) + (lead >= 0xf0);
		uint32_t c = n < 2 ? lead : lead & (0x7fu >> n);

		if (n == 0 || lead >= 0xf8 || n > len - i)
			return false;
		for (size_t j = 1; j < n; j++) {
			if (p[i + j] < 0x80 || p[i + j] > 0xbf)
				return false;
			c = c << 6 | (p[i + j] & 0x3f);
		}
		if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
		i += n;
	}
	return true;
}

START_TEST(knows_utf8)
{
	static const unsigned char odd[] = { 0x00, 0x22, 0x5c, 0x7f, 0x80, 0x8f, 0x90,
					     0x9f, 0xa0, 0xbf, 0xc0, 0xed, 0xf4, 0xff };
	unsigned step = unit_is_slow() ? 7 : 1;
	unsigned char p[4];

	for (unsigned v = 0; v < 0x10000; v += step) {
		p[0] = (unsigned char)(v >> 8);
		p[1] = (unsigned char)v;
		ck_assert(utf8_check((char *)p, 1) == is_utf8(p, 1));
		ck_assert(utf8_check((char *)p, 2) == is_utf8(p, 2));
		for (size_t i = 0; i < sizeof(odd) * sizeof(odd); i++) {
			p[2] = odd[i / sizeof(odd)];
			p[3] = odd[i % sizeof(odd)];
			if (utf8_check((char *)p, 3) != is_utf8(p, 3) ||
			    utf8_check((char *)p, 4) != is_utf8(p, 4))
				ck_abort_msg("%02x %02x %02x %02x", p[0], p[1], p[2], p[3]);
		}
	}
}
END_TEST

Suite *json_walk_suite(void)
{
	Suite *s = suite_create("json_walk");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, gives_a_verdict, 0, WALKERS);
	tcase_add_loop_test(tc, notes_every_value, 0, WALKERS);
	tcase_add_loop_test(tc, notes_no_deeper_than_asked, 0, WALKERS);
	tcase_add_loop_test(tc, counts_values, 0, WALKERS);
	tcase_add_test(tc, fails_without_memory);
	tcase_add_loop_test(tc, goes_as_deep_as_allowed, 0, WALKERS * 2);
	tcase_add_loop_test(tc, tells_breaks, 0, WALKERS);
	tcase_add_loop_test(tc, finds_the_end_at_every_place, 0, WALKERS);
	tcase_add_loop_test(tc, resolves_strings, 0, WALKERS);
	tcase_add_loop_test(tc, flags_lone_surrogates, 0, WALKERS);
	tcase_add_test(tc, takes_integers);
	tcase_add_test(tc, knows_utf8);
	suite_add_tcase(s, tc);
	return s;
}
