/* The peers of generated messages. */
#ifndef PEERWATCH_PLAYER_PEERS_H
#define PEERWATCH_PLAYER_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "trigger.h"

enum {
	/* The first ones: 8 full-relay, 2 block-relay-only (Core, net.h: MAX_OUTBOUND_FULL_RELAY_CONNECTIONS and
	 * MAX_BLOCK_RELAY_ONLY_CONNECTIONS). */
	OUTBOUND_PEERS = 10,
	MAX_PEERS = 1 << 16,
};

struct peer {
	char address[72];
	const char *conn_type; /* as Core names it */
	uint32_t network;      /* Core's enum Network */
	bool inbound;
};

/* `count` peers with the ids 0 to count-1; ends the program when there is no memory. Addresses come from the ranges that are
 * reserved for documentation (RFC 5737, RFC 3849), and one is an onion service whose key nobody has. */
struct peer *peers_new(uint32_t count);

/* Fire the connection probe of each. */
void peers_announce(const struct peer *peers, uint32_t count, struct trigger *trigger);

#endif
