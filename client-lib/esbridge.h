/*
 * libesbridge: EventStoreDB from C, through the Unix socket of esbridged.
 *
 * One context (struct esbridge) is one connection to the daemon, with its subscriptions and its
 * requests in flight. It comes back by itself when the daemon was restarted. Use it in one of two
 * ways, or in both:
 *
 * - Blocking: esbridge_execute(), esbridge_write() and the like return the reply; esbridge_next()
 *   returns what the subscriptions say. For many requests at a time, esbridge_start_…() sends and
 *   esbridge_wait() takes the reply.
 * - In an event loop: esbridge_fd(), esbridge_events() and esbridge_deadline() say what to wait
 *   for, esbridge_process() works it off and calls callbacks. adapters/ has this ready for
 * libevent, poll and epoll.
 *
 * A function that can fail says so with NULL or -1, and esbridge_error() says why. Nothing here
 * exits, aborts, prints, or raises SIGPIPE; memory that is not there is an error like any other.
 *
 * Threads: a context is for one thread at a time; different contexts are independent of each other.
 * A message may be given to another thread. See libesbridge(3).
 */
#ifndef ESBRIDGE_H
#define ESBRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ESBRIDGE_VERSION_MAJOR 0
#define ESBRIDGE_VERSION_MINOR 1
#define ESBRIDGE_VERSION_PATCH 0

#if defined(__GNUC__)
#define ESBRIDGE_API     __attribute__((visibility("default")))
#define ESBRIDGE_CHECKED __attribute__((warn_unused_result))
#else
#define ESBRIDGE_API
#define ESBRIDGE_CHECKED
#endif

struct esbridge;        /* a context */
struct esbridge_reader; /* a parser of the daemon's lines */
struct esbridge_cursor; /* a walk through the events of a stream */
struct json_t;          /* a value of jansson's; include <jansson.h> to use it */

/* The version of the library that is linked, as "0.1.0". */
ESBRIDGE_API const char *esbridge_version(void);

/* Texts and bytes -------------------------------------------------------------------------------- */

/* LEN bytes at AT, with no NUL behind them. `at` is NULL where there is nothing. */
struct esbridge_span {
	const char *at;
	size_t len;
};

/* For printf: printf("%.*s", ESBRIDGE_PRINT(event->type)). */
#define ESBRIDGE_PRINT(span) (int)(span).len, (span).at != NULL ? (span).at : ""

/* True where SPAN is the same text as the NUL-terminated TEXT. */
ESBRIDGE_API bool esbridge_span_is(struct esbridge_span span, const char *text);

/* Errors ----------------------------------------------------------------------------------------- */

/* The codes of esbridge-protocol(7), and what the library finds by itself. */
enum esbridge_code {
	ESBRIDGE_E_NONE = 0,
	/* told by the daemon */
	ESBRIDGE_E_BAD_JSON = 1,
	ESBRIDGE_E_BAD_REQUEST =
		2, /* the library tells it too, of arguments that make no request */
	ESBRIDGE_E_LINE_TOO_LONG = 3,
	ESBRIDGE_E_UNKNOWN_OP = 4,
	ESBRIDGE_E_UNKNOWN_MESSAGE = 5,
	ESBRIDGE_E_UNKNOWN_SUBSCRIPTION = 6,
	ESBRIDGE_E_UNKNOWN_EVENT = 7,
	ESBRIDGE_E_LIMIT_EXCEEDED = 8,
	ESBRIDGE_E_TOO_MANY_CLIENTS = 9,
	ESBRIDGE_E_PERMISSION_DENIED = 10,
	ESBRIDGE_E_READ_ONLY = 11,
	ESBRIDGE_E_UNAVAILABLE = 12, /* never sent; the library tells it while there is no daemon */
	ESBRIDGE_E_TIMEOUT = 13,     /* sent, no answer in time; of the daemon too */
	ESBRIDGE_E_CONNECTION_LOST = 14, /* sent, and the connection went; that to the daemon too */
	ESBRIDGE_E_OVERLOADED = 15,
	ESBRIDGE_E_SHUTTING_DOWN = 16,
	ESBRIDGE_E_WRONG_EXPECTED_VERSION = 17,
	ESBRIDGE_E_STREAM_DELETED = 18,
	ESBRIDGE_E_NO_STREAM = 19,
	ESBRIDGE_E_NOT_FOUND = 20,
	ESBRIDGE_E_ACCESS_DENIED = 21,
	ESBRIDGE_E_NOT_AUTHENTICATED = 22,
	ESBRIDGE_E_INVALID_TRANSACTION = 23,
	ESBRIDGE_E_PREPARE_TIMEOUT = 24,
	ESBRIDGE_E_COMMIT_TIMEOUT = 25,
	ESBRIDGE_E_FORWARD_TIMEOUT = 26,
	ESBRIDGE_E_NOT_MODIFIED = 27,
	ESBRIDGE_E_ALREADY_EXISTS = 28,
	ESBRIDGE_E_DOES_NOT_EXIST = 29,
	ESBRIDGE_E_FAIL = 30,
	ESBRIDGE_E_SUBSCRIBER_MAX_COUNT_REACHED = 31,
	ESBRIDGE_E_SERVER_BAD_REQUEST = 32,
	ESBRIDGE_E_NOT_HANDLED = 33,
	ESBRIDGE_E_SERVER_ERROR = 34,
	ESBRIDGE_E_PROTOCOL_ERROR =
		35, /* the library tells it of a daemon that breaks the protocol */
	ESBRIDGE_E_SLOW_CONSUMER = 36,
	/* told by the library alone */
	ESBRIDGE_E_OTHER = 100, /* a code of a later daemon; its name is in the error */
	ESBRIDGE_E_OUT_OF_MEMORY = 101,
	ESBRIDGE_E_SYSTEM = 102, /* a system call failed: `system_error` is its errno */
	ESBRIDGE_E_CLOSED = 103  /* the context is being closed */
};

