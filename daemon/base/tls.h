/*
 * TLS over a socket that does not block, by OpenSSL: contexts, handshakes, and reads and writes
 * that behave like those of buffer.h.
 *
 * Versions 1.2 and 1.3, no renegotiation. A client verifies the server's certificate and its name.
 */
#ifndef ESBRIDGE_BASE_TLS_H
#define ESBRIDGE_BASE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <event2/bufferevent.h>

#include "base/buffer.h"

enum { TLS_FAULT = 256 }; /* bytes for a text that says what is wrong */

/* What connections of one side have in common. Each connection keeps what it needs of it: a context
 * may be freed while they live. */
struct tls_context;

/* Paths of PEM files; "" for none. They are read by the call they are given to. */
struct tls_files {
	const char *ca;          /* who is trusted; none: those whom the system trusts */
	const char *certificate; /* our own, with those above it; none: we show none (a client) */
	const char *key;         /* of that certificate; none: it stands in the same file */
};

/*
 * For connections to servers. Without VERIFY any certificate is taken. Returns NULL with what is
 * wrong, and with which file, in FAULT.
 */
struct tls_context *tls_client_context(const struct tls_files *files, bool verify,
				       char fault[TLS_FAULT]);

/* For connections from clients; a certificate is needed, and none is asked of them. */
struct tls_context *tls_server_context(const struct tls_files *files, char fault[TLS_FAULT]);

/* Harmless where CONTEXT is NULL. */
void tls_context_free(struct tls_context *context);

/* One connection. It never closes its descriptor. */
struct tls;

/* What has to happen before a step can go on. */
enum tls_step { TLS_DONE, TLS_WANTS_READ, TLS_WANTS_WRITE, TLS_FAILED };

/*
 * Begins a connection over FD, which is connected. NAME is what the server's certificate must be
 * for, a host name or an address; it is told to the server where it is a name. Returns NULL where
 * there is no memory.
 */
struct tls *tls_connect(struct tls_context *context, int fd, const char *name);

/* The server's side of the same. */
struct tls *tls_accept(struct tls_context *context, int fd);

/*
 * The same for libevent's own clients and servers, such as those of HTTP: a bufferevent over TLS
 * that has no descriptor yet, and closes the one it gets when it is freed. Without NAME it is the
 * server's side. NULL where there is no memory.
 */
struct bufferevent *tls_bufferevent(struct tls_context *context, struct event_base *base,
				    const char *name);

/* Frees T without a word to the peer. Harmless where it is NULL. */
void tls_free(struct tls *t);

/* Tells the peer, as far as the kernel takes it at once, that nothing more comes. */
void tls_close(struct tls *t);

/* Goes on with the handshake. For TLS_FAILED the reason is in FAULT. */
enum tls_step tls_handshake(struct tls *t, char fault[TLS_FAULT]);

/*
 * Reads all that has come, but not much more than MOST bytes, into the end of B. Returns the number
 * of bytes; 0 at the end of the input; -1 with errno: EAGAIN, ENOMEM, EPROTO (the peer broke the
 * protocol), or what read(2) gives. Where tls_has_more() says so afterwards, no event of the
 * descriptor will tell of what is still there.
 */
ssize_t tls_read(struct tls *t, struct buffer *b, size_t most);
bool tls_has_more(const struct tls *t);

/*
 * Writes what waits in B, as far as the kernel takes it, and takes it from the front. What was
 * tried once must be tried again before anything else. Returns the number of bytes, or -1 as
 * tls_read().
 */
ssize_t tls_write(struct tls *t, struct buffer *b);

/* True where a read waits until the descriptor can be written to, or a write until it can be read.
 */
bool tls_read_wants_write(const struct tls *t);
bool tls_write_wants_read(const struct tls *t);

/* The version and the cipher in use, for people. The texts live as long as T. */
const char *tls_version(const struct tls *t);
const char *tls_cipher(const struct tls *t);

#endif
