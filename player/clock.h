/* Time, and waiting for it. */
#ifndef PEERWATCH_PLAYER_CLOCK_H
#define PEERWATCH_PLAYER_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SECOND_NS UINT64_C(1000000000)
#define MILLISECOND_NS UINT64_C(1000000)

/* CLOCK_MONOTONIC in nanoseconds: the clock of everything here but the reports. */
uint64_t monotonic_ns(void);

/* Nanoseconds since 1970, UTC. */
uint64_t utc_ns(void);

/* Return once it is `due`, at once if it is late already; false when `stop` was set meanwhile.
 *
 * Sleeps at least PACE_GRAIN, so that what is due soon after `due` is found late and fired without another sleep: that is
 * how 100 000 events a second are kept on a shared CPU. An event is fired at most that much (and the scheduler's delay) late,
 * never early. */
bool pace(uint64_t due, const atomic_bool *stop);

#endif