/* Whether a request that may change the store has changed it. */
enum esbridge_outcome {
	ESBRIDGE_OUTCOME_NOT_SAID = 0, /* the request changes nothing, or the store answered */
	ESBRIDGE_OUTCOME_NONE = 1,     /* certainly not */
	ESBRIDGE_OUTCOME_UNKNOWN = 2   /* sent, and no answer seen */
};

/* Why the last call failed. */
struct esbridge_error {
	enum esbridge_code code;
	const char *name; /* of the code, as in the protocol: "wrong_expected_version" */
	const char *text; /* for people, one line */
	bool retry;       /* the same request may succeed later */
	enum esbridge_outcome outcome;
	int system_error; /* errno with ESBRIDGE_E_SYSTEM and where no daemon is reached, else 0 */
	struct esbridge_span body; /* what the store answered, JSON */
	struct esbridge_span line; /* the whole line of the daemon, where it was one */
};

/*
 * Why the last call on E failed that has failed; code 0 where none has. Owned by E, until the next
 * call that can fail. E may be NULL: the answer is then ESBRIDGE_E_OUT_OF_MEMORY, the one reason
 * for which esbridge_connect() returns no context.
 */
ESBRIDGE_API const struct esbridge_error *esbridge_error(const struct esbridge *e);

/* The name of CODE as in the protocol, "ok" for 0, "other" for what is none. Never NULL. */
ESBRIDGE_API const char *esbridge_code_name(enum esbridge_code code);

/* The code of that name, ESBRIDGE_E_OTHER where there is none. */
ESBRIDGE_API enum esbridge_code esbridge_code_of(const char *name);

/* Memory ----------------------------------------------------------------------------------------- */

/* Functions with the contracts of malloc(3), realloc(3) and free(3). */
struct esbridge_allocator {
	void *(*allocate)(size_t size);
	void *(*reallocate)(void *at, size_t size);
	void (*release)(void *at);
};

/*
 * Where all memory of the library comes from; NULL: libc again. Copied. To be called before
 * anything else and not while another thread is in the library, since memory is released by what is
 * set then. Jansson's own allocator is left alone: values of type json_t come from what the program
 * has given to json_set_alloc_funcs(), so that it can release them.
 */
ESBRIDGE_API void esbridge_set_allocator(const struct esbridge_allocator *allocator);

/* Messages --------------------------------------------------------------------------------------- */

enum esbridge_kind {
	ESBRIDGE_OK = 1,    /* a reply to a request that succeeded */
	ESBRIDGE_ERROR = 2, /* a reply to one that failed, or a fault with no request to blame */
	ESBRIDGE_PUSH = 3   /* a subscription speaks */
};

