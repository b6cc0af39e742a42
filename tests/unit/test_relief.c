#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/account.h"
#include "base/log.h"
#include "local/client.h"
#include "suites.h"

enum {
	CLIENTS = 4,
	KIB = 1024,
	ROOMY = 64 * 1024 * KIB,
	DEPTH = 8,
	TURNS_MOST = 1000000,
};

/* Clients whose lines do not come to their end, and a store that is never connected to. */
static struct loop *loop;
static struct bridge bridge;
static struct local local;
static int ends[CLIENTS]; /* the far ends of their sockets */
static struct client *clients[CLIENTS];
static struct job tick;
static struct watcher watcher;
static unsigned let_go; /* how often the store was asked to give memory again */

static void on_relieve(struct watcher *w)
{
	(void)w;
	let_go++;
}

static void on_changed(void *arg, bool ready)
{
	(void)arg;
	(void)ready;
}

static void on_tick(void *arg)
{
	loop_stop(arg);
}

static void turn(void)
{
	loop_put_off(loop, &tick);
	loop_run(loop);
}

static void join(unsigned number)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	ends[number] = pair[0];
	client_new(&local, pair[1]);
	clients[number] = CONTAINER(local.clients.prev, struct client, link);
}

static void begin(void)
{
	static const struct store_settings store = {
		.connection = { .host = "", .nameservers = "", .name = "" }
	};

	log_setup(LOG_ERROR, LOG_PREFIX_NEVER, LOG_FORMAT_TEXT);
	let_go = 0;
	loop = loop_new();
	job_init(&tick, on_tick, loop);
	bridge = (struct bridge){ .loop = loop, .settings = { .output_cap = ROOMY } };
	bridge.store = store_new(loop, &store, NULL, on_changed, NULL);
	watcher = (struct watcher){ .relieve = on_relieve };
	store_watch(bridge.store, &watcher);
	local = (struct local){ .loop = loop,
				.bridge = &bridge,
				.settings = { .line_most = ROOMY,
					      .in_flight_most = 1,
					      .output_pause = ROOMY,
					      .output_cap = ROOMY } };
	link_init(&local.clients);
	json_doc_init(&local.doc, DEPTH, 4, 100);
	relief_init(&local);
	account_open(ROOMY, relief_begin, &local);
	for (unsigned i = 0; i < CLIENTS; i++)
		join(i);
}

static void finish(void)
{
	struct link *l;

	while ((l = list_first(&local.clients)) != NULL)
		client_close(CONTAINER(l, struct client, link), CLIENT_SHUTTING_DOWN);
	relief_stop(&local);
	store_unwatch(&watcher);
	store_free(bridge.store);
	bridge_free(&bridge);
	json_doc_free(&local.doc);
	loop_free(loop);
	ck_assert_uint_eq(account.used, 0);
	account_close();
	for (unsigned i = 0; i < CLIENTS; i++)
		close(ends[i]);
}

/* The client of that number has sent KIBS KiB of a line. */
static void send_part(unsigned number, size_t kibs)
{
	static const char part[KIB] = "\"";
	size_t wanted = buffer_len(&clients[number]->in) + kibs * KIB;
	size_t left = kibs * KIB;

	for (unsigned i = 0; buffer_len(&clients[number]->in) < wanted; i++) {
		ssize_t n = send(ends[number], part, left < KIB ? left : KIB, MSG_NOSIGNAL);

		ck_assert_uint_lt(i, TURNS_MOST);
		left -= n > 0 ? (size_t)n : 0;
		turn();
	}
	ck_assert_uint_eq(buffer_len(&clients[number]->in), wanted);
}

static bool has_line(unsigned number)
{
	return buffer_len(&clients[number]->in) > 0;
}

/* The client was told that memory is short, and no more than that. */
static void was_refused(unsigned number)
{
	char line[512];
	ssize_t n;

	turn();
	n = recv(ends[number], line, sizeof(line) - 1, 0);
	ck_assert_int_gt(n, 0);
	line[n] = '\0';
	ck_assert_ptr_nonnull(strstr(line, "\"code\":\"overloaded\""));
	ck_assert_ptr_eq(strchr(line, '\n'), line + n - 1);
	ck_assert(!has_line(number));
	ck_assert(!clients[number]->closed);
}

static void was_told_nothing(unsigned number)
{
	char byte;

	ck_assert_int_eq(recv(ends[number], &byte, 1, 0), -1);
}

/* Charges a little that no client holds, as a mark is a multiple of 3. Returns it. */
static size_t round_up(void)
{
	size_t more = 3 - account.used % 3;

	account_charge(more);
	return more;
}

START_TEST(makes_no_room_where_there_is_enough)
{
	size_t more;

	send_part(0, 100);
	clients[0]->long_since = 0;
	more = round_up();
	account_set_limit(account.used / 3 * 4);
	ck_assert_uint_eq(account.mark, account.used);
	relief_make_room(&local, 0, NULL);
	ck_assert(has_line(0));
	ck_assert_uint_eq(let_go, 0);
	relief_make_room(&local, 1, NULL);
	ck_assert_uint_eq(let_go, 1);
	was_refused(0);
	account_refund(more);
}
END_TEST

