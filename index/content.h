/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file is, by its first bytes: enough to look twice at a program where
 * only logs belong. Pure functions. A guess of the kind that a system makes
 * too before it runs a file: whatever the kernel, an interpreter or a server
 * would run is meant to be told, whatever the name; what is none of the kinds
 * is text or data.
 */
#ifndef HERD_CONTENT_H
#define HERD_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are in stores. */
enum herd_sort {
	HERD_SORT_EMPTY = 0,
	HERD_SORT_TEXT = 1,    /* any character set of ASCII's kind, UTF-16 */
	HERD_SORT_DATA = 2,    /* nothing known */
	HERD_SORT_SCRIPT = 3,  /* #!, or PHP, JSP, ASP that a server runs */
	HERD_SORT_PROGRAM = 4, /* ELF, to be run */
	HERD_SORT_LIBRARY = 5, /* ELF, shared; static PIE looks the same */
	HERD_SORT_MODULE = 6,  /* ELF, relocatable: kernel modules, objects */
	HERD_SORT_FOREIGN = 7, /* PE, Mach-O, WebAssembly, Java, Python code */
	HERD_SORT_KEY = 8,     /* private: PEM, OpenSSH, PuTTY, PGP */
	HERD_SORT_ARCHIVE = 9, /* tar, zip, ar, cpio, rpm, 7z, rar, squashfs */
	HERD_SORT_COMPRESSED = 10,
	HERD_SORT_DATABASE = 11, /* SQLite, LMDB, Berkeley DB, gdbm, tdb */
	HERD_SORT_JOURNAL = 12,	 /* journald's */
	HERD_SORT_LOGIN = 13,	 /* records of utmp, wtmp, btmp */
	HERD_SORT_MEDIA = 14,	 /* pictures, sound, fonts, PDF */
	HERD_SORT_CORE = 15,	 /* a dump of a process */
	HERD_SORT_MAX
};

/* More of a file than this is not looked at; less is fine. */
#define HERD_CONTENT_HEAD 4096

/* head: the first len bytes of a file of size bytes (len is at most that). */
enum herd_sort herd_sort_of(const void *head, size_t len, uint64_t size);

/* Whether a private key stands in a text, however far from its beginning. */
bool herd_holds_key(const void *text, size_t len);

/* "script"; NULL for no sort. */
const char *herd_sort_name(enum herd_sort sort);

/* Something that a machine runs: script, program, library, module, foreign. */
bool herd_sort_is_code(enum herd_sort sort);
/* Something that lets its holder in. */
bool herd_sort_is_secret(enum herd_sort sort);

#endif
