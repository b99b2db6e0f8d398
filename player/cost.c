#include "cost.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "fail.h"
#include "pattern.h"
#include "report.h"

struct payload {
	uint8_t *bytes;
	size_t mapped;
	uint8_t *dropped; /* the pages that are not to be resident; `dropped_bytes` is 0 when all are */
	size_t dropped_bytes;
};

/* The payload in pages of its own, all resident. */
static struct payload payload_new(const struct args *args)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct payload payload = {.mapped = (args->size / page + 1) * page};
	size_t kept = args->nonresident_from * page;

	payload.bytes = mmap(NULL, payload.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (payload.bytes == MAP_FAILED)
		fail(STATUS_FAILED, "no memory for the payload: %s", strerror(errno));
	/* A huge page would come and go as one. */
	madvise(payload.bytes, payload.mapped, MADV_NOHUGEPAGE);
	pattern_fill(payload.bytes, args->size, 0);
	if (args->nonresident && kept >= payload.mapped)
		fail(STATUS_INPUT, "--nonresident=%" PRIu64 ": the payload has only %zu pages", args->nonresident_from,
		     payload.mapped / page);
	if (args->nonresident) {
		payload.dropped = payload.bytes + kept;
		payload.dropped_bytes = payload.mapped - kept;
	}
	return payload;
}

/* Fire `count` times; ns a probe. */
static double round_of(uint64_t count, const struct call *call, const struct payload *payload)
{
	site site = probes[INBOUND_MESSAGE].sites[SITE_REGISTERS];
	uint64_t before = monotonic_ns();

	if (payload->dropped_bytes == 0) {
		for (uint64_t i = 0; i < count; i++)
			site(call);
	} else {
		for (uint64_t i = 0; i < count; i++) {
			madvise(payload->dropped, payload->dropped_bytes, MADV_DONTNEED);
			site(call);
		}
	}
	return (double)(monotonic_ns() - before) / (double)count;
}

void cost(struct run *run)
{
	const struct args *args = &run->args;
	struct payload payload = payload_new(args);
	struct call call = {{
		{.i64 = 0},
		{.text = "203.0.113.1:8333"},
		{.text = "inbound"},
		{.text = "tx"},
		{.u64 = args->size},
		{.bytes = payload.bytes},
	}};
	double least = 0;
	double sum = 0;
	char line[512];

	if (probes[INBOUND_MESSAGE].sites[SITE_REGISTERS] == NULL)
		fail(STATUS_FAILED, "this build has no net:inbound_message");
	for (unsigned i = 0; i < args->rounds; i++) {
		double ns = round_of(args->count, &call, &payload);

		least = i == 0 || ns < least ? ns : least;
		sum += ns;
	}
	snprintf(line, sizeof(line),
		 "{\"pid\":%d,\"size_bytes\":%" PRIu64 ",\"count\":%" PRIu64 ",\"rounds\":%u,\"attached\":%s,"
		 "\"nonresident_bytes\":%zu,\"least_ns\":%.2f,\"mean_ns\":%.2f}\n",
		 (int)getpid(), args->size, args->count, args->rounds, somebody_listens() ? "true" : "false",
		 payload.dropped_bytes, least, sum / args->rounds);
	report_line(run, line);
	munmap(payload.bytes, payload.mapped);
}
