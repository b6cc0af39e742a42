#include "base/json_walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"

enum { DEPTH_MOST = 65535, FIRST_TOKENS = 64 };

/*
 * One pass over one text. Nothing here recurses: of each open container only its kind is kept, one
 * bit, and while a container is open the `next` of its token is the index of the one around it.
 */
struct scan {
	struct json_doc *doc;
	const char *text;
	const char *end;
	struct json_token *tokens; /* as in the document, */
	uint32_t count, size;      /* whose count is told at the end */
	unsigned level;            /* containers open */
	unsigned depth;
	unsigned detail;
	char closer;   /* the bracket that ends the innermost open container; NUL: none is open */
	bool breaks;   /* a CR or LF stands between the tokens */
	uint32_t open; /* token of the innermost open container that has one */
	/* A bit for each level. None is read before it is set. */
	uint64_t is_object[DEPTH_MOST / 64 + 1];
};

void json_doc_init(struct json_doc *doc, unsigned depth, unsigned detail, uint32_t most)
{
	memset(doc, 0, sizeof(*doc));
	doc->depth = depth;
	doc->detail = detail;
	doc->most = most;
}

void json_doc_free(struct json_doc *doc)
{
	free(doc->tokens);
	doc->tokens = NULL;
	doc->count = 0;
	doc->size = 0;
}

void json_doc_shrink(struct json_doc *doc, uint32_t keep)
{
	if (doc->size > keep)
		json_doc_free(doc);
}

/* Failures -------------------------------------------------------------------------------------- */

static __attribute__((noinline)) const char *fail(const struct scan *s, const char *p,
						  const char *error)
{
	s->doc->error_at = (size_t)(p - s->text);
	s->doc->error = error;
	return NULL;
}

/* P is where something else was expected. */
static const char *expected(const struct scan *s, const char *p, const char *error)
{
	return fail(s, p, p < s->end ? error : "the text ends too early");
}

/* Tokens ---------------------------------------------------------------------------------------- */

const char json_starved[] = "out of memory";

static __attribute__((noinline)) const char *grow(struct scan *s, const char *at)
{
	struct json_doc *doc = s->doc;
	uint32_t size = s->size == 0 ? FIRST_TOKENS : s->size;
	struct json_token *wider;

	if (s->count >= doc->most)
		return fail(s, at, "more values than are allowed");
	if (s->size != 0)
		size = size > UINT32_MAX / 2 ? UINT32_MAX : size * 2;
	if (size > doc->most)
		size = doc->most;
	wider = realloc(doc->tokens, size * sizeof(*wider));
	if (wider == NULL)
		return fail(s, at, json_starved);
	s->tokens = doc->tokens = wider;
	s->size = doc->size = size;
	return at;
}

/* Notes the value from AT to P, where the level is one that is noted. Returns P, or NULL. */
static inline const char *note(struct scan *s, const char *at, const char *p, enum json_kind kind,
			       unsigned flags)
{
	if (s->level > s->detail)
		return p;
	if (s->count >= s->size && grow(s, at) == NULL)
		return NULL;
	s->tokens[s->count] = (struct json_token){
		.at = (uint32_t)(at - s->text),
		.len = (uint32_t)(p - at),
		.next = s->count + 1,
		.kind = (uint8_t)kind,
		.flags = (uint8_t)flags,
	};
	s->count++;
	return p;
}

/* White space ----------------------------------------------------------------------------------- */

