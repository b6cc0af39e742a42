#include <stdio.h>
#include <string.h>

#include "store/gossip.h"
#include "suites.h"

static const char old_form[] =
	"{\"members\":[{\"instanceId\":\"a\",\"timeStamp\":\"2020-01-01T00:00:00Z\",\"state\":\"Slave\","
	"\"isAlive\":true,\"internalTcpIp\":\"10.0.0.1\",\"internalTcpPort\":1112,"
	"\"internalSecureTcpPort\":0,\"externalTcpIp\":\"10.0.0.1\",\"externalTcpPort\":1113,"
	"\"externalSecureTcpPort\":1115,\"internalHttpIp\":\"10.0.0.1\",\"internalHttpPort\":2112,"
	"\"externalHttpIp\":\"10.0.0.1\",\"externalHttpPort\":2113,\"lastCommitPosition\":1,"
	"\"epochId\":\"00000000-0000-0000-0000-000000000000\",\"nodePriority\":0},"
	"{\"state\":\"Master\",\"isAlive\":true,\"externalTcpIp\":\"10.0.0.2\","
	"\"externalTcpPort\":1113,\"externalSecureTcpPort\":0,\"externalHttpIp\":\"10.0.0.2\","
	"\"externalHttpPort\":2113},{\"state\":\"Manager\",\"isAlive\":true,\"externalTcpIp\":"
	"\"10.0.0.3\",\"externalTcpPort\":0,\"externalHttpIp\":\"10.0.0.3\",\"externalHttpPort\":"
	"30777}],\"serverIp\":\"10.0.0.1\",\"serverPort\":2112}";

static const char new_form[] =
	"{\"members\":[{\"state\":\"Leader\",\"isAlive\":true,\"externalTcpIp\":\"one.example\","
	"\"externalTcpPort\":0,\"externalSecureTcpPort\":1113,\"httpEndPointIp\":\"one.example\","
	"\"httpEndPointPort\":2113,\"isReadOnlyReplica\":false,\"esVersion\":\"23.10.6\"},"
	"{\"state\":\"Follower\",\"isAlive\":true,\"externalTcpIp\":\"two.example\","
	"\"externalTcpPort\":0,\"externalSecureTcpPort\":1113,\"httpEndPointIp\":\"two.example\","
	"\"httpEndPointPort\":2113},{\"state\":\"ReadOnlyReplica\",\"isAlive\":true,"
	"\"externalTcpIp\":\"three.example\",\"externalTcpPort\":0,\"externalSecureTcpPort\":1113,"
	"\"httpEndPointIp\":\"three.example\",\"httpEndPointPort\":2113}]}";

static void read_text(const char *text, struct gossip *g)
{
	char fault[100] = "";

	ck_assert_msg(gossip_read(text, strlen(text), g, fault, sizeof(fault)), "%s", fault);
}

static struct endpoint at(const char *host, uint16_t port)
{
	struct endpoint e = { .port = port };

	snprintf(e.host, sizeof(e.host), "%s", host);
	return e;
}

/* Where one goes by that preference, "" for nowhere. */
static const char *choice(const struct gossip *g, enum node_preference preference, bool secure,
			  const struct endpoint *failed, unsigned chance)
{
	static char text[ENDPOINT_TEXT];
	const struct node *node = gossip_choose(g, preference, secure, failed, chance);
	struct endpoint e;

	if (node == NULL)
		return "";
	e = node_endpoint(node, secure);
	endpoint_format(&e, text);
	return text;
}

START_TEST(the_form_up_to_5)
{
	struct gossip g;

	read_text(old_form, &g);
	ck_assert_uint_eq(g.count, 3);
	ck_assert_str_eq(choice(&g, PREFER_LEADER, false, NULL, 7), "10.0.0.2:1113");
	ck_assert_str_eq(choice(&g, PREFER_FOLLOWER, false, NULL, 7), "10.0.0.1:1113");
	ck_assert_str_eq(choice(&g, PREFER_FOLLOWER, true, NULL, 7), "10.0.0.1:1115");
	ck_assert_str_eq(g.nodes[0].http.host, "10.0.0.1");
	ck_assert_uint_eq(g.nodes[2].http.port, 30777);
	ck_assert_int_eq(g.nodes[2].role, NODE_OUT);
}
END_TEST

