#include "local/metrics_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "local/client.h"

enum {
	VISITORS_MOST = 16,
	PATIENCE_MS = 5000, /* for the whole of a connection */
	REST_MS = 200,      /* after the process has run out of descriptors */
	REQUEST_MOST = 8192,
};

struct metrics_http {
	struct local *local;
	int fd;
	struct event *readable;
	struct deadline rest;
	struct link visitors;
	unsigned visitor_count;
};

/* One connection. */
struct visitor {
	struct link link;
	struct metrics_http *http;
	int fd;
	struct event *readable;
	struct event *writable;
	struct deadline patience;
	struct buffer in;
	struct buffer out;
	bool answered; /* what still comes is thrown away */
	bool ended;    /* nothing more can come */
};

/* What there is ---------------------------------------------------------------------------------- */

static unsigned metrics(const struct local *local, struct buffer *body)
{
	local_metrics(local, body);
	return 200;
}

static unsigned health(const struct local *local, struct buffer *body)
{
	(void)local;
	buffer_add_text(body, "alive\n");
	return 200;
}

static unsigned readiness(const struct local *local, struct buffer *body)
{
	const struct store *store = local->bridge->store;
	struct connection_view view;

	if (local->draining) {
		buffer_add_text(body, "shutting down\n");
		return 503;
	}
	if (store_is_ready(store)) {
		buffer_add_text(body, "ready\n");
		return 200;
	}
	connection_look(store->connection, &view);
	buffer_add_text(body, "not connected to the store at ");
	buffer_add_text(body, view.endpoint);
	if (view.last_error[0] != '\0') {
		buffer_add_text(body, ": ");
		buffer_add_text(body, view.last_error);
	}
	buffer_add_byte(body, '\n');
	return 503;
}

static const struct page {
	const char *path;
	const char *type;
	unsigned (*make)(const struct local *local, struct buffer *body); /* returns the status */
} pages[] = {
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", metrics },
	{ "/healthz", "text/plain; charset=utf-8", health },
	{ "/readyz", "text/plain; charset=utf-8", readiness },
};

enum { PAGES = sizeof(pages) / sizeof(pages[0]) };

static const struct status {
	unsigned number;
	const char *text;
} statuses[] = {
	{ 200, "OK" },
	{ 400, "Bad Request" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 431, "Request Header Fields Too Large" },
	{ 503, "Service Unavailable" },
	{ 500, "Internal Server Error" }, /* the last: any other */
};

static const char *status_text(unsigned number)
{
	const struct status *s = statuses;

	while (s->number != number && s->number != 500)
		s++;
	return s->text;
}

/* Connections ------------------------------------------------------------------------------------ */

static void visitor_free(void *object)
{
	struct visitor *v = object;

	buffer_free(&v->in);
	buffer_free(&v->out);
	free(v);
}

static void visitor_close(struct visitor *v)
{
	struct metrics_http *h = v->http;
	struct loop *loop = h->local->loop;

	event_free(v->readable);
	event_free(v->writable);
	loop_clear_deadline(loop, &v->patience);
	close(v->fd);
	list_remove(&v->link);
	if (h->visitor_count-- == VISITORS_MOST)
		event_add(h->readable, NULL);
	loop_park(loop, v, visitor_free);
}

static void on_patience_over(void *arg)
{
	visitor_close(arg);
}

/* The reader is told that that was all; the rest of what it sends is taken, or it might not see
 * the answer. */
static void write_out(struct visitor *v)
{
	if (buffer_len(&v->out) > 0 && buffer_write_fd(&v->out, v->fd) < 0 && errno != EAGAIN) {
		visitor_close(v);
		return;
	}
	if (buffer_len(&v->out) > 0)
		event_add(v->writable, NULL);
	else if (v->ended)
		visitor_close(v);
	else
		shutdown(v->fd, SHUT_WR);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	write_out(arg);
}

/* Answers with BODY, or, where that is NULL, with the text of STATUS. */
static void answer(struct visitor *v, unsigned status, const char *type, const struct buffer *body,
		   bool head_alone)
{
	const char *text = status_text(status);
	size_t len = body == NULL ? strlen(text) + 1 : buffer_len(body);
	char head[512];

	snprintf(head, sizeof(head),
		 "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
		 "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
		 status, text, type, len, status == 405 ? "Allow: GET, HEAD\r\n" : "");
	buffer_add_text(&v->out, head);
	if (body != NULL && !head_alone) {
		buffer_add(&v->out, buffer_at(body), buffer_len(body));
	} else if (!head_alone) {
		buffer_add_text(&v->out, text);
		buffer_add_byte(&v->out, '\n');
	}
	v->answered = true;
	buffer_free(&v->in);
	if (v->out.failed)
		visitor_close(v);
	else
		write_out(v);
}

