/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of status that are about EBS and S3.
 *
 * Threads: the main thread.
 */
#include "tools/status_remote.h"

#include "acquire/aws/pricing.h"
#include "acquire/base/cleanup.h"
#include "acquire/fetch_object_name.h"
#include "acquire/fetcher.h"
#include "index/report.h"
#include "tools/common.h"

#include <stdio.h>
#include <string.h>

void herd_costs_open(struct herd_costs *c, const char *dir)
{
	CLEANUP_FREE char *place = herd_fetcher_cache_dir(dir);

	*c = (struct herd_costs){ 0 };
	/* that nothing was ever fetched is no error here */
	if (place && herd_fetch_ledger_open_read(place, &c->ledger))
		c->ledger = NULL;
}

void herd_costs_close(struct herd_costs *c)
{
	herd_fetch_ledger_close(c->ledger);
}

bool herd_costs_has_snapshot(const struct herd_instance *i)
{
	for (size_t d = 0; d < i->n_disks; d++)
		if (herd_image_is_remote(&i->disks[d]))
			return true;
	return false;
}

static double price(const struct herd_fetch_ledger_row *r)
{
	return herd_ebs_price_usd(r->blocks, r->list_calls);
}

static void get_row(const struct herd_costs *c, const struct herd_image *img,
		    struct herd_fetch_ledger_row *ret)
{
	const char *snapshot = herd_ebs_snapshot(img->files[0].path);

	*ret = (struct herd_fetch_ledger_row){ 0 };
	if (c->ledger && snapshot)
		herd_fetch_ledger_get(c->ledger, snapshot, ret);
}

static void put_row(struct herd_buf *out, const struct herd_fetch_ledger_row *r)
{
	char blocks[32], lists[32], bytes[16], failed[32];

	herd_buf_printf(out, "%s blocks (%s) and %s calls for lists from AWS, about %.4f USD",
			herd_tool_count(r->blocks, blocks, sizeof(blocks)),
			herd_tool_bytes(r->bytes, bytes, sizeof(bytes)),
			herd_tool_count(r->list_calls, lists, sizeof(lists)),
			price(r));
	if (r->failed)
		herd_buf_printf(out, "; %s failed",
				herd_tool_count(r->failed, failed,
						sizeof(failed)));
	herd_buf_u8(out, '\n');
}

void herd_costs_text(struct herd_costs *c, const struct herd_instance *i,
		     struct herd_buf *out)
{
	for (size_t d = 0; d < i->n_disks; d++) {
		struct herd_fetch_ledger_row r;

		if (!herd_image_is_remote(&i->disks[d]))
			continue;
		get_row(c, &i->disks[d], &r);
		c->sum.blocks += r.blocks;
		c->sum.bytes += r.bytes;
		c->sum.list_calls += r.list_calls;
		c->sum.failed += r.failed;
		herd_buf_printf(out, "    %s: ", i->disks[d].files[0].path);
		put_row(out, &r);
	}
	if (herd_instance_is_provisional(i))
		herd_buf_printf(out, "    provisional, by metadata: herdfs "
				"verify reads what was taken over\n");
}

void herd_costs_text_sum(struct herd_costs *c, struct herd_buf *out)
{
	if (c->sum.blocks || c->sum.list_calls) {
		herd_buf_printf(out, "  all together: ");
		put_row(out, &c->sum);
	}
	c->sum = (struct herd_fetch_ledger_row){ 0 };
}

void herd_costs_json(struct herd_costs *c, const struct herd_instance *i,
		     struct herd_json *j)
{
	herd_json_bool(j, "provisional", herd_instance_is_provisional(i));
	herd_json_array(j, "snapshots");
	for (size_t d = 0; d < i->n_disks; d++) {
		struct herd_fetch_ledger_row r;

		if (!herd_image_is_remote(&i->disks[d]))
			continue;
		get_row(c, &i->disks[d], &r);
		herd_json_object(j, NULL);
		herd_json_string(j, "snapshot",
				 herd_ebs_snapshot(i->disks[d].files[0].path));
		herd_json_uint(j, "blocks_read", r.blocks);
		herd_json_uint(j, "bytes_read", r.bytes);
		herd_json_uint(j, "list_calls", r.list_calls);
		herd_json_uint(j, "failed_calls", r.failed);
		herd_json_uint(j, "blocks_from_cache", r.cached);
		herd_json_uint(j, "micro_usd", (uint64_t)(price(&r) * 1e6 + .5));
		herd_json_end(j);
	}
	herd_json_end(j);
}

/* ---- objects of S3 ---- */

static bool get_object_row(const struct herd_costs *c,
			   const struct herd_image *img,
			   struct herd_fetch_ledger_row *ret)
{
	char name[HERD_OBJECT_NAME_LEN + 1];

	*ret = (struct herd_fetch_ledger_row){ 0 };
	if (!img->n_files || !herd_s3_is_object(img->files[0].path))
		return false;
	herd_object_name(img->files[0].ends, name);
	if (c->ledger)
		herd_fetch_ledger_get(c->ledger, name, ret);
	return true;
}

static double object_price(const struct herd_fetch_ledger_row *r)
{
	return herd_s3_price_usd(r->blocks + r->list_calls);
}

void herd_costs_text_object(struct herd_costs *c, const struct herd_image *img,
			    struct herd_buf *out)
{
	struct herd_fetch_ledger_row r;
	char ranges[32], bytes[16], failed[32];

	if (!get_object_row(c, img, &r))
		return;
	herd_buf_printf(out, "    ");
	herd_report_escape(out, img->files[0].path,
			   strlen(img->files[0].path));
	herd_buf_printf(out, ": %s range%s (%s) from S3, about %.4f USD",
			herd_tool_count(r.blocks, ranges, sizeof(ranges)),
			r.blocks == 1 ? "" : "s",
			herd_tool_bytes(r.bytes, bytes, sizeof(bytes)),
			object_price(&r));
	if (r.failed)
		herd_buf_printf(out, "; %s failed",
				herd_tool_count(r.failed, failed,
						sizeof(failed)));
	herd_buf_u8(out, '\n');
}

void herd_costs_json_object(struct herd_costs *c, const struct herd_image *img,
			    struct herd_json *j)
{
	struct herd_fetch_ledger_row r;

	if (!get_object_row(c, img, &r))
		return;
	herd_json_object(j, "object");
	herd_json_string(j, "url", img->files[0].path);
	herd_json_uint(j, "ranges_read", r.blocks);
	herd_json_uint(j, "bytes_read", r.bytes);
	herd_json_uint(j, "failed_calls", r.failed);
	herd_json_uint(j, "ranges_from_cache", r.cached);
	herd_json_uint(j, "micro_usd", (uint64_t)(object_price(&r) * 1e6 + .5));
	herd_json_end(j);
}
