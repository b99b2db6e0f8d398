/* SPDX-License-Identifier: MIT */
/* What runs inside the traced node at each of its tracepoints. It copies and counts, and never parses a payload.
 *
 * Layouts that Python shares (records and their numbers: probes.py; specs: arguments.py; slots and control: slots.py) are
 * compared with this file by tests/unit/sources/usdt/test_trace.py.
 *
 * Rules of the hot path (`on_message`):
 * - no branch on the result of a payload read, or the verifier would follow every combination of them: `failed |= ret`;
 * - records have their exact size (reserve_dynptr), but a slice of one must have a constant size: hence the powers of two;
 * - ring memory is not zeroed, so every byte of a record is written;
 * - one sequence number a record, taken before space is asked for: a dropped record leaves a gap.
 */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define MAX_SLOTS 8192
#define MAX_SPECS 1024
#define MAX_ARGS 8
#define MAX_TEXT 128
#define MAX_LIMIT (4u << 20) /* over MAX_PROTOCOL_MESSAGE_LENGTH (4,000,000), net.h of Bitcoin Core */
#define LIMIT_BITS 10
#define MAX_PEERS 65536

/* ---- shared layouts ---- */

struct record {
	u64 ts;
	u64 seq;
	s64 peer;
	u64 size;
	u32 kept;
	u16 slot;
	u8 probe;
	u8 flags;
	u64 type[2];
};

struct description {
	char address[72];
	char conn_type[24];
};

enum record_flags { UNREADABLE = 1 };
enum { OUTBOUND_MESSAGE = 1, DESCRIBED = 16 }; /* of the numbers of probes, and beside them */

enum operand { IN_REGISTER, IN_MEMORY };
enum content { INTEGER, TEXT, HASH };

/* Where one argument lies and how it goes into a record. */
struct argument {
	s64 value;  /* constant, or displacement from the register */
	u8 operand; /* enum operand; a constant is the register ZERO plus a value */
	u8 reg;
	u8 size;
	u8 is_signed;
	u8 content; /* enum content */
	u8 width;   /* bytes in the record */
	u16 offset; /* in the record's body */
};

enum spec_flags { HAS_PEER = 1, DESCRIBES_PEER = 2, FORGETS_PEER = 4 };

struct spec {
	u8 probe;
	u8 nargs;
	u8 flags;   /* enum spec_flags */
	u8 counter; /* for counted probes: index in slot.counted */
	u16 body;   /* bytes after the header; not for messages */
	u16 unused;
	struct argument args[MAX_ARGS];
};

/* One traced process. The first cache line is what every record touches. */
struct slot {
	u64 seen; /* next sequence number */
	u64 sent;
	u64 dropped;
	u64 dropped_bytes; /* of messages, on the wire */
	u64 unreadable;
	u64 first_ns;
	u32 tgid;
	u32 unused;
	u64 reserved;
	u64 counted[8];
};

struct limit {
	u64 type[2];
	u64 limit[2]; /* of messages received, and sent */
};

/* Capture limits by message type: a perfect hash, so one look is enough. */
struct limits {
	u64 multiplier;
	u64 other;
	struct limit table[1 << LIMIT_BITS];
};

/* Written by user space while we read: one of two tables is active, the other can be filled at leisure. */
struct control {
	u64 unassigned; /* hits of processes for which no slot was left */
	u64 ring_id;
	u64 active;
	u64 unused[5];
	struct limits limits[2];
};

/* ---- maps ---- */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* set before loading */
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* and frozen once loaded: user space reads it only, whoever has the descriptor */
	__uint(max_entries, MAX_SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SPECS);
	__type(key, u32);
	__type(value, struct spec);
} specs SEC(".maps");

/* Which process has which slot; IGNORED: not ours. */
#define IGNORED 0xffffffff
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * MAX_SLOTS);
	__type(key, u32);
	__type(value, u32);
} procs SEC(".maps");

/* Not shared: a reader that could write it could give two processes one slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} next_slot SEC(".maps");

/* Peers whose address and connection type are in the ring already. */
struct peer_key {
	s64 peer;
	u64 slot;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PEERS);
	__type(key, struct peer_key);
	__type(value, u8);
} described SEC(".maps");

