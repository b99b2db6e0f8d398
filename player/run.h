/* One process of the player: what its parts share. */
#ifndef PEERWATCH_PLAYER_RUN_H
#define PEERWATCH_PLAYER_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "args.h"
#include "trigger.h"

struct run {
	struct args args;
	char **argv;
	char *binary;		  /* path of the program, for a restart */
	uint64_t started_utc;	  /* ns since 1970 */
	uint64_t started;	  /* ns, monotonic */
	struct trigger *triggers; /* args.threads of them */
	atomic_bool stop;	  /* set to end all threads soon */
	int signals;		  /* signalfd */
	int wake;		  /* eventfd: a thread has something to say to the main thread */
};

#endif
