/* What the main thread waits for. */
#ifndef PEERWATCH_PLAYER_CONTROL_H
#define PEERWATCH_PLAYER_CONTROL_H

#include <stdint.h>

#include "run.h"

#define FOREVER UINT64_MAX

enum event {
	EVENT_TIME,    /* it is `until` */
	EVENT_WAKE,    /* a thread called control_wake */
	EVENT_INPUT,   /* `input` can be read */
	EVENT_STOP,    /* SIGTERM, SIGINT */
	EVENT_RESTART, /* SIGHUP */
};

/* Take over the signals; before any thread is started, so that all inherit the mask. */
void control_open(struct run *run);

/* Give the signals back: from now on they end the program as usual. */
void control_release(void);

/* Wait until `until` (monotonic ns, or FOREVER) for the first event; `input` is a descriptor, or -1. Reports on SIGUSR1. */
enum event control_wait(struct run *run, int input, uint64_t until);

/* Wake the main thread. */
void control_wake(struct run *run);

#endif
