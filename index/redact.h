/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of passwords taken out of a text, for reports and indexes get about
 * more than images do, and a hash is what a cracker needs. What stands in its
 * place has the same length and begins with 16 bits of its digest:
 *
 *   root:$y$[hash 1f0c......]:19000:0:99999:7:::
 *
 * so that equal ones look equal and others mostly do not, while a guess at the
 * password can hardly be checked against it.
 *
 * Known are: crypt(3)'s "$id$…" anywhere, escaped dollars included; "{SSHA}…"
 * and the like of LDAP; in lines of the form of passwd, shadow and gshadow the
 * old forms of 13 and 20 characters; in lines of the form of smbpasswd those of
 * Windows. What is in no such form is left as it is: a password in plain text,
 * what a database makes of one.
 *
 * Cost: linear in the text. Threads: pure functions.
 */
#ifndef HERD_REDACT_H
#define HERD_REDACT_H

#include <stdbool.h>
#include <stddef.h>

/* In place; whether there was one. A second time there is none. */
bool herd_redact(char *text, size_t len);
/* Whether herd_redact would find one. */
bool herd_redact_finds(const char *text, size_t len);

#endif