/* Since Linux 6.13 a kprobe-type program with more than 64 bytes of stack gets a stack for each CPU instead of the kernel's own
 * (bpf_enable_priv_stack in kernel/bpf/verifier.c), on the ground that such programs do not nest. At a uprobe they do: the thread
 * can be preempted, and the next one to hit a probe on that CPU overwrites its variables; with preempt=full that ends in an oops.
 * A program with a tail call keeps to the kernel's stack. So each of ours has one, to where no program ever is. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} nothing SEC(".maps");

static __always_inline int done(void *ctx)
{
	bpf_tail_call(ctx, &nothing, 0);
	return 0;
}

/* A bound that the verifier sees: it follows the register that is compared, and clang, left alone, may compare a copy. */
#define AT_MOST(value, most) asm volatile("if %0 <= %1 goto +1\n\t%0 = %1" : "+r"(value) : "i"(most))

/* ---- which process ---- */

static __always_inline void count(u64 *counter, u64 by)
{
	__sync_fetch_and_add(counter, by);
}

static __always_inline struct control *the_control(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&control, &zero);
}

/* A process met for the first time takes the next slot by itself, so that a restarted node is traced from its first message. */
static __noinline u32 new_slot(u32 tgid)
{
	u32 zero = 0;
	u64 *next = bpf_map_lookup_elem(&next_slot, &zero);
	struct control *c = the_control();
	if (!next || !c)
		return IGNORED;
	if (*next >= MAX_SLOTS) {
		count(&c->unassigned, 1);
		return IGNORED;
	}
	u32 index = __sync_fetch_and_add(next, 1);
	struct slot *slot = bpf_map_lookup_elem(&slots, &index);
	if (!slot) {
		count(&c->unassigned, 1);
		return IGNORED;
	}
	slot->first_ns = bpf_ktime_get_ns();
	slot->tgid = tgid;
	if (!bpf_map_update_elem(&procs, &tgid, &index, BPF_NOEXIST))
		return index;
	/* Another thread of the process was faster (this slot stays unused), or the map is full. */
	slot->tgid = 0;
	u32 *winner = bpf_map_lookup_elem(&procs, &tgid);
	if (!winner)
		count(&c->unassigned, 1);
	return winner ? *winner : IGNORED;
}

static __always_inline struct slot *my_slot(u32 *index)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u32 *known = bpf_map_lookup_elem(&procs, &tgid);
	*index = known ? *known : new_slot(tgid);
	return bpf_map_lookup_elem(&slots, index); /* IGNORED is beyond the array */
}

/* ---- arguments ---- */

/* In the order of arguments.py; the last is always 0. */
enum { ZERO = 16, REGISTERS = 17 };
struct registers {
	u64 value[REGISTERS];
};

static __always_inline void save_registers(struct registers *r, const struct pt_regs *ctx)
{
	r->value[0] = ctx->rax;
	r->value[1] = ctx->rbx;
	r->value[2] = ctx->rcx;
	r->value[3] = ctx->rdx;
	r->value[4] = ctx->rsi;
	r->value[5] = ctx->rdi;
	r->value[6] = ctx->rbp;
	r->value[7] = ctx->rsp;
	r->value[8] = ctx->r8;
	r->value[9] = ctx->r9;
	r->value[10] = ctx->r10;
	r->value[11] = ctx->r11;
	r->value[12] = ctx->r12;
	r->value[13] = ctx->r13;
	r->value[14] = ctx->r14;
	r->value[15] = ctx->r15;
	r->value[ZERO] = 0;
}

static __always_inline u64 read_argument(const struct registers *r, const struct argument *a, u64 *failed)
{
	u64 reg = a->reg;
	u64 size = a->size;
	AT_MOST(reg, ZERO);
	AT_MOST(size, 8);
	u64 value = r->value[reg] + a->value;
	if (a->operand == IN_MEMORY) {
		const void *where = (const void *)value;
		value = 0;
		*failed |= bpf_probe_read_user(&value, size, where);
	}
	u64 spare = 64 - 8 * size;
	value <<= spare;
	return a->is_signed ? (u64)((s64)value >> spare) : value >> spare;
}

static __always_inline struct spec *my_spec(void *ctx)
{
	u32 index = bpf_get_attach_cookie(ctx);
	return bpf_map_lookup_elem(&specs, &index);
}

/* ---- messages ---- */

static __always_inline u64 capture_limit(const u64 type[2], u64 sent)
{
	struct control *c = the_control();
	if (!c)
		return 0;
	const struct limits *l = &c->limits[c->active & 1];
	u64 hash = (type[0] ^ type[1] << 13) * l->multiplier >> (64 - LIMIT_BITS);
	const struct limit *entry = &l->table[hash & ((1 << LIMIT_BITS) - 1)];
	u64 limit = l->other;
	if (entry->type[0] == type[0] && entry->type[1] == type[1])
		limit = sent ? entry->limit[1] : entry->limit[0];
	return limit < MAX_LIMIT ? limit : MAX_LIMIT;
}

