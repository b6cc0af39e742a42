#include "store/gossip.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

/*
 * States by their names up to 5.0 and from 20.6 on (WIRE.md, section 9). What is not here is not
 * used: nodes that start, stop, catch up, or have no leader to follow.
 */
static const struct {
	const char *name;
	enum node_role role;
} states[] = {
	{ "Master", NODE_LEADER },
	{ "Leader", NODE_LEADER },
	{ "Slave", NODE_FOLLOWER },
	{ "Follower", NODE_FOLLOWER },
	{ "ReadOnlyReplica", NODE_READ_ONLY_REPLICA },
	{ "ReadOnlyLeaderless", NODE_READ_ONLY_REPLICA },
};

static const char *const role_names[] = {
	[NODE_OUT] = "unknown",
	[NODE_LEADER] = "leader",
	[NODE_FOLLOWER] = "follower",
	[NODE_READ_ONLY_REPLICA] = "read_only_replica",
};

/* How well a role suits a preference: the smaller, the better. */
static const uint8_t ranks[][4] = {
	[PREFER_LEADER] = { [NODE_LEADER] = 1, [NODE_FOLLOWER] = 2, [NODE_READ_ONLY_REPLICA] = 3 },
	[PREFER_FOLLOWER] = { [NODE_LEADER] = 2,
			      [NODE_FOLLOWER] = 1,
			      [NODE_READ_ONLY_REPLICA] = 3 },
	[PREFER_RANDOM] = { [NODE_LEADER] = 1, [NODE_FOLLOWER] = 1, [NODE_READ_ONLY_REPLICA] = 1 },
	[PREFER_READ_ONLY_REPLICA] = { [NODE_LEADER] = 3,
				       [NODE_FOLLOWER] = 2,
				       [NODE_READ_ONLY_REPLICA] = 1 },
};

const char *node_role_name(enum node_role role)
{
	return role_names[role];
}

static enum node_role role_of(const char *state)
{
	for (size_t i = 0; state != NULL && i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(states[i].name, state) == 0)
			return states[i].role;
	}
	return NODE_OUT;
}

/* Reads the members HOST and PORT of MEMBER; port 0 where there is nothing that could be one. */
static struct endpoint read_endpoint(const json_t *member, const char *host, const char *port)
{
	const json_t *text = json_object_get(member, host);
	json_int_t number = json_integer_value(json_object_get(member, port));
	size_t len = json_string_length(text);
	struct endpoint e = { .port = 0 };

	if (len == 0 || len >= sizeof(e.host) || number < 1 || number > 65535 ||
	    strlen(json_string_value(text)) != len)
		return e;
	memcpy(e.host, json_string_value(text), len);
	e.port = (uint16_t)number;
	return e;
}

static void read_node(const json_t *member, struct gossip *g)
{
	struct node *node = &g->nodes[g->count];

	if (g->count == GOSSIP_NODES || !json_is_true(json_object_get(member, "isAlive")))
		return;
	node->role = role_of(json_string_value(json_object_get(member, "state")));
	node->plain = read_endpoint(member, "externalTcpIp", "externalTcpPort");
	node->secure = read_endpoint(member, "externalTcpIp", "externalSecureTcpPort");
	node->http = read_endpoint(member, "httpEndPointIp", "httpEndPointPort");
	if (node->http.port == 0)
		node->http = read_endpoint(member, "externalHttpIp", "externalHttpPort");
	g->count++;
}

bool gossip_read(const char *text, size_t len, struct gossip *g, char *fault, size_t fault_size)
{
	json_error_t error;
	json_t *root = json_loadb(text, len, 0, &error);
	const json_t *members = json_object_get(root, "members");

	g->count = 0;
	if (!json_is_array(members)) {
		snprintf(fault, fault_size, "no gossip: %s",
			 root == NULL ? error.text : "it has no list of members");
		json_decref(root);
		return false;
	}
	for (size_t i = 0; i < json_array_size(members); i++)
		read_node(json_array_get(members, i), g);
	json_decref(root);
	return true;
}

struct endpoint node_endpoint(const struct node *node, bool secure)
{
	/* A port that is told to clients in place of the real ones stands for both. */
	return secure && node->secure.port != 0 ? node->secure : node->plain;
}

static unsigned rank_of(const struct node *node, enum node_preference preference, bool secure,
			const struct endpoint *failed)
{
	struct endpoint e = node_endpoint(node, secure);

	if (e.port == 0 || (failed != NULL && endpoint_equal(&e, failed)))
		return 0;
	return ranks[preference][node->role];
}

const struct node *gossip_choose(const struct gossip *g, enum node_preference preference,
				 bool secure, const struct endpoint *failed, unsigned chance)
{
	const struct node *best[GOSSIP_NODES];
	unsigned best_rank = UINT8_MAX;
	size_t count = 0;

	for (size_t i = 0; i < g->count; i++) {
		unsigned rank = rank_of(&g->nodes[i], preference, secure, failed);

		if (rank == 0 || rank > best_rank)
			continue;
		if (rank < best_rank)
			count = 0;
		best_rank = rank;
		best[count++] = &g->nodes[i];
	}
	return count == 0 ? NULL : best[chance % count];
}
