#include "local/metrics.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/account.h"
#include "base/json_write.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bridge/reader.h"
#include "local/client.h"
#include "store/metrics.h"

/* All of them, as they are told. */
struct numbers {
	struct local_counters counters;
	struct log_counters log;
	uint64_t build;
	uint64_t started_ms;
	uint64_t clients;
	uint64_t paused;
	uint64_t unread;
	uint64_t memory;
	uint64_t memory_limit;
	uint64_t shortages;
	uint64_t cpu_us;
	uint64_t resident;
	uint64_t descriptors;
};

#define AT(member) offsetof(struct numbers, member)

static const char *version_word(size_t i)
{
	return i == 0 ? PACKAGE_VERSION : NULL;
}

static const char *level_word(size_t i)
{
	return LOG_ERROR + i < LOG_LEVELS ? log_level_name((enum log_level)(LOG_ERROR + i)) : NULL;
}

static const char *refusal_word(size_t i)
{
	static const char *const words[] = {
		[CLIENT_TOO_MANY] = "too_many_clients",
		[CLIENT_NO_DESCRIPTOR] = "no_descriptor",
		[CLIENT_TOO_LATE] = "shutting_down",
		[CLIENT_REFUSALS] = NULL,
	};

	return words[i];
}

static const char *end_word(size_t i)
{
	static const char *const words[] = {
		[CLIENT_DONE] = "done",
		[CLIENT_GONE] = "gone",
		[CLIENT_SLOW_CONSUMER] = "slow_consumer",
		[CLIENT_OUT_OF_MEMORY] = "out_of_memory",
		[CLIENT_SHUTTING_DOWN] = "shutting_down",
		[CLIENT_ENDS] = NULL,
	};

	return words[i];
}

const char *client_end_word(enum client_end end)
{
	return end_word(end);
}

static const struct metric table[] = {
	{ "esbridge_build_info", METRIC_GAUGE, AT(build), 0, "version", version_word,
	  "Always 1; the version of the daemon." },
	{ "esbridge_clients", METRIC_GAUGE, AT(clients), 0, NULL, NULL,
	  "Clients that are connected." },
	{ "esbridge_clients_paused", METRIC_GAUGE, AT(paused), 0, NULL, NULL,
	  "Clients that are not read from because of the output that they do not read." },
	{ "esbridge_clients_unread_bytes", METRIC_GAUGE, AT(unread), 0, NULL, NULL,
	  "Output that waits to be read, of all clients together." },
	{ "esbridge_clients_accepted_total", METRIC_COUNTER, AT(counters.accepted), 0, NULL, NULL,
	  "Connections of clients that were taken." },
	{ "esbridge_clients_refused_total", METRIC_COUNTER, AT(counters.refused), 0, "reason",
	  refusal_word, "Connections of clients that were refused, by reason." },
	{ "esbridge_clients_closed_total", METRIC_COUNTER, AT(counters.closed), 0, "reason",
	  end_word, "Connections of clients that have ended, by reason." },
	{ "esbridge_clients_lines_total", METRIC_COUNTER, AT(counters.lines), 0, NULL, NULL,
	  "Lines of clients that were taken up." },
	{ "esbridge_clients_received_bytes_total", METRIC_COUNTER, AT(counters.bytes_in), 0, NULL,
	  NULL, "Bytes received from clients." },
	{ "esbridge_clients_sent_bytes_total", METRIC_COUNTER, AT(counters.bytes_out), 0, NULL,
	  NULL, "Bytes sent to clients." },
	{ "esbridge_memory_bytes", METRIC_GAUGE, AT(memory), 0, NULL, NULL,
	  "Memory that is taken for lines, requests, events and output." },
	{ "esbridge_memory_limit_bytes", METRIC_GAUGE, AT(memory_limit), 0, NULL, NULL,
	  "Most of that, as limits.memory says; it is short from three quarters on." },
	{ "esbridge_memory_shortages_total", METRIC_COUNTER, AT(shortages), 0, NULL, NULL,
	  "How often it became short." },
	{ "esbridge_log_lines_total", METRIC_COUNTER, AT(log.lines[LOG_ERROR]), 0, "level",
	  level_word, "Lines of the log that were written, by level." },
	{ "esbridge_log_lines_lost_total", METRIC_COUNTER, AT(log.lost), 0, NULL, NULL,
	  "Lines of the log that standard error did not take." },
	{ "process_cpu_seconds_total", METRIC_COUNTER, AT(cpu_us), 1000000, NULL, NULL,
	  "Processor time that the daemon has used." },
	{ "process_resident_memory_bytes", METRIC_GAUGE, AT(resident), 0, NULL, NULL,
	  "Memory of the daemon that is resident." },
	{ "process_open_fds", METRIC_GAUGE, AT(descriptors), 0, NULL, NULL,
	  "Open descriptors of the daemon." },
	{ "process_start_time_seconds", METRIC_GAUGE, AT(started_ms), 1000, NULL, NULL,
	  "When the daemon was started, in seconds since 1970." },
	{ .name = NULL },
};

/* In bytes; 0 where the system does not say. */
static uint64_t resident_memory(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	char text[256] = "";
	const char *blank;

	if (file == NULL)
		return 0;
	if (fgets(text, sizeof(text), file) == NULL)
		text[0] = '\0';
	fclose(file);
	blank = strchr(text, ' '); /* in pages: all of it, and what is resident */
	return blank == NULL ? 0 : strtoull(blank, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* 0 where the system does not say. */
static uint64_t open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (directory == NULL)
		return 0;
	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count - 3; /* two entries for directories, and the descriptor of this one */
}

static uint64_t processor_time(void)
{
	struct rusage usage = { .ru_utime = { 0 } };

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void local_metrics(const struct local *local, struct buffer *out)
{
	struct reader_totals totals = { .lag = { 0 } };
	struct numbers n = {
		.counters = local->counters,
		.log = *log_counters(),
		.build = 1,
		.started_ms = (uint64_t)local->started_wall_ms,
		.clients = local->client_count,
		.memory = account.used,
		.memory_limit = account.limit,
		.shortages = local->relief.count,
		.cpu_us = processor_time(),
		.resident = resident_memory(),
		.descriptors = open_descriptors(),
	};
	const struct link *l;

	for (l = list_first(&local->clients); l != NULL; l = list_next(&local->clients, l)) {
		const struct client *c = CONTAINER(l, struct client, link);

		n.paused += c->paused;
		n.unread += buffer_len(&c->out);
		reader_total(&c->session, &totals);
	}
	metrics_render(table, &n, out);
	store_metrics(local->bridge->store, out);
	bridge_metrics(local->bridge, &totals, out);
}

void answer_metrics(struct client *c, const struct request_id *id)
{
	struct buffer text = { .limit = 0 };
	struct buffer *out = c->session.out;

	local_metrics(c->local, &text);
	answer_ok(out, id);
	json_key(out, "text");
	json_quoted(out, (const char *)buffer_at(&text), buffer_len(&text));
	answer_end(out);
	out->failed |= text.failed;
	buffer_free(&text);
	c->session.events->wrote(&c->session);
}
