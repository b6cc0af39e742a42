/*
 * The commands of the control channel.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "command_name.h"
#include "connection.h"
#include "control.h"
#include "reply.h"

enum { WORDS_MOST = 8, MILLISECONDS_MOST = 24 * 60 * 60 * 1000, PORT_MOST = 65535 };

/* A line, taken apart at its blanks. */
struct words {
	char *at[WORDS_MOST + 1];
	size_t count; /* WORDS_MOST + 1 where there are more */
};

/* Does its work and adds "ok …" or "error …" to OUT. */
typedef void obey(struct server *server, const struct words *words, struct buffer *out);

static void say(struct buffer *out, const char *text)
{
	buffer_add_text(out, text);
}

static void say_numbers(struct buffer *out, uint64_t a, uint64_t b)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "ok %ju %ju", (uintmax_t)a, (uintmax_t)b);
	say(out, text);
}

static bool read_number(const char *text, unsigned most, unsigned *number)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n > most)
		return false;
	*number = (unsigned)n;
	return true;
}

/* Rules ---------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum fault fault;
	unsigned most; /* of its number; 0: it has none */
} actions[] = {
	{ "drop", FAULT_DROP, 0 },     { "reset", FAULT_RESET, 0 },
	{ "stall", FAULT_STALL, 0 },   { "delay", FAULT_DELAY, MILLISECONDS_MOST },
	{ "cut", FAULT_CUT, INT_MAX }, { "garbage", FAULT_GARBAGE, 0 },
	{ "double", FAULT_DOUBLE, 0 },
};

static const struct {
	const char *name;
	unsigned number;
} reasons[] = {
	{ "NotReady", 0 },  { "TooBusy", 1 },    { "NotMaster", 2 },
	{ "NotLeader", 2 }, { "IsReadOnly", 3 },
};

/* Reads NotHandled's reason and address from the words behind the first one. Returns the number of
 * words read in all, 0 where they are none. */
static size_t read_not_handled(const struct words *words, struct effect *effect)
{
	size_t i;

	effect->fault = FAULT_NOT_HANDLED;
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (words->count > 1 && strcmp(words->at[1], reasons[i].name) == 0)
			break;
	}
	if (i == sizeof(reasons) / sizeof(reasons[0]))
		return 0;
	effect->number = reasons[i].number;
	if (words->count < 4 || strcmp(words->at[2], "on") == 0)
		return 2;
	effect->host = words->at[2];
	return read_number(words->at[3], PORT_MOST, &effect->port) ? 4 : 0;
}

/* As read_not_handled(), for each action. */
static size_t read_action(const struct words *words, struct effect *effect)
{
	if (strcmp(words->at[0], "not-handled") == 0)
		return read_not_handled(words, effect);
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(words->at[0], actions[i].name) != 0)
			continue;
		effect->fault = actions[i].fault;
		if (actions[i].most == 0)
			return 1;
		return words->count > 1 &&
				       read_number(words->at[1], actions[i].most, &effect->number)
			       ? 2
			       : 0;
	}
	return 0;
}

/* Reads COMMAND, COMMAND#NTH or COMMAND#*. */
static bool read_target(char *word, enum command *command, unsigned *nth)
{
	char *sign = strchr(word, '#');

	*nth = 1;
	if (sign != NULL) {
		*sign = '\0';
		if (strcmp(sign + 1, "*") == 0)
			*nth = 0;
		else if (!read_number(sign + 1, INT_MAX, nth) || *nth == 0)
			return false;
	}
	return command_find(word, command);
}

static void obey_rule(struct server *server, const struct words *words, struct buffer *out)
{
	struct effect effect = { 0 };
	size_t on = read_action(words, &effect);
	size_t left = words->count - on;
	enum command command;
	unsigned nth;

	if (on == 0)
		say(out, "error the action is unknown or lacks its number or reason");
	else if (left < 2 || left > 3 || strcmp(words->at[on], "on") != 0)
		say(out, "error a rule ends with: on COMMAND[#NTH] [before|after]");
	else if (!read_target(words->at[on + 1], &command, &nth))
		say(out, "error no such command, or its number is none");
	else if (left == 3 && strcmp(words->at[on + 2], "before") != 0 &&
		 strcmp(words->at[on + 2], "after") != 0)
		say(out, "error it is before or after");
	else {
		effect.after = left == 3 && strcmp(words->at[on + 2], "after") == 0;
		faults_add(&server->faults, command, nth, &effect);
		say(out, "ok");
	}
}

