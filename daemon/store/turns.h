/*
 * Whose turn it is to ask the store for something large. The store gives one answer after the
 * other: whoever asks for little waits behind all that others have asked for before. So no more is
 * asked for at one time than takes a moment, what waits is taken from one client after the other,
 * and after something very large as much time passes as that took. Where nobody asks for little
 * there is nobody to be spared, and more is asked for at once.
 */
#ifndef ESBRIDGE_STORE_TURNS_H
#define ESBRIDGE_STORE_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/loop.h"

/* What is no longer than this needs no turn. */
enum { TURN_FREE = 64 * 1024 };

/* Those of one client. */
struct lane {
	struct link link;    /* among the lanes in which somebody waits, or on none */
	struct link waiting; /* turns, in the order they were asked for */
	size_t bytes;        /* of the answers that were asked for */
};

/* Embedded in what asks. It waits, is had, or neither. */
struct turn {
	struct link link;  /* while it waits */
	struct lane *lane; /* NULL: neither, or the client has gone and the answer has not come */
	size_t bytes;      /* of the answer, about */
	bool had;
	/* It is had now; or, where GRANTED is false, will not be: the daemon stops. Called once for
	 * a turn that waited. */
	void (*come)(struct turn *t, bool granted);
};

/* What all share. */
struct turns {
	struct loop *loop;
	struct link lanes;      /* the one whose turn is next first */
	size_t bytes;           /* of all turns that are had */
	uint64_t began_us;      /* since when there are some */
	bool huge;              /* one of them was very large */
	uint64_t rest_until_us; /* nothing very large before that */
	uint64_t others;        /* requests sent that needed no turn: counted by the store */
	uint64_t others_seen;
	uint64_t others_at_us; /* when some were last seen */
	struct job next;
	struct deadline later;
};

void turns_init(struct turns *turns, struct loop *loop);

/* Nobody waits any more: all are told. */
void turns_stop(struct turns *turns);

void lane_init(struct lane *lane);

/* Zero-initialised memory is no turn that waits or is had: this sets what `come` is. */
void turn_init(struct turn *t, void (*come)(struct turn *t, bool granted));

/* Asks for a turn in LANE, for an answer of about BYTES, at least 1. True: it is had. False: it
 * will come. */
bool turn_take(struct turns *turns, struct turn *t, struct lane *lane, size_t bytes);

/* True where there are others than those who have turns, and ask for little. */
bool turns_has_others(struct turns *turns);

static inline bool turn_waits(const struct turn *t)
{
	return t->lane != NULL && !t->had;
}

/* Gives T back, whether it waits, is had, or neither. */
void turn_end(struct turns *turns, struct turn *t);

/* The client of T's lane goes, while T is had. */
void turn_leave_lane(struct turn *t);

#endif
