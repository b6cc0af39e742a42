#include "store/outbox.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PARTS_MOST = 16 }; /* handed to the kernel at once */

void outbox_init(struct outbox *o)
{
	link_init(&o->parcels);
	buffer_init(&o->behind, 0);
}

static struct parcel *first(const struct outbox *o)
{
	struct link *l = list_first(&o->parcels);

	return l == NULL ? NULL : CONTAINER(l, struct parcel, link);
}

static void remove_parcel(struct parcel *p)
{
	list_remove(&p->link);
	buffer_free(&p->before);
}

void outbox_clear(struct outbox *o)
{
	struct parcel *p;

	while ((p = first(o)) != NULL)
		remove_parcel(p);
	buffer_free(&o->behind);
	o->behind.failed = false;
}

void outbox_add(struct outbox *o, struct parcel *p, const struct buffer *bytes)
{
	bool failed = o->behind.failed;

	p->before = o->behind;
	p->bytes = bytes;
	p->sent = 0;
	buffer_init(&o->behind, 0);
	o->behind.failed = failed;
	list_append(&o->parcels, &p->link);
}

void outbox_take_back(struct outbox *o, struct parcel *p)
{
	struct link *next = p->link.next;
	struct buffer *behind = &o->behind;
	struct buffer bytes = { 0 };

	if (!link_used(&p->link))
		return;
	if (next != &o->parcels)
		behind = &CONTAINER(next, struct parcel, link)->before;
	buffer_add_all(&bytes, &p->before);
	if (p->sent > 0) {
		bytes.secret |= p->bytes->secret;
		buffer_add(&bytes, buffer_at(p->bytes) + p->sent, buffer_len(p->bytes) - p->sent);
	}
	buffer_add_all(&bytes, behind);
	bytes.failed |= behind->failed;
	buffer_free(behind);
	*behind = bytes;
	o->behind.failed |= bytes.failed;
	remove_parcel(p);
}

/* Adds what B has from its byte FROM on. */
static void add_part(struct msghdr *message, const struct buffer *b, size_t from)
{
	size_t len = buffer_len(b) - from;

	if (len > 0 && message->msg_iovlen < PARTS_MOST)
		message->msg_iov[message->msg_iovlen++] =
			(struct iovec){ buffer_at(b) + from, len };
}

/* Takes as many as *N of the bytes of P from it, and from *N. True where nothing is left of P. */
static bool pass(struct parcel *p, size_t *n)
{
	size_t before = buffer_len(&p->before) < *n ? buffer_len(&p->before) : *n;
	size_t left = buffer_len(p->bytes) - p->sent;

	buffer_consume(&p->before, before);
	*n -= before;
	if (left > *n)
		left = *n;
	p->sent += left;
	*n -= left;
	return buffer_len(&p->before) == 0 && p->sent == buffer_len(p->bytes);
}

static void take_off(struct outbox *o, size_t n)
{
	struct parcel *p;

	while ((p = first(o)) != NULL && pass(p, &n))
		remove_parcel(p);
	if (p == NULL)
		buffer_consume(&o->behind, n);
}

static ssize_t write_parcels(struct outbox *o, int fd)
{
	struct iovec parts[PARTS_MOST];
	struct msghdr message = { .msg_iov = parts };
	ssize_t n;

	for (struct link *l = list_first(&o->parcels); l != NULL; l = list_next(&o->parcels, l)) {
		struct parcel *p = CONTAINER(l, struct parcel, link);

		add_part(&message, &p->before, 0);
		add_part(&message, p->bytes, p->sent);
	}
	add_part(&message, &o->behind, 0);
	do
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		take_off(o, (size_t)n);
	return n;
}

ssize_t outbox_write(struct outbox *o, int fd)
{
	return list_empty(&o->parcels) ? buffer_write_fd(&o->behind, fd) : write_parcels(o, fd);
}
