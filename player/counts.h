/* What one thread fired. The thread adds, anybody may read meanwhile. */
#ifndef PEERWATCH_PLAYER_COUNTS_H
#define PEERWATCH_PLAYER_COUNTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probes.h"

enum {
	/* Message types told apart; a play file may name any number. The last entry counts all further ones. */
	MAX_TYPES = 256,
	TYPE_SLOTS = 1024,
	/* Bytes of a type's name that are kept, its NUL included; 12 is the longest on the wire. */
	TYPE_NAME = 32,
};

struct type_count {
	char name[TYPE_NAME];
	_Atomic uint64_t messages[2]; /* by probe: inbound, outbound */
	_Atomic uint64_t bytes[2];
};

struct counts {
	_Atomic uint64_t fired[PROBES];	 /* passed to a probe, whether or not a tracer was there */
	_Atomic uint64_t absent[PROBES]; /* not passed, because this build lacks the probe */
	_Atomic size_t types_used;
	struct type_count types[MAX_TYPES + 1];
	uint16_t slots[TYPE_SLOTS]; /* open addressing: position in types + 1, 0 for free */
};

/* Count one message of `type` and `size`. `probe` is INBOUND_MESSAGE or OUTBOUND_MESSAGE. */
void count_message(struct counts *counts, unsigned probe, const char *type, uint64_t size);

/* Add `more` to a counter that only this thread writes. */
static inline void count_up(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
			      memory_order_relaxed);
}

/* Add everything in `from` to `into`. */
void counts_merge(struct counts *into, const struct counts *from);

#endif