enum esbridge_push {
	ESBRIDGE_PUSH_NONE = 0, /* the message is no push */
	ESBRIDGE_PUSH_EVENT = 1,
	ESBRIDGE_PUSH_CAUGHT_UP = 2,
	ESBRIDGE_PUSH_INTERRUPTED = 3, /* the library tells it too, with reason "daemon_lost" */
	ESBRIDGE_PUSH_RESUMED = 4,     /* the library tells it too */
	ESBRIDGE_PUSH_STREAM_DELETED = 5,
	ESBRIDGE_PUSH_DROPPED = 6, /* the last one of a subscription */
	ESBRIDGE_PUSH_OTHER = 7    /* one of a later daemon: see `line` */
};

/* How a payload is given or comes. */
enum esbridge_payload {
	ESBRIDGE_NOTHING = 0,
	ESBRIDGE_JSON = 1,  /* one JSON value */
	ESBRIDGE_BYTES = 2, /* anything; in base64 on the line */
	ESBRIDGE_TEXT = 3   /* UTF-8; for writing alone */
};

/* A place in the log of the store; both -1 where there is none. */
struct esbridge_position {
	int64_t commit;
	int64_t prepare;
};

/* An event. Lives as long as its message. Texts have their escapes resolved. */
struct esbridge_event {
	struct esbridge_span stream;
	int64_t number; /* in its stream, from 0 */
	struct esbridge_span id;
	struct esbridge_span type;
	struct esbridge_span created; /* RFC 3339, UTC */
	int64_t created_ms;           /* the same in milliseconds since 1970 */
	int data_content_type;        /* 1 where it is flagged as JSON, else 0 */
	int metadata_content_type;
	enum esbridge_payload data_is; /* NOTHING, JSON or BYTES */
	enum esbridge_payload metadata_is;
	/* JSON: the bytes as they were stored. BYTES: base64, see esbridge_event_data(). */
	struct esbridge_span raw_data;
	struct esbridge_span raw_metadata;
};

/* An event with how it was found. */
struct esbridge_record {
	const struct esbridge_event *event; /* NULL where the link leads to nothing */
	const struct esbridge_event *link;  /* the link that led to it, NULL where there is none */
	struct esbridge_position position;
};

/*
 * A line of the daemon, taken apart. What it does not have is 0, NULL, or -1 for numbers from the
 * store. Made by the library alone: later versions may have more members at the end.
 */
struct esbridge_message {
	enum esbridge_kind kind;
	int64_t id;                   /* of the request, where it was an integer, else 0 */
	struct esbridge_span id_text; /* the same as JSON, quotes and all */
	struct esbridge_span line;    /* the whole line without its LF */
	struct esbridge_span ok;      /* the value of "ok", JSON */
	struct esbridge_span body; /* the store's answer, JSON: execute, and errors that have one */
	void *user;                /* of the subscription that speaks, or that was asked for */

	/* with ESBRIDGE_ERROR */
	enum esbridge_code code;
	struct esbridge_span code_name;
	struct esbridge_span text; /* for people */
	bool retry;
	enum esbridge_outcome outcome;

	/* with ESBRIDGE_PUSH; `sub` and `last_event_number` also with the reply to a subscribe */
	enum esbridge_push push;
	struct esbridge_span sub;    /* the name of the subscription */
	struct esbridge_span ack_id; /* where an acknowledgement is expected */
	struct esbridge_span reason;
	int retry_count;           /* how often the group has delivered it before */
	int64_t last_event_number; /* also of a read and of a write */
	bool gap;                  /* events may have been missed */
	bool hard;                 /* the stream cannot be used again */

	/* events: one with ESBRIDGE_PUSH_EVENT and ReadEvent, any number with the other reads */
	const struct esbridge_record *records;
	size_t record_count;
	const struct esbridge_event *event; /* those of records[0] */
	const struct esbridge_event *link;
	struct esbridge_position position; /* of the event; where a write or all streams stand */

	/* replies to reads and writes */
	int64_t first_event_number; /* of a write */
	int64_t next_event_number;  /* where the next read goes on, -1 at the end backwards */
	struct esbridge_position next_position; /* the same for all streams */
	bool is_end_of_stream;
};

/* One more reference to MESSAGE, which is then freed twice. Safe in any thread. Returns MESSAGE. */
ESBRIDGE_API struct esbridge_message *esbridge_message_ref(struct esbridge_message *message);

