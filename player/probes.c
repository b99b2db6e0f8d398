#include "probes.h"

#include <stddef.h>

#include "semaphores.h"

/* The semaphores themselves, where tracers look for them. */
#define ABSENT(provider, name, layout)
#define PROBE2(provider, name, layout, ...) \
	volatile unsigned short provider##_##name##_semaphore __attribute__((section(".probes")));
#define PROBE3 PROBE2
#define PROBE4 PROBE2
#define PROBE5 PROBE2
#define PROBE6 PROBE2
#define PROBE8 PROBE2
#include "probes.def"
#include "probes_undef.h"

/* The sites, each compiled from sites.c. */
#define ABSENT(provider, name, layout)
#define PROBE2(provider, name, layout, ...)                          \
	void registers_##provider##_##name(const struct call *call); \
	void frame_##provider##_##name(const struct call *call);     \
	void pointer_##provider##_##name(const struct call *call);   \
	void mixed_##provider##_##name(const struct call *call);
#define PROBE3 PROBE2
#define PROBE4 PROBE2
#define PROBE5 PROBE2
#define PROBE6 PROBE2
#define PROBE8 PROBE2
#include "probes.def"
#include "probes_undef.h"

const struct probe probes[PROBES] = {
#define ABSENT(provider, name, layout) {#provider ":" #name, layout, {NULL, NULL, NULL, NULL}},
#define PROBE2(provider, name, layout, ...)                                                      \
	{#provider ":" #name,                                                                    \
	 layout,                                                                                 \
	 {registers_##provider##_##name, frame_##provider##_##name, pointer_##provider##_##name, \
	  mixed_##provider##_##name}},
#define PROBE3 PROBE2
#define PROBE4 PROBE2
#define PROBE5 PROBE2
#define PROBE6 PROBE2
#define PROBE8 PROBE2
#include "probes.def"
#include "probes_undef.h"
};

bool somebody_listens(void)
{
#ifdef PLAYER_NOPROBES
	return false;
#else
	return net_inbound_message_semaphore > 0;
#endif
}
