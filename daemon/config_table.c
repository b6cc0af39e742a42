#include "config.h"

#include <stddef.h>

#define AT(member) offsetof(struct config, member)

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, KIB = 1024, MIB = 1024 * KIB };

static const char *const server_prefixes[] = { CONFIG_DISCOVER, NULL };

/* In the order of enum node_preference. */
static const char *const preferences[] = { "leader", "follower", "random", "read_only_replica",
					   NULL };

/* In the order of enum tls_use. */
static const char *const tls_uses[] = { "off", "require", NULL };

/* In the order of enum log_level, from LOG_ERROR on. */
static const char *const log_levels[] = { "error", "warning", "notice", "info", "debug", NULL };

/* In the order of enum log_prefix. */
static const char *const log_prefixes[] = { "auto", "always", "never", NULL };

/* In the order of enum log_format. */
static const char *const log_formats[] = { "text", "json", NULL };

/* In the order of enum permission, behind its first; the last is for nothing at all. */
static const char *const permissions[] = { "read",  "write", "subscribe", "manage",
					   "admin", "none",  NULL };

const struct setting config_table[] = {
	{ "store", "server", SETTING_ENDPOINT, AT(store.server), "127.0.0.1:1113", 3, 190,
	  server_prefixes, false,
	  "The EventStoreDB node to connect to, as HOST:PORT; an IPv6 address stands in brackets, as "
	  "[::1]:1113. A name is resolved anew for every attempt. With discover:// in front it is a "
	  "cluster: each address of the name is a node that is asked for gossip on this port, the one "
	  "of HTTP." },
	{ "store", "gossip_seeds", SETTING_ENDPOINTS, AT(store.gossip_seeds), "", 0, 0, NULL, false,
	  "Nodes of a cluster that are asked for gossip, by HTTP, with TLS by HTTPS, in place of "
	  "`server`: each as HOST:PORT with the port of HTTP, 2113 at most servers; at most 16, which "
	  "may be given on several lines. A node that has just failed is left out of the next search." },
	{ "store", "node_preference", SETTING_CHOICE, AT(store.node_preference), "leader", 0, 0,
	  preferences, false,
	  "Which node of a cluster to connect to, where there is one of that kind, else any that can "
	  "serve. A request that only the leader takes moves the connection to it." },
	{ "store", "gossip_timeout", SETTING_DURATION, AT(store.gossip_timeout), "1s", 10,
	  5 * MINUTE, NULL, false, "How long each node may take to answer with its gossip." },
	{ "store", "nameservers", SETTING_ENDPOINTS, AT(store.nameservers), "", 0, 0, NULL, false,
	  "The name servers for the names of nodes, each as ADDRESS:PORT, in place of those of "
	  "/etc/resolv.conf: those of a service directory, for one. What is in /etc/hosts is found "
	  "there. Each address of a name is tried." },
	{ "store", "username", SETTING_TEXT, AT(store.username), "", 0, 127, NULL, true,
	  "The EventStoreDB user for all requests that bring no credentials of their own. Empty: "
	  "requests are made without credentials. A change of this and of the password counts from "
	  "the next connection on." },
	{ "store", "password", SETTING_SECRET, AT(store.password), "", 0, 127, NULL, true,
	  "The password of that user. password_file keeps it out of this file. Servers up to 5.0 "
	  "refuse an empty one." },
	{ "store", "password_file", SETTING_TEXT, AT(store.password_file), "", 0, 180, NULL, true,
	  "A file whose first line is the password, in place of `password`. A relative name is looked "
	  "for in $CREDENTIALS_DIRECTORY where systemd sets that (LoadCredential=)." },
	{ "store", "connection_name", SETTING_TEXT, AT(store.connection_name), "esbridge", 1, 127,
	  NULL, false,
	  "The name by which EventStoreDB lists this connection, on servers that list names." },
	{ "store", "tls", SETTING_CHOICE, AT(store.tls), "off", 0, 0, tls_uses, true,
	  "Whether connections to the server are made with TLS (1.2 or 1.3), as servers from 20.10 on "
	  "want it unless they are told otherwise. A change of this and of the other settings of TLS, "
	  "and of the files they name, counts from the next connection on." },
	{ "store", "tls_ca", SETTING_TEXT, AT(store.tls_ca), "", 0, 180, NULL, true,
	  "A file of the certificates, in PEM, of those authorities that are trusted. Empty: those "
	  "that the system trusts. As with password_file, a relative name of this and of the next "
	  "files is looked for in $CREDENTIALS_DIRECTORY." },
	{ "store", "tls_server_name", SETTING_TEXT, AT(store.tls_server_name), "", 0, 180, NULL,
	  true,
	  "The name or address that the certificate of the server must be for. Empty: the host that "
	  "is connected to." },
	{ "store", "tls_certificate", SETTING_TEXT, AT(store.tls_certificate), "", 0, 180, NULL,
	  true,
	  "A file with the daemon's own certificate, in PEM, for servers that ask for one, and behind "
	  "it those that lead to the authority." },
	{ "store", "tls_key", SETTING_TEXT, AT(store.tls_key), "", 0, 180, NULL, true,
	  "A file with the key of that certificate, in PEM, without a passphrase. Empty: it stands "
	  "in the file of the certificate." },
	{ "store", "tls_verify", SETTING_BOOL, AT(store.tls_verify), "yes", 0, 0, NULL, true,
	  "Whether the certificate of the server is checked. Without that anybody between the daemon "
	  "and the server can read and change everything; the log says so at each start." },
	{ "store", "connect_timeout", SETTING_DURATION, AT(store.connect_timeout), "2s", 100,
	  5 * MINUTE, NULL, false,
	  "How long each address of the server, and each step of the handshake, may take." },
	{ "store", "heartbeat_interval", SETTING_DURATION, AT(store.heartbeat_interval), "750ms",
	  100, 5 * MINUTE, NULL, false,
	  "After how long a silence of the server it is asked for a sign of life." },
	{ "store", "heartbeat_timeout", SETTING_DURATION, AT(store.heartbeat_timeout), "1500ms",
	  100, 5 * MINUTE, NULL, false,
	  "How long the server may then stay silent before the connection counts as lost." },
	{ "store", "operation_timeout", SETTING_DURATION, AT(store.operation_timeout), "5s", 10,
	  HOUR, NULL, true,
	  "How long a request may take, from its line to its reply, unless it brings timeout_ms." },
	{ "store", "reconnect_delay_min", SETTING_DURATION, AT(store.reconnect_delay_min), "100ms",
	  10, 10 * MINUTE, NULL, false,
	  "The pause before the second attempt to connect. It doubles with each failure, and each "
	  "pause varies by chance." },
	{ "store", "reconnect_delay_max", SETTING_DURATION, AT(store.reconnect_delay_max), "10s",
	  10, HOUR, NULL, false, "The longest pause between two attempts to connect." },
	{ "store", "max_attempts", SETTING_INTEGER, AT(store.max_attempts), "0", 0, 1000000, NULL,
	  false,
	  "After how many failed attempts to connect in a row the daemon gives up and ends. 0: never." },
	{ "store", "require_master", SETTING_BOOL, AT(store.require_master), "yes", 0, 0, NULL,
	  true,
	  "Whether requests that do not say so themselves must be served by the leader of a cluster." },
	{ "store", "queue", SETTING_INTEGER, AT(store.queue), "4096", 1, 1000000, NULL, true,
	  "Most operations of all clients together that wait for the server or are on their way. "
	  "Requests beyond them are refused as overloaded." },
	{ "store", "frame_limit", SETTING_SIZE, AT(store.frame_limit), "64M", 64 * KIB, 64 * MIB,
	  NULL, false,
	  "The longest package that is taken from the server. A longer one is not taken in, and the "
	  "request that it answers gets limit_exceeded; a catch-up subscription reads fewer events "
	  "at a time." },

	{ "socket", "path", SETTING_TEXT, AT(socket.path), "/run/esbridge/esbridge.sock", 1, 107,
	  NULL, false,
	  "The Unix socket to listen on. Unused where systemd hands the socket over." },
	{ "socket", "mode", SETTING_MODE, AT(socket.mode), "0660", 0, 0777, NULL, false,
	  "The permissions of the socket. To connect, a program needs write permission." },
	{ "socket", "group", SETTING_TEXT, AT(socket.group), "", 0, 32, NULL, false,
	  "The group that the socket is given to, one that the daemon's user is a member of. Empty: "
	  "the daemon's own. The service that comes with esbridge may not do that: esbridged.socket "
	  "does it there, with SocketGroup=." },

	{ "limits", "line", SETTING_SIZE, AT(limits.line), "16M", KIB, 128 * MIB, NULL, true,
	  "The longest line that is taken from a client, without its line end." },
	{ "limits", "depth", SETTING_INTEGER, AT(limits.depth), "128", 8, 65535, NULL, true,
	  "How many levels of arrays and objects a line may have. Stored JSON that goes deeper is "
	  "handed out in base64." },
	{ "limits", "in_flight", SETTING_INTEGER, AT(limits.in_flight), "256", 1, 65536, NULL, true,
	  "Most requests of one client at one time. A client that has more is not read from meanwhile." },
	{ "limits", "subscriptions", SETTING_INTEGER, AT(limits.subscriptions), "64", 0, 65536,
	  NULL, true, "Most subscriptions of one client." },
	{ "limits", "clients", SETTING_INTEGER, AT(limits.clients), "1024", 1, 100000, NULL, true,
	  "Most clients at one time. Each takes a file descriptor (LimitNOFILE=)." },
	{ "limits", "output_pause", SETTING_SIZE, AT(limits.output_pause), "256K", 4 * KIB,
	  256 * MIB, NULL, true,
	  "With this much output that a client has not read, it is not read from either, and its "
	  "subscriptions pause." },
	{ "limits", "output_resume", SETTING_SIZE, AT(limits.output_resume), "64K", 0, 256 * MIB,
	  NULL, true, "With no more than this much unread output a paused client goes on." },
	{ "limits", "output_cap", SETTING_SIZE, AT(limits.output_cap), "8M", 64 * KIB, 1024 * MIB,
	  NULL, true,
	  "Most output that is kept for one client, and one line more. What would go beyond that is "
	  "asked for again when the client has read." },
	{ "limits", "memory", SETTING_SIZE, AT(limits.memory), "256M", 16 * MIB,
	  (int64_t)1024 * 1024 * MIB, NULL, true,
	  "Most memory for what clients make the daemon keep: lines, requests under way, "
	  "output, events that are read ahead or wait for an acknowledgement. Beside it comes "
	  "one package of the server (frame_limit) and what is made of it. From three "
	  "quarters on memory is short: nothing large is taken up, and clients that hold most "
	  "of it without moving it are relieved." },
	{ "limits", "client_stall_timeout", SETTING_DURATION, AT(limits.client_stall_timeout),
	  "30s", SECOND, HOUR, NULL, true,
	  "After how long a client that reads nothing, while output waits for it, is closed as "
	  "slow_consumer." },

	{ "daemon", "read_only", SETTING_BOOL, AT(daemon.read_only), "no", 0, 0, NULL, true,
	  "Whether everything that changes the store is refused. Reading, subscribing and "
	  "acknowledging go on." },
	{ "daemon", "drain_timeout", SETTING_DURATION, AT(daemon.drain_timeout), "10s", 0, HOUR,
	  NULL, true,
	  "How long the daemon, when it is told to end, waits for requests in flight and for clients "
	  "to read their replies. Keep it below TimeoutStopSec= of the service." },
	{ "daemon", "log_level", SETTING_CHOICE, AT(daemon.log_level), "info", 0, 0, log_levels,
	  true, "The least urgent lines that go to the log." },
	{ "daemon", "log_prefix", SETTING_CHOICE, AT(daemon.log_prefix), "auto", 0, 0, log_prefixes,
	  true,
	  "Whether lines of the log begin with their priority, as <6>, for journald, rather than "
	  "with time and level. auto: where standard error is the journal." },
	{ "daemon", "log_format", SETTING_CHOICE, AT(daemon.log_format), "text", 0, 0, log_formats,
	  true,
	  "Whether a line of the log is text with key=value behind it, or a JSON object with the same "
	  "keys." },
	{ "daemon", "slow_operation", SETTING_DURATION, AT(daemon.slow_operation), "0", 0, HOUR,
	  NULL, true,
	  "A request to the store that takes this long, from its line to its reply, gets a line in the "
	  "log. 0: none does." },
	{ "daemon", "metrics_listen", SETTING_TEXT, AT(daemon.metrics_listen), "", 0, 64, NULL,
	  false,
	  "Where /metrics, /healthz and /readyz are told over HTTP, without a password: PORT on "
	  "127.0.0.1, ADDRESS:PORT, or [ADDRESS]:PORT for IPv6. Port 0: the system chooses one, which "
	  "the log names. Where others than this machine can reach it, the log says so at each start "
	  "and reload. Empty: nowhere." },
	{ "daemon", "state_dir", SETTING_TEXT, AT(daemon.state_dir), "", 0, 180, NULL, false,
	  "The directory for the file of checkpoints, which is made when the first one is used, for "
	  "the daemon's user alone to read. Empty: "
	  "$STATE_DIRECTORY where systemd sets that (StateDirectory=), else /var/lib/esbridge." },
	{ "daemon", "checkpoint_delay", SETTING_DURATION, AT(daemon.checkpoint_delay), "100ms", 0,
	  MINUTE, NULL, true,
	  "How long an acknowledgement may wait until the checkpoint that it moves is stored. 0: not "
	  "at all." },
	{ "daemon", "checkpoint_acks", SETTING_INTEGER, AT(daemon.checkpoint_acks), "500", 1,
	  1000000, NULL, true,
	  "How many acknowledgements of all clients together may wait so; with these checkpoints are "
	  "stored at once." },
	{ "daemon", "checkpoint_timeout", SETTING_DURATION, AT(daemon.checkpoint_timeout), "10s", 0,
	  HOUR, NULL, true,
	  "How long subscriptions go on while their checkpoints cannot be stored. They are dropped "
	  "then, with the reason checkpoint_failed." },
	{ .name = NULL },
};

