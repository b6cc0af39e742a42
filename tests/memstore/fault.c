#include "fault.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "connection.h"
#include "reply.h"

enum { HEADER = FRAME_PREFIX + 2 + GUID_BYTES, CORRELATION_AT = FRAME_PREFIX + 2 };

struct rule {
	struct link link; /* in faults.rules, the oldest first */
	enum command command;
	unsigned left; /* packages up to the one that it is for, from 1; 0: it is for each */
	struct effect effect;
	char *host; /* what effect.host points to */
};

/* A package to be sent later. */
struct delayed {
	struct link link; /* in connection.delayed */
	struct connection *c;
	struct deadline deadline;
	size_t len;
	uint8_t bytes[];
};

/* Rules ---------------------------------------------------------------------------------------- */

void faults_init(struct faults *faults)
{
	*faults = (struct faults){ 0 };
	link_init(&faults->rules);
}

void faults_add(struct faults *faults, enum command command, unsigned nth,
		const struct effect *effect)
{
	struct rule *rule = mem_new(sizeof(*rule));

	rule->command = command;
	rule->left = nth;
	rule->effect = *effect;
	if (effect->host != NULL)
		rule->host = mem_text(effect->host);
	rule->effect.host = rule->host;
	list_append(&faults->rules, &rule->link);
}

static void rule_free(struct rule *rule)
{
	list_remove(&rule->link);
	free(rule->host);
	free(rule);
}

void faults_clear(struct faults *faults)
{
	struct link *l;

	while ((l = list_first(&faults->rules)) != NULL)
		rule_free(CONTAINER(l, struct rule, link));
	faults_init(faults);
}

/* The rule that is for the package with COMMAND at hand, or NULL. Where there are several, the
 * others wait for the next one. */
static struct rule *find_rule(const struct faults *faults, enum command command)
{
	const struct link *list = &faults->rules;
	struct rule *found = NULL;

	for (struct link *l = list_first(list); l != NULL; l = list_next(list, l)) {
		struct rule *rule = CONTAINER(l, struct rule, link);

		if (rule->command != command)
			continue;
		if (rule->left > 1)
			rule->left--;
		else if (found == NULL)
			found = rule;
	}
	return found;
}

/* RULE was used, and is over if it was for one package. */
static void rule_used(struct rule *rule)
{
	if (rule->left == 1)
		rule_free(rule);
}

/* Drop, reset, stall --------------------------------------------------------------------------- */

static void befall(struct connection *c, enum fault fault)
{
	if (fault == FAULT_STALL)
		connection_stall(c);
	else
		connection_finish(c, fault == FAULT_RESET);
}

static bool befalls_connection(enum fault fault)
{
	return fault == FAULT_DROP || fault == FAULT_RESET || fault == FAULT_STALL;
}

/* What comes ----------------------------------------------------------------------------------- */

/* Does what is done in place of handling the package. */
static enum reception receive_with(struct connection *c, const struct package *package,
				   const struct effect *effect)
{
	if (effect->fault == FAULT_NOT_HANDLED) {
		reply_not_handled(c, &package->correlation, effect->number, effect->host,
				  effect->port);
		return RECEPTION_PASS_OVER;
	}
	if (befalls_connection(effect->fault) && !effect->after) {
		befall(c, effect->fault);
		return effect->fault == FAULT_STALL ? RECEPTION_KEEP : RECEPTION_PASS_OVER;
	}
	c->effect = *effect;
	c->effect_of = package->correlation;
	return RECEPTION_HANDLE;
}

enum reception fault_received(struct connection *c, const struct package *package)
{
	struct faults *faults = &c->server->faults;
	enum reception reception;
	struct rule *rule;

	if (c->kept) { /* it was counted when the connection was stalled */
		c->kept = false;
		return RECEPTION_HANDLE;
	}
	faults->received[package->command]++;
	rule = find_rule(faults, (enum command)package->command);
	if (rule == NULL)
		return RECEPTION_HANDLE;
	reception = receive_with(c, package, &rule->effect);
	c->kept = reception == RECEPTION_KEEP;
	rule_used(rule);
	return reception;
}

