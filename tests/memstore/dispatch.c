#include "dispatch.h"

#include "base/log.h"
#include "handlers.h"
#include "node.h"
#include "reply.h"

static void handle_ping(struct connection *c, const struct request *r)
{
	size_t began = connection_begin(c, CMD_PONG, r->correlation);

	buffer_add(&c->out, r->body.at, r->body.len);
	connection_end(c, began);
}

/* There is nothing to scavenge: all stays in memory. */
static void handle_scavenge(struct connection *c, const struct request *r)
{
	bool allowed = user_is_admin(r->user) || user_is_operator(r->user);

	switch (traits_of(c)->scavenge) {
	case SCAVENGE_COMPLETED:
		reply_scavenged(c, r->correlation, allowed);
		break;
	case SCAVENGE_STARTED:
		reply_scavenge_started(c, r->correlation, allowed);
		break;
	case SCAVENGE_STARTED_OR_NONE:
		if (allowed)
			reply_scavenge_started(c, r->correlation, true);
		break;
	case SCAVENGE_NONE:
		break;
	}
}

/* Replies of a server that it takes from a client, too, as those of other nodes. */
static void handle_nothing(struct connection *c, const struct request *r)
{
	(void)c;
	(void)r;
}

struct entry {
	handler *handle;
	bool any_correlation; /* a correlation id of zeros will do */
	bool of_filters;      /* known to versions that filter */
	enum node_need need;
	uint8_t leader_field; /* see node_serves() */
};

static const struct entry entries[256] = {
	[CMD_PING] = { handle_ping, true, false, NEEDS_NOTHING, 0 },
	[CMD_WRITE_EVENTS] = { handle_write_events, false, false, NEEDS_WRITING, 4 },
	[CMD_WRITE_EVENTS_COMPLETED] = { handle_nothing, true, false, NEEDS_NOTHING, 0 },
	[CMD_TRANSACTION_START] = { handle_transaction_start, false, false, NEEDS_WRITING, 3 },
	[CMD_TRANSACTION_START_COMPLETED] = { handle_nothing, true, false, NEEDS_NOTHING, 0 },
	[CMD_TRANSACTION_WRITE] = { handle_transaction_write, false, false, NEEDS_WRITING, 3 },
	[CMD_TRANSACTION_WRITE_COMPLETED] = { handle_nothing, true, false, NEEDS_NOTHING, 0 },
	[CMD_TRANSACTION_COMMIT] = { handle_transaction_commit, false, false, NEEDS_WRITING, 2 },
	[CMD_TRANSACTION_COMMIT_COMPLETED] = { handle_nothing, true, false, NEEDS_NOTHING, 0 },
	[CMD_DELETE_STREAM] = { handle_delete_stream, false, false, NEEDS_WRITING, 3 },
	[CMD_DELETE_STREAM_COMPLETED] = { handle_nothing, true, false, NEEDS_NOTHING, 0 },
	[CMD_READ_EVENT] = { handle_read_event, false, false, NEEDS_READING, 4 },
	[CMD_READ_STREAM_EVENTS_FORWARD] = { handle_read_forward, false, false, NEEDS_READING, 5 },
	[CMD_READ_STREAM_EVENTS_BACKWARD] = { handle_read_backward, false, false, NEEDS_READING,
					      5 },
	[CMD_READ_ALL_EVENTS_FORWARD] = { handle_read_all_forward, false, false, NEEDS_READING, 5 },
	[CMD_READ_ALL_EVENTS_BACKWARD] = { handle_read_all_backward, false, false, NEEDS_READING,
					   5 },
	[CMD_FILTERED_READ_ALL_EVENTS_FORWARD] = { handle_filtered_forward, false, true,
						   NEEDS_READING, 6 },
	[CMD_FILTERED_READ_ALL_EVENTS_BACKWARD] = { handle_filtered_backward, false, true,
						    NEEDS_READING, 6 },
	[CMD_FILTERED_SUBSCRIBE_TO_STREAM] = { handle_filtered_subscribe, false, true,
					       NEEDS_NOTHING, 0 },
	[CMD_SUBSCRIBE_TO_STREAM] = { handle_subscribe, false, false, NEEDS_NOTHING, 0 },
	[CMD_UNSUBSCRIBE_FROM_STREAM] = { handle_unsubscribe, false, false, NEEDS_NOTHING, 0 },
	[CMD_CREATE_PERSISTENT_SUBSCRIPTION] = { handle_group_create, false, false, NEEDS_LEADER,
						 0 },
	[CMD_UPDATE_PERSISTENT_SUBSCRIPTION] = { handle_group_update, false, false, NEEDS_LEADER,
						 0 },
	[CMD_DELETE_PERSISTENT_SUBSCRIPTION] = { handle_group_delete, false, false, NEEDS_LEADER,
						 0 },
	[CMD_CONNECT_TO_PERSISTENT_SUBSCRIPTION] = { handle_group_connect, false, false,
						     NEEDS_LEADER, 0 },
	[CMD_PERSISTENT_SUBSCRIPTION_ACK_EVENTS] = { handle_group_ack, false, false, NEEDS_NOTHING,
						     0 },
	[CMD_PERSISTENT_SUBSCRIPTION_NAK_EVENTS] = { handle_group_nak, false, false, NEEDS_NOTHING,
						     0 },
	[CMD_SCAVENGE_DATABASE] = { handle_scavenge, false, false, NEEDS_NOTHING, 0 },
	[CMD_NOT_HANDLED] = { handle_nothing, true, false, NEEDS_NOTHING, 0 },
};

