#include "local/client_access.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json_write.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/message_to_json.h"
#include "bridge/reader.h"

enum {
	GROUPS_USUAL = 64,
	GROUPS_MOST = 65536,     /* NGROUPS_MAX of Linux */
	TRANSACTIONS_MOST = 256, /* of one user */
	STREAM_MOST = 4096,      /* bytes of the name of theirs; of a longer one none is known */
	REFUSALS_TOLD = 20,      /* most lines of the log in */
	REFUSALS_US = 10 * 1000 * 1000,
};

_Static_assert((int)ACCESS_REFUSALS + (int)PERMISSIONS <= 32, "a bit of refusals_told for each");

/* Who it is ------------------------------------------------------------------------------------- */

/* The groups of the peer of FD beside its first, which the caller frees. */
static gid_t *groups_of(int fd, size_t *count)
{
	socklen_t len = GROUPS_USUAL * sizeof(gid_t);
	gid_t *groups = mem_new(len);
	int error;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0) {
		*count = len / sizeof(gid_t);
		return groups;
	}
	error = errno;
	free(groups);
	*count = 0;
	if (error != ERANGE || len > GROUPS_MOST * sizeof(gid_t))
		return NULL;
	groups = mem_new(len);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
		*count = len / sizeof(gid_t);
	return groups;
}

static bool has_rules(const struct local *local)
{
	return local->access != NULL && local->access->count > 0;
}

static bool shows(void *arg, struct span stream)
{
	const struct client *c = arg;

	return c->rule != NULL && access_shows(c->rule, (const char *)stream.at, stream.len);
}

static const struct session_bounds bounds;

static struct access_peer peer_of(int fd)
{
	struct ucred known;
	socklen_t len = sizeof(known);
	struct access_peer peer = { .uid = (uid_t)-1, .gid = (gid_t)-1 };

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &known, &len) == 0) {
		peer.uid = known.uid;
		peer.gid = known.gid;
		peer.pid = known.pid;
	}
	return peer;
}

/* The rule that is for PEER, which is at the other end of FD. Its groups are asked for where there
 * are rules, and known to nobody afterwards. */
static struct access_rule *rule_for(const struct local *local, int fd, struct access_peer *peer)
{
	struct access_rule *rule;
	gid_t *groups;

	if (!has_rules(local))
		return NULL;
	groups = groups_of(fd, &peer->group_count);
	peer->groups = groups;
	rule = access_find(local->access, peer);
	peer->groups = NULL;
	peer->group_count = 0;
	free(groups);
	return rule;
}

/* The lower of two limits, of which OWN may be 0: there is none. */
static uint32_t lower(uint32_t own, uint32_t all)
{
	return own == 0 || all < own ? all : own;
}

static void set_limits(struct client *c)
{
	const struct local_settings *settings = &c->local->settings;
	struct access_rule *rule = c->rule;

	c->in_flight_most = lower(rule == NULL ? 0 : rule->in_flight, settings->in_flight_most);
	c->session.subscriptions_most =
		lower(rule == NULL ? 0 : rule->subscriptions, settings->subscriptions_most);
	session_set_meter(&c->session, rule != NULL && rule->meter.rate > 0 ? &rule->meter : NULL);
}

/* The rule that is for C among those that there are now. */
static void choose_rule(struct client *c)
{
	const struct local *local = c->local;
	struct access_peer peer = { .uid = c->uid, .gid = c->gid };

	c->rule = rule_for(local, c->fd, &peer);
	if (c->rule != NULL)
		c->rule->client_count++;
	c->permissions = access_permissions(local->access, c->rule, &peer, geteuid());
	c->refusals_told = 0;
	c->session.bounds = has_rules(local) ? &bounds : NULL;
	c->screen = (struct screen){ shows, c };
	c->session.screen = has_rules(local) ? &c->screen : NULL;
	set_limits(c);
}

