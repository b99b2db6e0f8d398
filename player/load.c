#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "control.h"
#include "fail.h"
#include "format.h"
#include "pattern.h"
#include "peers.h"
#include "report.h"
#include "restart.h"

/* One thread's share: its messages number `first` to `stop`-1. */
struct loader {
	struct run *run;
	const struct peer *peers;
	struct trigger *trigger;
	pthread_t thread;
	uint8_t *payload;
	uint64_t origin; /* when its first message is due, monotonic ns */
	uint64_t first;
	uint64_t next;
	uint64_t stop;
	uint64_t coins; /* fired so far */
	atomic_bool ended;
};

/* When a message is due after the first of all: threads take turns. */
static uint64_t due_ns(const struct loader *loader, uint64_t count)
{
	const struct args *args = &loader->run->args;
	double position = (double)(count - loader->first) * args->threads + loader->trigger->thread;

	return args->rate == 0 ? 0 : (uint64_t)(position / args->rate * (double)SECOND_NS);
}

static void fire_message(struct loader *loader, uint64_t count)
{
	uint64_t number = message_number(loader->trigger->thread, count);
	struct message message = mix_message(&loader->run->args.mix, number);
	const struct peer *peer = &loader->peers[message.peer];
	struct call call = {{
		{.i64 = message.peer},
		{.text = peer->address},
		{.text = peer->conn_type},
		{.text = message.type},
		{.u64 = message.size},
		{.bytes = loader->payload},
	}};

	pattern_fill(loader->payload, message.size, number);
	fire(loader->trigger, message.inbound ? INBOUND_MESSAGE : OUTBOUND_MESSAGE, &call);
}

/* Thread 0 fires the coins, so many that their share of all is its messages' share of all its messages. */
static void fire_coins(struct loader *loader)
{
	uint64_t all = loader->run->args.coins;
	uint64_t wanted = loader->next >= loader->stop
				  ? all
				  : (uint64_t)((double)all * (double)loader->next / (double)loader->stop);
	uint8_t txid[HASH];

	if (loader->trigger->thread != 0)
		return;
	for (; loader->coins < wanted; loader->coins++) {
		uint64_t coin = loader->coins;
		struct call call = {{
			{.bytes = txid},
			{.u64 = coin % 4},
			{.u64 = 800000 + coin % 100000},
			{.i64 = (int64_t)(coin * 1000)},
			{.u64 = coin % 16 == 0},
		}};

		pattern_fill(txid, sizeof(txid), coin);
		fire(loader->trigger, UTXO_ADD, &call);
		fire(loader->trigger, UTXO_SPENT, &call);
		fire(loader->trigger, UTXO_UNCACHE, &call);
	}
}

static void *loader_main(void *argument)
{
	struct loader *loader = argument;
	struct run *run = loader->run;

	for (; loader->next < loader->stop; loader->next++) {
		fire_coins(loader);
		if (run->args.rate == 0 ? run->stop : !pace(loader->origin + due_ns(loader, loader->next), &run->stop))
			break;
		fire_message(loader, loader->next);
	}
	if (!run->stop)
		fire_coins(loader);
	loader->ended = true;
	control_wake(run);
	return NULL;
}

/* Where each thread begins: at 0, or where the process before this one stopped. */
static void set_shares(struct loader *loaders, const struct args *args)
{
	const char *resume = args->resume;

	for (unsigned i = 0; i < args->threads; i++) {
		struct loader *loader = &loaders[i];
		char *end;

		if (resume != NULL) {
			loader->first = strtoull(resume, &end, 10);
			if (end == resume || (*end != ',' && *end != '\0'))
				fail(STATUS_INPUT, "--resume is only for restarts: %s", args->resume);
			resume = *end == ',' ? end + 1 : end;
		}
		loader->next = loader->first;
		loader->stop = args->messages == UNLIMITED
				       ? UNLIMITED
				       : args->messages / args->threads + (i < args->messages % args->threads);
		if (i == 0 && loader->first > 0 && loader->first <= loader->stop)
			loader->coins = (uint64_t)((double)args->coins * (double)loader->first / (double)loader->stop);
	}
}

