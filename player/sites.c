/* Every probe once, fired from the arguments of a call. Compiled four times (see Makefile), each time with another prefix
 * SITES_NAME and its operands elsewhere, so that a tracer meets everything that a compiler makes of Core's sources:
 *
 *   registers  all in registers                      -8@%rax 8@%rdx 4@%esi …
 *   frame      all on the stack                      -8@-64(%rbp) 8@-56(%rbp) …
 *   pointer    all in memory behind a register       -8@(%rdi) 8@8(%rdi) …
 *   mixed      all three in one probe, as when registers are scarce, and flags as constants, as after a branch on them
 */
#include "probes.h"

#ifndef PLAYER_NOPROBES

#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

#include "semaphores.h"

#define PASTE(a, b, c) a##_##b##_##c
#define NAME(sites, provider, name) PASTE(sites, provider, name)

#if defined(SITES_ON_FRAME)

#define VALUE(i, type) own.v[i].type
#define FIRE(call, last, probe)                \
	do {                                   \
		const struct call own = *call; \
		probe;                         \
	} while (0)

#elif defined(SITES_MIXED)

/* Odd arguments stay where the call has them. Even ones are hidden from the compiler, so that it must keep them itself: in
 * the few registers that the Makefile leaves it, the rest on the stack. A flag is a constant in the branch where it is known. */
#define VALUE(i, type) VALUE_##type(i)
#define VALUE_u8(i) flag
#define VALUE_i32(i) KEPT_##i.i32
#define VALUE_u32(i) KEPT_##i.u32
#define VALUE_i64(i) KEPT_##i.i64
#define VALUE_u64(i) KEPT_##i.u64
#define VALUE_text(i) KEPT_##i.text
#define VALUE_bytes(i) KEPT_##i.bytes
#define KEPT_0 first
#define KEPT_1 call->v[1]
#define KEPT_2 third
#define KEPT_3 call->v[3]
#define KEPT_4 fifth
#define KEPT_5 call->v[5]
#define KEPT_6 seventh
#define HIDE(value) __asm__("" : "+r"((value).u64))
#define IS_FLAG(last) _Generic((last), uint8_t : 1, default : 0)
#define FIRE(call, last, probe)                                       \
	do {                                                          \
		union value first = call->v[0], third = call->v[2];   \
		union value fifth = call->v[4], seventh = call->v[6]; \
		HIDE(first);                                          \
		HIDE(third);                                          \
		HIDE(fifth);                                          \
		HIDE(seventh);                                        \
		if (IS_FLAG(last) && (last) != 0) {                   \
			const uint8_t flag = 1;                       \
			(void)flag;                                   \
			probe;                                        \
		} else {                                              \
			const uint8_t flag = 0;                       \
			(void)flag;                                   \
			probe;                                        \
		}                                                     \
	} while (0)

#else

#define VALUE(i, type) call->v[i].type
#define FIRE(call, last, probe) probe

#endif

/* A function, and in it the probe behind its semaphore: Core's TRACEPOINT with its TRACEPOINT_ACTIVE. */
#define SITE(provider, name, last, probe)                               \
	void NAME(SITES_NAME, provider, name)(const struct call *call); \
	void NAME(SITES_NAME, provider, name)(const struct call *call)  \
	{                                                               \
		if (provider##_##name##_semaphore > 0)                  \
			FIRE(call, last, probe);                        \
	}

#define ABSENT(provider, name, layout)
#define PROBE2(provider, name, layout, a, b) \
	SITE(provider, name, call->v[1].b, STAP_PROBE2(provider, name, VALUE(0, a), VALUE(1, b)))
#define PROBE3(provider, name, layout, a, b, c) \
	SITE(provider, name, call->v[2].c, STAP_PROBE3(provider, name, VALUE(0, a), VALUE(1, b), VALUE(2, c)))
#define PROBE4(provider, name, layout, a, b, c, d) \
	SITE(provider, name, call->v[3].d,         \
	     STAP_PROBE4(provider, name, VALUE(0, a), VALUE(1, b), VALUE(2, c), VALUE(3, d)))
#define PROBE5(provider, name, layout, a, b, c, d, e) \
	SITE(provider, name, call->v[4].e,            \
	     STAP_PROBE5(provider, name, VALUE(0, a), VALUE(1, b), VALUE(2, c), VALUE(3, d), VALUE(4, e)))
#define PROBE6(provider, name, layout, a, b, c, d, e, f)                                                  \
	SITE(provider, name, call->v[5].f,                                                                \
	     STAP_PROBE6(provider, name, VALUE(0, a), VALUE(1, b), VALUE(2, c), VALUE(3, d), VALUE(4, e), \
			 VALUE(5, f)))
#define PROBE8(provider, name, layout, a, b, c, d, e, f, g, h)                                                         \
	SITE(provider, name, call->v[7].h,                                                                             \
	     STAP_PROBE8(provider, name, VALUE(0, a), VALUE(1, b), VALUE(2, c), VALUE(3, d), VALUE(4, e), VALUE(5, f), \
			 VALUE(6, g), VALUE(7, h)))
#include "probes.def"
#include "probes_undef.h"

#else
typedef int no_sites_in_this_build; /* ISO C wants a declaration in every file */
#endif