void client_access_begin(struct client *c)
{
	struct access_peer peer = peer_of(c->fd);

	c->uid = peer.uid;
	c->gid = peer.gid;
	c->pid = peer.pid;
	choose_rule(c);
}

void client_access_end(struct client *c)
{
	if (c->rule != NULL)
		c->rule->client_count--;
}

/* The clients of RULE whose programs are there still. Some that have gone may not have been noticed
 * yet, and whoever comes for one of them is not to be refused. */
static uint32_t count_present(const struct local *local, const struct access_rule *rule)
{
	const struct link *l;
	uint32_t count = 0;

	for (l = list_first(&local->clients); l != NULL; l = list_next(&local->clients, l)) {
		const struct client *c = CONTAINER(l, struct client, link);
		struct pollfd p = { .fd = c->fd, .events = 0 };

		if (c->rule == rule &&
		    (poll(&p, 1, 0) <= 0 || (p.revents & (POLLHUP | POLLERR)) == 0))
			count++;
	}
	return count;
}

bool local_takes(const struct local *local, int fd, const char **rule)
{
	struct access_peer peer = peer_of(fd);
	const struct access_rule *found = rule_for(local, fd, &peer);

	if (found == NULL || found->clients == 0 || found->client_count < found->clients)
		return true;
	*rule = found->name;
	return count_present(local, found) < found->clients;
}

/* Refusals -------------------------------------------------------------------------------------- */

/* True where the log has had few refusals of late. Who is refused may connect again and again. */
static bool may_tell(struct local *local)
{
	uint64_t now = loop_now_us(local->loop);

	if (now - local->refusals.since_us >= REFUSALS_US) {
		if (local->refusals.kept_back > 0)
			log_write(LOG_NOTICE, "permission denied, and not told one by one count=%u",
				  local->refusals.kept_back);
		local->refusals.since_us = now;
		local->refusals.told = local->refusals.kept_back = 0;
	}
	if (local->refusals.told < REFUSALS_TOLD) {
		local->refusals.told++;
		return true;
	}
	local->refusals.kept_back++;
	return false;
}

/* Each reason is told once in the log for each client, and again under new rules. */
static void tell(struct client *c, unsigned reason, const char *what)
{
	uint32_t bit = UINT32_C(1) << reason;

	if ((c->refusals_told & bit) != 0)
		return;
	c->refusals_told |= bit;
	if (may_tell(c->local))
		log_write(LOG_NOTICE, "permission denied client=%u uid=%u pid=%d rule=%s reason=%s",
			  c->number, (unsigned)c->uid, (int)c->pid,
			  c->rule == NULL ? "-" : c->rule->name, log_text(what, strlen(what)));
}

/* WHAT is refused to C, in words for people; REASON tells it from others. */
static void refuse(struct client *c, const struct request_id *id, unsigned reason,
		   enum outcome outcome, const char *what)
{
	const char *rule = c->rule == NULL ? NULL : c->rule->name;

	tell(c, reason, what);
	c->errors++;
	if (rule != NULL)
		session_refuse(&c->session, id, ERROR_PERMISSION_DENIED, outcome,
			       "the access rule '%s' does not allow %s", rule, what);
	else if (has_rules(c->local))
		session_refuse(&c->session, id, ERROR_PERMISSION_DENIED, outcome,
			       "no access rule allows user %u %s", (unsigned)c->uid, what);
	else
		session_refuse(&c->session, id, ERROR_PERMISSION_DENIED, outcome,
			       "%s is for root and the user of the daemon alone", what);
}

void client_refuse_permission(struct client *c, const struct request_id *id, enum permission needed,
			      enum outcome outcome)
{
	refuse(c, id, ACCESS_REFUSALS + needed, outcome, access_permission_name(needed));
}

static void refuse_as(struct client *c, const struct request_id *id, enum access_refusal why,
		      enum outcome outcome)
{
	static const char *const texts[ACCESS_REFUSALS] = {
		[ACCESS_STREAM] = "this stream",
		[ACCESS_ALL] = "reading all streams",
		[ACCESS_DATABASE] = "what concerns all streams",
		[ACCESS_TRANSACTION] = "this transaction: its stream is not known",
		[ACCESS_CHECKPOINT] = "this checkpoint",
		[ACCESS_CREDENTIALS] = "credentials in a request",
	};

