#include "trigger.h"

#include <stdlib.h>

#include "fail.h"
#include "format.h"

void fire(struct trigger *trigger, unsigned probe, const struct call *call)
{
	site site = probes[probe].sites[trigger->turn++ % SITES];

	if (trigger->recording != NULL)
		format_write(trigger->recording, trigger->at, probe, trigger->thread, call);
	else if (site != NULL)
		site(call);
	if (site == NULL) {
		count_up(&trigger->counts.absent[probe], 1);
		return;
	}
	count_up(&trigger->counts.fired[probe], 1);
	if (probe == INBOUND_MESSAGE || probe == OUTBOUND_MESSAGE)
		count_message(&trigger->counts, probe, call->v[MESSAGE_TYPE].text, call->v[MESSAGE_SIZE].u64);
}

struct trigger *triggers_new(unsigned threads)
{
	struct trigger *triggers = calloc(threads, sizeof(*triggers));

	if (triggers == NULL)
		fail(STATUS_FAILED, "no memory for %u threads", threads);
	for (unsigned i = 0; i < threads; i++)
		triggers[i].thread = i;
	return triggers;
}