void refuse_body(struct connection *c, const struct request *r)
{
	reply_bad_request(c, r->correlation,
			  "The request cannot be read or has a value that is not allowed.");
}

/* What belongs to the connection itself -------------------------------------------------------- */

static const struct user *user_of(const struct package *p)
{
	return user_find((struct span){ p->login, p->login_len },
			 (struct span){ p->password, p->password_len });
}

static void authenticate(struct connection *c, const struct package *p)
{
	bool flagged = p->flags & PACKAGE_AUTHENTICATED;

	if (flagged) {
		c->user = user_of(p);
		c->default_user = c->user != NULL ? DEFAULT_KNOWN : DEFAULT_REFUSED;
	}
	if (flagged && c->user != NULL)
		reply_empty(c, CMD_AUTHENTICATED, &p->correlation);
	else
		reply_text(c, CMD_NOT_AUTHENTICATED, &p->correlation, "Not authenticated.");
}

/*
 * The version is cut to a byte and is an index to two tables, for clients with event numbers of 32
 * and of 64 bits. Any other one is confirmed, and leaves the connection with no table at all.
 */
static void identify(struct connection *c, const struct package *p)
{
	Es__IdentifyClient *m = es__identify_client__unpack(NULL, p->payload_len, p->payload);
	uint8_t version;

	if (m == NULL)
		return;
	version = (uint8_t)m->version;
	log_write(LOG_DEBUG, "identified fd=%d version=%d name=%s", c->fd, m->version,
		  m->connection_name == NULL
			  ? ""
			  : log_text(m->connection_name, strlen(m->connection_name)));
	es__identify_client__free_unpacked(m, NULL);
	if (c->confused)
		return;
	c->small_numbers = version == 0 && traits_of(c)->small_numbers;
	c->confused = version > 1;
	reply_empty(c, CMD_CLIENT_IDENTIFIED, &p->correlation);
}

/* Handles what is not a request to the store. Returns false for all else. */
static bool dispatch_own(struct connection *c, const struct package *p)
{
	switch ((enum command)p->command) {
	case CMD_HEARTBEAT_RESPONSE:
		return true;
	case CMD_HEARTBEAT_REQUEST:
		reply_empty(c, CMD_HEARTBEAT_RESPONSE, &p->correlation);
		return true;
	case CMD_IDENTIFY_CLIENT:
		identify(c, p);
		return true;
	case CMD_BAD_REQUEST:
		log_write(LOG_INFO, "the client says BadRequest fd=%d text=%s", c->fd,
			  log_text((const char *)p->payload, p->payload_len));
		return true;
	case CMD_AUTHENTICATE:
		authenticate(c, p);
		return true;
	default:
		return false;
	}
}

/* Finds who asks. Returns false where the credentials are wrong. */
static bool find_user(const struct connection *c, const struct package *p, const struct user **user)
{
	*user = NULL;
	if (p->flags & PACKAGE_AUTHENTICATED) {
		*user = user_of(p);
		return *user != NULL;
	}
	switch (c->default_user) {
	case DEFAULT_NOBODY:
		return true;
	case DEFAULT_KNOWN:
		*user = c->user;
		return true;
	case DEFAULT_REFUSED:
		return false;
	}
	return false;
}

void dispatch(struct connection *c, const struct package *p)
{
	const struct entry *entry = &entries[p->command];
	struct request r = { .correlation = &p->correlation,
			     .body = { p->payload, p->payload_len } };

	if (p->flags & PACKAGE_TRUSTED) {
		if (traits_of(c)->told & TELL_TRUSTED)
			reply_bad_request(c, r.correlation, "The flag is not for clients.");
		connection_close_after_output(c);
		return;
	}
	if (dispatch_own(c, p))
		return;
	if (!find_user(c, p, &r.user))
		reply_text(c, CMD_NOT_AUTHENTICATED, r.correlation, "Not authenticated.");
	else if (entry->handle == NULL || c->confused ||
		 (entry->of_filters && !traits_of(c)->filters))
		reply_bad_request(c, r.correlation,
				  "The command is unknown or is not for clients to send.");
	else if (!entry->any_correlation && guid_is_zero(r.correlation))
		reply_bad_request(c, r.correlation, "The correlation id is empty.");
	else if (node_serves(c, &r, entry->need, entry->leader_field))
		entry->handle(c, &r);
}