static struct loader *loaders_new(struct run *run, const struct peer *peers)
{
	struct loader *loaders = calloc(run->args.threads, sizeof(*loaders));

	if (loaders == NULL)
		fail(STATUS_FAILED, "no memory for %u threads", run->args.threads);
	for (unsigned i = 0; i < run->args.threads; i++) {
		loaders[i].run = run;
		loaders[i].peers = peers;
		loaders[i].trigger = &run->triggers[i];
		loaders[i].payload = malloc(mix_largest(&run->args.mix) + 1);
		if (loaders[i].payload == NULL)
			fail(STATUS_FAILED, "no memory for a payload");
	}
	set_shares(loaders, &run->args);
	return loaders;
}

/* Write a play file of everything, in order of time. */
static void record(struct run *run, const struct peer *peers, struct loader *loaders)
{
	const struct args *args = &run->args;
	FILE *file = fopen(args->record, "we");

	if (file == NULL)
		fail(STATUS_FAILED, "cannot write %s: %s", args->record, strerror(errno));
	format_start(file, run->started_utc);
	for (unsigned i = 0; i < args->threads; i++)
		run->triggers[i].recording = file;
	if (args->connections)
		peers_announce(peers, args->mix.peers, &run->triggers[0]);
	for (uint64_t i = 0; i < args->messages; i++) {
		struct loader *loader = &loaders[i % args->threads];

		loader->trigger->at = due_ns(loader, loader->next);
		fire_coins(loader);
		fire_message(loader, loader->next++);
	}
	fire_coins(&loaders[0]);
	if (ferror(file) || fclose(file) != 0)
		fail(STATUS_FAILED, "cannot write %s: %s", args->record, strerror(errno));
}

/* The process after this one goes on at these messages. */
static pid_t hand_over(const struct run *run, const struct loader *loaders)
{
	char resume[MAX_RESUME] = "";
	size_t used = 0;

	for (unsigned i = 0; i < run->args.threads; i++)
		used += (size_t)snprintf(resume + used, sizeof(resume) - used, "%s%" PRIu64, i == 0 ? "" : ",",
					 loaders[i].next);
	return restart(run, resume);
}

static bool all_ended(const struct run *run, struct loader *loaders)
{
	for (unsigned i = 0; i < run->args.threads; i++) {
		if (!loaders[i].ended)
			return false;
	}
	return true;
}

/* Let the threads run until they have ended or a signal comes; that, or EVENT_WAKE. */
static enum event run_threads(struct run *run, struct loader *loaders)
{
	uint64_t origin = monotonic_ns();
	enum event event = EVENT_WAKE;

	for (unsigned i = 0; i < run->args.threads; i++) {
		loaders[i].origin = origin;
		if (pthread_create(&loaders[i].thread, NULL, loader_main, &loaders[i]) != 0)
			fail(STATUS_FAILED, "cannot start %u threads", run->args.threads);
	}
	while (!all_ended(run, loaders) && event == EVENT_WAKE)
		event = control_wait(run, -1, FOREVER);
	run->stop = true;
	for (unsigned i = 0; i < run->args.threads; i++)
		pthread_join(loaders[i].thread, NULL);
	return event;
}

void load(struct run *run)
{
	struct peer *peers = peers_new(run->args.mix.peers);
	struct loader *loaders = loaders_new(run, peers);

	if (run->args.record != NULL) {
		record(run, peers, loaders);
		report(run, "done", 0);
	} else {
		enum event event;

		if (run->args.connections)
			peers_announce(peers, run->args.mix.peers, &run->triggers[0]);
		event = run_threads(run, loaders);
		if (event == EVENT_RESTART)
			report(run, "restart", hand_over(run, loaders));
		else
			report(run, event == EVENT_STOP ? "stopped" : "done", 0);
	}
	for (unsigned i = 0; i < run->args.threads; i++)
		free(loaders[i].payload);
	free(loaders);
	free(peers);
}