START_TEST(the_form_from_20_on)
{
	struct gossip g;

	read_text(new_form, &g);
	ck_assert_str_eq(choice(&g, PREFER_LEADER, true, NULL, 0), "one.example:1113");
	ck_assert_str_eq(choice(&g, PREFER_FOLLOWER, true, NULL, 0), "two.example:1113");
	ck_assert_str_eq(choice(&g, PREFER_READ_ONLY_REPLICA, true, NULL, 0), "three.example:1113");
	ck_assert_str_eq(choice(&g, PREFER_LEADER, false, NULL, 0), "");
	ck_assert_uint_eq(g.nodes[1].http.port, 2113);
}
END_TEST

START_TEST(the_failed_node_is_left_out)
{
	struct endpoint one = at("ONE.example", 1113);
	struct gossip g;

	read_text(new_form, &g);
	ck_assert_str_eq(choice(&g, PREFER_LEADER, true, &one, 0), "two.example:1113");
}
END_TEST

START_TEST(chance_decides_among_the_best)
{
	bool seen[3] = { false };
	struct gossip g;

	read_text(new_form, &g);
	for (unsigned i = 0; i < 3; i++)
		seen[gossip_choose(&g, PREFER_RANDOM, true, NULL, i) - g.nodes] = true;
	ck_assert(seen[0] && seen[1] && seen[2]);
}
END_TEST

START_TEST(only_states_in_which_a_node_serves)
{
	static const struct {
		const char *state;
		bool eligible;
	} rows[] = {
		{ "Initializing", false },
		{ "DiscoverLeader", false },
		{ "Unknown", false },
		{ "PreReplica", false },
		{ "CatchingUp", false },
		{ "Clone", false },
		{ "Slave", true },
		{ "Follower", true },
		{ "PreMaster", false },
		{ "PreLeader", false },
		{ "Master", true },
		{ "Leader", true },
		{ "Manager", false },
		{ "ShuttingDown", false },
		{ "Shutdown", false },
		{ "ReadOnlyLeaderless", true },
		{ "PreReadOnlyReplica", false },
		{ "ReadOnlyReplica", true },
		{ "ResigningLeader", false },
		{ "SomethingLater", false },
		{ "leader", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[200];
		struct gossip g;

		snprintf(text, sizeof(text),
			 "{\"members\":[{\"state\":\"%s\",\"isAlive\":true,\"externalTcpIp\":\"h\","
			 "\"externalTcpPort\":1}]}",
			 rows[i].state);
		read_text(text, &g);
		ck_assert_msg((gossip_choose(&g, PREFER_RANDOM, false, NULL, 0) != NULL) ==
				      rows[i].eligible,
			      "%s", rows[i].state);
	}
}
END_TEST

START_TEST(the_dead_are_not_there)
{
	struct gossip g;

	read_text("{\"members\":[{\"state\":\"Leader\",\"isAlive\":false,\"externalTcpIp\":\"h\","
		  "\"externalTcpPort\":1},{\"state\":\"Leader\",\"externalTcpIp\":\"h\","
		  "\"externalTcpPort\":1}]}",
		  &g);
	ck_assert_uint_eq(g.count, 0);
}
END_TEST

START_TEST(members_that_make_no_sense_are_of_no_use)
{
	static const char *const members[] = {
		"null",
		"[]",
		"\"Leader\"",
		"{}",
		"{\"state\":7,\"isAlive\":true,\"externalTcpIp\":\"h\",\"externalTcpPort\":1}",
		"{\"state\":\"Leader\",\"isAlive\":\"true\",\"externalTcpIp\":\"h\",\"externalTcpPort\":1}",
		"{\"state\":\"Leader\",\"isAlive\":true,\"externalTcpIp\":7,\"externalTcpPort\":1}",
		"{\"state\":\"Leader\",\"isAlive\":true,\"externalTcpIp\":\"\",\"externalTcpPort\":1}",
		"{\"state\":\"Leader\",\"isAlive\":true,\"externalTcpIp\":\"h\",\"externalTcpPort\":0}",
		"{\"state\":\"Leader\",\"isAlive\":true,\"externalTcpIp\":\"h\",\"externalTcpPort\":-1}",
		"{\"state\":\"Leader\",\"isAlive\":true,\"externalTcpIp\":\"h\",\"externalTcpPort\":65536}",
		"{\"state\":\"Leader\",\"isAlive\":true,\"externalTcpIp\":\"h\",\"externalTcpPort\":\"1\"}",
	};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		char text[300];
		struct gossip g;

		snprintf(text, sizeof(text), "{\"members\":[%s]}", members[i]);
		read_text(text, &g);
		ck_assert_msg(gossip_choose(&g, PREFER_LEADER, false, NULL, 0) == NULL, "%s",
			      members[i]);
	}
}
END_TEST