static __attribute__((noinline)) const char *skip_white(struct scan *s, const char *p)
{
	for (; p < s->end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'); p++)
		s->breaks |= *p == '\n' || *p == '\r';
	return p;
}

static inline const char *skip(struct scan *s, const char *p)
{
	bool dense = p < s->end && (unsigned char)*p > ' ';

	return dense ? p : skip_white(s, p);
}

/* Strings --------------------------------------------------------------------------------------- */

/* The value of a hexadecimal digit, or -1. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* The number that the four hexadecimal digits at P make. */
static unsigned hex4(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (unsigned)hex_digit(p[i]);
	return v;
}

static bool is_high(unsigned unit)
{
	return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(unsigned unit)
{
	return unit >= 0xdc00 && unit < 0xe000;
}

static bool is_escape(char c)
{
	return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
}

/* P is behind a backslash. Returns the place behind the escape. */
static const char *escape(const struct scan *s, const char *p)
{
	if (p == s->end)
		return fail(s, p, "the text ends within a string");
	if (*p != 'u')
		return is_escape(*p) ? p + 1 : fail(s, p, "not an escape that JSON has");
	p++;
	for (int i = 0; i < 4; i++, p++) {
		if (p == s->end)
			return fail(s, p, "the text ends within a string");
		if (hex_digit(*p) < 0)
			return fail(s, p, "\\u takes four hexadecimal digits");
	}
	return p;
}

/*
 * P is behind a \u escape. Sets JSON_LONE_SURROGATE where it is one half of a pair without the
 * other; a whole pair is passed at once.
 */
static const char *pair(const struct scan *s, const char *p, unsigned *flags)
{
	unsigned unit = hex4(p - 4);

	if (!is_high(unit)) {
		*flags |= is_low(unit) ? JSON_LONE_SURROGATE : 0;
		return p;
	}
	if (s->end - p >= 2 && p[0] == '\\' && p[1] == 'u') {
		const char *next = escape(s, p + 1);

		if (next == NULL)
			return NULL;
		if (is_low(hex4(next - 4)))
			return next;
	}
	*flags |= JSON_LONE_SURROGATE;
	return p;
}

/*
 * P is at a byte that is not plain, and not the closing quote. Returns the place behind what it
 * begins.
 */
static const char *odd_character(const struct scan *s, const char *p, unsigned *flags)
{
	unsigned char c = (unsigned char)*p;

	if (c == '\\') {
		const char *next = escape(s, p + 1);

		*flags |= JSON_ESCAPED;
		return next == NULL || p[1] != 'u' ? next : pair(s, next, flags);
	}
	if (c < 0x20)
		return fail(s, p, "a control character in a string must be escaped");
	do {
		size_t n = scan_utf8(p, s->end);

		if (n == 0)
			return fail(s, p, "not valid UTF-8");
		p += n;
	} while (p < s->end && (unsigned char)*p >= 0x80);
	return p;
}

/* A string that has more than plain characters, or does not end; P is at the first other one. */
static __attribute__((noinline)) const char *odd_string(struct scan *s, const char *at,
							const char *p)
{
	unsigned flags = 0;

	while (p < s->end && *p != '"') {
		p = odd_character(s, p, &flags);
		if (p == NULL)
			return NULL;
		p = scan_plain(p, s->end);
	}
	if (p == s->end)
		return fail(s, p, "the text ends within a string");
	return note(s, at, p + 1, JSON_STRING, flags);
}

/* P is at the opening quote. */
static inline const char *string(struct scan *s, const char *at)
{
	const char *p = scan_plain(at + 1, s->end);

	if (p < s->end && *p == '"')
		return note(s, at, p + 1, JSON_STRING, 0);
	return odd_string(s, at, p);
}

/* Numbers and words ----------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One digit or more. */
static const char *digits(const struct scan *s, const char *p)
{
	if (p == s->end || !is_digit(*p))
		return expected(s, p, "expected a digit");
	while (p < s->end && is_digit(*p))
		p++;
	return p;
}

static const char *number(struct scan *s, const char *at)
{
	const char *p = at + (*at == '-');
	unsigned flags = JSON_INTEGER;

	if (p < s->end && *p == '0') {
		p++;
		if (p < s->end && is_digit(*p))
			return fail(s, p, "a number has no zeros in front");
	} else {
		p = digits(s, p);
	}
	if (p != NULL && p < s->end && *p == '.') {
		p = digits(s, p + 1);
		flags = 0;
	}
	if (p != NULL && p < s->end && (*p == 'e' || *p == 'E')) {
		p++;
		p = digits(s, p + (p < s->end && (*p == '+' || *p == '-')));
		flags = 0;
	}
	return p == NULL ? NULL : note(s, at, p, JSON_NUMBER, flags);
}

static const char *word(struct scan *s, const char *at, const char *is, enum json_kind kind)
{
	const char *p = at;

	for (; *is != '\0'; is++, p++) {
		if (p == s->end || *p != *is)
			return expected(s, p, "expected true, false or null");
	}
	return note(s, at, p, kind, 0);
}

/* Any value but a container. */
static inline const char *scalar(struct scan *s, const char *p)
{
	if (p == s->end)
		return expected(s, p, "");
	if (*p == '"')
		return string(s, p);
	if (*p == '-' || is_digit(*p))
		return number(s, p);
	switch (*p) {
	case 't':
		return word(s, p, "true", JSON_TRUE);
	case 'f':
		return word(s, p, "false", JSON_FALSE);
	case 'n':
		return word(s, p, "null", JSON_NULL);
	}
	return fail(s, p, "expected a value");
}

/* Containers ------------------------------------------------------------------------------------ */

static inline bool at_closer(const struct scan *s, const char *p)
{
	return p < s->end && *p == s->closer;
}

/* P is at the bracket. Returns the place of the first thing in it, or of the other bracket. */
static inline const char *enter(struct scan *s, const char *p)
{
	bool object = *p == '{';
	uint64_t *bits;

	if (s->level >= s->depth)
		return fail(s, p, "deeper than is allowed");
	if (note(s, p, p, object ? JSON_OBJECT : JSON_ARRAY, 0) == NULL)
		return NULL;
	if (s->level <= s->detail) {
		s->tokens[s->count - 1].next = s->open;
		s->open = s->count - 1;
	}
	s->level++;
	bits = &s->is_object[s->level / 64];
	if (s->level % 64 == 0)
		*bits = 0;
	*bits &= ~((uint64_t)1 << (s->level % 64));
	*bits |= (uint64_t)object << (s->level % 64);
	s->closer = object ? '}' : ']';
	return skip(s, p + 1);
}

/* P is behind the closing bracket. */
static inline void leave(struct scan *s, const char *p)
{
	struct json_token *t = &s->tokens[s->open];
	bool object;

	s->level--;
	object = s->is_object[s->level / 64] >> (s->level % 64) & 1;
	s->closer = s->level == 0 ? '\0' : object ? '}' : ']';
	if (s->level > s->detail)
		return;
	s->open = t->next;
	t->next = s->count;
	t->len = (uint32_t)(p - s->text) - t->at;
}

/* P is at the name of a member. Returns the place of its value. */
static inline const char *name(struct scan *s, const char *p)
{
	if (p == s->end || *p != '"')
		return expected(s, p, "expected the name of a member in double quotes");
	p = string(s, p);
	if (p == NULL)
		return NULL;
	if (p == s->end || *p != ':')
		p = skip_white(s, p);
	if (p == s->end || *p != ':')
		return expected(s, p, "expected ':' behind the name of a member");
	return skip(s, p + 1);
}

/*
 * P is behind a value. Returns the place of the next one, or of its name, with what ends behind P
 * left; NULL at the end of the whole, and after a failure.
 */
static inline const char *onward(struct scan *s, const char *p)
{
	while (s->level > 0) {
		const char *behind;

		if (p < s->end && *p == ',')
			return skip(s, p + 1);
		if (at_closer(s, p)) {
			leave(s, ++p);
			continue;
		}
		behind = skip_white(s, p);
		if (behind == p)
			return expected(s, p,
					s->closer == '}' ? "expected ',' or '}'"
							 : "expected ',' or ']'");
		p = behind;
	}
	p = skip(s, p);
	return p == s->end ? NULL : fail(s, p, "something follows the value");
}

/* P is where the first value begins. */
static void scan_values(struct scan *s, const char *p)
{
	while (p != NULL) {
		if (s->closer == '}' && (p = name(s, p)) == NULL)
			break;
		if (p < s->end && (*p == '{' || *p == '[')) {
			p = enter(s, p);
			if (p == NULL || !at_closer(s, p))
				continue;
		} else if ((p = scalar(s, p)) == NULL) {
			break;
		}
		p = onward(s, p);
	}
}

static bool scan_text(struct scan *s, const char *text, size_t len)
{
	struct json_doc *doc = s->doc;

	doc->text = s->text = text;
	doc->error = NULL;
	doc->error_at = 0;
	s->end = text + len;
	s->tokens = doc->tokens;
	s->size = doc->size;
	s->count = 0;
	s->level = 0;
	s->closer = '\0';
	s->is_object[0] = 0;
	s->open = 0;
	s->depth = doc->depth < DEPTH_MOST ? doc->depth : DEPTH_MOST;
	s->detail = doc->detail;
	s->breaks = false;
	if (len > UINT32_MAX)
		fail(s, text, "longer than 4 GiB");
	else if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		fail(s, text, "a byte order mark is not allowed");
	else
		scan_values(s, skip(s, text));
	doc->count = doc->error == NULL ? s->count : 0;
	return doc->error == NULL;
}

bool json_parse(struct json_doc *doc, const char *text, size_t len)
{
	struct scan s;

	s.doc = doc;
	return scan_text(&s, text, len);
}

bool json_check(const char *text, size_t len, unsigned depth, bool *breaks)
{
	struct json_token whole;
	struct json_doc doc = {
		.depth = depth, .detail = 0, .most = 1, .tokens = &whole, .size = 1
	};
	struct scan s;
	bool good;

	s.doc = &doc;
	good = scan_text(&s, text, len);
	*breaks = s.breaks;
	return good;
}

/* Values ---------------------------------------------------------------------------------------- */

/* What the escape behind the backslash at P stands for, in UTF-8. Returns the place behind it. */
static const char *resolve(const char *p, char utf8[4], size_t *len)
{
	static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
	const char *letter;
	unsigned c;

	*len = 1;
	if (p[1] != 'u') {
		letter = strchr(letters, p[1]);
		utf8[0] = letter == NULL ? p[1] : meanings[letter - letters];
		return p + 2;
	}
	c = hex4(p + 2);
	p += 6;
	if (is_high(c)) {
		c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
		p += 6;
	}
	if (c < 0x80) {
		utf8[0] = (char)c;
		return p;
	}
	*len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = *len - 1; i > 0; i--, c >>= 6)
		utf8[i] = (char)(0x80 | (c & 0x3f));
	utf8[0] = (char)((0xf00 >> *len & 0xff) | c);
	return p;
}

bool json_string_equals(const struct json_doc *doc, uint32_t i, const char *what, size_t len)
{
	const struct json_token *t = &doc->tokens[i];
	const char *p = doc->text + t->at + 1;
	const char *end = p + t->len - 2;

	if (t->kind != JSON_STRING || t->flags & JSON_LONE_SURROGATE)
		return false;
	if (!(t->flags & JSON_ESCAPED))
		return t->len - 2 == len && memcmp(p, what, len) == 0;
	while (p < end) {
		char utf8[4] = { *p };
		size_t n = 1;

		p = *p == '\\' ? resolve(p, utf8, &n) : p + 1;
		if (n > len || memcmp(utf8, what, n) != 0)
			return false;
		what += n;
		len -= n;
	}
	return len == 0;
}

bool json_string_get(const struct json_doc *doc, uint32_t i, struct buffer *out)
{
	const struct json_token *t = &doc->tokens[i];
	const char *p = doc->text + t->at + 1;
	const char *end = p + t->len - 2;

	if (t->kind != JSON_STRING || t->flags & JSON_LONE_SURROGATE)
		return false;
	if (!(t->flags & JSON_ESCAPED)) {
		buffer_add(out, p, t->len - 2);
		return true;
	}
	while (p < end) {
		const char *backslash = memchr(p, '\\', (size_t)(end - p));
		char utf8[4];
		size_t n;

		buffer_add(out, p, (size_t)((backslash == NULL ? end : backslash) - p));
		if (backslash == NULL)
			break;
		p = resolve(backslash, utf8, &n);
		buffer_add(out, utf8, n);
	}
	return true;
}

bool json_int64_get(const struct json_doc *doc, uint32_t i, int64_t *value_out)
{
	const struct json_token *t = &doc->tokens[i];
	const char *p = doc->text + t->at;
	const char *end = p + t->len;
	bool minus = *p == '-';
	int64_t v = 0;

	if (t->kind != JSON_NUMBER || !(t->flags & JSON_INTEGER))
		return false;
	/* Counted downwards, since the negative numbers reach one further. */
	for (p += minus; p < end; p++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *p - '0', &v))
			return false;
	}
	if (!minus && v == INT64_MIN)
		return false;
	*value_out = minus ? v : -v;
	return true;
}

bool utf8_check(const char *text, size_t len)
{
	const char *p = text;
	const char *end = text + len;

	while (p < end) {
		size_t n = 1;

		if ((unsigned char)*p >= 0x80)
			n = scan_utf8(p, end);
		if (n == 0)
			return false;
		p += n;
	}
	return true;
}