static void answer_status(struct visitor *v, unsigned status, bool head_alone)
{
	answer(v, status, "text/plain; charset=utf-8", NULL, head_alone);
}

static void answer_page(struct visitor *v, const struct page *page, bool head_alone)
{
	struct buffer body = { .limit = 0 };
	unsigned status = page->make(v->http->local, &body);

	if (body.failed)
		answer_status(v, 500, head_alone);
	else
		answer(v, status, page->type, &body, head_alone);
	buffer_free(&body);
}

/* Requests --------------------------------------------------------------------------------------- */

struct word {
	const char *at;
	size_t len;
};

/* Takes the next word of the LEN bytes at *AT, up to a blank or the end, off its front. */
static struct word next_word(const char **at, size_t *len)
{
	const char *blank = memchr(*at, ' ', *len);
	size_t n = blank == NULL ? *len : (size_t)(blank - *at);
	struct word word = { *at, n };

	n += blank != NULL;
	*at += n;
	*len -= n;
	return word;
}

static bool is(struct word word, const char *text)
{
	return word.len == strlen(text) && memcmp(word.at, text, word.len) == 0;
}

/* Answers the request whose first line is the LEN bytes at LINE. */
static void take_request(struct visitor *v, const char *line, size_t len)
{
	struct word method = next_word(&line, &len);
	struct word path = next_word(&line, &len);
	bool head = is(method, "HEAD");
	const char *query = path.len == 0 ? NULL : memchr(path.at, '?', path.len);

	if (method.len == 0 || path.len == 0 || path.at[0] != '/' || len != 8 ||
	    memcmp(line, "HTTP/1.", 7) != 0) {
		answer_status(v, 400, false);
		return;
	}
	if (query != NULL)
		path.len = (size_t)(query - path.at);
	for (size_t i = 0; i < PAGES; i++) {
		if (!is(path, pages[i].path))
			continue;
		if (head || is(method, "GET"))
			answer_page(v, &pages[i], head);
		else
			answer_status(v, 405, false);
		return;
	}
	answer_status(v, 404, head);
}

/* True where the LEN bytes at TEXT have the empty line that ends the fields of a request. */
static bool has_ended(const char *text, size_t len)
{
	const char *end = text + len;
	const char *lf = memchr(text, '\n', len);

	while (lf != NULL && lf + 1 < end) {
		if (lf[1] == '\n' || (lf[1] == '\r' && lf + 2 < end && lf[2] == '\n'))
			return true;
		lf = memchr(lf + 1, '\n', (size_t)(end - lf - 1));
	}
	return false;
}

static void look_at(struct visitor *v)
{
	const char *text = (const char *)buffer_at(&v->in);
	size_t len = buffer_len(&v->in);
	const char *lf;
	size_t line;

	if (!has_ended(text, len)) {
		if (len >= REQUEST_MOST)
			answer_status(v, 431, false);
		return;
	}
	lf = memchr(text, '\n', len);
	line = (size_t)(lf - text);
	take_request(v, text, line > 0 && text[line - 1] == '\r' ? line - 1 : line);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct visitor *v = arg;
	ssize_t n = buffer_read_fd(&v->in, fd, REQUEST_MOST - buffer_len(&v->in));

	(void)what;
	if (n < 0 && errno == EAGAIN)
		return;
	v->ended = n == 0;
	if (n == 0 && buffer_len(&v->out) > 0)
		event_del(v->readable);
	else if (n <= 0)
		visitor_close(v);
	else if (v->answered)
		buffer_consume(&v->in, buffer_len(&v->in));
	else
		look_at(v);
}

static void visitor_new(struct metrics_http *h, int fd)
{
	struct event_base *base = loop_base(h->local->loop);
	struct visitor *v = mem_new(sizeof(*v));

	v->http = h;
	v->fd = fd;
	v->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, v);
	v->writable = event_new(base, fd, EV_WRITE, on_writable, v);
	if (v->readable == NULL || v->writable == NULL) {
		if (v->readable != NULL)
			event_free(v->readable);
		close(fd);
		free(v);
		return;
	}
	deadline_init(&v->patience, on_patience_over, v);
	loop_set_deadline(h->local->loop, &v->patience, PATIENCE_MS);
	link_init(&v->link);
	list_append(&h->visitors, &v->link);
	h->visitor_count++;
	event_add(v->readable, NULL);
}