/* Gives a reference back; the last one frees. NULL is nothing. Safe in any thread. */
ESBRIDGE_API void esbridge_message_free(struct esbridge_message *message);

/*
 * The payload of EVENT as the bytes that are stored; base64 is decoded, the first time. *BYTES
 * lives as long as the event's message, and is an empty span where there is nothing. -1 with errno
 * ENOMEM, or EINVAL where it is no base64. Not for two threads at a time on one message.
 */
ESBRIDGE_API int esbridge_event_data(const struct esbridge_event *event,
				     struct esbridge_span *bytes) ESBRIDGE_CHECKED;
ESBRIDGE_API int esbridge_event_metadata(const struct esbridge_event *event,
					 struct esbridge_span *bytes) ESBRIDGE_CHECKED;

/*
 * The JSON in SPAN (`ok`, `body`, a payload) as a new value of jansson's, for the caller to
 * json_decref(). Not for payloads whose numbers matter: jansson keeps them as double. NULL with
 * errno EINVAL for what jansson does not take (numbers out of its range, more than 2048 levels), or
 * ENOMEM; where memory is out, jansson sometimes takes the text for wrong.
 */
ESBRIDGE_API struct json_t *esbridge_span_json(struct esbridge_span span) ESBRIDGE_CHECKED;

/* Reading lines without a socket ----------------------------------------------------------------- */

/*
 * A reader of the daemon's lines, for programs with a transport of their own. LINE_LIMIT: the
 * longest line in bytes, 0 for 256 MiB. NULL where memory is out. esbridge_reader_free() frees it.
 */
ESBRIDGE_API struct esbridge_reader *esbridge_reader_new(size_t line_limit) ESBRIDGE_CHECKED;
ESBRIDGE_API void esbridge_reader_free(struct esbridge_reader *reader);

/* Takes LEN bytes, in pieces of any size. They are copied. -1 where memory is out: nothing is
 * taken. */
ESBRIDGE_API int esbridge_reader_feed(struct esbridge_reader *reader, const void *bytes,
				      size_t len) ESBRIDGE_CHECKED;

/*
 * The next message. 1: *MESSAGE is one, for the caller to free. 0: there is no whole line. -1: the
 * line is none of the protocol or too long, it is skipped and the reader goes on behind it; or
 * memory is out, the line stays and may be asked for again. esbridge_reader_error() says which.
 */
ESBRIDGE_API int esbridge_reader_next(struct esbridge_reader *reader,
				      struct esbridge_message **message) ESBRIDGE_CHECKED;
ESBRIDGE_API const struct esbridge_error *esbridge_reader_error(
	const struct esbridge_reader *reader);

/* The context ------------------------------------------------------------------------------------ */

/*
 * How a context behaves. Zero in a member stands for its default, so that members can be added:
 *
 *	struct esbridge_options options = { .size = sizeof(options), .client = "billing" };
 */
struct esbridge_options {
	size_t size;            /* sizeof(struct esbridge_options) */
	const char *client;     /* names the connection in the daemon's logs and status; none */
	int connect_timeout_ms; /* for esbridge_connect(); 5000 */
	int reply_timeout_ms;   /* from the start of a request to its reply; 30000 */
	bool no_reconnect;      /* a lost connection stays lost */
	int reconnect_min_ms;   /* before the second attempt, doubled each time; 100 */
	int reconnect_max_ms;   /* 5000 */
	size_t line_limit;      /* longest line from the daemon; 256 MiB */
	size_t queue_limit;     /* bytes of messages that wait to be taken; 256 MiB */
	size_t output_limit;    /* bytes of requests that wait to be sent; 64 MiB */
};

/*
 * Connects to the daemon's socket at PATH (NULL: what the environment has in ESBRIDGE_SOCKET, else
 * /run/esbridge/esbridge.sock) and says hello. OPTIONS may be NULL, and is copied. Returns NULL
 * only where memory is out. Otherwise look at esbridge_error()->code: where it is not 0, the daemon
 * was not reached. The context can be used nevertheless, later calls try again unless
 * `no_reconnect` is set. esbridge_close() frees it.
 */
ESBRIDGE_API struct esbridge *esbridge_connect(
	const char *path, const struct esbridge_options *options) ESBRIDGE_CHECKED;

/* The same, but waits for nothing: connection and hello are the work of esbridge_process(). */
ESBRIDGE_API struct esbridge *esbridge_connect_async(
	const char *path, const struct esbridge_options *options) ESBRIDGE_CHECKED;

