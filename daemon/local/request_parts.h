/*
 * What the parts of a request's reading share: the members that there are, the line, and how values
 * are taken from it. request.c has the table of ops and sorts the members; each subject has a file
 * of its own. For these files alone.
 */
#ifndef ESBRIDGE_LOCAL_REQUEST_PARTS_H
#define ESBRIDGE_LOCAL_REQUEST_PARTS_H

#include "base/json_walk.h"
#include "bridge/message_to_json.h"
#include "local/client.h"
#include "local/request.h"
#include "store/live.h"

/*
 * The members of all requests, by name. A request is first sorted into them, then the op says which
 * of them it takes; so the order of members on the line is free.
 */
enum member {
	M_OP,
	M_ID,
	M_TIMEOUT_MS,
	M_CREDENTIALS,
	M_CLIENT,
	M_ALL,
	M_MESSAGE,
	M_BODY,
	M_CORRELATION_ID,
	M_PAYLOAD,
	M_STREAM,
	M_MODE,
	M_SUB,
	M_RESOLVE_LINK_TOS,
	M_GROUP,
	M_IN_FLIGHT,
	M_WINDOW,
	M_FROM,
	M_FILTER,
	M_READ_BATCH,
	M_REQUIRE_MASTER,
	M_REQUIRE_LEADER,
	M_EVENTS,
	M_UP_TO,
	M_ACTION,
	M_REASON,
	M_CHECKPOINT,
	M_NAME,
	M_POSITION,
	MEMBER_COUNT,
};

enum member_type { T_TEXT, T_ID, T_UUID, T_UUIDS, T_INTEGER, T_BOOL, T_OBJECT, T_ANY };

struct member_row {
	const char *name;
	enum member_type type;
	const char *wanted; /* in words, after "must be " */
};

extern const struct member_row member_rows[MEMBER_COUNT];

#define BIT(m) (1u << (m))

/* STREAM_MOST: of what a subscription is for, its stream, group and filter. Whoever asks for it
 * keeps it, so no size here may be the client's. */
enum { NAME_MOST = 128, STREAM_MOST = 65535 };

struct line {
	struct client *client;
	enum heed heed;
	const struct json_doc *doc;
	struct buffer *own; /* see request_take() */
	struct request_id id;
	uint32_t given;               /* BIT(m) for each member that is */
	uint32_t value[MEMBER_COUNT]; /* the token of each member that is given */
	uint32_t unknown;             /* the token of the first name that is no member's, or 0 */
	struct buffer text;           /* texts with escapes, resolved; ended by NULs */
};

static inline bool line_given(const struct line *l, enum member m)
{
	return (l->given & BIT(m)) != 0;
}

static inline const struct json_token *line_token(const struct line *l, enum member m)
{
	return &l->doc->tokens[l->value[m]];
}

void line_refuse(struct line *l, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Refuses because of member M. Always false, for the caller to return. */
bool line_refuse_member(struct line *l, enum member m);

/*
 * String token T as bytes: those of the line, or where it has escapes those that they stand for,
 * added to l->text. False where it is no string, or has an unpaired surrogate.
 */
bool line_plain_text(struct line *l, uint32_t t, struct span *text);

/* The index in WORDS, ended by NULL, of text member M; -1 where it is none of them. */
int line_word(const struct line *l, enum member m, const char *const *words);

/* Copies text member M, escapes resolved, to TO, NUL-terminated. False, and refused, where it does
 * not suit: LEAST to MOST bytes, no NUL. */
bool line_text(struct line *l, enum member m, char *to, size_t least, size_t most);

/*
 * Text member M of LEAST to MOST bytes, NUL-terminated, kept in l->text for the rest of the line:
 * the caller has made room enough there, so that it does not move. False, and refused, where it
 * does not suit.
 */
bool line_kept_text(struct line *l, enum member m, size_t least, size_t most, const char **kept);

/* Integer member M where it is given, else STANDARD. False, and refused, where it is not within
 * LEAST and MOST. */
bool line_integer(struct line *l, enum member m, int64_t standard, int64_t least, int64_t most,
		  int64_t *value);

/* `timeout_ms`, or what the settings say. False, and refused, where it does not suit. */
bool line_timeout(struct line *l, uint64_t *ms);

/* `payload`. False, and refused, where it is none of the words. */
bool line_payload_mode(struct line *l, enum payload_mode *mode);

/* Reads `credentials` into WHO and sets *CHOSEN to it, or to NULL where there are none. False, and
 * refused, where they do not suit. The caller wipes WHO. */
bool line_credentials(struct line *l, struct credentials *who, const struct credentials **chosen);

/* Reads token OBJECT as a position of the log of all streams. False where it is none. */
bool line_position(const struct line *l, uint32_t object, struct place *place);

/* The ops of request_subscribe.c; each answers the line. OF_MODES: the members of `subscribe` that
 * only some modes take. */
enum {
	OF_MODES = BIT(M_RESOLVE_LINK_TOS) | BIT(M_WINDOW) | BIT(M_FILTER) | BIT(M_FROM) |
		   BIT(M_READ_BATCH) | BIT(M_REQUIRE_MASTER) | BIT(M_REQUIRE_LEADER) |
		   BIT(M_GROUP) | BIT(M_IN_FLIGHT) | BIT(M_CHECKPOINT)
};

void take_subscribe(struct line *l);
void take_unsubscribe(struct line *l);
void take_ack(struct line *l);
void take_nack(struct line *l);

/* Of request_checkpoint.c. */
void take_checkpoint(struct line *l);

#endif
