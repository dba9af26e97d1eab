/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forms of what AWS's answers hold, checked before anything is done with
 * it: an identifier ends up in paths, keys and requests.
 *
 * Threads: no state.
 */
#ifndef HERD_AWS_FIELDS_H
#define HERD_AWS_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for the longest of each, NUL included. */
#define HERD_AWS_ID_SIZE 65	 /* "snap-0123456789abcdef0" */
#define HERD_AWS_ADDRESS_SIZE 46 /* IPv4 or IPv6 */
#define HERD_AWS_MAC_SIZE 18	 /* "0a:…" */
#define HERD_AWS_DNS_SIZE 254
#define HERD_AWS_DEVICE_SIZE 64	 /* "/dev/sda1", "xvdf" */
#define HERD_AWS_WORD_SIZE 64	 /* states, types, zones */
#define HERD_AWS_ACCOUNT_SIZE 13 /* twelve digits */

/* prefix ("snap-") and then hexadecimal digits, lower case; of an "ami-"
   letters and digits, as its pattern has it. */
bool herd_aws_is_id(const char *text, const char *prefix);
bool herd_aws_is_account(const char *text);
bool herd_aws_is_address(const char *text);
bool herd_aws_is_mac(const char *text);
bool herd_aws_is_dns(const char *text);
bool herd_aws_is_device(const char *text);
/* Letters, digits, and "-_.:/+$": one word of a closed set, or a version. */
bool herd_aws_is_word(const char *text);
/* UTF-8 without control characters, at most max bytes. */
bool herd_aws_is_text(const char *text, size_t max);
/* "2024-03-01T12:34:56.789Z"; Unix seconds, the fraction dropped. */
bool herd_aws_time(const char *text, int64_t *ret);
/* Decimal, at most max. */
bool herd_aws_uint(const char *text, uint64_t max, uint64_t *ret);

#endif
