/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables in which the kernel finds sockets, which is what /proc/net lists:
 * TCP's established and listening ones, UDP's, raw, ping, unix, packet and
 * netlink. Through them come the sockets that no process has open: those of the
 * kernel, of connections that are ending or not yet accepted, and those whose
 * process is hidden.
 *
 * The tables are the kernel's own or, of later kernels, each network
 * namespace's: TCP from 6.1 on (where asked for), UDP from 6.2, unix from 6.0.
 */
#include "index/memory/machine_sockets.h"

#include <string.h>

#define BIT(n) (1ULL << (n))
#define INET (BIT(HERD_AF_INET) | BIT(HERD_AF_INET6))
#define NETS_MAX 65536u
#define BUCKETS_MAX (1u << 22)
#define NETLINK_PROTOCOLS 32u
#define UNIX_BUCKETS 512u

struct table_types {
	struct herd_field ehash, ehash_mask, lhash2, lhash2_mask, listening;
	struct herd_field ehash_head, listen_head, listen_nulls;
	struct herd_field udp_hash, udp_mask, udp_head;
	struct herd_field net_tcp, net_tcp_row, row_hashinfo, net_udp;
	struct herd_field net_unix, net_packet;
	struct herd_field raw_ht, ping_hash;
	struct herd_field nl_hash, nl_node, ht_tbl, tbl_size, tbl_nest,
		tbl_future, tbl_buckets;
	uint32_t ehash_stride, listen_stride, udp_stride, nl_stride;
};
#define MAYBE(t, m, where_)                                   \
	{                                                     \
		.type = (t), .member = (m), .optional = true, \
		.where = offsetof(struct table_types, where_) \
	}

static const struct herd_wanted wanted[] = {
	MAYBE("inet_hashinfo", "ehash", ehash),
	MAYBE("inet_hashinfo", "ehash_mask", ehash_mask),
	MAYBE("inet_hashinfo", "lhash2", lhash2),
	MAYBE("inet_hashinfo", "lhash2_mask", lhash2_mask),
	MAYBE("inet_hashinfo", "listening_hash", listening),
	MAYBE("inet_ehash_bucket", "chain", ehash_head),
	MAYBE("inet_listen_hashbucket", "head", listen_head),
	MAYBE("inet_listen_hashbucket", "nulls_head", listen_nulls),
	MAYBE("udp_table", "hash", udp_hash),
	MAYBE("udp_table", "mask", udp_mask),
	MAYBE("udp_hslot", "head", udp_head),
	MAYBE("net", "ipv4.tcp_death_row.hashinfo", net_tcp),
	MAYBE("net", "ipv4.tcp_death_row", net_tcp_row),
	MAYBE("inet_timewait_death_row", "hashinfo", row_hashinfo),
	MAYBE("net", "ipv4.udp_table", net_udp),
	MAYBE("net", "unx.table.buckets", net_unix),
	MAYBE("net", "packet.sklist", net_packet),
	MAYBE("raw_hashinfo", "ht", raw_ht),
	MAYBE("ping_table", "hash", ping_hash),
	MAYBE("netlink_table", "hash", nl_hash),
	MAYBE("netlink_sock", "node", nl_node),
	MAYBE("rhashtable", "tbl", ht_tbl),
	MAYBE("bucket_table", "size", tbl_size),
	MAYBE("bucket_table", "nest", tbl_nest),
	MAYBE("bucket_table", "future_tbl", tbl_future),
	MAYBE("bucket_table", "buckets", tbl_buckets),
};

struct tables {
	struct herd_socket_reader *s;
	struct table_types t;
	struct herd_seen_map walked; /* tables */
};

/* Buckets in a row, each with a list of socks. */
struct buckets {
	const char *name;
	uint64_t at;
	uint64_t n;
	uint32_t stride, head; /* bytes of one; where its first pointer is */
	uint32_t node;	       /* where in a sock the list's node is */
	uint64_t families;
	bool lock_bit; /* the lowest bit of a list's pointer is its
				   lock, and says nothing of its end */
};

/* ---- walking ---- */

