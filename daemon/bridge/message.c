#include "bridge/message.h"

#include <string.h>

#include "eventstore.pb-c.h"
#include "store/command.h"
#include "store/wire_read.h"

/* The pages that the store's own client asks for. */
enum { MAX_COUNT = 500, SEARCH_WINDOW = 500 };

/* ExpectedVersion.Any. */
enum { ANY_VERSION = -2 };

#define NUMBER(member, number) \
	{ \
		member, DEFAULT_NUMBER, number, NULL, NULL \
	}
#define MASTER \
	{ \
		"require_master", DEFAULT_REQUIRE_MASTER, 0, NULL, NULL \
	}
#define END \
	{ \
		NULL, DEFAULT_NUMBER, 0, NULL, NULL \
	}

static const struct message_default write_defaults[] = {
	NUMBER("expected_version", ANY_VERSION),
	MASTER,
	END,
};

static const struct message_default transaction_defaults[] = { MASTER, END };

static const struct message_default event_defaults[] = {
	NUMBER("event_number", -1),
	NUMBER("resolve_link_tos", 1),
	MASTER,
	END,
};

static const struct message_default stream_forward_defaults[] = {
	NUMBER("from_event_number", 0),
	NUMBER("max_count", MAX_COUNT),
	NUMBER("resolve_link_tos", 1),
	MASTER,
	END,
};

static const struct message_default stream_backward_defaults[] = {
	NUMBER("from_event_number", -1),
	NUMBER("max_count", MAX_COUNT),
	NUMBER("resolve_link_tos", 1),
	MASTER,
	END,
};

static const struct message_default all_forward_defaults[] = {
	NUMBER("commit_position", 0),
	NUMBER("prepare_position", 0),
	NUMBER("max_count", MAX_COUNT),
	NUMBER("resolve_link_tos", 1),
	MASTER,
	END,
};

static const struct message_default all_backward_defaults[] = {
	NUMBER("commit_position", -1),
	NUMBER("prepare_position", -1),
	NUMBER("max_count", MAX_COUNT),
	NUMBER("resolve_link_tos", 1),
	MASTER,
	END,
};

static const struct message_default filtered_forward_defaults[] = {
	NUMBER("commit_position", 0),
	NUMBER("prepare_position", 0),
	NUMBER("max_count", MAX_COUNT),
	NUMBER("max_search_window", SEARCH_WINDOW),
	NUMBER("resolve_link_tos", 1),
	MASTER,
	END,
};

static const struct message_default filtered_backward_defaults[] = {
	NUMBER("commit_position", -1),
	NUMBER("prepare_position", -1),
	NUMBER("max_count", MAX_COUNT),
	NUMBER("max_search_window", SEARCH_WINDOW),
	NUMBER("resolve_link_tos", 1),
	MASTER,
	END,
};

/*
 * PersistentSubscriptionSettings of the store's own client, 4.1. A strategy that is named makes the
 * store ignore prefer_round_robin, so none is named for a body that gives that one alone.
 */
static const struct message_default group_defaults[] = {
	NUMBER("start_from", -1),
	NUMBER("message_timeout_milliseconds", 30000),
	NUMBER("live_buffer_size", 500),
	NUMBER("read_batch_size", 20),
	NUMBER("buffer_size", 500),
	NUMBER("max_retry_count", 10),
	NUMBER("prefer_round_robin", 1),
	NUMBER("checkpoint_after_time", 2000),
	NUMBER("checkpoint_max_count", 1000),
	NUMBER("checkpoint_min_count", 10),
	{ "named_consumer_strategy", DEFAULT_TEXT, 0, "RoundRobin", "prefer_round_robin" },
	END,
};

