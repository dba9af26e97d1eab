/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading over EBS direct and from S3 costs, at the rates of AWS's own
 * example (us-east-1): 0.003 USD for a thousand GetSnapshotBlock, 0.0006 USD for
 * a thousand ListSnapshotBlocks or ListChangedBlocks. Other regions charge
 * otherwise, and the transfer of data out of a region is not in it: an
 * estimate to be shown as one. Pure.
 */
#ifndef HERD_AWS_PRICING_H
#define HERD_AWS_PRICING_H

#include <stdint.h>

/* Calls that were answered, not blocks that were wanted: a repeat costs too. */
double herd_ebs_price_usd(uint64_t blocks_read, uint64_t list_calls);
/* GETs of S3, by its standard class's rate there: 0.0004 USD for a thousand. */
double herd_s3_price_usd(uint64_t gets);

#endif