/* Connections ---------------------------------------------------------------------------------- */

static void each_connection(struct server *server,
			    void (*act)(struct connection *c, const struct buffer *bytes),
			    const struct buffer *bytes)
{
	struct link *next;

	for (struct link *l = list_first(&server->connections); l != NULL; l = next) {
		next = list_next(&server->connections, l);
		act(CONTAINER(l, struct connection, link), bytes);
	}
}

static void resume(struct connection *c, const struct buffer *bytes)
{
	(void)bytes;
	connection_resume(c);
}

static void obey_resume(struct server *server, const struct words *words, struct buffer *out)
{
	(void)words;
	each_connection(server, resume, NULL);
	say(out, "ok");
}

static void refuse_and_finish(struct connection *c, const struct buffer *bytes)
{
	static const struct guid none;

	(void)bytes;
	reply_bad_request(c, &none, "The connection is closed, as was asked for.");
	connection_finish(c, false);
}

static void obey_bad_request(struct server *server, const struct words *words, struct buffer *out)
{
	(void)words;
	each_connection(server, refuse_and_finish, NULL);
	say(out, "ok");
}

static void finish(struct connection *c, const struct buffer *bytes)
{
	(void)bytes;
	connection_finish(c, false);
}

static void obey_close(struct server *server, const struct words *words, struct buffer *out)
{
	if (words->count != 2 || strcmp(words->at[1], "all") != 0) {
		say(out, "error it is: close all");
		return;
	}
	each_connection(server, finish, NULL);
	say(out, "ok");
}

static void send_raw(struct connection *c, const struct buffer *bytes)
{
	connection_send(c, buffer_at(bytes), buffer_len(bytes));
}

static bool read_hex(const char *text, struct buffer *bytes)
{
	for (; text[0] != '\0' && text[1] != '\0'; text += 2) {
		char pair[3] = { text[0], text[1], '\0' };
		char *end;
		unsigned long byte = strtoul(pair, &end, 16);

		if (*end != '\0' || pair[0] == '+' || pair[0] == '-' || pair[0] == '\t')
			return false;
		buffer_add_byte(bytes, (uint8_t)byte);
	}
	return text[0] == '\0' && buffer_len(bytes) > 0 && !bytes->failed;
}

static void obey_raw(struct server *server, const struct words *words, struct buffer *out)
{
	struct buffer bytes = { 0 };

	if (words->count == 2 && read_hex(words->at[1], &bytes)) {
		each_connection(server, send_raw, &bytes);
		say(out, "ok");
	} else {
		say(out, "error it is: raw HEX, two digits a byte");
	}
	buffer_free(&bytes);
}

static void obey_restart(struct server *server, const struct words *words, struct buffer *out)
{
	bool keep = words->count > 1 && strcmp(words->at[1], "keep") == 0;
	bool lose = words->count > 1 && strcmp(words->at[1], "lose") == 0;
	unsigned ms = 0;

	if ((!keep && !lose) || words->count > 3 ||
	    (words->count == 3 && !read_number(words->at[2], MILLISECONDS_MOST, &ms))) {
		say(out, "error it is: restart keep|lose [MS]");
		return;
	}
	server_restart(server, keep, ms);
	say(out, "ok");
}

/* Nodes ---------------------------------------------------------------------------------------- */

static void obey_node(struct server *server, const struct words *words, struct buffer *out)
{
	const char *what = words->count == 3 ? words->at[2] : "";
	struct node *node;
	unsigned number;

	if (words->count != 3 || !read_number(words->at[1], server->node_count, &number) ||
	    number == 0) {
		say(out, "error it is: node NUMBER STATE|down|up|cut|heal");
		return;
	}
	node = &server->nodes[number - 1];
	if (strcmp(what, "down") == 0)
		node_down(node);
	else if (strcmp(what, "up") == 0)
		node_up(node);
	else if (strcmp(what, "cut") == 0 || strcmp(what, "heal") == 0)
		node_cut(node, what[0] == 'c');
	else if (!node_set_state(node, what)) {
		say(out, "error gossip has no such state");
		return;
	}
	say(out, "ok");
}

