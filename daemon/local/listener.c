#include "local/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "local/client_access.h"
#include "local/handed.h"

enum {
	ACCEPTS_PER_TURN = 64,
	REST_MS = 200, /* after the process or the machine has run out of descriptors */
};

struct listener {
	struct local *local;
	int fd;
	int spare;   /* a descriptor kept free, to refuse with when there is no other */
	bool handed; /* the service manager's: its file is not ours to remove */
	struct event *readable;
	struct deadline rest;
	struct job second_look; /* before somebody is refused */
	unsigned looks;         /* since somebody was made to wait */
	struct sockaddr_un address;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1]; /* '@': an abstract one */
};

static void refuse(struct local *local, int fd, enum client_refusal reason, const char *why)
{
	static const enum error_code codes[] = {
		[CLIENT_TOO_MANY] = ERROR_TOO_MANY_CLIENTS,
		[CLIENT_NO_DESCRIPTOR] = ERROR_TOO_MANY_CLIENTS,
		[CLIENT_TOO_LATE] = ERROR_SHUTTING_DOWN,
	};
	static const struct request_id none;
	struct buffer line = { .limit = 0 };

	local->counters.refused[reason]++;
	answer_error(&line, &none, codes[reason], OUTCOME_NOT_SAID, "%s", why);
	answer_end(&line);
	buffer_write_fd(&line, fd);
	buffer_free(&line);
	close(fd);
}

static void refuse_for_rule(struct local *local, int fd, const char *rule)
{
	char why[128];

	snprintf(why, sizeof(why), "there are as many clients as the access rule '%s' lets be",
		 rule);
	log_write(LOG_WARNING, "a client is refused, there are as many as its rule lets be rule=%s",
		  rule);
	refuse(local, fd, CLIENT_TOO_MANY, why);
}

static void take(struct listener *l, int fd)
{
	struct local *local = l->local;
	const char *rule;

	if (local->draining) {
		refuse(local, fd, CLIENT_TOO_LATE, "esbridge is shutting down");
	} else if (local->client_count >= local->settings.clients_most) {
		log_write(LOG_WARNING,
			  "a client is refused, there are as many as may be clients=%u",
			  local->client_count);
		refuse(local, fd, CLIENT_TOO_MANY, "there are as many clients as there may be");
	} else if (!local_takes(local, fd, &rule)) {
		refuse_for_rule(local, fd, rule);
	} else {
		client_new(local, fd);
	}
}

