#include "play.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "fail.h"
#include "format.h"
#include "report.h"
#include "restart.h"
#include "stream.h"

/* How long before they are due the threads get records: so much do they fire after a signal to restart. */
#define HORIZON (100 * MILLISECOND_NS)

struct player;

/* Fires the records of its number. */
struct player_thread {
	struct player *player;
	unsigned number;
	pthread_t id;
	struct texts texts;
};

struct player {
	struct run *run;
	struct stream stream;
	int input;
	int carried;	 /* what the process before this one had read and not fired; -1 when there is none */
	uint64_t base;	 /* when at = 0 is due, monotonic ns */
	uint64_t last;	 /* `at` of the last record taken */
	uint64_t offset; /* bytes of the input before the next record */
	uint64_t record; /* its number, from 1, in this round of a loop */
	struct player_thread threads[MAX_THREADS];
};

/* Why playing ends. */
enum end { END_DONE, END_STOP, END_EXIT, END_RESTART, END_BAD };

static uint64_t due_ns(const struct player *player, uint64_t at)
{
	double speed = player->run->args.speed;

	return speed == 0 ? 0 : player->base + (speed == 1 ? at : (uint64_t)((double)at / speed));
}

/* Fire this thread's records among those in `bytes`; false when the run is to stop. */
static bool fire_records(struct player_thread *thread, const uint8_t *bytes, size_t length)
{
	struct run *run = thread->player->run;
	struct record record;

	for (size_t at = 0; at < length; at += record.size) {
		struct call call;

		record = record_at(bytes + at);
		if (record.probe >= PROBES || record.thread % run->args.threads != thread->number)
			continue;
		if (run->args.speed == 0 ? run->stop : !pace(due_ns(thread->player, record.at), &run->stop))
			return false;
		record_call(&record, &thread->texts, &call);
		fire(&run->triggers[thread->number], record.probe, &call);
	}
	return true;
}

static void *thread_main(void *argument)
{
	struct player_thread *thread = argument;
	const uint8_t *bytes = NULL;
	size_t length = 0;

	while (stream_next(&thread->player->stream, thread->number, &bytes, &length)) {
		if (!fire_records(thread, bytes, length))
			break;
	}
	return NULL;
}

static void start_threads(struct player *player)
{
	for (unsigned i = 0; i < player->run->args.threads; i++) {
		struct player_thread *thread = &player->threads[i];

		thread->player = player;
		thread->number = i;
		if (pthread_create(&thread->id, NULL, thread_main, thread) != 0)
			fail(STATUS_FAILED, "cannot start %u threads", player->run->args.threads);
	}
}

/* Let the threads fire what they have, or nothing more if the run is to stop. */
static void join_threads(struct player *player)
{
	stream_end(&player->stream);
	for (unsigned i = 0; i < player->run->args.threads; i++)
		pthread_join(player->threads[i].id, NULL);
}

/* Read what there is, at most `bytes`: 0 at the end. What was carried over comes before the input. */
static size_t read_some(struct player *player, uint8_t *to, size_t bytes)
{
	ssize_t got = player->carried >= 0 ? read(player->carried, to, bytes) : 0;

	if (got > 0)
		return (size_t)got;
	if (player->carried >= 0)
		close(player->carried);
	player->carried = -1;
	do
		got = read(player->input, to, bytes);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		fail(STATUS_FAILED, "cannot read %s: %s", player->run->args.input, strerror(errno));
	return (size_t)got;
}

/* Where to wait for something to read; what was carried over is always there. */
static int readable(const struct player *player)
{
	return player->carried >= 0 ? player->carried : player->input;
}

/* Check the header of the file; false when a signal came first. */
static bool read_header(struct player *player)
{
	uint8_t header[FILE_HEADER];
	size_t got = 0;

	while (got < sizeof(header)) {
		size_t more;
		enum event event = control_wait(player->run, readable(player), FOREVER);

		if (event == EVENT_STOP)
			return false;
		if (event != EVENT_INPUT)
			continue;
		more = read_some(player, header + got, sizeof(header) - got);
		if (more == 0)
			break;
		got += more;
	}
	if (got < sizeof(header) || memcmp(header, PLAY_MAGIC, strlen(PLAY_MAGIC)) != 0)
		fail(STATUS_INPUT, "%s is not a play file", player->run->args.input);
	player->offset = FILE_HEADER;
	player->record = 1;
	return true;
}

static void open_input(struct player *player)
{
	const struct args *args = &player->run->args;

	player->carried = -1;
	if (args->resume != NULL) {
		if (sscanf(args->resume, "%d,%d,%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%" SCNu64, &player->input,
			   &player->carried, &player->base, &player->last, &player->offset, &player->record) != 6)
			fail(STATUS_INPUT, "--resume is only for restarts: %s", args->resume);
		return;
	}
	/* Not to be closed by a restart. */
	player->input = strcmp(args->file, "-") == 0 ? STDIN_FILENO : open(args->file, O_RDONLY);
	if (player->input < 0)
		fail(STATUS_INPUT, "cannot read %s: %s", args->file, strerror(errno));
	if (args->loop && lseek(player->input, 0, SEEK_CUR) < 0)
		fail(STATUS_INPUT, "--loop needs a file that can be read twice: %s", args->file);
}