static int chain(struct tables *w, const struct buckets *b, uint64_t first)
{
	struct herd_socket_reader *s = w->s;
	struct herd_chain c = herd_chain_hlist(&s->mem, first, s->steps);
	uint64_t node;
	uint32_t index;

	while (herd_chain_next(&c, &node)) {
		int err =
			herd_socket_add(s, node - b->node, b->families, &index);

		if (err == -ENOMEM || err == -EOVERFLOW)
			return err;
		if (err) {
			c.err = err;
			break;
		}
	}
	s->steps -= c.steps < s->steps ? c.steps : s->steps;
	if (c.err)
		herd_reader_problem(
			s->r, b->name,
			c.err == -ELOOP ? "a list of sockets runs in a circle" :
					  "a list of sockets is broken off");
	return s->steps ? 0 : -EOVERFLOW;
}

static int walk(struct tables *w, struct buckets b)
{
	uint8_t bytes[4096];
	size_t at_once;

	if (!b.at || !b.stride || b.stride > sizeof(bytes) ||
	    b.head > b.stride - sizeof(uint64_t))
		return 0;
	if (herd_seen_add(&w->walked, b.at, 0, NULL))
		return 0;
	if (b.n > BUCKETS_MAX) {
		herd_reader_problem(w->s->r, b.name,
				    "a table of %llu lists: "
				    "the first %u were read",
				    (unsigned long long)b.n, BUCKETS_MAX);
		b.n = BUCKETS_MAX;
	}
	at_once = sizeof(bytes) / b.stride;
	for (uint64_t i = 0; i < b.n; i += at_once) {
		size_t n = b.n - i < at_once ? b.n - i : at_once;

		if (herd_kernel_read(w->s->r->k, b.at + i * b.stride, bytes,
				     n * b.stride)) {
			herd_reader_problem(w->s->r, b.name,
					    "a part of the "
					    "table could not be read");
			continue;
		}
		for (size_t j = 0; j < n; j++) {
			uint64_t first;
			int err;

			memcpy(&first, bytes + j * b.stride + b.head,
			       sizeof(first));
			if (b.lock_bit) {
				first &= ~1ULL;
				if (first == b.at + (i + j) * b.stride)
					continue;
			}
			if (!first || (first & 1))
				continue;
			err = chain(w, &b, first);
			if (err)
				return err;
		}
	}
	return 0;
}

/* ---- the tables ---- */

static bool tcp_known(const struct table_types *t)
{
	return herd_field_there(&t->ehash) &&
	       herd_field_there(&t->ehash_mask) &&
	       herd_field_there(&t->ehash_head) && t->ehash_stride &&
	       t->listen_stride;
}

static int listening(struct tables *w, uint64_t info)
{
	const struct table_types *t = &w->t;
	const struct herd_field *head = herd_field_there(&t->listen_nulls) ?
						&t->listen_nulls :
						&t->listen_head;
	struct buckets b = {
		.name = "listening TCP sockets",
		.stride = t->listen_stride,
		.node = w->s->t.node.offset,
		.families = INET,
	};
	uint64_t at, mask;

	if (!herd_field_there(head))
		return 0;
	b.head = head->offset;
	if (herd_field_there(&t->listening)) { /* before 5.19 */
		b.at = info + t->listening.offset;
		b.n = t->listening.size / t->listen_stride;
		return walk(w, b);
	}
	if (!herd_field_there(&t->lhash2) ||
	    !herd_field_there(&t->lhash2_mask) ||
	    herd_kernel_get(w->s->r->k, info, &t->lhash2, &at) ||
	    herd_kernel_get(w->s->r->k, info, &t->lhash2_mask, &mask))
		return 0;
	b.at = at;
	b.n = mask + 1;
	return walk(w, b);
}

static int tcp(struct tables *w, uint64_t info)
{
	const struct table_types *t = &w->t;
	struct herd_kernel *k = w->s->r->k;
	struct buckets b = {
		.name = "TCP sockets",
		.stride = t->ehash_stride,
		.head = t->ehash_head.offset,
		.node = w->s->t.node.offset,
		.families = INET,
	};
	uint64_t mask;
	int err;

	if (!info || !tcp_known(t) || herd_seen_add(&w->walked, info, 0, NULL))
		return 0;
	if (herd_kernel_get(k, info, &t->ehash, &b.at) ||
	    herd_kernel_get(k, info, &t->ehash_mask, &mask)) {
		herd_reader_problem(w->s->r, b.name,
				    "their table could not be read");
		return 0;
	}
	b.n = mask + 1;
	err = walk(w, b);
	return err ? err : listening(w, info);
}

