#include "fake.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The digits behind "id": in LINE, as a text; "0" where there is none. */
static void find_id(const char *line, char id[32])
{
	const char *at = strstr(line, "\"id\":");

	if (at == NULL || sscanf(at + 5, "%31[0-9]", id) != 1)
		strcpy(id, "0");
}

static void answer_with(FILE *to, const char *answer, const char *line)
{
	char id[32];

	find_id(line, id);
	for (const char *p = answer; *p != '\0'; p++) {
		if (strncmp(p, "%ID", 3) == 0) {
			fputs(id, to);
			p += 2;
		} else {
			fputc(*p, to);
		}
	}
	fflush(to);
}

/* Serves one connection to its end. */
static void serve(int fd, const char *greeting, const struct fake_row *rows)
{
	FILE *from = fdopen(fd, "r");
	FILE *to = fdopen(dup(fd), "w");
	char *line = NULL;
	size_t size = 0;

	if (from == NULL || to == NULL)
		_exit(1);
	if (greeting != NULL)
		answer_with(to, greeting, "");
	while (getline(&line, &size, from) > 0) {
		const struct fake_row *row = rows;

		while (row->match != NULL && strstr(line, row->match) == NULL)
			row++;
		if (row->match == NULL || row->answer == NULL)
			break;
		answer_with(to, row->answer, line);
	}
	free(line);
	fclose(from);
	fclose(to);
}

void fake_start(struct fake *f, const char *greeting, const struct fake_row *rows)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(f->folder, "/tmp/esb-fake-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
	strcpy(address.sun_path, f->path);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	f->pid = fork();
	ck_assert_int_ge(f->pid, 0);
	if (f->pid == 0) {
		/* Where the test is killed, so is the daemon. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		for (;;) {
			int fd = accept(listener, NULL, NULL);

			if (fd >= 0)
				serve(fd, greeting, rows);
		}
	}
	close(listener);
}

void fake_stop(struct fake *f)
{
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	unlink(f->path);
	rmdir(f->folder);
}