/*
 * Closes the connection and frees E; NULL is nothing. Requests in flight end: their callbacks get
 * ESBRIDGE_E_CLOSED. Events that are not acknowledged go back to their groups. What was started is
 * sent as far as the socket takes it at once; see esbridge_flush(). May be called in a callback.
 */
ESBRIDGE_API void esbridge_close(struct esbridge *e);

/* What the daemon said to hello. Owned by the context, until the next call on it. */
struct esbridge_server {
	int protocol;
	const char *version;
	int64_t line_limit; /* the longest line that it takes */
	int64_t depth_limit;
	int64_t in_flight_limit;
	int64_t subscription_limit;
	struct esbridge_span hello; /* the whole answer, JSON: features, messages */
};

/* NULL as long as no daemon has answered. */
ESBRIDGE_API const struct esbridge_server *esbridge_server(const struct esbridge *e);

/* The path of the socket. Owned by E. */
ESBRIDGE_API const char *esbridge_path(const struct esbridge *e);

/* True while there is a connection on which the daemon has answered hello. */
ESBRIDGE_API bool esbridge_is_connected(const struct esbridge *e);

/* Requests --------------------------------------------------------------------------------------- */

/*
 * What may be said about any request beside what it asks for. NULL in its place, and zero in a
 * member, is the default.
 */
struct esbridge_request {
	size_t size;    /* sizeof(struct esbridge_request) */
	int timeout_ms; /* for the store to answer; the daemon's setting. The reply is waited for a
			   second longer */
	const char *username; /* for this request alone; both or none */
	const char *password;
	const char *correlation_id; /* UUID, execute alone */
	const char
		*payload; /* "json", "base64" or "none": how events come; execute and subscribe */
};

/*
 * Starting a request puts it into the queue for the socket and returns its id, above 0, without
 * waiting; -1 where it is refused at once. Each started request has one reply, which goes to the
 * callback of esbridge_on_reply(), or to esbridge_wait(). Started requests are sent by the next
 * call that waits (esbridge_wait(), esbridge_next(), esbridge_flush(), esbridge_process()), many in
 * one write, in the order in which they were started.
 *
 * A request that is not yet sent when the daemon goes waits for the next connection; one that is in
 * flight then ends with ESBRIDGE_E_CONNECTION_LOST and an outcome.
 */

/*
 * Any op of the protocol. MEMBERS: the further members of the request as a JSON object, or NULL:
 * esbridge_start(e, "status", "{\"all\":true}", NULL).
 */
ESBRIDGE_API int64_t esbridge_start(struct esbridge *e, const char *op, const char *members,
				    const struct esbridge_request *request);

/* execute: MESSAGE by name, BODY as JSON text, or NULL for {}. */
ESBRIDGE_API int64_t esbridge_start_execute(struct esbridge *e, const char *message,
					    const char *body,
					    const struct esbridge_request *request);

/*
 * Waits for the reply to ID. Returns it where it is ESBRIDGE_OK, for the caller to free. NULL
 * otherwise: the daemon answered with an error, the time for it is over, or ID is not that of a
 * request whose reply is to be waited for (ESBRIDGE_E_BAD_REQUEST); -1 for ID leaves the error as
 * it is, so that esbridge_wait(e, esbridge_start(…)) needs no check in between. Pushes that come
 * meanwhile wait for esbridge_next(); where `queue_limit` of them wait, ESBRIDGE_E_OVERLOADED says
 * so, and the reply can be waited for again when some have been taken.
 */
ESBRIDGE_API struct esbridge_message *esbridge_wait(struct esbridge *e,
						    int64_t id) ESBRIDGE_CHECKED;

/* esbridge_start…() and esbridge_wait() in one. */
ESBRIDGE_API struct esbridge_message *esbridge_call(
	struct esbridge *e, const char *op, const char *members,
	const struct esbridge_request *request) ESBRIDGE_CHECKED;
ESBRIDGE_API struct esbridge_message *esbridge_execute(
	struct esbridge *e, const char *message, const char *body,
	const struct esbridge_request *request) ESBRIDGE_CHECKED;

/* The same with BODY as a value of jansson's, which stays the caller's. */
ESBRIDGE_API struct esbridge_message *esbridge_execute_json(
	struct esbridge *e, const char *message, const struct json_t *body,
	const struct esbridge_request *request) ESBRIDGE_CHECKED;

