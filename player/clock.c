#include "clock.h"

#include <time.h>

#define PACE_GRAIN (MILLISECOND_NS / 2)
/* Longest sleep without a look at `stop`. */
#define PACE_SLICE (100 * MILLISECOND_NS)

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t utc_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

bool pace(uint64_t due, const atomic_bool *stop)
{
	uint64_t now = monotonic_ns();

	if (now < due && due < now + PACE_GRAIN)
		due = now + PACE_GRAIN;
	while (now < due && !atomic_load_explicit(stop, memory_order_relaxed)) {
		uint64_t until = due < now + PACE_SLICE ? due : now + PACE_SLICE;
		struct timespec when = {.tv_sec = (time_t)(until / SECOND_NS), .tv_nsec = (long)(until % SECOND_NS)};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
		now = monotonic_ns();
	}
	return !atomic_load_explicit(stop, memory_order_relaxed);
}