	refuse(c, id, why, outcome, texts[why]);
}

/* Transactions ---------------------------------------------------------------------------------- */

/* One that was begun. It is kept until its user has begun many others: what the store thinks of it
 * does not matter, since it is looked for only to know whose it is, and of which stream. */
struct transaction {
	struct transaction *next; /* the last one first */
	int64_t id;
	uid_t uid;
	size_t len;
	char stream[];
};

static const struct transaction *find_transaction(const struct client *c, int64_t id)
{
	const struct transaction *t = c->local->transactions;

	while (t != NULL && (t->id != id || t->uid != c->uid))
		t = t->next;
	return t;
}

/* Forgets the oldest one of user UID where it has too many. */
static void bound_transactions(struct local *local, uid_t uid)
{
	struct transaction **at, **oldest = NULL;
	struct transaction *gone;
	unsigned count = 0;

	for (at = &local->transactions; *at != NULL; at = &(*at)->next) {
		if ((*at)->uid == uid) {
			count++;
			oldest = at;
		}
	}
	if (count <= TRANSACTIONS_MOST)
		return;
	gone = *oldest;
	*oldest = gone->next;
	free(gone);
}

/* A store that has lost data numbers anew: whoever had ID before has it no more. */
static void forget_transaction(struct local *local, int64_t id)
{
	struct transaction **at = &local->transactions;
	struct transaction *gone;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	gone = *at;
	if (gone != NULL)
		*at = gone->next;
	free(gone);
}

static void on_began(struct session *s, struct span stream, int64_t transaction)
{
	struct client *c = CONTAINER(s, struct client, session);
	struct transaction *t;

	forget_transaction(c->local, transaction);
	if (stream.len > STREAM_MOST)
		return;
	t = mem_new(sizeof(*t) + stream.len);
	t->id = transaction;
	t->uid = c->uid;
	t->len = stream.len;
	memcpy(t->stream, stream.at, stream.len);
	t->next = c->local->transactions;
	c->local->transactions = t;
	bound_transactions(c->local, c->uid);
}

void local_forget_transactions(struct local *local)
{
	struct transaction *t;

	while ((t = local->transactions) != NULL) {
		local->transactions = t->next;
		free(t);
	}
}

/* What the bridge asks -------------------------------------------------------------------------- */

static bool on_message(struct session *s, const struct request_id *id,
		       const struct message *message, struct span stream, int64_t transaction)
{
	struct client *c = CONTAINER(s, struct client, session);
	struct access_target target = { (const char *)stream.at, stream.len };
	enum outcome outcome = message->kind == MESSAGE_READ ? OUTCOME_NOT_SAID : OUTCOME_NONE;
	const struct transaction *t;
	enum access_refusal why;

	if (message->scope == SCOPE_TRANSACTION) {
		t = find_transaction(c, transaction);
		target.stream = t == NULL ? NULL : t->stream;
		target.len = t == NULL ? 0 : t->len;
	}
	why = access_message(c->rule, c->permissions, message, &target);
	if (why == ACCESS_PERMISSION)
		client_refuse_permission(c, id, access_needs(message, &target), outcome);
	else if (why != ACCESS_GRANTED)
		refuse_as(c, id, why, outcome);
	return why == ACCESS_GRANTED;
}

static bool on_checkpoint(const struct session *s, const char *name, const char *stream)
{
	const struct client *c = CONTAINER(s, struct client, session);

	return c->rule != NULL && access_checkpoint(c->rule, name, stream);
}

static void on_refuse_checkpoint(struct session *s, const struct request_id *id)
{
	refuse_as(CONTAINER(s, struct client, session), id, ACCESS_CHECKPOINT, OUTCOME_NOT_SAID);
}

