/* What generated messages look like: which peer, direction, type and size a message of a given number has. */
#ifndef PEERWATCH_PLAYER_MIX_H
#define PEERWATCH_PLAYER_MIX_H

#include <stdbool.h>
#include <stdint.h>

enum mix_kind {
	MIX_NORMAL, /* types and sizes as on mainnet */
	MIX_BIG,    /* 5 to 60 kB */
	MIX_SIZE,   /* all of one size */
};

struct mix {
	enum mix_kind kind;
	uint64_t size; /* of MIX_SIZE */
	uint64_t seed;
	uint32_t peers;
};

struct message {
	uint32_t peer;
	bool inbound;
	const char *type;
	uint64_t size;
};

/* The message with this number. The same number and mix always give the same message. */
struct message mix_message(const struct mix *mix, uint64_t number);

/* No message of the mix is larger, in bytes. */
uint64_t mix_largest(const struct mix *mix);

#endif
