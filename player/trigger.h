/* What a thread pulls to fire a probe. */
#ifndef PEERWATCH_PLAYER_TRIGGER_H
#define PEERWATCH_PLAYER_TRIGGER_H

#include <stdint.h>
#include <stdio.h>

#include "counts.h"
#include "probes.h"

/* One for each thread; only that thread fires. */
struct trigger {
	unsigned thread;
	unsigned turn;	 /* the sites of a probe take turns */
	FILE *recording; /* when set, write records of a play file there instead of firing */
	uint64_t at;	 /* time of those records, ns from the start */
	struct counts counts;
};

/* Fire probe number `probe`, and count it. */
void fire(struct trigger *trigger, unsigned probe, const struct call *call);

/* Triggers for `threads` threads; ends the program when there is no memory. */
struct trigger *triggers_new(unsigned threads);

#endif