/* A line that has just become long has its time, unless the limit itself is passed. */
START_TEST(leaves_lines_their_time)
{
	size_t more;

	send_part(0, 100);
	more = round_up();
	account_set_limit(account.used);
	relief_make_room(&local, 1, NULL);
	ck_assert(has_line(0));
	account_charge(1);
	relief_make_room(&local, 1, NULL);
	was_refused(0);
	account_refund(more + 1);
}
END_TEST

START_TEST(relieves_who_holds_most_first)
{
	static const size_t kibs[CLIENTS] = { 200, 900, 100, 400 };

	for (unsigned i = 0; i < CLIENTS; i++)
		send_part(i, kibs[i]);
	account_set_limit(account.used - 1);
	relief_make_room(&local, 1, NULL);
	was_refused(1);
	ck_assert(has_line(0) && has_line(2) && has_line(3));
	account_set_limit(account.used - 1);
	relief_make_room(&local, 1, NULL);
	was_refused(3);
	ck_assert(has_line(0) && has_line(2));
	account_set_limit(4);
	relief_make_room(&local, 1, NULL);
	was_refused(0);
	was_refused(2);
}
END_TEST

START_TEST(spares_the_one_that_it_is_for)
{
	send_part(0, 900);
	send_part(1, 400);
	account_set_limit(account.used - 1);
	relief_make_room(&local, 1, clients[0]);
	was_refused(1);
	ck_assert(has_line(0));
	turn();
	was_told_nothing(0);
}
END_TEST

/* The mark is passed: what is held goes, down to half of the limit, at the end of the turn. */
START_TEST(goes_on_to_half_of_the_memory)
{
	send_part(0, 100);
	send_part(1, 200);
	send_part(2, 400);
	account_set_limit(account.used - 1);
	ck_assert(account_is_spent());
	turn();
	turn();
	was_refused(2);
	ck_assert(has_line(0) && has_line(1));
	ck_assert_uint_le(account.used, account.limit / 2);
	ck_assert_uint_eq(local.relief.count, 1);
	ck_assert_uint_gt(let_go, 0);
}
END_TEST

/* What takes the memory is nobody's, beside the lines that have come just now: nobody is relieved,
 * it is looked again, and when it has been given back who waited goes on. */
START_TEST(waits_where_nobody_holds_much)
{
	size_t more;

	send_part(0, 40);
	send_part(1, 100);
	more = account.limit - account.used;
	account_charge(more);
	ck_assert_int_eq(send(ends[1], "more", 4, MSG_NOSIGNAL), 4);
	for (unsigned i = 0; i < 3; i++)
		turn();
	ck_assert(local.relief.under_way);
	ck_assert(deadline_is_set(&local.relief.again));
	ck_assert(has_line(0) && has_line(1));
	ck_assert(clients[1]->waits);
	account_refund(more);
	for (unsigned i = 0; local.relief.under_way; i++) {
		ck_assert_uint_lt(i, TURNS_MOST);
		turn();
	}
	ck_assert(!clients[1]->waits);
	turn();
	ck_assert_uint_eq(buffer_len(&clients[1]->in), 100 * KIB + 4);
	ck_assert(!deadline_is_set(&local.relief.again));
	ck_assert_uint_eq(local.relief.count, 1);
	for (unsigned i = 0; i < CLIENTS; i++)
		was_told_nothing(i);
}
END_TEST

/* Given back before the turn ends: nothing is done to anybody. */
START_TEST(does_nothing_when_it_is_given_back)
{
	send_part(0, 900);
	account_charge(ROOMY);
	account_refund(ROOMY);
	turn();
	ck_assert(has_line(0));
	ck_assert_uint_eq(let_go, 0);
	ck_assert_uint_eq(local.relief.count, 0);
	ck_assert(!local.relief.under_way);
}
END_TEST

START_TEST(does_without_clients)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		client_close(clients[i], CLIENT_DONE);
	account_charge(2 * ROOMY);
	relief_make_room(&local, ROOMY, NULL);
	turn();
	ck_assert(local.relief.under_way);
	ck_assert_uint_eq(let_go, 2);
	account_refund(2 * ROOMY);
}
END_TEST

Suite *relief_suite(void)
{
	Suite *s = suite_create("relief");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, begin, finish);
	tcase_add_test(tc, makes_no_room_where_there_is_enough);
	tcase_add_test(tc, leaves_lines_their_time);
	tcase_add_test(tc, relieves_who_holds_most_first);
	tcase_add_test(tc, spares_the_one_that_it_is_for);
	tcase_add_test(tc, goes_on_to_half_of_the_memory);
	tcase_add_test(tc, waits_where_nobody_holds_much);
	tcase_add_test(tc, does_nothing_when_it_is_given_back);
	tcase_add_test(tc, does_without_clients);
	suite_add_tcase(s, tc);
	return s;
}