/* A peer that was connected before its connection could be seen. */
static __noinline void describe(struct slot *slot, const struct peer_key *key, u64 address, u64 conn_type)
{
	struct bpf_dynptr space;
	u8 yes = 1;
	if (bpf_map_update_elem(&described, key, &yes, BPF_NOEXIST))
		return; /* another thread does it */
	u64 seq = __sync_fetch_and_add(&slot->seen, 1);
	if (bpf_ringbuf_reserve_dynptr(&ring, sizeof(struct record) + sizeof(struct description), 0, &space)) {
		bpf_ringbuf_discard_dynptr(&space, 0);
		count(&slot->dropped, 1);
		bpf_map_delete_elem(&described, key);
		return;
	}
	struct record *record = bpf_dynptr_data(&space, 0, sizeof(*record));
	struct description *description = bpf_dynptr_data(&space, sizeof(*record), sizeof(*description));
	if (record && description) {
		__builtin_memset(description, 0, sizeof(*description));
		u64 failed = bpf_probe_read_user_str(description->address, sizeof(description->address), (void *)address) < 0;
		failed |= bpf_probe_read_user_str(description->conn_type, sizeof(description->conn_type), (void *)conn_type) < 0;
		*record = (struct record){
			.ts = bpf_ktime_get_ns(), .seq = seq, .peer = key->peer, .kept = sizeof(*description),
			.slot = key->slot, .probe = DESCRIBED, .flags = failed ? UNREADABLE : 0,
		};
		if (failed)
			count(&slot->unreadable, 1);
	}
	bpf_ringbuf_submit_dynptr(&space, BPF_RB_NO_WAKEUP);
	count(&slot->sent, 1);
}

#define CHUNK 16384

/* The rest of a payload, `left` bytes: two reads of the largest power of two that fits, the second overlapping the first. */
#define REST(bytes)                                                                     \
	if (left >= bytes) {                                                            \
		void *head = bpf_dynptr_data(space, at, bytes);                         \
		if (head)                                                               \
			failed |= bpf_probe_read_user(head, bytes, from);               \
		void *tail = bpf_dynptr_data(space, at + left - bytes, bytes);          \
		if (tail)                                                               \
			failed |= bpf_probe_read_user(tail, bytes, from + left - bytes); \
	} else

static __always_inline u64 copy_payload(struct bpf_dynptr *space, const u8 *from, u32 kept)
{
	u64 failed = 0;
	u32 at = sizeof(struct record);
	u32 left = kept % CHUNK;
	u32 whole = kept / CHUNK;
	for (u32 i = 0; i < MAX_LIMIT / CHUNK; i++) {
		if (i >= whole)
			break;
		void *chunk = bpf_dynptr_data(space, at, CHUNK);
		if (chunk)
			failed |= bpf_probe_read_user(chunk, CHUNK, from);
		at += CHUNK;
		from += CHUNK;
	}
	REST(8192) REST(4096) REST(2048) REST(1024) REST(512) REST(256) REST(128) REST(64) REST(32) REST(16) REST(8) REST(4)
	REST(2) REST(1) {}
	return failed;
}

/* net:inbound_message, net:outbound_message: peer, address, conn_type, type, size, payload */
SEC("uprobe")
int on_message(struct pt_regs *ctx)
{
	struct bpf_dynptr space;
	struct registers registers;
	struct peer_key key = {};
	u64 type[2] = {};
	u64 failed = 0;
	u32 index;

	struct slot *slot = my_slot(&index);
	if (!slot)
		return done(ctx);
	struct spec *spec = my_spec(ctx);
	if (!spec)
		return 0;
	save_registers(&registers, ctx);
	key.peer = read_argument(&registers, &spec->args[0], &failed);
	key.slot = index;
	if (!bpf_map_lookup_elem(&described, &key))
		describe(slot, &key, read_argument(&registers, &spec->args[1], &failed),
			 read_argument(&registers, &spec->args[2], &failed));
	u64 name = read_argument(&registers, &spec->args[3], &failed);
	failed |= bpf_probe_read_user_str(type, sizeof(type), (const void *)name) < 0;
	u64 size = read_argument(&registers, &spec->args[4], &failed);
	u64 payload = read_argument(&registers, &spec->args[5], &failed);
	u64 limit = capture_limit(type, spec->probe == OUTBOUND_MESSAGE);
	u32 kept = size < limit ? size : limit;
	if (kept > MAX_LIMIT)
		return 0;

	u64 seq = __sync_fetch_and_add(&slot->seen, 1);
	if (bpf_ringbuf_reserve_dynptr(&ring, sizeof(struct record) + kept, 0, &space)) {
		bpf_ringbuf_discard_dynptr(&space, 0);
		count(&slot->dropped, 1);
		count(&slot->dropped_bytes, size);
		return 0;
	}
	failed |= copy_payload(&space, (const u8 *)payload, kept);
	struct record *record = bpf_dynptr_data(&space, 0, sizeof(*record));
	if (record)
		*record = (struct record){
			.ts = bpf_ktime_get_ns(), .seq = seq, .peer = key.peer, .size = size, .kept = kept, .slot = index,
			.probe = spec->probe, .flags = failed ? UNREADABLE : 0, .type = { type[0], type[1] },
		};
	bpf_ringbuf_submit_dynptr(&space, BPF_RB_NO_WAKEUP);
	if (failed)
		count(&slot->unreadable, 1);
	count(&slot->sent, 1);
	return 0;
}

