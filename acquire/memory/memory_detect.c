/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells by its first bytes which container of memory a file is, or which other
 * thing that somebody took for one. Threads: no state.
 */
#include "acquire/memory/memory_impl.h"

#include <elf.h>
#include <string.h>
#include <zlib.h>

static bool has(const uint8_t *head, size_t len, size_t at, const char *mark,
		size_t n)
{
	return len >= at + n && !memcmp(head + at, mark, n);
}

/* LiME can deflate all that it writes, headers and all. */
static bool is_deflated_lime(const uint8_t *head, size_t len)
{
	uint8_t out[4] = { 0 };
	z_stream z = { .next_in = (uint8_t *)head, .avail_in = (uInt)len,
		       .next_out = out, .avail_out = sizeof(out) };

	if (len < 2 || (head[0] & 0x0f) != 8 ||
	    ((unsigned)head[0] << 8 | head[1]) % 31)
		return false;
	if (inflateInit(&z) != Z_OK)
		return false;
	inflate(&z, Z_SYNC_FLUSH);
	inflateEnd(&z);
	return !z.avail_out && !memcmp(out, "EMiL", 4);
}

static const char *other_thing(const uint8_t *head, size_t len)
{
	static const struct {
		uint8_t len;
		const char *mark, *what;
	} things[] = {
		{ 2, "\x1f\x8b", "compressed with gzip: unpack it first" },
		{ 4, "\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first" },
		{ 6, "\xfd" "7zXZ\0", "compressed with xz: unpack it first" },
		{ 3, "BZh", "compressed with bzip2: unpack it first" },
		{ 4, "PK\x03\x04", "a ZIP archive: unpack it first" },
		{ 10, "\xff\x06\0\0sNaPpY", "compressed with Snappy: unpack it first" },
		{ 8, "PAGEDU64", "a crash dump of Windows" },
		{ 8, "PAGEDUMP", "a crash dump of Windows" },
		{ 4, "QEVM", "a saved state of QEMU: take the memory with dump-guest-memory" },
		{ 16, "LibvirtQemudSave", "a saved state of libvirt: take the memory with virsh dump --memory-only" },
		{ 4, "\xd0\xbe\xd2\xbe", "a saved state of VMware" },
		{ 4, "\xd2\xbe\xd2\xbe", "a saved state of VMware" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(things); i++)
		if (has(head, len, 0, things[i].mark, things[i].len))
			return things[i].what;
	if (is_deflated_lime(head, len))
		return "of LiME with compress=1: inflate it first";
	return NULL;
}

static bool is_core(const uint8_t *head, size_t len)
{
	return has(head, len, 0, ELFMAG, SELFMAG) && len >= 20 &&
	       head[head[EI_DATA] == ELFDATA2MSB ? 17 : 16] == ET_CORE;
}

const char *herd_memory_detect(const uint8_t *head, size_t len,
			       const char **ret_why)
{
	if (ret_why)
		*ret_why = NULL;
	if (has(head, len, 0, "EMiL\1\0\0\0", 8))
		return "lime";
	if (has(head, len, 0, "AVML\2\0\0\0", 8))
		return "avml";
	if (is_core(head, len))
		return "elf-core";
	/* flattened there may be an ELF core in it: opening it tells */
	if (has(head, len, 0, "KDUMP   ", 8) ||
	    has(head, len, 0, "DISKDUMP", 8) ||
	    has(head, len, 0, "makedumpfile\0\0\0\0", 16))
		return "kdump";
	if (!ret_why)
		return NULL;
	if (has(head, len, 0, "EMiL", 4) || has(head, len, 0, "AVML", 4))
		*ret_why = "LiME or AVML of a version that is not known";
	else if (has(head, len, 0, ELFMAG, SELFMAG))
		*ret_why = "an ELF file that is no core";
	else
		*ret_why = other_thing(head, len);
	return NULL;
}

/*
 * A physical memory's first page has the BIOS's interrupt table and data, or
 * zeros; nothing of the below has its mark there by chance.
 */
static bool is_boot_sector(const uint8_t *head, size_t len)
{
	if (!has(head, len, 510, "\x55\xaa", 2))
		return false;
	if (has(head, len, 3, "NTFS    ", 8) || has(head, len, 54, "FAT", 3) ||
	    has(head, len, 82, "FAT32", 5) || has(head, len, 3, "EXFAT   ", 8))
		return true;
	for (size_t at = 446; at < 510; at += 16)
		if (head[at] & 0x7f)	/* active or not, nothing else */
			return false;
	return head[450] || head[466] || head[482] || head[498];
}

const char *herd_memory_disk_mark(const uint8_t *head, size_t len)
{
	static const struct {
		uint16_t at;
		uint8_t len;
		const char *mark, *what;
	} marks[] = {
		{ 512, 8, "EFI PART", "a disk with a GPT" },
		{ 4096, 8, "EFI PART", "a disk with a GPT" },
		{ 1080, 2, "\x53\xef", "an ext file system" },
		{ 0, 4, "XFSB", "an XFS file system" },
		{ 512, 8, "LABELONE", "a physical volume of LVM" },
		{ 0, 6, "LUKS\xba\xbe", "a volume of LUKS" },
		{ 4086, 10, "SWAPSPACE2", "a swap area" },
		{ 0, 4, "hsqs", "a squashfs" },
		{ 0, 4, "QFI\xfb", "an image of a disk (qcow2)" },
		{ 0, 4, "KDMV", "an image of a disk (VMDK)" },
		{ 0, 21, "# Disk DescriptorFile", "an image of a disk (VMDK)" },
		{ 0, 4, "COWD", "an image of a disk (VMDK)" },
		{ 0, 8, "EVF\x09\x0d\x0a\xff", "an image of a disk (E01)" },
		{ 0, 8, "EVF2\x0d\x0a\x81", "an image of a disk (Ex01)" },
		{ 0, 8, "conectix", "an image of a disk (VHD)" },
		{ 0, 8, "vhdxfile", "an image of a disk (VHDX)" },
		{ 0x40, 4, "\x7f\x10\xda\xbe", "an image of a disk (VDI)" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (has(head, len, marks[i].at, marks[i].mark, marks[i].len))
			return marks[i].what;
	return is_boot_sector(head, len) ?
	       "a disk with a partition table, or a boot sector" : NULL;
}