#define OF_RULE(member) offsetof(struct config_rule, member)

const struct setting config_access_table[] = {
	{ "access", "users", SETTING_LIST, OF_RULE(users), "", 0, 0, NULL, true,
	  "The users that the rule is for, by name or number; * is for everybody. A rule needs "
	  "`users` or `groups`, or both: it is for who is in either. A list may also be given on "
	  "several lines." },
	{ "access", "groups", SETTING_LIST, OF_RULE(groups), "", 0, 0, NULL, true,
	  "The groups whose members the rule is for, by name or number. What counts is what groups "
	  "the program has when it connects." },
	{ "access", "allow", SETTING_LIST, OF_RULE(allow), "", 0, 0, permissions, true,
	  "What they may do. read: read events. write: append events. subscribe: subscribe, and see "
	  "checkpoints. manage: delete streams, write their metadata, make, change and delete groups, "
	  "set and delete checkpoints, scavenge. admin: see what all clients do. none: nothing. A "
	  "rule needs at least one of them." },
	{ "access", "streams", SETTING_LIST, OF_RULE(streams), "", 0, 0, NULL, true,
	  "The streams that they may do it with, as patterns: * stands for any text, ? for one "
	  "character, a backslash makes the next character an ordinary one. With ! in front it denies, "
	  "which is stronger. A wildcard at the beginning does not allow names that begin with $. "
	  "$all stands for reading all streams at once. Empty: all of that." },
	{ "access", "checkpoints", SETTING_LIST, OF_RULE(checkpoints), "", 0, 0, NULL, true,
	  "The names of the checkpoints that they may use, as such patterns. Empty: any." },
	{ "access", "username", SETTING_TEXT, OF_RULE(username), "", 0, 127, NULL, true,
	  "The EventStoreDB user for their requests, in place of that of [store]. Empty: that one." },
	{ "access", "password_file", SETTING_TEXT, OF_RULE(password_file), "", 0, 180, NULL, true,
	  "A file whose first line is the password of that user, as in [store]." },
	{ "access", "credentials", SETTING_BOOL, OF_RULE(credentials), "no", 0, 0, NULL, true,
	  "Whether their requests may bring credentials of their own." },
	{ "access", "clients", SETTING_INTEGER, OF_RULE(clients), "0", 0, 100000, NULL, true,
	  "Most clients of the rule at one time, beside the limit of [limits]. 0: no other limit." },
	{ "access", "in_flight", SETTING_INTEGER, OF_RULE(in_flight), "0", 0, 65536, NULL, true,
	  "Most requests of each of them at one time, where that is less than in [limits]. 0: as "
	  "there." },
	{ "access", "subscriptions", SETTING_INTEGER, OF_RULE(subscriptions), "0", 0, 65536, NULL,
	  true,
	  "Most subscriptions of each of them, where that is less than in [limits]. 0: as there." },
	{ "access", "events_per_second", SETTING_INTEGER, OF_RULE(events_per_second), "0", 0,
	  1000000, NULL, true,
	  "How many events all of them together may write, read and be given in a second. Who has "
	  "had more waits: its next requests are not taken up, and its subscriptions pause, until "
	  "the time for them has passed. 0: any number." },
	{ .name = NULL },
};
