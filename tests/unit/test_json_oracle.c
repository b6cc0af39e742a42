/*
 * The walker against jansson, on texts that are made and changed; see oracle_compare.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json_walk.h"
#include "base/mem.h"
#include "oracle_compare.h"
#include "suites.h"

enum { DEPTH = 64, VALUES = 4096, TEXT_MOST = 4096 };

static const char *const lines[] = {
	"{\"op\":\"execute\",\"id\":7,\"message\":\"WriteEvents\",\"body\":{\"events\":"
	"[{\"event_type\":\"A\",\"data\":{\"n\":-1.5e3}}]}}",
	"{\"op\":\"execute\",\"id\":\"r-1\",\"message\":\"ReadEvent\",\"body\":{\"event_stream_id\":\"p\xc3"
	"\xa9ra\",\"event_number\":-1}}",
	"{\"op\":\"subscribe\",\"stream\":\"$all\",\"from\":{\"commit\":0,\"prepare\":12},\"window\":10}",
	"{\"op\":\"subscribe\",\"stream\":\"a\\u00e9\\n\",\"group\":\"g\",\"x-note\":[ ]}",
	"{\"op\":\"ack\",\"sub\":\"s1\",\"events\":[\"8f0c\",\"\\ud83d\\ude00\"]}",
	"{\"op\":\"nack\",\"sub\":\"s1\",\"up_to\":\"8f0c\",\"action\":\"park\"}",
	"{ \"op\" : \"ping\" ,\t\"id\" : null , \"timeout_ms\" : 1000 }",
	"[true,false,{},[[]],\"\xf0\x9f\x98\x80\",0.1,1E+2,-0]",
};

/* Fails the test with TEXT in a form that can be read and pasted. */
static void differ(const char *text, size_t len, const char *how)
{
	char shown[2 * TEXT_MOST + 1];

	for (size_t i = 0; i < len && i < TEXT_MOST; i++)
		snprintf(shown + 2 * i, 3, "%02x", (unsigned char)text[i]);
	ck_abort_msg("%s: %.*s (%s)", how, (int)len, text, shown);
}

/* Returns whether the text was taken by both. */
static bool compare(struct json_doc *doc, const char *text, size_t len)
{
	bool taken;
	const char *how = oracle_compare(doc, text, len, DEPTH, &taken);

	if (how != NULL)
		differ(text, len, how);
	return taken;
}

START_TEST(every_change_of_one_byte)
{
	size_t len = strlen(lines[_i]);
	unsigned step = unit_is_slow() ? 29 : 1;
	char *text = mem_new(len);
	unsigned taken = 0;
	struct json_doc doc;

	json_doc_init(&doc, DEPTH, DEPTH, VALUES);
	ck_assert(compare(&doc, lines[_i], len));
	for (size_t at = 0; at < len; at++) {
		memcpy(text, lines[_i], len);
		for (unsigned byte = 0; byte < 256; byte += step) {
			text[at] = (char)byte;
			taken += compare(&doc, text, len);
		}
	}
	ck_assert_uint_gt(taken, len / step);
	json_doc_free(&doc);
	free(text);
}
END_TEST

START_TEST(every_truncation)
{
	size_t len = strlen(lines[_i]);
	struct json_doc doc;

	json_doc_init(&doc, DEPTH, DEPTH, VALUES);
	for (size_t n = 0; n < len; n++) {
		char *text = mem_new(n == 0 ? 1 : n);

		memcpy(text, lines[_i], n);
		ck_assert(!compare(&doc, text, n));
		/* A character that is cut in two is wrong from its first byte on. */
		if (n == 0 || (unsigned char)lines[_i][n - 1] < 0x80 ||
		    (unsigned char)lines[_i][n] < 0x80)
			ck_assert_uint_eq(doc.error_at, n);
		free(text);
	}
	json_doc_free(&doc);
}
END_TEST

/* Made texts ----------------------------------------------------------------------------------- */

struct maker {
	uint64_t random;
	struct buffer text;
};

static uint32_t below(struct maker *m, uint32_t n)
{
	return (uint32_t)(unit_random(&m->random) >> 32) % n;
}

static void pick(struct maker *m, const char *const *from, uint32_t n)
{
	buffer_add_text(&m->text, from[below(m, n)]);
}

static void make_white(struct maker *m)
{
	static const char *const white[] = { "", "", "", "", " ", "\t", "\n", "\r\n", "  \n " };

	pick(m, white, sizeof(white) / sizeof(white[0]));
}

