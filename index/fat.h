/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FAT12, FAT16, FAT32 and exFAT, as far as names, inodes and the place of
 * content need it. The allocation table may be read through libtsk
 * (index/volume_tsk.c puts its accessor in); what it and directories say is
 * decided here, for the reasons in docs/READERS.md.
 *
 * Inode numbers are libtsk's: 2 is the root, the rest count the slots of 32
 * bytes from the first sector of the data area on, beginning at 3.
 *
 * Threads: a struct herd_fat belongs to one thread at a time.
 */
#ifndef HERD_FAT_H
#define HERD_FAT_H

#include "acquire/base/diag.h"
#include "index/volume.h"

#define HERD_FAT_ROOT 2u
#define HERD_FAT_SLOT 32u

enum herd_fat_kind {
	HERD_FAT12 = 12,
	HERD_FAT16 = 16,
	HERD_FAT32 = 32,
	HERD_EXFAT = 64
};

struct herd_fat {
	struct herd_source *source;
	enum herd_fat_kind kind;
	uint32_t sector, cluster; /* bytes */
	uint64_t fat, fat_len;	  /* first table, bytes */
	uint64_t data;		  /* first byte of the data area */
	uint64_t heap;		  /* first byte of cluster 2 */
	uint32_t clusters;	  /* how many; they count from 2 */
	uint32_t root;		  /* cluster; 0: in the data area itself */
	uint64_t root_len;	  /* bytes, when root is 0 */
	uint64_t total;		  /* bytes of the volume, as it says */
	uint32_t serial;
	char boot_label[12];
	/*
	 * Bytes of the allocation table. Set by herd_fat_open to read the
	 * source; may be replaced.
	 */
	int (*table)(struct herd_fat *f, void *buf, size_t len, uint64_t off,
		     struct herd_diag *diag);
	void *arg; /* for a replaced accessor */
	/* clusters that may still be followed or listed: more than a sound
	   volume has, so that one in which all chains are one ends soon */
	uint64_t budget;
	uint8_t *window; /* a piece of the table */
	uint64_t window_at;
	size_t window_len;
};

/* -ENODATA: neither FAT nor exFAT. -EBADMSG: one that cannot be. */
int herd_fat_open(struct herd_source *s, struct herd_fat *ret,
		  struct herd_diag *diag);
void herd_fat_deinit(struct herd_fat *f);
/* The table's entry for a cluster, masked. */
int herd_fat_next(struct herd_fat *f, uint32_t cluster, uint32_t *ret,
		  struct herd_diag *diag);

/* Where clusters of a chain lie, in bytes of the volume, as struct herd_run. */
struct herd_fat_chain {
	struct herd_run *v;
	size_t n, cap;
	uint64_t len;	    /* bytes */
	const char *broken; /* why it ended early, or NULL */
};
void herd_fat_chain_deinit(struct herd_fat_chain *c);
/*
 * Follows from `first` until the chain ends or has `want` bytes (rounded up
 * to clusters). contiguous: exFAT's chains that are not in the table.
 */
int herd_fat_chain(struct herd_fat *f, uint32_t first, uint64_t want,
		   bool contiguous, struct herd_fat_chain *ret);

/*
 * Content of `size` bytes that begin at cluster `first`, of which `valid`
 * were written, into *in. Problems go there too.
 */
int herd_fat_content(struct herd_fat *f, uint32_t first, uint64_t size,
		     uint64_t valid, bool contiguous, struct herd_inode *in);

/* DOS date and time, taken as UTC. tens: units of 10 ms, 0 to 199. */
struct herd_time herd_fat_time(unsigned date, unsigned time, unsigned tens);

/* Slots and inode numbers. -EBADMSG: no slot has that number. */
uint64_t herd_fat_ino(const struct herd_fat *f, uint64_t at);
int herd_fat_slot(const struct herd_fat *f, uint64_t ino, uint64_t *ret);

/*
 * Calls fn for every slot of a directory, with the byte where it lies, until
 * fn returns non-zero: 1 ends it without error, else that is returned.
 */
int herd_fat_slots(struct herd_fat *f, const struct herd_fat_chain *c,
		   int (*fn)(void *arg, const uint8_t *slot, uint64_t at),
		   void *arg, struct herd_diag *diag);

typedef int (*herd_fat_name_fn)(void *arg, const char *name, size_t len,
				uint64_t ino, unsigned char type);

/* FAT12/16/32 (fat_dir.c) */
int herd_fat_readdir(struct herd_fat *f, uint64_t ino, herd_fat_name_fn fn,
		     void *arg, struct herd_diag *diag);
int herd_fat_inode(struct herd_fat *f, uint64_t ino, struct herd_inode *ret,
		   struct herd_diag *diag);
void herd_fat_label(struct herd_fat *f, char *out, size_t size);
/* Whether libtsk may open it: what it would walk at once is bounded. */
int herd_fat_safe_for_libtsk(struct herd_fat *f, struct herd_diag *diag);

/* exFAT (exfat.c) */
int herd_exfat_readdir(struct herd_fat *f, uint64_t ino, herd_fat_name_fn fn,
		       void *arg, struct herd_diag *diag);
int herd_exfat_inode(struct herd_fat *f, uint64_t ino, struct herd_inode *ret,
		     struct herd_diag *diag);
void herd_exfat_label(struct herd_fat *f, char *out, size_t size);
int herd_exfat_safe_for_libtsk(struct herd_fat *f, struct herd_diag *diag);

#endif
