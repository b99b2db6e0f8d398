#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "fail.h"

/* Usual size of a chunk; one with a larger record is as large as that. */
#define CHUNK ((size_t)1 << 20)
/* No chunk is added beyond this, unless there is only one. */
#define MOST_HELD (16 * CHUNK)

static struct chunk *chunk_new(struct stream *stream, size_t capacity)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk) + capacity);

	if (chunk == NULL)
		fail(STATUS_FAILED, "no memory for records");
	chunk->capacity = capacity;
	chunk->readers = stream->run->args.threads;
	return chunk;
}

void stream_open(struct stream *stream, struct run *run)
{
	memset(stream, 0, sizeof(*stream));
	stream->run = run;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->more, NULL);
	stream->last = chunk_new(stream, CHUNK);
	stream->first = stream->last;
	stream->held = CHUNK;
	for (unsigned i = 0; i < run->args.threads; i++)
		stream->readers[i].chunk = stream->last;
}

void stream_close(struct stream *stream)
{
	while (stream->first != NULL) {
		struct chunk *chunk = stream->first;

		stream->first = chunk->next;
		free(chunk);
	}
	pthread_cond_destroy(&stream->more);
	pthread_mutex_destroy(&stream->lock);
}

uint8_t *stream_room(struct stream *stream, size_t *bytes)
{
	struct chunk *full = stream->last;

	if (full->filled == full->capacity) {
		size_t tail = full->filled - full->taken;
		size_t capacity = CHUNK;
		struct chunk *chunk;

		if (tail >= RECORD_HEADER && record_at(full->bytes + full->taken).size > capacity)
			capacity = record_at(full->bytes + full->taken).size;
		pthread_mutex_lock(&stream->lock);
		if (stream->held + capacity > MOST_HELD && stream->first != stream->last) {
			pthread_mutex_unlock(&stream->lock);
			return NULL;
		}
		chunk = chunk_new(stream, capacity);
		memcpy(chunk->bytes, full->bytes + full->taken, tail);
		chunk->filled = tail;
		stream->held += capacity;
		full->published = full->taken;
		full->closed = true;
		full->next = chunk;
		stream->last = chunk;
		pthread_cond_broadcast(&stream->more);
		pthread_mutex_unlock(&stream->lock);
	}
	*bytes = stream->last->capacity - stream->last->filled;
	return stream->last->bytes + stream->last->filled;
}

void stream_fill(struct stream *stream, size_t bytes)
{
	stream->last->filled += bytes;
}

enum peek stream_peek(const struct stream *stream, struct record *record, const char **problem)
{
	const struct chunk *chunk = stream->last;
	size_t left = chunk->filled - chunk->taken;

	if (left < RECORD_HEADER)
		return PEEK_MORE;
	*problem = record_header_problem(chunk->bytes + chunk->taken);
	if (*problem != NULL)
		return PEEK_BAD;
	*record = record_at(chunk->bytes + chunk->taken);
	if (left < record->size)
		return PEEK_MORE;
	*problem = record_body_problem(record);
	return *problem == NULL ? PEEK_RECORD : PEEK_BAD;
}

void stream_take(struct stream *stream, const struct record *record)
{
	stream->last->taken += record->size;
}

void stream_publish(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	if (stream->last->published != stream->last->taken) {
		stream->last->published = stream->last->taken;
		pthread_cond_broadcast(&stream->more);
	}
	pthread_mutex_unlock(&stream->lock);
}

bool stream_drained(struct stream *stream)
{
	bool drained = true;

	pthread_mutex_lock(&stream->lock);
	for (unsigned i = 0; i < stream->run->args.threads; i++) {
		const struct reader *reader = &stream->readers[i];

		if (reader->chunk != stream->last || reader->at != stream->last->published)
			drained = false;
	}
	pthread_mutex_unlock(&stream->lock);
	return drained;
}

void stream_end(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	stream->ended = true;
	pthread_cond_broadcast(&stream->more);
	pthread_mutex_unlock(&stream->lock);
}

/* Go on to the next chunk. */
static void leave_chunk(struct stream *stream, struct reader *reader)
{
	struct chunk *left = reader->chunk;

	reader->chunk = left->next;
	reader->at = 0;
	if (--left->readers == 0) {
		stream->held -= left->capacity;
		stream->first = left->next;
		free(left);
	}
}

bool stream_next(struct stream *stream, unsigned thread, const uint8_t **bytes, size_t *length)
{
	struct reader *reader = &stream->readers[thread];
	bool found;

	pthread_mutex_lock(&stream->lock);
	reader->at += *length;
	for (;;) {
		found = reader->at < reader->chunk->published;
		if (found)
			break;
		if (reader->chunk->closed) {
			leave_chunk(stream, reader);
			control_wake(stream->run);
			continue;
		}
		if (stream->ended)
			break;
		control_wake(stream->run);
		pthread_cond_wait(&stream->more, &stream->lock);
	}
	if (found) {
		*bytes = reader->chunk->bytes + reader->at;
		*length = reader->chunk->published - reader->at;
	}
	pthread_mutex_unlock(&stream->lock);
	return found;
}
