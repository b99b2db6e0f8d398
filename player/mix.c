#include "mix.h"

#include "pattern.h"

#define BIG_LEAST 5000
#define BIG_MOST 60000
/* Bytes of an inventory entry: 4 of type, 32 of hash. */
#define INVENTORY 36
/* Entries of the few large inventories and address lists, as after a block, or in answer to getaddr (Core's MAX_ADDR_TO_SEND). */
#define LARGE_LIST 1000

enum shape { FIXED, INVENTORIES, TRANSACTION, ADDRESSES, ADDRESSES_V2 };

/* Shares per thousand, and sizes: round figures in the likeness of a listening mainnet node between blocks, chosen and not
 * measured. Nothing is smaller than 8 bytes here, so that every message carries its whole number. */
static const struct {
	const char *type;
	unsigned share;
	enum shape shape;
	uint64_t size;
} normal[] = {
	{"inv", 500, INVENTORIES, 0},	 {"getdata", 120, INVENTORIES, 0}, {"tx", 120, TRANSACTION, 0},
	{"addrv2", 50, ADDRESSES_V2, 0}, {"ping", 50, FIXED, 8},	   {"pong", 50, FIXED, 8},
	{"headers", 30, FIXED, 82},	 {"feefilter", 20, FIXED, 8},	   {"notfound", 20, INVENTORIES, 0},
	{"addr", 10, ADDRESSES, 0},	 {"sendcmpct", 12, FIXED, 9},	   {"getheaders", 6, FIXED, 1029},
	{"getblocktxn", 5, FIXED, 60},	 {"version", 3, FIXED, 102},	   {"cmpctblock", 2, FIXED, 15000},
	{"nonsense", 2, FIXED, 20}, /* of no protocol */
};

static const char *const big[] = {"tx", "block", "cmpctblock", "blocktxn"};

/* Entries of an inventory in 64ths of their distribution: geometric, with mean 6. */
static const uint8_t inventories[64] = {
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3,	3,  3,	3,  3,	3,  3,	4,  4,	4,  4,	4,
	4, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10, 11, 12, 12, 13, 14, 15, 16, 18, 21, 27,
};

/* Bytes of a CompactSize. */
static uint64_t compact_size(uint64_t value)
{
	return value < 253 ? 1 : 3;
}

/* A size of this shape; all of it follows from `random`. */
static uint64_t draw_size(enum shape shape, uint64_t random)
{
	bool large = random >> 54 == 0; /* 1 in 1024 */
	uint64_t inputs = 1 + random % 3;
	uint64_t entries;

	switch (shape) {
	case INVENTORIES:
		entries = large ? LARGE_LIST : inventories[random % 64];
		return compact_size(entries) + entries * INVENTORY;
	case TRANSACTION: /* a SegWit spend of 1 to 3 inputs to 2 outputs: fixed parts, outputs, then input and witness of each */
		return 12 + 2 * 31 + inputs * (41 + 108);
	case ADDRESSES:
		entries = 1 + random % 10;
		return 1 + entries * 30;
	case ADDRESSES_V2: /* 24 to 33 bytes an entry, depending on its network */
		entries = large ? LARGE_LIST : 1 + random % 8;
		return compact_size(entries) + entries * 24 + (random >> 8) % (entries * 9 + 1);
	case FIXED:
		break;
	}
	return 0;
}

struct message mix_message(const struct mix *mix, uint64_t number)
{
	uint64_t first = scramble(number ^ scramble(mix->seed));
	uint64_t second = scramble(first);
	struct message message = {
		.peer = (uint32_t)((first & 0xFFFFFFFF) * mix->peers >> 32),
		.inbound = (first >> 32 & 1) != 0,
	};
	uint64_t share = (first >> 33 & 0xFFFFFF) * 1000 >> 24;
	unsigned i = 0;

	switch (mix->kind) {
	case MIX_NORMAL:
		while (share >= normal[i].share)
			share -= normal[i++].share;
		message.type = normal[i].type;
		message.size = normal[i].shape == FIXED ? normal[i].size : draw_size(normal[i].shape, second);
		break;
	case MIX_BIG:
		message.type = big[first >> 33 & 3];
		message.size = BIG_LEAST + ((second >> 32) * (BIG_MOST - BIG_LEAST + 1) >> 32);
		break;
	case MIX_SIZE:
		message.type = "tx";
		message.size = mix->size;
		break;
	}
	return message;
}

uint64_t mix_largest(const struct mix *mix)
{
	switch (mix->kind) {
	case MIX_NORMAL:
	case MIX_BIG:
		return BIG_MOST;
	case MIX_SIZE:
		break;
	}
	return mix->size;
}
