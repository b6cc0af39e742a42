/*
 * Which consumer of a group gets a message.
 */
#include <jansson.h>

#include "base/mem.h"
#include "group_parts.h"

/* By the text of "$correlationId" in the metadata; where there is none, by the stream. */
static size_t pin_of_correlation(const struct record *record)
{
	struct span metadata = record_metadata(record);
	json_t *json = json_loadb((const char *)metadata.at, metadata.len, 0, NULL);
	const char *id = json_string_value(json_object_get(json, "$correlationId"));
	size_t pin = names_hash(id != NULL ? span_of(id) : record->stream->node.name) % PINS;

	json_decref(json);
	return pin;
}

/* Messages are pinned by the stream they come from in the end: a link by the stream that it leads
 * to. */
static size_t pin_of(const struct group *group, const struct message *message)
{
	const struct record *record =
		message->resolved.event != NULL ? message->resolved.event : message->resolved.link;
	struct span name = record->stream->node.name;
	int64_t number;

	if (group->settings.strategy == STRATEGY_PINNED_BY_CORRELATION)
		return pin_of_correlation(record);
	if (record->link)
		(void)link_target(record, &name, &number);
	return names_hash(name) % PINS;
}

static struct consumer *least_pinned(const struct group *group)
{
	const struct link *lists[] = { &group->ready, &group->full };
	struct consumer *least = NULL;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (struct link *l = list_first(lists[i]); l != NULL; l = list_next(lists[i], l)) {
			struct consumer *consumer = CONTAINER(l, struct consumer, of_group);

			if (least == NULL || consumer->pinned < least->pinned)
				least = consumer;
		}
	}
	return least;
}

static struct consumer *choose_pinned(struct group *group, const struct message *message)
{
	size_t pin = pin_of(group, message);
	struct consumer *consumer;

	if (group->pins == NULL)
		group->pins = mem_new(PINS * sizeof(struct consumer *));
	consumer = group->pins[pin];
	if (consumer == NULL) {
		consumer = least_pinned(group);
		if (consumer == NULL)
			return NULL;
		consumer->pinned++;
		group->pins[pin] = consumer;
	}
	return consumer->in_flight < consumer->allowed ? consumer : NULL;
}

struct consumer *strategy_choose(struct group *group, const struct message *message)
{
	struct link *l = list_first(&group->ready);

	switch (group->settings.strategy) {
	case STRATEGY_ROUND_ROBIN:
	case STRATEGY_DISPATCH_TO_SINGLE:
		return l == NULL ? NULL : CONTAINER(l, struct consumer, of_group);
	case STRATEGY_PINNED:
	case STRATEGY_PINNED_BY_CORRELATION:
		return choose_pinned(group, message);
	}
	return NULL;
}

/* A single consumer stays in front until it is full; with the others the turn goes round. */
void strategy_sent(struct group *group, struct consumer *consumer)
{
	if (consumer->in_flight >= consumer->allowed) {
		list_remove(&consumer->of_group);
		list_append(&group->full, &consumer->of_group);
	} else if (group->settings.strategy != STRATEGY_DISPATCH_TO_SINGLE) {
		list_remove(&consumer->of_group);
		list_append(&group->ready, &consumer->of_group);
	}
}

void strategy_leave(struct group *group, const struct consumer *consumer)
{
	for (size_t i = 0; i < PINS && group->pins != NULL; i++) {
		if (group->pins[i] == consumer)
			group->pins[i] = NULL;
	}
}