/* More than there may be wait for one of those to go. */
static void on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct metrics_http *h = arg;
	int visitor = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (visitor >= 0) {
		visitor_new(h, visitor);
		if (h->visitor_count == VISITORS_MOST)
			event_del(h->readable);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		event_del(h->readable);
		loop_set_deadline(h->local->loop, &h->rest, REST_MS);
	}
}

static void on_rest_over(void *arg)
{
	struct metrics_http *h = arg;

	if (h->visitor_count < VISITORS_MOST)
		event_add(h->readable, NULL);
}

/* Listening -------------------------------------------------------------------------------------- */

static bool read_port(const char *text, in_port_t *port)
{
	size_t len = strlen(text);
	unsigned long number;

	if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
		return false;
	number = strtoul(text, NULL, 10);
	*port = htons((uint16_t)number);
	return number <= UINT16_MAX;
}

bool metrics_http_address(const char *text, struct sockaddr_storage *address, socklen_t *len)
{
	struct sockaddr_in *four = (struct sockaddr_in *)(void *)address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)address;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2] = "127.0.0.1";
	size_t host_len;

	memset(address, 0, sizeof(*address));
	if (colon != NULL) {
		host_len = (size_t)(colon - text);
		if (host_len >= sizeof(host))
			return false;
		memcpy(host, text, host_len);
		host[host_len] = '\0';
		text = colon + 1;
	}
	if (host[0] != '[') {
		*len = sizeof(*four);
		four->sin_family = AF_INET;
		return inet_pton(AF_INET, host, &four->sin_addr) == 1 &&
		       read_port(text, &four->sin_port);
	}
	host_len = strlen(host);
	if (host[host_len - 1] != ']')
		return false;
	host[host_len - 1] = '\0';
	*len = sizeof(*six);
	six->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1 &&
	       read_port(text, &six->sin6_port);
}

static bool is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;

	if (address->ss_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

/* Where H listens: the kernel may have chosen the port. False where that cannot be told. */
static bool look_where(const struct metrics_http *h, char text[ENDPOINT_TEXT], bool *loopback)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	struct endpoint e;

	memset(&address, 0, sizeof(address));
	if (getsockname(h->fd, (struct sockaddr *)&address, &len) != 0 ||
	    !endpoint_of_address((const struct sockaddr *)&address, &e))
		return false;
	endpoint_format(&e, text);
	*loopback = is_loopback(&address);
	return true;
}

void metrics_http_warn(const struct metrics_http *h)
{
	char text[ENDPOINT_TEXT];
	bool loopback;

	if (look_where(h, text, &loopback) && !loopback)
		log_write(LOG_WARNING,
			  "metrics can be read by everybody who reaches this address endpoint=%s",
			  text);
}

static void tell(const struct metrics_http *h)
{
	char text[ENDPOINT_TEXT];
	bool loopback;

	if (look_where(h, text, &loopback))
		log_write(LOG_NOTICE, "metrics are told over HTTP endpoint=%s", text);
	metrics_http_warn(h);
}

static bool listen_on(struct metrics_http *h, const char *text, char *fault, size_t size)
{
	struct sockaddr_storage address;
	socklen_t len = 0;
	int on = 1;

	if (!metrics_http_address(text, &address, &len)) {
		snprintf(fault, size, "metrics_listen: '%s' is no address", text);
		return false;
	}
	h->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->fd >= 0)
		setsockopt(h->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (h->fd < 0 || bind(h->fd, (const struct sockaddr *)&address, len) != 0 ||
	    listen(h->fd, VISITORS_MOST) != 0) {
		snprintf(fault, size, "metrics_listen: %s: %s", text, strerror(errno));
		return false;
	}
	return true;
}

struct metrics_http *metrics_http_new(struct local *local, const char *text, char *fault,
				      size_t size)
{
	struct metrics_http *h = mem_new(sizeof(*h));

	h->local = local;
	h->fd = -1;
	if (listen_on(h, text, fault, size)) {
		h->readable = event_new(loop_base(local->loop), h->fd, EV_READ | EV_PERSIST,
					on_connection, h);
		if (h->readable == NULL)
			snprintf(fault, size, "out of memory");
	}
	if (h->readable == NULL) {
		if (h->fd >= 0)
			close(h->fd);
		free(h);
		return NULL;
	}
	link_init(&h->visitors);
	deadline_init(&h->rest, on_rest_over, h);
	event_add(h->readable, NULL);
	tell(h);
	return h;
}

void metrics_http_free(struct metrics_http *h)
{
	struct link *l;

	while ((l = list_first(&h->visitors)) != NULL)
		visitor_close(CONTAINER(l, struct visitor, link));
	loop_clear_deadline(h->local->loop, &h->rest);
	event_free(h->readable);
	close(h->fd);
	free(h);
}