/*
 * Queues LEN bytes at LINE as a line of its own, as they are but for the LF, which is added. They
 * may have no CR or LF in them. Its reply comes from esbridge_next() unless its id is that of a
 * started request. For what the library has no words for.
 */
ESBRIDGE_API int esbridge_send_line(struct esbridge *e, const char *line,
				    size_t len) ESBRIDGE_CHECKED;

/* Waits until all that was started is handed to the socket. TIMEOUT_MS: -1 for ever. -1 where not.
 */
ESBRIDGE_API int esbridge_flush(struct esbridge *e, int timeout_ms) ESBRIDGE_CHECKED;

/* ping: the round trip to the store in microseconds, -1 where it failed. */
ESBRIDGE_API int64_t esbridge_ping(struct esbridge *e, const struct esbridge_request *request);

/* status; ALL: of every client. The JSON is in `ok`. */
ESBRIDGE_API struct esbridge_message *esbridge_status(struct esbridge *e,
						      bool all) ESBRIDGE_CHECKED;

/* Writing ---------------------------------------------------------------------------------------- */

/* Expected versions beside the number of the last event that the stream must have. */
#define ESBRIDGE_ANY           (-2)
#define ESBRIDGE_NO_STREAM     (-1)
#define ESBRIDGE_STREAM_EXISTS (-4)

/*
 * An event to be written. Zero in a member is its default. JSON is stored byte for byte, line
 * breaks too; it must be well-formed, TEXT must be UTF-8: else ESBRIDGE_E_BAD_REQUEST.
 */
struct esbridge_new_event {
	const char *type;
	const char *
		id; /* UUID; NULL: the daemon makes one. With one, a write can be repeated safely */
	const void *data;
	size_t data_len;
	enum esbridge_payload data_is;
	const void *metadata;
	size_t metadata_len;
	enum esbridge_payload metadata_is;
	/* The store's one flag for both parts. 0: JSON where `data_is` is JSON; 1: JSON; -1: not
	 * JSON. */
	int content_type;
};

/* COUNT events (1 or more) behind each other, all or none. The reply has first_event_number,
 * last_event_number. */
ESBRIDGE_API int64_t esbridge_start_write(struct esbridge *e, const char *stream,
					  int64_t expected_version,
					  const struct esbridge_new_event *events, size_t count,
					  const struct esbridge_request *request);
ESBRIDGE_API struct esbridge_message *esbridge_write(
	struct esbridge *e, const char *stream, int64_t expected_version,
	const struct esbridge_new_event *events, size_t count,
	const struct esbridge_request *request) ESBRIDGE_CHECKED;

/* One event with JSON data, a NUL-terminated text. Returns its number in the stream, or -1. */
ESBRIDGE_API int64_t esbridge_write_json(struct esbridge *e, const char *stream, const char *type,
					 const char *json);

/* HARD: the stream can never be used again. */
ESBRIDGE_API int64_t esbridge_start_delete(struct esbridge *e, const char *stream,
					   int64_t expected_version, bool hard,
					   const struct esbridge_request *request);
ESBRIDGE_API struct esbridge_message *esbridge_delete(
	struct esbridge *e, const char *stream, int64_t expected_version, bool hard,
	const struct esbridge_request *request) ESBRIDGE_CHECKED;

/* A random UUID in TEXT, with a NUL. -1 with errno where the kernel gives no random numbers. */
#define ESBRIDGE_UUID_SIZE 37
ESBRIDGE_API int esbridge_uuid(char text[ESBRIDGE_UUID_SIZE]) ESBRIDGE_CHECKED;

/* Reading ---------------------------------------------------------------------------------------- */

/* Event number NUMBER of STREAM, -1 for the last one. The reply has `event`, `link`. */
ESBRIDGE_API int64_t esbridge_start_read_event(struct esbridge *e, const char *stream,
					       int64_t number,
					       const struct esbridge_request *request);
ESBRIDGE_API struct esbridge_message *esbridge_read_event(
	struct esbridge *e, const char *stream, int64_t number,
	const struct esbridge_request *request) ESBRIDGE_CHECKED;