const struct message message_table[MESSAGE_COUNT + 1] = {
	{
		.name = "WriteEvents",
		.reply = "WriteEventsCompleted",
		.command = CMD_WRITE_EVENTS,
		.reply_command = CMD_WRITE_EVENTS_COMPLETED,
		.kind = MESSAGE_WRITE,
		.needs = PERMISSION_WRITE,
		.scope = SCOPE_STREAM,
		.repeatable = true,
		.carries_events = true,
		.request = &es__write_events__descriptor,
		.response = &es__write_events_completed__descriptor,
		.defaults = write_defaults,
	},
	{
		.name = "ReadEvent",
		.reply = "ReadEventCompleted",
		.command = CMD_READ_EVENT,
		.reply_command = CMD_READ_EVENT_COMPLETED,
		.kind = MESSAGE_READ,
		.needs = PERMISSION_READ,
		.scope = SCOPE_STREAM,
		.repeatable = true,
		.request = &es__read_event__descriptor,
		.response = &es__read_event_completed__descriptor,
		.defaults = event_defaults,
	},
	{
		.name = "ReadStreamEvents",
		.alias = "ReadStreamEventsForward",
		.reply = "ReadStreamEventsCompleted",
		.command = CMD_READ_STREAM_EVENTS_FORWARD,
		.reply_command = CMD_READ_STREAM_EVENTS_FORWARD_COMPLETED,
		.kind = MESSAGE_READ,
		.needs = PERMISSION_READ,
		.scope = SCOPE_STREAM,
		.reads_page = true,
		.repeatable = true,
		.request = &es__read_stream_events__descriptor,
		.response = &es__read_stream_events_completed__descriptor,
		.defaults = stream_forward_defaults,
	},
	{
		.name = "ReadStreamEventsBackward",
		.reply = "ReadStreamEventsCompleted",
		.command = CMD_READ_STREAM_EVENTS_BACKWARD,
		.reply_command = CMD_READ_STREAM_EVENTS_BACKWARD_COMPLETED,
		.kind = MESSAGE_READ,
		.needs = PERMISSION_READ,
		.scope = SCOPE_STREAM,
		.reads_page = true,
		.repeatable = true,
		.request = &es__read_stream_events__descriptor,
		.response = &es__read_stream_events_completed__descriptor,
		.defaults = stream_backward_defaults,
	},
	{
		.name = "ReadAllEvents",
		.alias = "ReadAllEventsForward",
		.reply = "ReadAllEventsCompleted",
		.command = CMD_READ_ALL_EVENTS_FORWARD,
		.reply_command = CMD_READ_ALL_EVENTS_FORWARD_COMPLETED,
		.kind = MESSAGE_READ,
		.needs = PERMISSION_READ,
		.scope = SCOPE_ALL,
		.reads_page = true,
		.repeatable = true,
		.request = &es__read_all_events__descriptor,
		.response = &es__read_all_events_completed__descriptor,
		.defaults = all_forward_defaults,
	},
	{
		.name = "ReadAllEventsBackward",
		.reply = "ReadAllEventsCompleted",
		.command = CMD_READ_ALL_EVENTS_BACKWARD,
		.reply_command = CMD_READ_ALL_EVENTS_BACKWARD_COMPLETED,
		.kind = MESSAGE_READ,
		.needs = PERMISSION_READ,
		.scope = SCOPE_ALL,
		.reads_page = true,
		.repeatable = true,
		.request = &es__read_all_events__descriptor,
		.response = &es__read_all_events_completed__descriptor,
		.defaults = all_backward_defaults,
	},
	{
		.name = "FilteredReadAllEvents",
		.reply = "FilteredReadAllEventsCompleted",
		.command = CMD_FILTERED_READ_ALL_EVENTS_FORWARD,
		.reply_command = CMD_FILTERED_READ_ALL_EVENTS_FORWARD_COMPLETED,
		.other_reply_command = CMD_READ_ALL_EVENTS_FORWARD_COMPLETED,
		.kind = MESSAGE_READ,
		.needs = PERMISSION_READ,
		.scope = SCOPE_ALL,
		.reads_page = true,
		.repeatable = true,
		.request = &es__filtered_read_all_events__descriptor,
		.response = &es__filtered_read_all_events_completed__descriptor,
		.other_response = &es__read_all_events_completed__descriptor,
		.defaults = filtered_forward_defaults,
	},
	{
		.name = "FilteredReadAllEventsBackward",
		.reply = "FilteredReadAllEventsCompleted",
		.command = CMD_FILTERED_READ_ALL_EVENTS_BACKWARD,
		.reply_command = CMD_FILTERED_READ_ALL_EVENTS_BACKWARD_COMPLETED,
		.other_reply_command = CMD_READ_ALL_EVENTS_BACKWARD_COMPLETED,
		.kind = MESSAGE_READ,
		.needs = PERMISSION_READ,
		.scope = SCOPE_ALL,
		.reads_page = true,
		.repeatable = true,
		.request = &es__filtered_read_all_events__descriptor,
		.response = &es__filtered_read_all_events_completed__descriptor,
		.other_response = &es__read_all_events_completed__descriptor,
		.defaults = filtered_backward_defaults,
	},
	{
		.name = "DeleteStream",
		.reply = "DeleteStreamCompleted",
		.command = CMD_DELETE_STREAM,
		.reply_command = CMD_DELETE_STREAM_COMPLETED,
		.kind = MESSAGE_WRITE,
		.needs = PERMISSION_MANAGE,
		.scope = SCOPE_STREAM,
		.request = &es__delete_stream__descriptor,
		.response = &es__delete_stream_completed__descriptor,
		.defaults = write_defaults,
	},
	{
		.name = "TransactionStart",
		.reply = "TransactionStartCompleted",
		.command = CMD_TRANSACTION_START,
		.reply_command = CMD_TRANSACTION_START_COMPLETED,
		.kind = MESSAGE_WRITE,
		.needs = PERMISSION_WRITE,
		.scope = SCOPE_STREAM,
		.begins_transaction = true,
		.request = &es__transaction_start__descriptor,
		.response = &es__transaction_start_completed__descriptor,
		.defaults = write_defaults,
	},
	{
		.name = "TransactionWrite",
		.reply = "TransactionWriteCompleted",
		.command = CMD_TRANSACTION_WRITE,
		.reply_command = CMD_TRANSACTION_WRITE_COMPLETED,
		.kind = MESSAGE_WRITE,
		.needs = PERMISSION_WRITE,
		.scope = SCOPE_TRANSACTION,
		.carries_events = true,
		.request = &es__transaction_write__descriptor,
		.response = &es__transaction_write_completed__descriptor,
		.defaults = transaction_defaults,
	},
	{
		.name = "TransactionCommit",
		.reply = "TransactionCommitCompleted",
		.command = CMD_TRANSACTION_COMMIT,
		.reply_command = CMD_TRANSACTION_COMMIT_COMPLETED,
		.kind = MESSAGE_WRITE,
		.needs = PERMISSION_WRITE,
		.scope = SCOPE_TRANSACTION,
		.request = &es__transaction_commit__descriptor,
		.response = &es__transaction_commit_completed__descriptor,
		.defaults = transaction_defaults,
	},
	{
		.name = "CreatePersistentSubscription",
		.reply = "CreatePersistentSubscriptionCompleted",
		.command = CMD_CREATE_PERSISTENT_SUBSCRIPTION,
		.reply_command = CMD_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED,
		.kind = MESSAGE_MANAGE,
		.needs = PERMISSION_MANAGE,
		.scope = SCOPE_STREAM,
		.request = &es__create_persistent_subscription__descriptor,
		.response = &es__create_persistent_subscription_completed__descriptor,
		.defaults = group_defaults,
	},
	{
		.name = "UpdatePersistentSubscription",
		.reply = "UpdatePersistentSubscriptionCompleted",
		.command = CMD_UPDATE_PERSISTENT_SUBSCRIPTION,
		.reply_command = CMD_UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED,
		.kind = MESSAGE_MANAGE,
		.needs = PERMISSION_MANAGE,
		.scope = SCOPE_STREAM,
		.request = &es__update_persistent_subscription__descriptor,
		.response = &es__update_persistent_subscription_completed__descriptor,
		.defaults = group_defaults,
	},
	{
		.name = "DeletePersistentSubscription",
		.reply = "DeletePersistentSubscriptionCompleted",
		.command = CMD_DELETE_PERSISTENT_SUBSCRIPTION,
		.reply_command = CMD_DELETE_PERSISTENT_SUBSCRIPTION_COMPLETED,
		.kind = MESSAGE_MANAGE,
		.needs = PERMISSION_MANAGE,
		.scope = SCOPE_STREAM,
		.request = &es__delete_persistent_subscription__descriptor,
		.response = &es__delete_persistent_subscription_completed__descriptor,
	},
	{
		.name = "ScavengeDatabase",
		.reply = "ScavengeDatabaseResponse",
		.command = CMD_SCAVENGE_DATABASE,
		.reply_command = CMD_SCAVENGE_DATABASE_COMPLETED,
		.kind = MESSAGE_MANAGE,
		.needs = PERMISSION_MANAGE,
		.scope = SCOPE_DATABASE,
		.request = &es__scavenge_database__descriptor,
		.response = &es__scavenge_database_response__descriptor,
		.other_response = &es__scavenge_database_completed__descriptor,
	},
	{ .name = NULL },
};

