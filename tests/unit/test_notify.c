#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"
#include "suites.h"

/* Listens as a service manager does, under NAME ('@': an abstract one), and sets NOTIFY_SOCKET. */
static int listen_as_manager(const char *name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void hears(int fd, const char *state)
{
	char heard[1024];
	ssize_t n = recv(fd, heard, sizeof(heard), 0);

	ck_assert_int_eq(n, (ssize_t)strlen(state));
	ck_assert_mem_eq(heard, state, (size_t)n);
}

START_TEST(tells_the_manager)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%sesbridge-unit-notify-%d", _i == 0 ? "@" : "/tmp/",
		 (int)getpid());
	fd = listen_as_manager(name);
	ck_assert_int_eq(notify_send("READY=1\nSTATUS=up"), NOTIFY_SENT);
	hears(fd, "READY=1\nSTATUS=up");
	close(fd);
	ck_assert_int_eq(notify_send("STOPPING=1"), NOTIFY_NOBODY);
	if (_i == 1)
		unlink(name);
	unsetenv("NOTIFY_SOCKET");
}
END_TEST

START_TEST(does_without_a_manager)
{
	char most[300];

	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(notify_send("READY=1"), NOTIFY_NOBODY);
	setenv("NOTIFY_SOCKET", "", 1);
	ck_assert_int_eq(notify_send("READY=1"), NOTIFY_NOBODY);
	setenv("NOTIFY_SOCKET", "relative", 1);
	ck_assert_int_eq(notify_send("READY=1"), NOTIFY_NOBODY);
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	ck_assert_int_eq(notify_send("READY=1"), NOTIFY_NOBODY);
	memset(most, '/', sizeof(most));
	most[sizeof(most) - 1] = '\0';
	setenv("NOTIFY_SOCKET", most, 1);
	ck_assert_int_eq(notify_send("READY=1"), NOTIFY_NOBODY);
	unsetenv("NOTIFY_SOCKET");
}
END_TEST

/* A manager whose queue is full does not hold us up, and is told when there is room again. */
START_TEST(does_not_wait_for_a_manager_that_hangs)
{
	char name[64];
	int fd;
	int sent = 0;

	snprintf(name, sizeof(name), "@esbridge-unit-full-%d", (int)getpid());
	fd = listen_as_manager(name);
	while (sent < 100000 && notify_send("STATUS=again") == NOTIFY_SENT)
		sent++;
	ck_assert_int_lt(sent, 100000);
	ck_assert_int_eq(notify_send("READY=1"), NOTIFY_FULL);
	hears(fd, "STATUS=again");
	ck_assert_int_eq(notify_send("READY=1"), NOTIFY_SENT);
	close(fd);
	unsetenv("NOTIFY_SOCKET");
}
END_TEST

static void set(const char *name, const char *value)
{
	if (value == NULL)
		unsetenv(name);
	else
		setenv(name, value, 1);
}

START_TEST(knows_the_watchdog)
{
	static const struct {
		const char *usec;
		const char *pid; /* "own": that of this process */
		uint64_t wanted;
	} rows[] = {
		{ NULL, NULL, 0 },     { "30000000", NULL, 30000000 },
		{ "1", "own", 1 },     { "30000000", "1", 0 },
		{ "30000000", "", 0 }, { "30000000", "x", 0 },
		{ "", NULL, 0 },       { "0", NULL, 0 },
		{ "-5", NULL, 0 },     { " 5", NULL, 0 },
		{ "5s", NULL, 0 },     { "18446744073709551615", NULL, UINT64_MAX },
		{ NULL, "own", 0 },    { "18446744073709551616", NULL, 0 },
	};
	char own[24];

	snprintf(own, sizeof(own), "%d", (int)getpid());
	set("WATCHDOG_USEC", rows[_i].usec);
	set("WATCHDOG_PID",
	    rows[_i].pid != NULL && strcmp(rows[_i].pid, "own") == 0 ? own : rows[_i].pid);
	ck_assert_uint_eq(notify_watchdog_us(), rows[_i].wanted);
	set("WATCHDOG_USEC", NULL);
	set("WATCHDOG_PID", NULL);
}
END_TEST

Suite *notify_suite(void)
{
	Suite *s = suite_create("notify");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, tells_the_manager, 0, 2);
	tcase_add_test(tc, does_without_a_manager);
	tcase_add_test(tc, does_not_wait_for_a_manager_that_hangs);
	tcase_add_loop_test(tc, knows_the_watchdog, 0, 14);
	suite_add_tcase(s, tc);
	return s;
}
