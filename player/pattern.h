/* The payload of generated messages: every byte follows from the message's number, so a reader can verify every byte. */
#ifndef PEERWATCH_PLAYER_PATTERN_H
#define PEERWATCH_PLAYER_PATTERN_H

#include <stdint.h>
#include <string.h>

#define PATTERN_NUMBER UINT64_C(0x9E3779B97F4A7C15)
#define PATTERN_WORD UINT64_C(0xD1B54A32D192ED03)

/* Number of the `count`th message of a thread. */
static inline uint64_t message_number(unsigned thread, uint64_t count)
{
	return (uint64_t)thread << 56 | count;
}

/* 64-bit word w, little-endian, is (number · PATTERN_NUMBER) ^ (w · PATTERN_WORD) mod 2^64; the last one is cut to fit.
 * Both factors are odd, so the first word alone gives the number back. */
static inline void pattern_fill(uint8_t *payload, uint64_t size, uint64_t number)
{
	uint64_t base = number * PATTERN_NUMBER;
	uint64_t word = 0;
	uint64_t at = 0;

	for (; at + 8 <= size; at += 8, word += PATTERN_WORD) {
		uint64_t value = base ^ word;

		memcpy(payload + at, &value, 8);
	}
	if (at < size) {
		uint64_t value = base ^ word;

		memcpy(payload + at, &value, size - at);
	}
}

/* Random-looking bits that follow from `x` alone (the step of SplitMix64). */
static inline uint64_t scramble(uint64_t x)
{
	x += PATTERN_NUMBER;
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

#endif