/* Where a read or a catch-up subscription begins. */
enum esbridge_from {
	ESBRIDGE_FROM_DEFAULT =
		0, /* reads: the start, backwards the end. Subscriptions: see there */
	ESBRIDGE_FROM_START = 1,
	ESBRIDGE_FROM_END = 2,
	ESBRIDGE_FROM_NUMBER = 3,  /* at `number`, that event with it */
	ESBRIDGE_FROM_POSITION = 4 /* all streams: at `position`, the event there with it */
};

/* Which events. Zero in a member is its default. */
struct esbridge_read {
	size_t size;        /* sizeof(struct esbridge_read) */
	const char *stream; /* NULL, "" or "$all": all streams */
	bool backward;
	enum esbridge_from from;
	int64_t number;
	struct esbridge_position position;
	int max_count;      /* events of one reply; 500 */
	bool keep_links;    /* links are not resolved */
	const char *filter; /* all streams: JSON as of FilteredReadAllEvents */
	int require_master; /* 0: the daemon's setting; 1: yes; -1: no */
};

/*
 * One page of events. The reply has `records`, `is_end_of_stream`, and where to go on:
 * `next_event_number` or `next_position`. READ is not needed after the call.
 */
ESBRIDGE_API int64_t esbridge_start_read(struct esbridge *e, const struct esbridge_read *read,
					 const struct esbridge_request *request);
ESBRIDGE_API struct esbridge_message *esbridge_read(
	struct esbridge *e, const struct esbridge_read *read,
	const struct esbridge_request *request) ESBRIDGE_CHECKED;

/*
 * All events from there on, page by page; the next page is on its way while one is looked at. READ
 * is copied. NULL where memory is out or the read is refused. For blocking use. Free it before E.
 */
ESBRIDGE_API struct esbridge_cursor *esbridge_cursor_new(
	struct esbridge *e, const struct esbridge_read *read,
	const struct esbridge_request *request) ESBRIDGE_CHECKED;
ESBRIDGE_API void esbridge_cursor_free(struct esbridge_cursor *cursor);

/* 1: *RECORD is the next event, until the next call. 0: there are no more. -1: it failed. */
ESBRIDGE_API int esbridge_cursor_next(struct esbridge_cursor *cursor,
				      const struct esbridge_record **record) ESBRIDGE_CHECKED;

/* Subscriptions ---------------------------------------------------------------------------------- */

/*
 * Called by esbridge_next() and esbridge_process(). MESSAGE is freed when it returns: to keep it,
 * take a reference. May call anything on E, esbridge_close() too; calls that wait are allowed and
 * let other callbacks wait.
 */
typedef void esbridge_fn(struct esbridge *e, struct esbridge_message *message, void *user);

/* Which events, and how. Zero in a member is its default. See subscribe in esbridge-protocol(7). */
struct esbridge_subscribe {
	size_t size;        /* sizeof(struct esbridge_subscribe) */
	const char *stream; /* NULL, "" or "$all": all streams */
	const char *sub;    /* a name for it, unique on the context; NULL: the library makes one */
	const char *mode;   /* "live", "catchup", "persistent"; NULL: what the members say */
	const char *group;  /* persistent */
	int in_flight;      /* persistent: events delivered and not yet acknowledged; 10 */
	enum esbridge_from from; /* not DEFAULT: catch-up */
	int64_t number;
	struct esbridge_position position;
	const char *
		checkpoint; /* catch-up: a name under which the daemon keeps what is acknowledged */
	int window; /* live and catch-up: as in_flight; 0: no acknowledgements, with a checkpoint
		       what the daemon says */
	int read_batch; /* catch-up; 500 */
	bool keep_links;
	const char *filter;   /* all streams: JSON */
	int require_master;   /* catch-up; 0: the daemon's setting; 1: yes; -1: no */
	esbridge_fn *on_push; /* gets its pushes; NULL: esbridge_next() returns them */
	void *user;           /* for on_push, and in `user` of its messages */
};

/*
 * Subscribes, and waits for the reply. Returns the name of the subscription, which lives as long as
 * it, or NULL. The subscription lasts until esbridge_unsubscribe(), ESBRIDGE_PUSH_DROPPED, or the
 * end of the context. When the daemon was restarted it is made again: `interrupted`, then
 * `resumed`. A catch-up subscription goes on behind the last event that has come; one with a
 * checkpoint and a persistent one get again what was not acknowledged; a live one says `gap`. Where
 * the daemon refuses it then for good, it is `dropped` with the error's code as the reason.
 */
