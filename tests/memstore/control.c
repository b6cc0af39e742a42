#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { LINE_MOST = 1024 * 1024, READ_AT_ONCE = 64 * 1024, BACKLOG = 16 };

struct client {
	struct link link; /* in control.clients */
	struct event *readable;
	struct server *server;
	struct buffer in;
	int fd;
};

static void client_free(struct client *client)
{
	list_remove(&client->link);
	if (client->readable != NULL)
		event_free(client->readable);
	close(client->fd);
	buffer_free(&client->in);
	free(client);
}

/* The answers are short: what the socket does not take at once is given up with the client. */
static bool answer(const struct client *client, char *line)
{
	struct buffer out = { 0 };
	ssize_t n;
	bool good;

	control_obey(client->server, line, &out);
	buffer_add_byte(&out, '\n');
	n = out.failed ? -1 : send(client->fd, buffer_at(&out), buffer_len(&out), MSG_NOSIGNAL);
	good = n >= 0 && (size_t)n == buffer_len(&out);
	buffer_free(&out);
	return good;
}

/* Obeys each whole line. Returns false where the client is to go. */
static bool take_lines(struct client *client)
{
	for (;;) {
		uint8_t *at = buffer_at(&client->in);
		size_t len = buffer_len(&client->in);
		uint8_t *end = len == 0 ? NULL : memchr(at, '\n', len);

		if (end == NULL)
			return len <= LINE_MOST;
		*end = '\0';
		if (!answer(client, (char *)at))
			return false;
		buffer_consume(&client->in, (size_t)(end - at) + 1);
	}
}

static void on_client(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;
	ssize_t n = buffer_read_fd(&client->in, (int)fd, READ_AT_ONCE);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n <= 0 || !take_lines(client))
		client_free(client);
}

static void on_control(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;
	int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *client;

	(void)what;
	if (accepted < 0)
		return;
	client = mem_new(sizeof(*client));
	client->server = control->server;
	client->fd = accepted;
	list_append(&control->clients, &client->link);
	client->readable = event_new(loop_base(control->server->loop), accepted,
				     EV_READ | EV_PERSIST, on_client, client);
	if (client->readable == NULL || event_add(client->readable, NULL) != 0)
		client_free(client);
}

static void remove_socket(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(path);
}

static int open_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	remove_socket(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

bool control_start(struct control *control, struct server *server, const char *path)
{
	*control = (struct control){ .server = server, .path = path, .fd = open_socket(path) };
	link_init(&control->clients);
	if (control->fd >= 0)
		control->accepting = event_new(loop_base(server->loop), control->fd,
					       EV_READ | EV_PERSIST, on_control, control);
	if (control->accepting != NULL && event_add(control->accepting, NULL) == 0)
		return true;
	log_write(LOG_ERROR, "no control socket path=%s error=%s", path, strerror(errno));
	return false;
}

void control_stop(struct control *control)
{
	struct link *l;

	if (control->path == NULL)
		return;
	while ((l = list_first(&control->clients)) != NULL)
		client_free(CONTAINER(l, struct client, link));
	if (control->accepting != NULL)
		event_free(control->accepting);
	if (control->fd >= 0) {
		close(control->fd);
		remove_socket(control->path);
	}
}
