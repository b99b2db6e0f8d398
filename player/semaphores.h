/* A counter for each probe, raised by the kernel while a tracer is attached: Core's TRACEPOINT_SEMAPHORE. */
#ifndef PEERWATCH_PLAYER_SEMAPHORES_H
#define PEERWATCH_PLAYER_SEMAPHORES_H

#define ABSENT(provider, name, layout)
#define PROBE2(provider, name, layout, ...) extern volatile unsigned short provider##_##name##_semaphore;
#define PROBE3 PROBE2
#define PROBE4 PROBE2
#define PROBE5 PROBE2
#define PROBE6 PROBE2
#define PROBE8 PROBE2
#include "probes.def"
#include "probes_undef.h"

#endif