/* ---- everything else that is recorded ---- */

static __always_inline u64 record_argument(struct bpf_dynptr *space, const struct argument *a, u64 value)
{
	char buffer[MAX_TEXT];
	u64 failed = 0;
	u32 at = sizeof(struct record) + a->offset;
	u64 width = a->width;
	AT_MOST(width, MAX_TEXT);
	if (a->content == INTEGER) {
		bpf_dynptr_write(space, at, &value, sizeof(value), 0);
	} else if (a->content == HASH) {
		failed = bpf_probe_read_user(buffer, 32, (const void *)value);
		bpf_dynptr_write(space, at, buffer, 32, 0);
	} else {
		__builtin_memset(buffer, 0, sizeof(buffer));
		failed = bpf_probe_read_user_str(buffer, width, (const void *)value) < 0;
		bpf_dynptr_write(space, at, buffer, width, 0);
	}
	return failed;
}

SEC("uprobe")
int on_event(struct pt_regs *ctx)
{
	struct bpf_dynptr space;
	struct registers registers;
	struct peer_key key = {};
	u64 failed = 0;
	u8 yes = 1;
	u32 index;

	struct slot *slot = my_slot(&index);
	if (!slot)
		return done(ctx);
	struct spec *spec = my_spec(ctx);
	if (!spec)
		return 0;
	save_registers(&registers, ctx);
	key.slot = index;
	if (spec->flags & HAS_PEER)
		key.peer = read_argument(&registers, &spec->args[0], &failed);
	if (spec->flags & FORGETS_PEER)
		bpf_map_delete_elem(&described, &key);

	u64 seq = __sync_fetch_and_add(&slot->seen, 1);
	if (bpf_ringbuf_reserve_dynptr(&ring, sizeof(struct record) + spec->body, 0, &space)) {
		bpf_ringbuf_discard_dynptr(&space, 0);
		count(&slot->dropped, 1);
		return 0;
	}
	for (u32 i = 0; i < MAX_ARGS; i++) {
		if (i >= spec->nargs)
			break;
		const struct argument *a = &spec->args[i];
		failed |= record_argument(&space, a, read_argument(&registers, a, &failed));
	}
	struct record *record = bpf_dynptr_data(&space, 0, sizeof(*record));
	if (record)
		*record = (struct record){
			.ts = bpf_ktime_get_ns(), .seq = seq, .peer = key.peer, .kept = spec->body, .slot = index,
			.probe = spec->probe, .flags = failed ? UNREADABLE : 0,
		};
	if (spec->flags & DESCRIBES_PEER)
		bpf_map_update_elem(&described, &key, &yes, BPF_ANY);
	bpf_ringbuf_submit_dynptr(&space, BPF_RB_NO_WAKEUP);
	if (failed)
		count(&slot->unreadable, 1);
	count(&slot->sent, 1);
	return 0;
}

/* ---- counted only: they fire thousands of times a block ---- */

SEC("uprobe")
int on_counted(struct pt_regs *ctx)
{
	u32 index;
	struct slot *slot = my_slot(&index);
	struct spec *spec = my_spec(ctx);
	if (!slot || !spec)
		return done(ctx);
	count(&slot->counted[spec->counter & 7], 1);
	return 0;
}

/* What the probe itself costs; for benchmarks. */
SEC("uprobe")
int on_nothing(struct pt_regs *ctx)
{
	return 0;
}

char bpf_license[] SEC("license") = "Dual MIT/GPL"; /* some helpers want to hear GPL */
