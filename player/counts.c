#include "counts.h"

#include <string.h>

#define OTHER "*other*"

/* The entry of all types beyond the first MAX_TYPES. */
static struct type_count *other(struct counts *counts)
{
	if (atomic_load_explicit(&counts->types_used, memory_order_relaxed) == MAX_TYPES) {
		strcpy(counts->types[MAX_TYPES].name, OTHER);
		atomic_store_explicit(&counts->types_used, MAX_TYPES + 1, memory_order_release);
	}
	return &counts->types[MAX_TYPES];
}

/* The entry of `type`, made if need be. */
static struct type_count *entry(struct counts *counts, const char *type)
{
	size_t used = atomic_load_explicit(&counts->types_used, memory_order_relaxed);
	char name[TYPE_NAME] = {0};
	uint32_t hash = 2166136261U; /* FNV-1a */
	uint16_t *slot;

	for (size_t i = 0; i < TYPE_NAME - 1 && type[i] != '\0'; i++) {
		name[i] = type[i];
		hash = (hash ^ (uint8_t)type[i]) * 16777619U;
	}
	for (;; hash++) {
		slot = &counts->slots[hash % TYPE_SLOTS];
		if (*slot == 0)
			break;
		if (memcmp(counts->types[*slot - 1].name, name, TYPE_NAME) == 0)
			return &counts->types[*slot - 1];
	}
	if (used >= MAX_TYPES)
		return other(counts);
	memcpy(counts->types[used].name, name, TYPE_NAME);
	*slot = (uint16_t)(used + 1);
	atomic_store_explicit(&counts->types_used, used + 1, memory_order_release);
	return &counts->types[used];
}

void count_message(struct counts *counts, unsigned probe, const char *type, uint64_t size)
{
	struct type_count *count = entry(counts, type);

	count_up(&count->messages[probe], 1);
	count_up(&count->bytes[probe], size);
}

void counts_merge(struct counts *into, const struct counts *from)
{
	size_t types = atomic_load_explicit(&from->types_used, memory_order_acquire);

	for (unsigned probe = 0; probe < PROBES; probe++) {
		count_up(&into->fired[probe], from->fired[probe]);
		count_up(&into->absent[probe], from->absent[probe]);
	}
	for (size_t i = 0; i < types; i++) {
		struct type_count *count = i == MAX_TYPES ? other(into) : entry(into, from->types[i].name);

		for (unsigned probe = 0; probe < 2; probe++) {
			count_up(&count->messages[probe], from->types[i].messages[probe]);
			count_up(&count->bytes[probe], from->types[i].bytes[probe]);
		}
	}
}