static void make_string(struct maker *m)
{
	static const char *const parts[] = {
		"a",
		"people",
		" ",
		"0123456789abcdef0123",
		"\x7f",
		"\xc3\xa9",
		"\xe2\x82\xac",
		"\xf0\x9f\x98\x80",
		"\xdf\xbf",
		"\xe0\xa0\x80",
		"\xef\xbf\xbf",
		"\xf4\x8f\xbf\xbf",
		"\\n",
		"\\\"",
		"\\\\",
		"\\/",
		"\\u00e9",
		"\\u0001",
		"\\ud83d\\ude00",
		"\\uFFFF",
	};

	buffer_add_byte(&m->text, '"');
	for (uint32_t n = below(m, 8); n > 0; n--)
		pick(m, parts, sizeof(parts) / sizeof(parts[0]));
	buffer_add_byte(&m->text, '"');
}

static void make_number(struct maker *m)
{
	static const char *const wholes[] = {
		"0",   "-0",           "1", "-17", "9223372036854775807", "-9223372036854775808",
		"129", "1234567890123"
	};
	static const char *const fractions[] = { "", "", "", ".0", ".95", ".000000000000001" };
	static const char *const exponents[] = { "", "", "", "e0", "E+10", "e-7" };

	pick(m, wholes, sizeof(wholes) / sizeof(wholes[0]));
	pick(m, fractions, sizeof(fractions) / sizeof(fractions[0]));
	pick(m, exponents, sizeof(exponents) / sizeof(exponents[0]));
}

static void make_value(struct maker *m, unsigned depth)
{
	static const char *const words[] = { "true", "false", "null" };
	uint32_t kind = below(m, depth == 0 ? 3 : 6);
	bool object = kind >= 4;

	if (kind == 0) {
		pick(m, words, 3);
	} else if (kind == 1) {
		make_number(m);
	} else if (kind == 2) {
		make_string(m);
	} else {
		buffer_add_byte(&m->text, object ? '{' : '[');
		make_white(m);
		for (uint32_t n = below(m, 5); n > 0; n--) {
			if (object) {
				make_string(m);
				make_white(m);
				buffer_add_byte(&m->text, ':');
				make_white(m);
			}
			make_value(m, depth - 1);
			make_white(m);
			if (n > 1)
				buffer_add_byte(&m->text, ',');
			make_white(m);
		}
		buffer_add_byte(&m->text, object ? '}' : ']');
	}
}

/* One change: a byte changed, taken out, put in, or a part of the text taken out. */
static void spoil(struct maker *m, char *text, size_t *len)
{
	static const char favourites[] = "{}[]:,\"\\u0123abeE+-. \n\x80\xc3\xe2\xf0\xed\xff\x01";
	size_t at = below(m, (uint32_t)*len);
	char byte = favourites[below(m, sizeof(favourites))];
	size_t n = 1;

	switch (below(m, 4)) {
	case 0:
		text[at] = byte;
		break;
	case 1:
		memmove(text + at + 1, text + at, *len - at);
		text[at] = byte;
		++*len;
		break;
	case 2:
		n += below(m, (uint32_t)(*len - at));
		/* fall through */
	default:
		memmove(text + at, text + at + n, *len - at - n);
		*len -= n;
		break;
	}
}

START_TEST(made_texts_and_changes_of_them)
{
	struct maker m = { .random = 20 + (uint64_t)_i };
	unsigned rounds = unit_is_slow() ? 100 : 4000;
	unsigned taken = 0;
	struct json_doc doc;

	json_doc_init(&doc, DEPTH, DEPTH, VALUES);
	for (unsigned i = 0; i < rounds; i++) {
		size_t len;
		char *text;

		make_white(&m);
		make_value(&m, 1 + below(&m, 5));
		make_white(&m);
		len = buffer_len(&m.text);
		if (len < TEXT_MOST && !compare(&doc, (char *)m.text.data, len))
			differ((char *)m.text.data, len, "a good text was refused");
		text = mem_new(len + 8);
		memcpy(text, m.text.data, len);
		for (int change = 0; change < 4 && len > 0; change++) {
			spoil(&m, text, &len);
			taken += compare(&doc, text, len);
		}
		free(text);
		buffer_consume(&m.text, buffer_len(&m.text));
	}
	ck_assert_uint_gt(taken, rounds / 10);
	json_doc_free(&doc);
	buffer_free(&m.text);
}
END_TEST

Suite *json_oracle_suite(void)
{
	Suite *s = suite_create("json_oracle");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, every_change_of_one_byte, 0, sizeof(lines) / sizeof(lines[0]));
	tcase_add_loop_test(tc, every_truncation, 0, sizeof(lines) / sizeof(lines[0]));
	tcase_add_loop_test(tc, made_texts_and_changes_of_them, 0, 3);
	suite_add_tcase(s, tc);
	return s;
}
