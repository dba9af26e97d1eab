/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/pricing.h"

#define USD_PER_BLOCK (0.003 / 1000)
#define USD_PER_LIST (0.0006 / 1000)
#define USD_PER_GET (0.0004 / 1000)

double herd_ebs_price_usd(uint64_t blocks_read, uint64_t list_calls)
{
	return (double)blocks_read * USD_PER_BLOCK +
	       (double)list_calls * USD_PER_LIST;
}

double herd_s3_price_usd(uint64_t gets)
{
	return (double)gets * USD_PER_GET;
}