static unsigned connections_of(const struct node *node)
{
	const struct link *list = &node->server->connections;
	unsigned count = 0;

	for (struct link *l = list_first(list); l != NULL; l = list_next(list, l))
		count += CONTAINER(l, struct connection, link)->node == node;
	return count;
}

/* For each node: PORT:GOSSIP-PORT:STATE:CONNECTIONS, with :down or :cut behind it. */
static void obey_nodes(struct server *server, const struct words *words, struct buffer *out)
{
	char text[128];

	(void)words;
	say(out, "ok");
	for (unsigned i = 0; i < server->node_count; i++) {
		const struct node *node = &server->nodes[i];

		(void)snprintf(text, sizeof(text), " %u:%u:%s:%u%s", node->port, node->http_port,
			       node->state, connections_of(node),
			       node->down  ? ":down"
			       : node->cut ? ":cut"
					   : "");
		say(out, text);
	}
}

/* Questions ------------------------------------------------------------------------------------ */

static void obey_count(struct server *server, const struct words *words, struct buffer *out)
{
	enum command command;

	if (words->count == 2 && command_find(words->at[1], &command))
		say_numbers(out, server->faults.received[command], server->faults.sent[command]);
	else
		say(out, "error it is: count COMMAND");
}

static void obey_clear(struct server *server, const struct words *words, struct buffer *out)
{
	(void)words;
	faults_clear(&server->faults);
	say(out, "ok");
}

static size_t length(const struct link *list)
{
	size_t count = 0;

	for (const struct link *l = list_first(list); l != NULL; l = list_next(list, l))
		count++;
	return count;
}

static size_t count_stalled(const struct server *server)
{
	const struct link *list = &server->connections;
	size_t count = 0;

	for (struct link *l = list_first(list); l != NULL; l = list_next(list, l))
		count += CONTAINER(l, struct connection, link)->stalled;
	return count;
}

static void obey_connections(struct server *server, const struct words *words, struct buffer *out)
{
	(void)words;
	say_numbers(out, length(&server->connections), count_stalled(server));
}

static void obey_subscriptions(struct server *server, const struct words *words, struct buffer *out)
{
	const struct link *list = &server->connections;
	size_t live = 0, consumers = 0;

	(void)words;
	for (struct link *l = list_first(list); l != NULL; l = list_next(list, l)) {
		const struct connection *c = CONTAINER(l, struct connection, link);

		live += length(&c->subscriptions);
		consumers += length(&c->consumers);
	}
	say_numbers(out, live, consumers);
}

/* All of them ---------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	obey *obey;
} commands[] = {
	{ "drop", obey_rule },
	{ "reset", obey_rule },
	{ "stall", obey_rule },
	{ "delay", obey_rule },
	{ "cut", obey_rule },
	{ "garbage", obey_rule },
	{ "double", obey_rule },
	{ "not-handled", obey_rule },
	{ "resume", obey_resume },
	{ "bad-request-zero", obey_bad_request },
	{ "raw", obey_raw },
	{ "close", obey_close },
	{ "restart", obey_restart },
	{ "node", obey_node },
	{ "nodes", obey_nodes },
	{ "count", obey_count },
	{ "clear", obey_clear },
	{ "connections", obey_connections },
	{ "subscriptions", obey_subscriptions },
};

void control_obey(struct server *server, char *line, struct buffer *out)
{
	struct words words = { 0 };
	char *rest = NULL;

	for (char *word = strtok_r(line, " \t\r", &rest); word != NULL && words.count <= WORDS_MOST;
	     word = strtok_r(NULL, " \t\r", &rest))
		words.at[words.count++] = word;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && words.count > 0; i++) {
		if (strcmp(words.at[0], commands[i].name) == 0) {
			commands[i].obey(server, &words, out);
			return;
		}
	}
	say(out, "error no such command");
}
