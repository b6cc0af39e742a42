#include "command_name.h"

#include <string.h>

static const char *const command_names[256] = {
	[CMD_HEARTBEAT_REQUEST] = "HeartbeatRequest",
	[CMD_HEARTBEAT_RESPONSE] = "HeartbeatResponse",
	[CMD_PING] = "Ping",
	[CMD_PONG] = "Pong",
	[CMD_WRITE_EVENTS] = "WriteEvents",
	[CMD_WRITE_EVENTS_COMPLETED] = "WriteEventsCompleted",
	[CMD_TRANSACTION_START] = "TransactionStart",
	[CMD_TRANSACTION_START_COMPLETED] = "TransactionStartCompleted",
	[CMD_TRANSACTION_WRITE] = "TransactionWrite",
	[CMD_TRANSACTION_WRITE_COMPLETED] = "TransactionWriteCompleted",
	[CMD_TRANSACTION_COMMIT] = "TransactionCommit",
	[CMD_TRANSACTION_COMMIT_COMPLETED] = "TransactionCommitCompleted",
	[CMD_DELETE_STREAM] = "DeleteStream",
	[CMD_DELETE_STREAM_COMPLETED] = "DeleteStreamCompleted",
	[CMD_READ_EVENT] = "ReadEvent",
	[CMD_READ_EVENT_COMPLETED] = "ReadEventCompleted",
	[CMD_READ_STREAM_EVENTS_FORWARD] = "ReadStreamEventsForward",
	[CMD_READ_STREAM_EVENTS_FORWARD_COMPLETED] = "ReadStreamEventsForwardCompleted",
	[CMD_READ_STREAM_EVENTS_BACKWARD] = "ReadStreamEventsBackward",
	[CMD_READ_STREAM_EVENTS_BACKWARD_COMPLETED] = "ReadStreamEventsBackwardCompleted",
	[CMD_READ_ALL_EVENTS_FORWARD] = "ReadAllEventsForward",
	[CMD_READ_ALL_EVENTS_FORWARD_COMPLETED] = "ReadAllEventsForwardCompleted",
	[CMD_READ_ALL_EVENTS_BACKWARD] = "ReadAllEventsBackward",
	[CMD_READ_ALL_EVENTS_BACKWARD_COMPLETED] = "ReadAllEventsBackwardCompleted",
	[CMD_FILTERED_READ_ALL_EVENTS_FORWARD] = "FilteredReadAllEventsForward",
	[CMD_FILTERED_READ_ALL_EVENTS_FORWARD_COMPLETED] = "FilteredReadAllEventsForwardCompleted",
	[CMD_FILTERED_READ_ALL_EVENTS_BACKWARD] = "FilteredReadAllEventsBackward",
	[CMD_FILTERED_READ_ALL_EVENTS_BACKWARD_COMPLETED] =
		"FilteredReadAllEventsBackwardCompleted",
	[CMD_SUBSCRIBE_TO_STREAM] = "SubscribeToStream",
	[CMD_SUBSCRIPTION_CONFIRMATION] = "SubscriptionConfirmation",
	[CMD_STREAM_EVENT_APPEARED] = "StreamEventAppeared",
	[CMD_UNSUBSCRIBE_FROM_STREAM] = "UnsubscribeFromStream",
	[CMD_SUBSCRIPTION_DROPPED] = "SubscriptionDropped",
	[CMD_CONNECT_TO_PERSISTENT_SUBSCRIPTION] = "ConnectToPersistentSubscription",
	[CMD_PERSISTENT_SUBSCRIPTION_CONFIRMATION] = "PersistentSubscriptionConfirmation",
	[CMD_PERSISTENT_SUBSCRIPTION_STREAM_EVENT_APPEARED] =
		"PersistentSubscriptionStreamEventAppeared",
	[CMD_CREATE_PERSISTENT_SUBSCRIPTION] = "CreatePersistentSubscription",
	[CMD_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED] = "CreatePersistentSubscriptionCompleted",
	[CMD_DELETE_PERSISTENT_SUBSCRIPTION] = "DeletePersistentSubscription",
	[CMD_DELETE_PERSISTENT_SUBSCRIPTION_COMPLETED] = "DeletePersistentSubscriptionCompleted",
	[CMD_PERSISTENT_SUBSCRIPTION_ACK_EVENTS] = "PersistentSubscriptionAckEvents",
	[CMD_PERSISTENT_SUBSCRIPTION_NAK_EVENTS] = "PersistentSubscriptionNakEvents",
	[CMD_UPDATE_PERSISTENT_SUBSCRIPTION] = "UpdatePersistentSubscription",
	[CMD_UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED] = "UpdatePersistentSubscriptionCompleted",
	[CMD_SCAVENGE_DATABASE] = "ScavengeDatabase",
	[CMD_SCAVENGE_DATABASE_COMPLETED] = "ScavengeDatabaseCompleted",
	[CMD_FILTERED_SUBSCRIBE_TO_STREAM] = "FilteredSubscribeToStream",
	[CMD_CHECKPOINT_REACHED] = "CheckpointReached",
	[CMD_BAD_REQUEST] = "BadRequest",
	[CMD_NOT_HANDLED] = "NotHandled",
	[CMD_AUTHENTICATE] = "Authenticate",
	[CMD_AUTHENTICATED] = "Authenticated",
	[CMD_NOT_AUTHENTICATED] = "NotAuthenticated",
	[CMD_IDENTIFY_CLIENT] = "IdentifyClient",
	[CMD_CLIENT_IDENTIFIED] = "ClientIdentified",
};

bool command_find(const char *name, enum command *command)
{
	for (size_t i = 0; i < sizeof(command_names) / sizeof(command_names[0]); i++) {
		if (command_names[i] != NULL && strcmp(command_names[i], name) == 0) {
			*command = (enum command)i;
			return true;
		}
	}
	return false;
}