static const struct session_bounds bounds = {
	.message = on_message,
	.began = on_began,
	.checkpoint = on_checkpoint,
	.refuse_checkpoint = on_refuse_checkpoint,
};

/* What the local room asks ---------------------------------------------------------------------- */

/* Why C, which has a rule, may not have a subscription. */
static enum access_refusal look_at_subscription(const struct client *c, const char *stream,
						const char *checkpoint)
{
	enum access_refusal why;

	if (!has_rules(c->local))
		return ACCESS_GRANTED;
	if (c->rule == NULL || !client_has(c, PERMISSION_BIT(PERMISSION_SUBSCRIBE)))
		return ACCESS_PERMISSION;
	why = access_stream(c->rule, stream, strlen(stream));
	if (why == ACCESS_GRANTED && checkpoint != NULL &&
	    !access_checkpoint(c->rule, checkpoint, stream))
		why = ACCESS_CHECKPOINT;
	return why;
}

bool client_may_subscribe(struct client *c, const struct request_id *id, const char *stream,
			  const char *checkpoint)
{
	enum access_refusal why = look_at_subscription(c, stream, checkpoint);

	if (why == ACCESS_PERMISSION)
		client_refuse_permission(c, id, PERMISSION_SUBSCRIBE, OUTCOME_NOT_SAID);
	else if (why != ACCESS_GRANTED)
		refuse_as(c, id, why, OUTCOME_NOT_SAID);
	return why == ACCESS_GRANTED;
}

static bool may_bring_credentials(const struct client *c)
{
	return !has_rules(c->local) || (c->rule != NULL && c->rule->request_credentials);
}

bool client_may_bring_credentials(struct client *c, const struct request_id *id)
{
	bool may = may_bring_credentials(c);

	if (!may)
		refuse_as(c, id, ACCESS_CREDENTIALS, OUTCOME_NOT_SAID);
	return may;
}

const struct credentials *client_credentials(const struct client *c,
					     const struct credentials *chosen,
					     struct credentials *who)
{
	const struct access_rule *rule = c->rule;

	if (chosen != NULL || rule == NULL || rule->username[0] == '\0')
		return chosen;
	snprintf(who->login, sizeof(who->login), "%s", rule->username);
	snprintf(who->password, sizeof(who->password), "%s",
		 rule->password == NULL ? "" : rule->password);
	return who;
}

void client_access_to_json(const struct client *c, struct buffer *out)
{
	if (c->rule != NULL) {
		json_key(out, "rule");
		json_text(out, c->rule->name);
	}
	json_key(out, "permissions");
	buffer_add_byte(out, '[');
	for (enum permission p = PERMISSION_READ; p < PERMISSIONS; p++) {
		if (!client_has(c, PERMISSION_BIT(p)))
			continue;
		json_comma(out);
		json_text(out, access_permission_name(p));
	}
	buffer_add_byte(out, ']');
}

/* New rules ------------------------------------------------------------------------------------- */

/* A subscription stays with the user of the store that it began with, so that one must still be the
 * right one. */
static bool may_stay(const struct session *s, const struct reader_standing *standing)
{
	const struct client *c = CONTAINER(s, struct client, session);
	const struct access_rule *rule = c->rule;
	bool own_user = rule != NULL && rule->username[0] != '\0';
	const char *password = own_user && rule->password != NULL ? rule->password : "";

	if (look_at_subscription(c, standing->stream, standing->checkpoint) != ACCESS_GRANTED)
		return false;
	if (standing->own)
		return may_bring_credentials(c);
	return strcmp(own_user ? rule->username : "", standing->who->login) == 0 &&
	       strcmp(password, standing->who->password) == 0;
}

void local_set_access(struct local *local, struct access *access)
{
	struct link *l;

	local->access = access;
	for (l = list_first(&local->clients); l != NULL; l = list_next(&local->clients, l)) {
		struct client *c = CONTAINER(l, struct client, link);

		choose_rule(c);
		reader_review(&c->session, may_stay);
	}
}