static int udp(struct tables *w, uint64_t table)
{
	const struct table_types *t = &w->t;
	struct buckets b = {
		.name = "UDP sockets",
		.stride = t->udp_stride,
		.head = t->udp_head.offset,
		.node = w->s->t.node.offset,
		.families = INET,
	};
	uint64_t mask;

	if (!table || !herd_field_there(&t->udp_hash) ||
	    !herd_field_there(&t->udp_mask) || !herd_field_there(&t->udp_head))
		return 0;
	if (herd_kernel_get(w->s->r->k, table, &t->udp_hash, &b.at) ||
	    herd_kernel_get(w->s->r->k, table, &t->udp_mask, &mask)) {
		herd_reader_problem(w->s->r, b.name,
				    "their table could not be read");
		return 0;
	}
	b.n = mask + 1;
	return walk(w, b);
}

/* An array of list heads in a struct at a symbol; f missing: at the symbol. */
static int heads(struct tables *w, const char *symbol, const char *name,
		 const struct herd_field *f, uint64_t n, uint64_t families)
{
	struct buckets b = {
		.name = name,
		.stride = sizeof(uint64_t),
		.n = n,
		.node = w->s->t.node.offset,
		.families = families,
	};

	if (herd_kernel_symbol(w->s->r->k, symbol, &b.at))
		return 0;
	if (f) {
		if (!herd_field_there(f))
			return 0;
		b.at += f->offset;
		b.n = f->size / sizeof(uint64_t);
	}
	return walk(w, b);
}

/* ---- netlink's tables can be resized while they are used ---- */

static int rhashtable(struct tables *w, uint64_t at)
{
	const struct table_types *t = &w->t;
	struct herd_kernel *k = w->s->r->k;
	uint64_t tbl = 0, size, nest;
	int err = 0;

	(void)herd_kernel_get(k, at, &t->ht_tbl, &tbl);
	for (unsigned i = 0; tbl && i < 4 && !err; i++) {
		struct buckets b = {
			.name = "netlink sockets",
			.stride = sizeof(uint64_t),
			.at = tbl + t->tbl_buckets.offset,
			.node = t->nl_node.offset,
			.families = BIT(HERD_AF_NETLINK),
			.lock_bit = true,
		};

		if (herd_kernel_get(k, tbl, &t->tbl_size, &size) ||
		    herd_kernel_get(k, tbl, &t->tbl_nest, &nest) || nest) {
			herd_reader_problem(w->s->r, b.name,
					    "a table could not be read");
			return 0;
		}
		b.n = size;
		err = walk(w, b);
		if (herd_kernel_get(k, tbl, &t->tbl_future, &tbl))
			tbl = 0;
	}
	return err;
}

static int netlink(struct tables *w)
{
	const struct table_types *t = &w->t;
	const struct herd_field *need[] = { &t->nl_hash,    &t->nl_node,
					    &t->ht_tbl,	    &t->tbl_size,
					    &t->tbl_nest,   &t->tbl_future,
					    &t->tbl_buckets };
	uint64_t at, table;
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(need); i++)
		if (!herd_field_there(need[i]))
			return 0;
	if (!t->nl_stride || herd_kernel_symbol(w->s->r->k, "nl_table", &at) ||
	    herd_kernel_u64(w->s->r->k, at, &table) || !table)
		return 0;
	for (unsigned i = 0; i < NETLINK_PROTOCOLS && !err; i++)
		err = rhashtable(w, table + (uint64_t)i * t->nl_stride +
					    t->nl_hash.offset);
	return err;
}

/* ---- of each network namespace ---- */

static uint64_t net_pointer(struct tables *w, uint64_t net,
			    const struct herd_field *f)
{
	uint64_t v;

	if (!herd_field_there(f) || f->size != sizeof(v) ||
	    herd_kernel_get(w->s->r->k, net, f, &v))
		return 0;
	return v;
}

