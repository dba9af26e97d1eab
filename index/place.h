/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be expected where a path lies. To be called volatile a path
 * needs two things, and one of them may be this: that it lies where a system
 * keeps its state (hier(7), the FHS), and not its programs or settings.
 *
 * Threads: pure functions.
 */
#ifndef HERD_PLACE_H
#define HERD_PLACE_H

#include "index/verdict.h"

#include <stddef.h>

/* path: without the leading '/'. */
enum herd_place herd_place_of(const char *path, size_t len);

/* Logs, and what shells remember: there an empty file may have been emptied. */
bool herd_place_is_log(const char *path, size_t len);

/*
 * Files and folders that a system makes and writes by itself, each instance at
 * its own pace, so that one may have them before the others do: stamps of
 * timers, the memory of logrotate, private folders of services. No directory
 * of programs or settings is among them.
 */
bool herd_place_is_expected(const char *path, size_t len);

/*
 * The log that a rotated one comes from: "auth.log" of "auth.log.1",
 * "auth.log.2.gz", "auth.log-20261126". 0: it is not the name of one.
 */
size_t herd_place_rotated(const char *name, size_t len);

#endif
