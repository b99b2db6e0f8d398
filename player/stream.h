/* Records on their way from the input to the threads.
 *
 * The main thread reads into chunks, checks each record, and publishes those that are nearly due. Every thread walks through
 * all records and fires its own, in place; a chunk is freed when the last thread has left it. */
#ifndef PEERWATCH_PLAYER_STREAM_H
#define PEERWATCH_PLAYER_STREAM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format.h"
#include "run.h"

struct chunk {
	struct chunk *next;
	size_t capacity;
	size_t filled;	  /* bytes read; main thread only */
	size_t taken;	  /* bytes of checked records; main thread only */
	size_t published; /* bytes that threads may fire */
	bool closed;	  /* nothing more will be published here */
	unsigned readers; /* threads that have not left it */
	uint8_t bytes[];
};

/* Where a thread is. */
struct reader {
	struct chunk *chunk;
	size_t at;
};

struct stream {
	struct run *run;
	pthread_mutex_t lock; /* over chunks, readers, published, closed, ended */
	pthread_cond_t more;
	struct chunk *first;
	struct chunk *last;
	size_t held; /* bytes of all chunks */
	bool ended;
	struct reader readers[MAX_THREADS];
};

enum peek {
	PEEK_RECORD, /* a whole, good record */
	PEEK_MORE,   /* its end has not been read */
	PEEK_BAD,
};

void stream_open(struct stream *stream, struct run *run);

/* When the threads have ended. */
void stream_close(struct stream *stream);

/* For the main thread: room for reading, at least one byte; NULL when the threads must free some first. */
uint8_t *stream_room(struct stream *stream, size_t *bytes);

/* For the main thread: so many bytes were read to the last room. */
void stream_fill(struct stream *stream, size_t bytes);

/* For the main thread: the next record that was not taken, or what is wrong with it. */
enum peek stream_peek(const struct stream *stream, struct record *record, const char **problem);

/* For the main thread: the record that was seen last may be published. The threads pass over commands. */
void stream_take(struct stream *stream, const struct record *record);

/* For the main thread: let the threads have all records taken so far. */
void stream_publish(struct stream *stream);

/* True when the threads have fired all that was published. */
bool stream_drained(struct stream *stream);

/* For the main thread: nothing more will be published. */
void stream_end(struct stream *stream);

/* For thread number `thread`: wait for records; the first byte and the number of bytes, or false at the end. Everything that
 * the last call gave counts as fired. */
bool stream_next(struct stream *stream, unsigned thread, const uint8_t **bytes, size_t *length);

#endif
