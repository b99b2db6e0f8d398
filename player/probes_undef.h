/* Forgets the macros with which probes.def was read. No include guard: used after every reading. */
#undef ABSENT
#undef PROBE2
#undef PROBE3
#undef PROBE4
#undef PROBE5
#undef PROBE6
#undef PROBE8