static bool same(const char *name, const char *text, size_t len)
{
	return name != NULL && strlen(name) == len && memcmp(name, text, len) == 0;
}

const struct message *message_find(const char *name, size_t len)
{
	for (const struct message *m = message_table; m->name != NULL; m++) {
		if (same(m->name, name, len) || same(m->alias, name, len))
			return m;
	}
	return NULL;
}

/* Servers up to 4.1 always send total_time_ms and total_space_saved; what replaced the message ends
 * before them. */
static bool has_totals(const uint8_t *payload, size_t len)
{
	struct wire w;
	struct wire_field f;

	wire_start(&w, payload, len);
	while (wire_next(&w, &f)) {
		if (f.number == 3 || f.number == 4)
			return true;
	}
	return false;
}

const ProtobufCMessageDescriptor *message_response(const struct message *message, uint8_t command,
						   const uint8_t *payload, size_t len)
{
	bool other;

	if (message->other_response == NULL)
		return message->response;
	if (message->other_reply_command != 0)
		other = command == message->other_reply_command;
	else
		other = has_totals(payload, len);
	return other ? message->other_response : message->response;
}

const char *message_result_code(const char *result)
{
	static const struct {
		const char *result;
		const char *code;
	} codes[] = {
		{ "Success", NULL },
		{ "Started", NULL },
		{ "WrongExpectedVersion", "wrong_expected_version" },
		{ "StreamDeleted", "stream_deleted" },
		{ "NoStream", "no_stream" },
		{ "NotFound", "not_found" },
		{ "AccessDenied", "access_denied" },
		{ "Unauthorized", "access_denied" },
		{ "InvalidTransaction", "invalid_transaction" },
		{ "PrepareTimeout", "prepare_timeout" },
		{ "CommitTimeout", "commit_timeout" },
		{ "ForwardTimeout", "forward_timeout" },
		{ "NotModified", "not_modified" },
		{ "AlreadyExists", "already_exists" },
		{ "DoesNotExist", "does_not_exist" },
		{ "Fail", "fail" },
		{ "Failed", "fail" },
		{ "InProgress", "fail" },
		{ "Error", "server_error" },
	};

	for (size_t i = 0; result != NULL && i < sizeof(codes) / sizeof(*codes); i++) {
		if (strcmp(codes[i].result, result) == 0)
			return codes[i].code;
	}
	return "server_error";
}
