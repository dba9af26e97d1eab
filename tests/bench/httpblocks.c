/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetches blocks from blockserver by herd_http, and says how long it took and
 * what it cost.
 *
 *   httpblocks URL BLOCKS IN_FLIGHT [CA_BUNDLE]
 *
 * URL: "http://127.0.0.1:8080".
 */
#include "acquire/aws/http.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char *base;
static struct herd_http *http;
static unsigned next_block, n_blocks, wrong;
static uint64_t bytes;

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_block(void *arg, struct herd_http_answer *a);

static void ask_next(void)
{
	char url[256];

	if (next_block == n_blocks)
		return;
	snprintf(url, sizeof(url), "%s/snapshots/snap-1/blocks/%u", base,
		 next_block++);
	const struct herd_http_request r = { .method = "GET",
					     .url = url,
					     .answer_max = 1 << 20 };

	if (herd_http_add(http, &r, on_block, NULL))
		wrong++;
}

static void on_block(void *arg, struct herd_http_answer *a)
{
	(void)arg;
	if ((a->err || a->status != 200) && !wrong++)
		fprintf(stderr, "status %d, error %d: %s\n", a->status, a->err,
			a->reason);
	bytes += a->body.len;
	ask_next();
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	base = argv[1];
	n_blocks = (unsigned)strtoul(argv[2], NULL, 10);
	unsigned in_flight = (unsigned)strtoul(argv[3], NULL, 10);
	const struct herd_http_options o = { .connections = in_flight,
					     .ca_bundle = argv[4] };
	double from = seconds();
	struct rusage u;

	if (herd_http_create(&o, &http, NULL))
		return 1;
	for (unsigned i = 0; i < in_flight; i++)
		ask_next();
	while (herd_http_pending(http))
		if (herd_http_run(http, NULL, 0, -1))
			return 1;
	herd_http_destroy(http);
	double took = seconds() - from, gb = (double)bytes / 1e9;

	getrusage(RUSAGE_SELF, &u);
	double user =
		(double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6;
	double sys =
		(double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;

	printf("%u blocks, %.0f MB in %.3f s: %.0f MB/s; CPU %.3f s user, "
	       "%.3f s system: %.2f s a GB; %u wrong\n",
	       n_blocks, gb * 1000, took, gb * 1000 / took, user, sys,
	       (user + sys) / gb, wrong);
	return wrong != 0;
}