static int of_net(struct tables *w, uint64_t net)
{
	const struct table_types *t = &w->t;
	struct buckets b = {
		.name = "unix sockets",
		.stride = sizeof(uint64_t),
		.n = UNIX_BUCKETS,
		.node = w->s->t.node.offset,
		.families = BIT(HERD_AF_UNIX),
	};
	uint64_t info = net_pointer(w, net, &t->net_tcp), row;
	int err;

	if (!info) { /* a pointer in between, for a while */
		row = net_pointer(w, net, &t->net_tcp_row);
		if (row && herd_field_there(&t->row_hashinfo) &&
		    herd_kernel_get(w->s->r->k, row, &t->row_hashinfo, &info))
			info = 0;
	}
	err = tcp(w, info);
	if (!err)
		err = udp(w, net_pointer(w, net, &t->net_udp));
	b.at = net_pointer(w, net, &t->net_unix);
	if (!err)
		err = walk(w, b);
	if (!err && herd_field_there(&t->net_packet)) {
		b.name = "packet sockets";
		b.at = net + t->net_packet.offset;
		b.n = 1;
		b.families = BIT(HERD_AF_PACKET);
		err = walk(w, b);
	}
	return err;
}

static int of_nets(struct tables *w)
{
	struct herd_socket_reader *s = w->s;
	struct herd_kernel *k = s->r->k;
	struct herd_chain c;
	uint64_t head, node;
	int err = 0;

	if (!herd_kernel_symbol(k, "init_net", &node))
		err = of_net(w, node);
	if (err || !herd_field_there(&s->t.nets) ||
	    herd_kernel_symbol(k, "net_namespace_list", &head))
		return err;
	c = herd_chain_list(&s->mem, head, NETS_MAX);
	while (!err && herd_chain_next(&c, &node))
		err = of_net(w, node - s->t.nets.offset);
	if (!err && c.err)
		herd_reader_problem(s->r, "network namespaces",
				    "their list is broken off");
	return err;
}

/* ---- all ---- */

static int find_types(struct tables *w)
{
	struct herd_kernel *k = w->s->r->k;
	struct table_types *t = &w->t;
	int err = herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), t, NULL);

	if (err)
		return err;
	(void)herd_kernel_sizeof(k, "inet_ehash_bucket", &t->ehash_stride);
	(void)herd_kernel_sizeof(k, "inet_listen_hashbucket",
				 &t->listen_stride);
	(void)herd_kernel_sizeof(k, "udp_hslot", &t->udp_stride);
	(void)herd_kernel_sizeof(k, "netlink_table", &t->nl_stride);
	return 0;
}

static int all_tables(struct tables *w)
{
	static const char *const udps[] = { "udp_table", "udplite_table" };
	struct herd_kernel *k = w->s->r->k;
	uint64_t at;
	int err;

	if (herd_kernel_symbol(k, "tcp_hashinfo", &at)) {
		herd_reader_problem(w->s->r, "sockets",
				    "the kernel's symbols "
				    "lack tcp_hashinfo: only those of open "
				    "files are listed");
		at = 0;
	}
	err = tcp(w, at);
	for (size_t i = 0; i < ARRAY_SIZE(udps) && !err; i++)
		if (!herd_kernel_symbol(k, udps[i], &at))
			err = udp(w, at);
	if (!err)
		err = heads(w, "raw_v4_hashinfo", "raw sockets", &w->t.raw_ht,
			    0, INET);
	if (!err)
		err = heads(w, "raw_v6_hashinfo", "raw sockets", &w->t.raw_ht,
			    0, INET);
	if (!err)
		err = heads(w, "ping_table", "ping sockets", &w->t.ping_hash, 0,
			    INET);
	if (!err)
		err = heads(w, "unix_socket_table", "unix sockets", NULL,
			    UNIX_BUCKETS, BIT(HERD_AF_UNIX));
	if (!err)
		err = netlink(w);
	return err ? err : of_nets(w);
}

int herd_socket_tables(struct herd_socket_reader *s)
{
	struct tables w = { .s = s };
	int err = find_types(&w);

	if (!err)
		err = all_tables(&w);
	herd_seen_deinit(&w.walked);
	return err;
}
