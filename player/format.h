/* Play files; see README.md for the format. */
#ifndef PEERWATCH_PLAYER_FORMAT_H
#define PEERWATCH_PLAYER_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "probes.h"

#define PLAY_MAGIC "PWPLAY1\n"

enum {
	FILE_HEADER = 16,
	RECORD_HEADER = 16,
	/* Stand where a probe's number does: commands to the player. */
	PLAY_EXIT = 0xF0,
	PLAY_RESTART = 0xF1,
	/* Bounds: Core serializes nothing above 32 MiB (MAX_SIZE in serialize.h); no text that it passes comes near 1 KiB. */
	MAX_PAYLOAD = 0x02000000,
	MAX_TEXT = 1024,
	MAX_BODY = MAX_PAYLOAD + 8 * 1024,
	HASH = 32,
};

struct record {
	uint64_t at; /* ns from the start */
	unsigned probe;
	unsigned thread;
	uint32_t length; /* of the body */
	size_t size;	 /* of the whole record, padding included */
	const uint8_t *body;
};

/* Room for the texts of one call, which need a NUL after them. */
struct texts {
	char text[MAX_ARGS][MAX_TEXT + 1];
};

/* Read the header of the record at `bytes`, where at least RECORD_HEADER bytes are. */
struct record record_at(const uint8_t *bytes);

/* What is wrong with a record's header; NULL when it may be read on. Says nothing of the body, which need not be there yet. */
const char *record_header_problem(const uint8_t *bytes);

/* What is wrong with a record's body; NULL when nothing is. */
const char *record_body_problem(const struct record *record);

/* The arguments of a record that was found good. They point into the record and into `texts`. */
void record_call(const struct record *record, struct texts *texts, struct call *call);

/* Write the header of a play file. */
void format_start(FILE *file, uint64_t start_utc_ns);

/* Write one record. Integers must be set in their whole width. */
void format_write(FILE *file, uint64_t at, unsigned probe, unsigned thread, const struct call *call);

#endif