static void open_spare(struct listener *l)
{
	if (l->spare < 0)
		l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* No descriptor is left: whoever waits is refused with the spare one, and the rest may wait a
 * moment. */
static void out_of_descriptors(struct listener *l)
{
	int fd;

	log_write(LOG_WARNING, "no descriptor is left for a client");
	if (l->spare >= 0) {
		close(l->spare);
		l->spare = -1;
		fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			refuse(l->local, fd, CLIENT_NO_DESCRIPTOR,
			       "esbridge has no file descriptor left");
		open_spare(l);
	}
	event_del(l->readable);
	loop_set_deadline(l->local->loop, &l->rest, REST_MS);
}

/*
 * True where whoever waits had better wait for two turns more: there are as many clients as may be,
 * but one of them may have gone just now, and be noticed in this turn and closed in the next.
 */
static bool look_again(struct listener *l)
{
	if (l->looks > 1 || l->local->draining ||
	    l->local->client_count < l->local->settings.clients_most)
		return false;
	l->looks++;
	loop_put_off(l->local->loop, &l->second_look);
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)what;
	if (look_again(l))
		return;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client >= 0) {
			take(l, client);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			out_of_descriptors(l);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void on_second_look(void *arg)
{
	struct listener *l = arg;

	on_readable(l->fd, EV_READ, l);
	if (!link_used(&l->second_look.link))
		l->looks = 0;
}

static void on_rest_over(void *arg)
{
	struct listener *l = arg;

	open_spare(l);
	event_add(l->readable, NULL);
}

/* Binding --------------------------------------------------------------------------------------- */

/* True where the path is free now. */
static bool make_way(const struct sockaddr_un *address, char *fault, size_t size)
{
	struct stat st;
	int fd, error;

	if (lstat(address->sun_path, &st) != 0) {
		if (errno == ENOENT)
			return true;
		snprintf(fault, size, "%s: %s", address->sun_path, strerror(errno));
		return false;
	}
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(fault, size, "%s exists and is no socket", address->sun_path);
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	error = fd < 0                                                                 ? errno
		: connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ? errno
										       : 0;
	if (fd >= 0)
		close(fd);
	if (error != ECONNREFUSED) {
		snprintf(fault, size,
			 error == 0 || error == EAGAIN ? "%s: another process listens there"
						       : "%s: %s",
			 address->sun_path, strerror(error));
		return false;
	}
	if (unlink(address->sun_path) != 0 && errno != ENOENT) {
		snprintf(fault, size, "%s: %s", address->sun_path, strerror(errno));
		return false;
	}
	log_write(LOG_NOTICE, "a socket file that nobody listens on is replaced path=%s",
		  address->sun_path);
	return true;
}

static bool give_to_group(const char *path, const char *name, char *fault, size_t size)
{
	const struct group *g;
	struct stat st;

	if (name[0] == '\0')
		return true;
	g = getgrnam(name);
	if (g == NULL) {
		snprintf(fault, size, "there is no group '%s'", name);
		return false;
	}
	/* It may be so already, and then needs no system call that a sandbox may forbid. */
	if (stat(path, &st) == 0 && st.st_gid == g->gr_gid)
		return true;
	if (chown(path, (uid_t)-1, g->gr_gid) != 0) {
		snprintf(fault, size, "%s cannot be given to group '%s': %s", path, name,
			 strerror(errno));
		return false;
	}
	return true;
}

/* Nobody can connect before listen(2), and mode and group are right by then. */
static bool open_socket(struct listener *l, char *fault, size_t size)
{
	const struct local_settings *settings = &l->local->settings;
	mode_t mask = umask(0177);
	int bound;

	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bound = l->fd < 0 ? -1
			  : bind(l->fd, (const struct sockaddr *)&l->address, sizeof(l->address));
	umask(mask);
	if (bound != 0) {
		snprintf(fault, size, "%s: %s", settings->path, strerror(errno));
		return false;
	}
	if (!give_to_group(settings->path, settings->group, fault, size)) {
		unlink(settings->path);
		return false;
	}
	if (chmod(settings->path, settings->mode) != 0 || listen(l->fd, SOMAXCONN) != 0) {
		snprintf(fault, size, "%s: %s", settings->path, strerror(errno));
		unlink(settings->path);
		return false;
	}
	return true;
}

static bool set_address(struct listener *l, char *fault, size_t size)
{
	const char *path = l->local->settings.path;

	l->address.sun_family = AF_UNIX;
	if (path[0] == '\0' || strlen(path) >= sizeof(l->address.sun_path)) {
		snprintf(fault, size, "the path of the socket must have 1 to %zu bytes: '%s'",
			 sizeof(l->address.sun_path) - 1, path);
		return false;
	}
	memcpy(l->address.sun_path, path, strlen(path) + 1);
	return true;
}

/* Binds the socket of the settings. */
static bool make(struct listener *l, char *fault, size_t size)
{
	return set_address(l, fault, size) && make_way(&l->address, fault, size) &&
	       open_socket(l, fault, size);
}

static void learn_path(struct listener *l)
{
	struct sockaddr_un *address = &l->address;
	socklen_t len = sizeof(*address);
	bool abstract;

	if (getsockname(l->fd, (struct sockaddr *)address, &len) != 0)
		return;
	len = len > sizeof(*address) ? sizeof(address->sun_path)
				     : len - (socklen_t)offsetof(struct sockaddr_un, sun_path);
	abstract = len > 0 && address->sun_path[0] == '\0';
	snprintf(l->path, sizeof(l->path), "%s%.*s", abstract ? "@" : "", (int)len - abstract,
		 address->sun_path + abstract);
}

static bool get_socket(struct listener *l, char *fault, size_t size)
{
	if (!handed_over(&l->fd, fault, size))
		return false;
	l->handed = l->fd >= 0;
	if (!l->handed && !make(l, fault, size))
		return false;
	learn_path(l);
	return true;
}

struct listener *listener_new(struct local *local, char *fault, size_t fault_size)
{
	struct listener *l = mem_new(sizeof(*l));

	l->local = local;
	l->fd = l->spare = -1;
	if (!get_socket(l, fault, fault_size)) {
		if (l->fd >= 0)
			close(l->fd);
		free(l);
		return NULL;
	}
	l->readable =
		event_new(loop_base(local->loop), l->fd, EV_READ | EV_PERSIST, on_readable, l);
	if (l->readable == NULL) {
		snprintf(fault, fault_size, "out of memory");
		close(l->fd);
		if (!l->handed)
			unlink(local->settings.path);
		free(l);
		return NULL;
	}
	deadline_init(&l->rest, on_rest_over, l);
	job_init(&l->second_look, on_second_look, l);
	open_spare(l);
	event_add(l->readable, NULL);
	return l;
}

const char *listener_path(const struct listener *l)
{
	return l->path;
}

void listener_drain(struct listener *l)
{
	if (!l->handed)
		return;
	loop_clear_deadline(l->local->loop, &l->rest);
	job_cancel(&l->second_look);
	event_del(l->readable);
}

void listener_free(struct listener *l)
{
	loop_clear_deadline(l->local->loop, &l->rest);
	job_cancel(&l->second_look);
	event_free(l->readable);
	if (!l->handed)
		unlink(l->address.sun_path);
	close(l->fd);
	if (l->spare >= 0)
		close(l->spare);
	free(l);
}
