/* The probes as a table, and the call that fires one. */
#ifndef PEERWATCH_PLAYER_PROBES_H
#define PEERWATCH_PLAYER_PROBES_H

#include <stdbool.h>
#include <stdint.h>

enum {
	MAX_ARGS = 8,
	/* How often each probe occurs in the binary, each time with its operands elsewhere; see sites.c. */
	SITES = 4,
	SITE_REGISTERS = 0,
};

/* Numbers of the probes that the player itself needs to tell apart: positions in probes.def. */
enum probe_number {
	INBOUND_MESSAGE = 0,
	OUTBOUND_MESSAGE = 1,
	INBOUND_CONNECTION = 2,
	OUTBOUND_CONNECTION = 3,
	UTXO_ADD = 12,
	UTXO_SPENT = 13,
	UTXO_UNCACHE = 14,
	PROBES = 16,
};

/* Positions of a message's arguments. */
enum message_argument { MESSAGE_PEER, MESSAGE_ADDRESS, MESSAGE_CONN_TYPE, MESSAGE_TYPE, MESSAGE_SIZE, MESSAGE_PAYLOAD };

/* One argument. The narrower integers are the low bytes of the wide ones: x86-64 is little-endian. */
union value {
	int64_t i64;
	uint64_t u64;
	int32_t i32;
	uint32_t u32;
	uint8_t u8;
	const char *text;
	const uint8_t *bytes;
};

/* The arguments of one firing, in the probe's order. */
struct call {
	union value v[MAX_ARGS];
};

typedef void (*site)(const struct call *call);

struct probe {
	const char *name;   /* provider:name */
	const char *layout; /* of the arguments in a play file, see probes.def */
	site sites[SITES];  /* NULL where this build lacks the probe */
};

extern const struct probe probes[PROBES];

/* True when a tracer listens to net:inbound_message now. Never true in a build without it. */
bool somebody_listens(void);

#endif