ESBRIDGE_API const char *esbridge_subscribe(
	struct esbridge *e, const struct esbridge_subscribe *subscribe,
	const struct esbridge_request *request) ESBRIDGE_CHECKED;
ESBRIDGE_API int64_t esbridge_start_subscribe(struct esbridge *e,
					      const struct esbridge_subscribe *subscribe,
					      const struct esbridge_request *request);

/* Ends SUB. Nothing of it comes after that. -1 where it failed. */
ESBRIDGE_API int esbridge_unsubscribe(struct esbridge *e, const char *sub) ESBRIDGE_CHECKED;
ESBRIDGE_API int64_t esbridge_start_unsubscribe(struct esbridge *e, const char *sub);

/*
 * The next message that nobody else waits for: a push of a subscription without a callback, an
 * error without a request. Callbacks of pushes and replies are called on the way. Waits TIMEOUT_MS
 * for it, -1 for ever. 1: *MESSAGE is it, for the caller to free. 0: there is none: the time is
 * over, a signal was caught, or callbacks have been called. -1: failed; with reconnecting only
 * where memory is out.
 */
ESBRIDGE_API int esbridge_next(struct esbridge *e, int timeout_ms,
			       struct esbridge_message **message) ESBRIDGE_CHECKED;

/*
 * Acknowledges the event in MESSAGE, a push. Sent at once, or by esbridge_process() once a watcher
 * is set or esbridge_process() was called; no reply is waited for: where the daemon refuses, an
 * ESBRIDGE_ERROR message comes. -1 where the message expects none, or was delivered on a connection
 * that is gone, so that the event will be delivered again (ESBRIDGE_E_UNKNOWN_EVENT). UP_TO:
 * everything delivered up to it, and it.
 */
ESBRIDGE_API int esbridge_ack(struct esbridge *e, const struct esbridge_message *message);
ESBRIDGE_API int esbridge_ack_up_to(struct esbridge *e, const struct esbridge_message *message);

/* Many events of one subscription in one line: COUNT messages, 1 or more. */
ESBRIDGE_API int esbridge_ack_many(struct esbridge *e, struct esbridge_message *const *messages,
				   size_t count);

/* ACTION: "retry" (NULL too), "park", "skip", "stop", "unknown". REASON: for people, or NULL. */
ESBRIDGE_API int esbridge_nack(struct esbridge *e, const struct esbridge_message *message,
			       const char *action, const char *reason);

/* In an event loop ------------------------------------------------------------------------------- */

/* The descriptor to wait for, -1 while there is no connection. It changes with each connection. */
ESBRIDGE_API int esbridge_fd(const struct esbridge *e);

/* POLLIN, or POLLIN | POLLOUT; 0 while there is no connection. */
ESBRIDGE_API short esbridge_events(const struct esbridge *e);

/* After how many milliseconds esbridge_process() wants to be called although nothing has come; -1:
 * never. */
ESBRIDGE_API int esbridge_deadline(const struct esbridge *e);

/*
 * Does what is due: connects, reads, sends, calls callbacks. REVENTS: what poll(2) found; 0 when
 * the deadline is over. Never waits. -1 where it failed, with reconnecting only where memory is
 * out. Messages without a callback wait for esbridge_next() with timeout 0.
 */
ESBRIDGE_API int esbridge_process(struct esbridge *e, short revents);

/*
 * FN gets the reply to the started request ID, an ESBRIDGE_OK or an ESBRIDGE_ERROR message, once;
 * NULL in its place where memory is out even for that. -1 where ID is not that of a request in
 * flight; -1 for ID leaves the error as it is.
 */
ESBRIDGE_API int esbridge_on_reply(struct esbridge *e, int64_t id, esbridge_fn *fn, void *user);

/* FN gets every message that no other callback gets. NULL: they wait for esbridge_next() again. */
ESBRIDGE_API void esbridge_on_message(struct esbridge *e, esbridge_fn *fn, void *user);

/*
 * For adapters: FN is called whenever esbridge_fd(), esbridge_events() or esbridge_deadline() may
 * have changed, and once at the end, with CLOSING true, before the descriptor is closed for good.
 * It may look at these, and call nothing else. NULL: nobody.
 */
typedef void esbridge_watch_fn(struct esbridge *e, bool closing, void *user);
ESBRIDGE_API void esbridge_set_watcher(struct esbridge *e, esbridge_watch_fn *fn, void *user);

#ifdef __cplusplus
}
#endif

#endif
