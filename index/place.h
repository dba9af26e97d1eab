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

#endif