START_TEST(what_is_no_gossip_is_told)
{
	static const char *const texts[] = {
		"", "{", "[]", "{\"a\":1}", "null", "{\"members\":{}}", "<html>", "{\"members\":[}"
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char fault[100] = "";
		struct gossip g;

		ck_assert(!gossip_read(texts[i], strlen(texts[i]), &g, fault, sizeof(fault)));
		ck_assert_ptr_nonnull(strstr(fault, "no gossip"));
		ck_assert_uint_eq(g.count, 0);
	}
}
END_TEST

/* Every byte of a document changed to every fifth value: read or refused. */
START_TEST(changed_documents_do_no_harm)
{
	char text[sizeof(new_form)];
	char fault[100];
	struct gossip g;

	for (size_t i = 0; i < sizeof(new_form) - 1; i += unit_is_slow() ? 97 : 1) {
		for (int byte = 0; byte < 256; byte += unit_is_slow() ? 31 : 5) {
			memcpy(text, new_form, sizeof(text));
			text[i] = (char)byte;
			gossip_read(text, sizeof(text) - 1, &g, fault, sizeof(fault));
			ck_assert_uint_le(g.count, 3);
		}
	}
}
END_TEST

START_TEST(more_nodes_than_there_is_room_for)
{
	static char text[GOSSIP_NODES * 200];
	size_t len = (size_t)snprintf(text, sizeof(text), "{\"members\":[");
	struct gossip g;

	for (int i = 0; i < GOSSIP_NODES + 10; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s{\"state\":\"Follower\",\"isAlive\":true,"
					"\"externalTcpIp\":\"h\",\"externalTcpPort\":%d}",
					i == 0 ? "" : ",", i + 1);
	snprintf(text + len, sizeof(text) - len, "]}");
	read_text(text, &g);
	ck_assert_uint_eq(g.count, GOSSIP_NODES);
}
END_TEST

Suite *gossip_suite(void)
{
	Suite *s = suite_create("gossip");
	TCase *t = tcase_create("all");

	tcase_add_test(t, the_form_up_to_5);
	tcase_add_test(t, the_form_from_20_on);
	tcase_add_test(t, the_failed_node_is_left_out);
	tcase_add_test(t, chance_decides_among_the_best);
	tcase_add_test(t, only_states_in_which_a_node_serves);
	tcase_add_test(t, the_dead_are_not_there);
	tcase_add_test(t, members_that_make_no_sense_are_of_no_use);
	tcase_add_test(t, what_is_no_gossip_is_told);
	tcase_add_test(t, changed_documents_do_no_harm);
	tcase_add_test(t, more_nodes_than_there_is_room_for);
	suite_add_tcase(s, t);
	return s;
}