void fault_handled(struct connection *c)
{
	enum fault fault = c->effect.fault;

	c->effect = (struct effect){ 0 };
	if (!c->closed && befalls_connection(fault))
		befall(c, fault);
}

/* What goes ------------------------------------------------------------------------------------ */

static void delayed_free(struct delayed *d)
{
	list_remove(&d->link);
	loop_clear_deadline(d->c->server->loop, &d->deadline);
	free(d);
}

static void on_delay_over(void *arg)
{
	struct delayed *d = arg;

	connection_send(d->c, d->bytes, d->len);
	delayed_free(d);
}

/* Takes the last LEN bytes of what waits to be sent, to send them MS milliseconds later. */
static void delay(struct connection *c, size_t len, unsigned ms)
{
	struct delayed *d = mem_new(sizeof(*d) + len);

	d->c = c;
	d->len = len;
	memcpy(d->bytes, buffer_at(&c->out) + buffer_len(&c->out) - len, len);
	buffer_cut(&c->out, len);
	deadline_init(&d->deadline, on_delay_over, d);
	list_append(&c->delayed, &d->link);
	loop_set_deadline(c->server->loop, &d->deadline, ms);
}

static void send_twice(struct connection *c, size_t began, size_t len)
{
	uint8_t *at = buffer_room(&c->out, len);

	if (at == NULL)
		return;
	memcpy(at, buffer_at(&c->out) + began, len);
	buffer_added(&c->out, len);
}

/* Puts bytes that no message begins with in place of the payload. */
static void send_garbage(struct connection *c, size_t began, size_t len)
{
	static const uint8_t garbage[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	buffer_cut(&c->out, len - HEADER);
	buffer_add(&c->out, garbage, sizeof(garbage));
	(void)frame_end(&c->out, began);
}

static void send_with(struct connection *c, size_t began, const struct effect *effect)
{
	size_t len = buffer_len(&c->out) - began;

	switch (effect->fault) {
	case FAULT_NONE:
	case FAULT_NOT_HANDLED:
		break;
	case FAULT_DROP:
	case FAULT_RESET:
	case FAULT_STALL:
		if (!effect->after && effect->fault != FAULT_STALL)
			buffer_cut(&c->out, len);
		befall(c, effect->fault);
		break;
	case FAULT_DELAY:
		delay(c, len, effect->number);
		break;
	case FAULT_CUT:
		buffer_cut(&c->out, effect->number < len ? len - effect->number : 0);
		connection_finish(c, false);
		break;
	case FAULT_GARBAGE:
		send_garbage(c, began, len);
		break;
	case FAULT_DOUBLE:
		send_twice(c, began, len);
		break;
	}
}

/* True where the package is the answer that a rule for its request is about. */
static bool is_answer(const struct connection *c, const uint8_t *package)
{
	return c->effect.fault != FAULT_NONE && !befalls_connection(c->effect.fault) &&
	       memcmp(package + CORRELATION_AT, c->effect_of.bytes, GUID_BYTES) == 0;
}

void fault_sent(struct connection *c, size_t began)
{
	const uint8_t *package = (const uint8_t *)buffer_at(&c->out) + began;
	uint8_t command = package[FRAME_PREFIX];
	struct faults *faults = &c->server->faults;
	struct effect effect = c->effect;
	struct rule *rule;

	faults->sent[command]++;
	if (is_answer(c, package)) {
		c->effect = (struct effect){ 0 };
		send_with(c, began, &effect);
		return;
	}
	rule = find_rule(faults, (enum command)command);
	if (rule == NULL)
		return;
	send_with(c, began, &rule->effect);
	rule_used(rule);
}

void fault_end(struct connection *c)
{
	struct link *l;

	while ((l = list_first(&c->delayed)) != NULL)
		delayed_free(CONTAINER(l, struct delayed, link));
}
