#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "suites.h"

/* RFC 4648, section 10, and the two last characters of the alphabet. */
static const struct {
	const char *bytes, *text;
} known[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xfb\xef\xff", "++//" },
};

START_TEST(known_texts)
{
	const char *bytes = known[_i].bytes, *text = known[_i].text;
	char encoded[16];
	uint8_t decoded[16];
	size_t got;

	ck_assert_uint_eq(base64_text_len(strlen(bytes)), strlen(text));
	base64_encode((const uint8_t *)bytes, strlen(bytes), encoded);
	ck_assert_mem_eq(encoded, text, strlen(text));
	ck_assert(base64_decode(text, strlen(text), decoded, &got));
	ck_assert_uint_eq(got, strlen(bytes));
	ck_assert_mem_eq(decoded, bytes, got);
}
END_TEST

START_TEST(all_lengths_there_and_back)
{
	uint64_t random = 3;

	for (size_t len = 0; len < 300; len++) {
		/* Exactly as much as is promised, so that a sanitizer sees what is beyond. */
		uint8_t *bytes = mem_new(len + 1);
		char *text = mem_new(base64_text_len(len) + 1);
		uint8_t *back = mem_new(base64_bytes_len(base64_text_len(len)) + 1);
		size_t got;

		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)unit_random(&random);
		base64_encode(bytes, len, text);
		ck_assert(base64_decode(text, base64_text_len(len), back, &got));
		ck_assert_uint_eq(got, len);
		ck_assert_mem_eq(bytes, back, len);
		free(bytes);
		free(text);
		free(back);
	}
}
END_TEST

START_TEST(refuses_what_is_not_canonical)
{
	static const char *const bad[] = {
		"Zg",   "Zg=",   "Z===",     "====",    "Zm9vYg=",  "Zg==Zg==", "Z=g=",
		"Zm9",  "Zh==",  "Zm9=",     "Zm9v\n",  "Zm 9",     "Zm-_",     "Zg=v",
		"=Zg=", "Zm9v=", "Zm9v====", "\xc3m9v", "Zm9vZm=v", "Zm9vZ===", "=",
	};
	uint8_t bytes[16];
	size_t got;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!base64_decode(bad[i], strlen(bad[i]), bytes, &got), "%s", bad[i]);
	ck_assert(!base64_decode("Zg\0=", 4, bytes, &got));
}
END_TEST

/* _I: which character of eight, so that those before the last four are looked at as well. */
START_TEST(knows_exactly_64_characters)
{
	char text[] = "AAAAAAAA";
	uint8_t bytes[6];
	size_t got;
	unsigned good = 0;

	for (int c = 0; c < 256; c++) {
		text[_i] = (char)c;
		good += base64_decode(text, 8, bytes, &got) && got == 6;
	}
	ck_assert_uint_eq(good, 64);
}
END_TEST

Suite *base64_suite(void)
{
	Suite *s = suite_create("base64");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, known_texts, 0, sizeof(known) / sizeof(known[0]));
	tcase_add_test(tc, all_lengths_there_and_back);
	tcase_add_test(tc, refuses_what_is_not_canonical);
	tcase_add_loop_test(tc, knows_exactly_64_characters, 0, 8);
	suite_add_tcase(s, tc);
	return s;
}
