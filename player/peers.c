#include "peers.h"

#include <stdio.h>
#include <stdlib.h>

#include "fail.h"

#define ONION "obswk4txmf2gg2baobwgc6lfoiwca3tpmjxwi6jhomqgwzlzfyxivgyd.onion"

enum network { NETWORK_IPV4 = 1, NETWORK_IPV6 = 2, NETWORK_ONION = 3 };

enum {
	FULL_RELAY_PEERS = 8,
	ONION_PEER = 7,
	DEFAULT_PORT = 8333,
	FIRST_EPHEMERAL_PORT = 32768,
	EPHEMERAL_PORTS = 28232,
	DOCUMENTATION_HOSTS = 254,
	IPV6_EVERY = 4,
};

static void describe(struct peer *peer, uint32_t id)
{
	unsigned port = id < OUTBOUND_PEERS ? DEFAULT_PORT : FIRST_EPHEMERAL_PORT + id % EPHEMERAL_PORTS;

	peer->inbound = id >= OUTBOUND_PEERS;
	peer->conn_type = peer->inbound		  ? "inbound"
			  : id < FULL_RELAY_PEERS ? "outbound-full-relay"
						  : "block-relay-only";
	if (id == ONION_PEER) {
		peer->network = NETWORK_ONION;
		snprintf(peer->address, sizeof(peer->address), ONION ":%u", port);
	} else if (id % IPV6_EVERY == IPV6_EVERY - 1) {
		peer->network = NETWORK_IPV6;
		snprintf(peer->address, sizeof(peer->address), "[2001:db8::%x]:%u", id, port);
	} else {
		peer->network = NETWORK_IPV4;
		snprintf(peer->address, sizeof(peer->address), "203.0.113.%u:%u", 1 + id % DOCUMENTATION_HOSTS, port);
	}
}

struct peer *peers_new(uint32_t count)
{
	struct peer *peers = calloc(count, sizeof(*peers));

	if (peers == NULL)
		fail(STATUS_FAILED, "no memory for %u peers", count);
	for (uint32_t id = 0; id < count; id++)
		describe(&peers[id], id);
	return peers;
}

void peers_announce(const struct peer *peers, uint32_t count, struct trigger *trigger)
{
	for (uint32_t id = 0; id < count; id++) {
		struct call call = {{
			{.i64 = id},
			{.text = peers[id].address},
			{.text = peers[id].conn_type},
			{.u64 = peers[id].network},
			{.u64 = id}, /* connections that there were before */
		}};

		fire(trigger, peers[id].inbound ? INBOUND_CONNECTION : OUTBOUND_CONNECTION, &call);
	}
}
