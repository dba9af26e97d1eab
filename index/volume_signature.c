/* SPDX-License-Identifier: Apache-2.0 */
#include "index/volume_signature.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"

/* Bytes at a place; negative offsets count from the end of the source. */
struct signature {
	const char *name;
	int64_t offset;
	unsigned len;
	const char *magic;
};

#define SIG(name, offset, magic) { name, offset, sizeof(magic) - 1, magic }

static const struct signature boot_sector_signatures[] = {
	SIG("BitLocker", 3, "-FVE-FS-"),
	SIG("ReFS", 3, "ReFS\0\0\0\0"),
	SIG("XFS", 0, "XFSB"),
	SIG("LUKS", 0, "LUKS\xba\xbe"),
	SIG("APFS", 32, "NXSB"),
	SIG("squashfs", 0, "hsqs"),
	SIG("cramfs", 0, "\x45\x3d\xcd\x28"),
	SIG("romfs", 0, "-rom1fs-"),
	SIG("dm-verity hashes", 0, "verity\0\0"),
	SIG("dm-integrity", 0, "integrt\0"),
	SIG("dm-snapshot store", 0, "SnAp"),
	SIG("VDO", 0, "dmvdo001"),
	SIG("BlueStore", 0, "bluestore block device"),
	SIG("Linux RAID member (metadata 1.1)", 0, "\xfc\x4e\x2b\xa9\x01\0\0\0"),
	SIG("LVM2 physical volume", 0, "LABELONE"),
};

static const struct signature other_signatures[] = {
	SIG("LVM2 physical volume", 512, "LABELONE"),
	SIG("LVM2 physical volume", 1024, "LABELONE"),
	SIG("LVM2 physical volume", 1536, "LABELONE"),
	SIG("Stratis pool", 516, "!Stra0tis\x86\xff\x02^\x41rh"),
	SIG("Stratis pool", 4612, "!Stra0tis\x86\xff\x02^\x41rh"),
	SIG("btrfs", 65600, "_BHRfS_M"),
	SIG("bcachefs", 4120, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"),
	SIG("bcache", 4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
	SIG("F2FS", 1024, "\x10\x20\xf5\xf2"),
	SIG("EROFS", 1024, "\xe2\xe1\xf5\xe0"),
	SIG("Linux RAID member (metadata 1.2)", 4096, "\xfc\x4e\x2b\xa9\x01\0\0\0"),
	SIG("Linux RAID member (metadata 1.0)", -8192, "\xfc\x4e\x2b\xa9\x01\0\0\0"),
	SIG("swap", 4086, "SWAPSPACE2"),
	SIG("swap", 4086, "SWAP-SPACE"),
	SIG("swap", 8182, "SWAPSPACE2"),
	SIG("swap", 16374, "SWAPSPACE2"),
	SIG("swap", 65526, "SWAPSPACE2"),
	SIG("swap with a hibernated system", 4086, "S1SUSPEND"),
	SIG("swap with a hibernated system", 4086, "S2SUSPEND"),
	SIG("swap with a hibernated system", 4086, "ULSUSPEND"),
	SIG("LUKS (its first header is gone)", 16384, "SKUL\xba\xbe"),
	SIG("HFS+", 1024, "H+\0\4"),
	SIG("HFSX", 1024, "HX\0\5"),
	SIG("ReiserFS", 65588, "ReIsErFs"),
	SIG("ReiserFS", 65588, "ReIsEr2Fs"),
	SIG("ReiserFS", 65588, "ReIsEr3Fs"),
	SIG("Reiser4", 65536, "ReIsEr4"),
	SIG("JFS", 32768, "JFS1"),
	SIG("ISO 9660", 32769, "CD001"),
	SIG("UDF", 32769, "BEA01"),
	SIG("GFS2", 65536, "\x01\x16\x19\x70"),
	SIG("OCFS2", 4096, "OCFSV2"),
	SIG("OCFS2", 2048, "OCFSV2"),
	SIG("OCFS2", 1024, "OCFSV2"),
	SIG("UFS2", 66908, "\x19\x01\x54\x19"),
	SIG("UFS1", 9564, "\x54\x19\x01\x00"),
	SIG("VMFS", 1048576, "\x0d\xd0\x01\xc0"),
	SIG("Storage Spaces", 4096, "SPACEDB "),
	SIG("dynamic disk (LDM)", 3072, "PRIVHEAD"),
};

static bool matches(struct herd_source *source, const struct signature *s,
		    uint64_t *ret_offset)
{
	uint64_t at = s->offset < 0 ? source->size - (uint64_t)-s->offset
				    : (uint64_t)s->offset;
	char have[32];

	if ((s->offset < 0 && source->size < (uint64_t)-s->offset) ||
	    s->len > sizeof(have) || source->size < s->len ||
	    at > source->size - s->len ||
	    herd_source_read(source, have, s->len, at, NULL) ||
	    memcmp(have, s->magic, s->len))
		return false;
	*ret_offset = at;
	return true;
}

/* Older metadata of RAID lies 64 to 128 KiB before the end. */
static bool is_raid_090(struct herd_source *source, uint64_t *ret_offset)
{
	const struct signature s = SIG("", (int64_t)((source->size & ~65535ull) -
						     65536),
				       "\xfc\x4e\x2b\xa9\0\0\0\0");

	return source->size >= 131072 && matches(source, &s, ret_offset);
}

/* A ring of uberblocks, any of which may be in use, in either byte order. */
static bool is_zfs(struct herd_source *source, uint64_t *ret_offset)
{
	for (uint64_t at = 128 << 10; at < 256 << 10; at += 1024) {
		uint8_t raw[8];

		if (source->size < at + sizeof(raw) ||
		    herd_source_read(source, raw, sizeof(raw), at, NULL))
			return false;
		struct herd_cursor le = herd_cursor(raw, sizeof(raw));
		struct herd_cursor be = le;

		if (herd_cur_le64(&le) == 0x00bab10c ||
		    herd_cur_be64(&be) == 0x00bab10c) {
			*ret_offset = at;
			return true;
		}
	}
	return false;
}

const char *herd_signature_find(struct herd_source *source, bool boot_sector,
				uint64_t *ret_offset)
{
	const struct signature *list = boot_sector ? boot_sector_signatures
						   : other_signatures;
	size_t n = boot_sector ? ARRAY_SIZE(boot_sector_signatures)
			       : ARRAY_SIZE(other_signatures);

	for (size_t i = 0; i < n; i++)
		if (matches(source, &list[i], ret_offset))
			return list[i].name;
	if (!boot_sector && is_zfs(source, ret_offset))
		return "ZFS";
	if (!boot_sector && is_raid_090(source, ret_offset))
		return "Linux RAID member (metadata 0.90)";
	return NULL;
}
