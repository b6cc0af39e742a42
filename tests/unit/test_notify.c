#include <stddef.h>
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
	ck_assert(notify_send("READY=1\nSTATUS=up"));
	hears(fd, "READY=1\nSTATUS=up");
	ck_assert(notify_format("STATUS=%d clients", 3));
	hears(fd, "STATUS=3 clients");
	close(fd);
	ck_assert(!notify_send("STOPPING=1"));
	if (_i == 1)
		unlink(name);
	unsetenv("NOTIFY_SOCKET");
}
END_TEST

START_TEST(cuts_long_texts)
{
	char text[600], cut[513];
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "@esbridge-unit-long-%d", (int)getpid());
	fd = listen_as_manager(name);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memset(cut, 'x', sizeof(cut));
	cut[sizeof(cut) - 1] = '\0';
	ck_assert(notify_format("%s", text));
	hears(fd, cut);
	close(fd);
	unsetenv("NOTIFY_SOCKET");
}
END_TEST

START_TEST(does_without_a_manager)
{
	char most[300];

	unsetenv("NOTIFY_SOCKET");
	ck_assert(!notify_send("READY=1"));
	setenv("NOTIFY_SOCKET", "", 1);
	ck_assert(!notify_send("READY=1"));
	setenv("NOTIFY_SOCKET", "relative", 1);
	ck_assert(!notify_send("READY=1"));
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	ck_assert(!notify_send("READY=1"));
	memset(most, '/', sizeof(most));
	most[sizeof(most) - 1] = '\0';
	setenv("NOTIFY_SOCKET", most, 1);
	ck_assert(!notify_send("READY=1"));
	unsetenv("NOTIFY_SOCKET");
}
END_TEST

/* A manager whose queue is full must not hold us up for ever. */
START_TEST(does_not_wait_for_a_manager_that_hangs)
{
	char name[64];
	int fd;
	int sent = 0;

	snprintf(name, sizeof(name), "@esbridge-unit-full-%d", (int)getpid());
	fd = listen_as_manager(name);
	while (sent < 100000 && notify_send("STATUS=again"))
		sent++;
	ck_assert_int_lt(sent, 100000);
	close(fd);
	unsetenv("NOTIFY_SOCKET");
}
END_TEST

Suite *notify_suite(void)
{
	Suite *s = suite_create("notify");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, tells_the_manager, 0, 2);
	tcase_add_test(tc, cuts_long_texts);
	tcase_add_test(tc, does_without_a_manager);
	tcase_add_test(tc, does_not_wait_for_a_manager_that_hangs);
	suite_add_tcase(s, tc);
	return s;
}