/* The process after this one goes on with the next record. */
static pid_t hand_over(const struct player *player)
{
	const struct chunk *chunk = player->stream.last;
	size_t left = chunk->filled - chunk->taken;
	int carried = memfd_create("carried", 0);
	char resume[MAX_RESUME];
	uint8_t rest[1 << 16];
	ssize_t got;

	if (carried < 0 || write(carried, chunk->bytes + chunk->taken, left) != (ssize_t)left)
		fail(STATUS_FAILED, "cannot restart: %s", strerror(errno));
	/* What an earlier restart carried over and was not needed yet. */
	while (player->carried >= 0 && (got = read(player->carried, rest, sizeof(rest))) > 0) {
		if (write(carried, rest, (size_t)got) != got)
			fail(STATUS_FAILED, "cannot restart: %s", strerror(errno));
	}
	if (player->carried >= 0)
		close(player->carried);
	lseek(carried, 0, SEEK_SET);
	snprintf(resume, sizeof(resume), "%d,%d,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, player->input, carried,
		 player->base, player->last, player->offset, player->record);
	return restart(player->run, resume);
}

/* Begin again at the first record; the time of the last one is the new beginning. */
static void rewind_input(struct player *player)
{
	if (player->record == 1)
		fail(STATUS_INPUT, "%s has no records to loop over", player->run->args.input);
	if (lseek(player->input, FILE_HEADER, SEEK_SET) < 0)
		fail(STATUS_FAILED, "cannot read %s again: %s", player->run->args.input, strerror(errno));
	player->base = due_ns(player, player->last);
	player->offset = FILE_HEADER;
	player->record = 1;
}

/* Wait until the threads have fired what they were given, and then until `due`. A signal to stop ends the wait at once, one
 * to restart when they have fired. */
static enum event drain(struct player *player, uint64_t due)
{
	enum event event = EVENT_TIME;

	stream_publish(&player->stream);
	while (!stream_drained(&player->stream) || (event != EVENT_RESTART && monotonic_ns() < due)) {
		enum event now = control_wait(player->run, -1, stream_drained(&player->stream) ? due : FOREVER);

		if (now == EVENT_STOP)
			return EVENT_STOP;
		if (now == EVENT_RESTART)
			event = EVENT_RESTART;
	}
	return event;
}

/* Let the threads fire what they have, and end so, unless a signal says otherwise. */
static enum end finish(struct player *player, enum end end)
{
	switch (drain(player, 0)) {
	case EVENT_STOP:
		return END_STOP;
	case EVENT_RESTART:
		return END_RESTART;
	default:
		return end;
	}
}

/* Read more; false at the end of the input. Sets `event` to what came meanwhile. */
static bool read_more(struct player *player, enum event *event)
{
	size_t bytes = 0;
	uint8_t *room;

	stream_publish(&player->stream);
	room = stream_room(&player->stream, &bytes);
	*event = control_wait(player->run, room == NULL ? -1 : readable(player), FOREVER);
	if (room == NULL || *event != EVENT_INPUT)
		return true;
	bytes = read_some(player, room, bytes);
	stream_fill(&player->stream, bytes);
	return bytes > 0;
}

/* Go past a record, which the threads may have from the next publishing on. */
static void take(struct player *player, const struct record *record)
{
	stream_take(&player->stream, record);
	player->last = record->at;
	player->offset += record->size;
	player->record++;
}

/* Carry out a command at its time, after all records before it. */
static enum end command(struct player *player, const struct record *record)
{
	switch (drain(player, due_ns(player, record->at))) {
	case EVENT_STOP:
		return END_STOP;
	case EVENT_RESTART: /* by a signal; the command is left to the next process */
		return END_RESTART;
	default:
		take(player, record);
		return record->probe == PLAY_EXIT ? END_EXIT : END_RESTART;
	}
}

/* Nothing more can be read. */
static enum end at_end(struct player *player, const char **problem)
{
	bool whole = player->stream.last->filled == player->stream.last->taken;

	if (!whole)
		*problem = "the file ends within a record";
	return finish(player, whole ? END_DONE : END_BAD);
}

/* Feed the threads until the end. */
static enum end feed(struct player *player, const char **problem)
{
	enum event event = EVENT_TIME;

	for (;;) {
		struct record record;
		enum peek peek = stream_peek(&player->stream, &record, problem);
		uint64_t due = peek == PEEK_RECORD ? due_ns(player, record.at) : 0;

		if (peek == PEEK_BAD)
			return finish(player, END_BAD);
		if (peek == PEEK_RECORD && record.probe >= PROBES)
			return command(player, &record);
		if (peek == PEEK_RECORD && due > monotonic_ns() + HORIZON) {
			stream_publish(&player->stream);
			event = control_wait(player->run, -1, due - HORIZON / 2);
		} else if (peek == PEEK_RECORD) {
			take(player, &record);
		} else if (!read_more(player, &event)) {
			if (!player->run->args.loop || player->stream.last->filled != player->stream.last->taken)
				return at_end(player, problem);
			/* The threads must not see another base before they are done with this one. */
			event = drain(player, 0);
			if (event == EVENT_TIME)
				rewind_input(player);
		}
		if (event == EVENT_STOP)
			return END_STOP;
		if (event == EVENT_RESTART)
			return finish(player, END_RESTART);
	}
}

void play(struct run *run)
{
	static const char *const ends[] = {"done", "stopped", "exit", "restart", "error"};
	struct player *player = calloc(1, sizeof(*player));
	const char *problem = NULL;
	enum end end;

	if (player == NULL)
		fail(STATUS_FAILED, "no memory");
	player->run = run;
	player->base = monotonic_ns();
	open_input(player);
	if (run->args.resume == NULL && !read_header(player)) {
		report(run, ends[END_STOP], 0);
		return;
	}
	stream_open(&player->stream, run);
	start_threads(player);
	end = feed(player, &problem);
	run->stop = end == END_STOP;
	join_threads(player);
	report(run, ends[end], end == END_RESTART ? hand_over(player) : 0);
	if (end == END_BAD)
		fail(STATUS_INPUT, "%s: record %" PRIu64 " at byte %" PRIu64 ": %s", run->args.input, player->record,
		     player->offset, problem);
	stream_close(&player->stream);
	free(player);
}
