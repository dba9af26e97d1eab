/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/detect.h"

#include "acquire/base/cursor.h"
#include "acquire/memory/memory_impl.h"
#include "acquire/qcow2.h"
#include "acquire/source_impl.h"
#include "acquire/vmdk.h"

#include <string.h>

#define HEAD 4096u

struct probe {
	int fd;
	uint64_t file_size;
	const char *name;
	struct herd_diag *diag;
	size_t len;		/* bytes in head */
	uint8_t head[HEAD];
};

typedef int detector(const struct probe *p, uint64_t *ret_size);

/* A cursor over the head at pos. */
static struct herd_cursor at(const struct probe *p, uint64_t pos)
{
	struct herd_cursor c = herd_cursor(p->head, p->len);

	herd_cur_seek(&c, pos);
	return c;
}

static int unsupported(const struct probe *p, const char *what)
{
	return herd_diag_set(p->diag, -EOPNOTSUPP, p->name, 0, "%s", what);
}

static int probe_read(const struct probe *p, void *buf, size_t len, uint64_t off)
{
	if (off > p->file_size || len > p->file_size - off)
		return herd_diag_set(p->diag, -EBADMSG, p->name, off,
				     "a header lies past the end of the file");
	return herd_pread_full(p->fd, buf, len, off, p->name, p->diag);
}

static int detect_qcow(const struct probe *p, uint64_t *ret_size)
{
	struct herd_cursor c = at(p, 4);
	uint32_t version = herd_cur_be32(&c);

	if (version == 1) {
		uint64_t backing = herd_cur_be64(&c);

		c = at(p, 24);
		*ret_size = herd_cur_be64(&c);
		if (backing)
			return unsupported(p, "a qcow version 1 overlay; "
					      "convert it with qemu-img");
		return 0;
	}

	uint8_t start[HERD_QCOW2_START] = { 0 };

	c = at(p, 0);
	herd_cur_copy(&c, start, sizeof(start));

	size_t len = herd_qcow2_header_len(start);

	if (len > p->file_size)
		len = (size_t)p->file_size;

	CLEANUP_FREE uint8_t *bytes = malloc(len);
	struct herd_qcow2 q;

	if (!bytes)
		return -ENOMEM;
	int err = probe_read(p, bytes, len, 0) ?:
		  herd_qcow2_parse(bytes, len, p->name, &q, p->diag);

	if (!err)
		*ret_size = q.size;
	return err;
}

static int detect_vdi(const struct probe *p, uint64_t *ret_size)
{
	struct herd_cursor c = at(p, 0x4c);
	uint32_t type = herd_cur_le32(&c);

	if (type != 1 && type != 2)
		return unsupported(p, "a VDI snapshot, which needs its parent");
	c = at(p, 0x170);
	*ret_size = herd_cur_le64(&c);
	return 0;
}

static int detect_qed(const struct probe *p, uint64_t *ret_size)
{
	struct herd_cursor c = at(p, 16);

	if (herd_cur_le64(&c) & 1)
		return unsupported(p, "a QED overlay; convert it with qemu-img");
	c = at(p, 48);
	*ret_size = herd_cur_le64(&c);
	return 0;
}

static int detect_parallels(const struct probe *p, uint64_t *ret_size)
{
	struct herd_cursor c = at(p, 36);
	uint64_t sectors = herd_cur_le64(&c);

	/* the older kind has 32 bits here and something else behind them */
	if (!memcmp(p->head, "WithoutFreeSpace", 16))
		sectors &= UINT32_MAX;
	if (sectors > INT64_MAX / 512)
		return herd_diag_set(p->diag, -EBADMSG, p->name, 36,
				     "impossible disk size");
	*ret_size = sectors * 512;
	return 0;
}

/* Finds a GUID in a table of records; false when it is not there. */
static bool vhdx_find(struct herd_cursor *c, unsigned count, unsigned stride,
		      const char *guid)
{
	for (unsigned i = 0; i < count && !c->bad; i++) {
		struct herd_cursor entry = *c;
		const void *id = herd_cur_bytes(&entry, 16);

		if (id && !memcmp(id, guid, 16)) {
			*c = entry;
			return true;
		}
		herd_cur_seek(c, c->pos + stride);
	}
	return false;
}

static int detect_vhdx(const struct probe *p, uint64_t *ret_size)
{
	static const char metadata_region[] =
		"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
	static const char disk_size[] =
		"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
	uint8_t table[HEAD], value[8];
	struct herd_cursor c = herd_cursor(table, sizeof(table));
	int err = probe_read(p, table, sizeof(table), 192u << 10);

	if (err)
		return err;
	herd_cur_seek(&c, 8);

	unsigned count = herd_cur_le32(&c);
	uint64_t region = 0;

	herd_cur_seek(&c, 16);
	if (vhdx_find(&c, count < 120 ? count : 120, 32, metadata_region))
		region = herd_cur_le64(&c);
	if (!region)
		return herd_diag_set(p->diag, -EBADMSG, p->name, 192u << 10,
				     "the VHDX has no metadata region");
	err = probe_read(p, table, sizeof(table), region);
	if (err)
		return err;
	c = herd_cursor(table, sizeof(table));
	herd_cur_seek(&c, 10);
	count = herd_cur_le16(&c);
	herd_cur_seek(&c, 32);
	if (!vhdx_find(&c, count < 120 ? count : 120, 32, disk_size))
		return herd_diag_set(p->diag, -EBADMSG, p->name, region,
				     "the VHDX does not tell its size");

	uint32_t where = herd_cur_le32(&c);

	if (region > UINT64_MAX - where)
		return -EBADMSG;
	err = probe_read(p, value, sizeof(value), region + where);
	if (err)
		return err;
	c = herd_cursor(value, sizeof(value));
	*ret_size = herd_cur_le64(&c);
	return 0;
}

/* Walks the sections of the first segment up to the one with the geometry. */
static int detect_ewf(const struct probe *p, uint64_t *ret_size)
{
	uint8_t section[76 + 24];
	struct herd_cursor c = at(p, 9);
	uint64_t pos = 13;

	if (herd_cur_le16(&c) != 1)
		return herd_diag_set(p->diag, -EINVAL, p->name, 9,
				     "a later segment of an E01 set: name the first");
	for (unsigned i = 0; i < 64; i++) {
		int err = probe_read(p, section, sizeof(section), pos);

		if (err)
			return err;
		c = herd_cursor(section, sizeof(section));
		if (!memcmp(section, "volume", 7) || !memcmp(section, "disk", 5)) {
			herd_cur_seek(&c, 76 + 12);
			uint64_t per_sector = herd_cur_le32(&c);
			uint64_t sectors = herd_cur_le64(&c);

			if (per_sector && sectors <= INT64_MAX / per_sector)
				*ret_size = sectors * per_sector;
			return 0;
		}
		herd_cur_seek(&c, 16);
		uint64_t next = herd_cur_le64(&c);

		if (next <= pos)
			break;
		pos = next;
	}
	return herd_diag_set(p->diag, -EBADMSG, p->name, pos,
			     "the E01 does not tell its size");
}

static int detect_vmdk(const struct probe *p, uint64_t *ret_size)
{
	struct herd_vmdk v = { 0 };
	CLEANUP_FREE char *text = NULL;
	uint64_t offset;
	size_t len;
	int err = herd_detect_vmdk_text(p->fd, p->file_size, p->name, &text,
					&len, &offset, p->diag) ?:
		  herd_vmdk_parse(text, len, p->name, offset, &v, p->diag);

	if (err)
		return err;
	*ret_size = v.size;
	herd_vmdk_deinit(&v);
	return 0;
}

static int detect_cowd(const struct probe *p, uint64_t *ret_size)
{
	(void)ret_size;
	return herd_diag_set(p->diag, -EINVAL, p->name, 0,
			     "an extent of a VMDK: name its descriptor");
}

static int detect_lvf(const struct probe *p, uint64_t *ret_size)
{
	(void)ret_size;
	return unsupported(p, "a logical evidence file (L01) holds no disk");
}

static int detect_ewf2(const struct probe *p, uint64_t *ret_size)
{
	(void)ret_size;
	return unsupported(p, "the Ex01 format is not supported; convert it to E01");
}

static const struct {
	const char *format;
	uint16_t at;
	uint8_t len;
	const char *magic;
	detector *fn;
} magics[] = {
	{ "qcow2", 0, 4, "QFI\xfb", detect_qcow },
	{ "vmdk", 0, 4, "KDMV", detect_vmdk },
	{ "vmdk", 0, 21, "# Disk DescriptorFile", detect_vmdk },
	{ "vmdk", 0, 4, "COWD", detect_cowd },
	{ "ewf", 0, 8, "EVF\x09\x0d\x0a\xff", detect_ewf },
	{ "ewf", 0, 8, "LVF\x09\x0d\x0a\xff", detect_lvf },
	{ "ewf", 0, 8, "EVF2\x0d\x0a\x81", detect_ewf2 },
	{ "vhdx", 0, 8, "vhdxfile", detect_vhdx },
	{ "vdi", 0x40, 4, "\x7f\x10\xda\xbe", detect_vdi },
	{ "qed", 0, 4, "QED", detect_qed },
	{ "parallels", 0, 16, "WithoutFreeSpace", detect_parallels },
	{ "parallels", 0, 16, "WithouFreSpacExt", detect_parallels },
};

/*
 * A VHD has its footer at the end; one that grows has a copy at the start.
 * The sum is checked, since eight letters at the end of a raw disk are easily
 * put there.
 */
static bool is_vhd(const uint8_t *footer, uint64_t *ret_size, uint32_t *ret_type)
{
	struct herd_cursor c = herd_cursor(footer, 512);
	uint32_t sum = 0, stored;

	if (memcmp(footer, "conectix", 8))
		return false;
	for (unsigned i = 0; i < 512; i++)
		sum += i >= 64 && i < 68 ? 0 : footer[i];
	herd_cur_seek(&c, 48);
	*ret_size = herd_cur_be64(&c);
	herd_cur_seek(&c, 60);
	*ret_type = herd_cur_be32(&c);
	stored = herd_cur_be32(&c);
	return stored == ~sum;
}

static int detect_vhd(const struct probe *p, struct herd_detected *ret)
{
	uint8_t footer[512];
	uint32_t type = 0;
	uint64_t size = 0;
	bool found = p->len >= 512 && is_vhd(p->head, &size, &type);

	if (!found && p->file_size >= 1024) {
		int err = probe_read(p, footer, 512, p->file_size - 512);

		if (err)
			return err;
		/* at the end alone it must fit the file that it ends */
		found = is_vhd(footer, &size, &type) &&
			(type != 2 || size == p->file_size - 512);
	}
	if (!found)
		return 0;
	if (type != 2 && type != 3)
		return unsupported(p, "a differencing VHD, which needs its parent");
	*ret = (struct herd_detected){ "vhd", size };
	return 0;
}

int herd_detect(int fd, uint64_t file_size, const char *name,
		struct herd_detected *ret, struct herd_diag *diag)
{
	struct probe p = { .fd = fd, .file_size = file_size, .name = name,
			   .diag = diag };
	struct herd_detected found = { "raw", file_size };

	p.len = file_size < HEAD ? (size_t)file_size : HEAD;

	int err = probe_read(&p, p.head, p.len, 0);
	const char *memory = err ? NULL :
				   herd_memory_detect(p.head, p.len, NULL);

	if (memory) {
		*ret = (struct herd_detected){ memory, 0 };
		return 0;
	}
	for (size_t i = 0; !err && i < ARRAY_SIZE(magics); i++) {
		struct herd_cursor c = at(&p, magics[i].at);
		const void *m = herd_cur_bytes(&c, magics[i].len);

		if (!m || memcmp(m, magics[i].magic, magics[i].len))
			continue;
		found = (struct herd_detected){ magics[i].format, 0 };
		err = magics[i].fn(&p, &found.size);
		if (!err && magics[i].fn == detect_qcow && p.head[7] == 1)
			found.format = "qcow";
		break;
	}
	if (!err && !strcmp(found.format, "raw"))
		err = detect_vhd(&p, &found);
	if (!err)
		*ret = found;
	return err;
}

int herd_detect_vmdk_text(int fd, uint64_t file_size, const char *name,
			  char **ret, size_t *ret_len, uint64_t *ret_offset,
			  struct herd_diag *diag)
{
	uint8_t head[512] = { 0 };
	struct herd_cursor c = herd_cursor(head, sizeof(head));
	uint64_t offset = 0, len = file_size;
	int err = herd_pread_full(fd, head, file_size < 512 ? file_size : 512,
				  0, name, diag);
	if (err)
		return err;
	if (!memcmp(head, "KDMV", 4)) {
		herd_cur_seek(&c, 12);
		uint64_t capacity = herd_cur_le64(&c);

		herd_cur_seek(&c, 28);
		offset = herd_cur_le64(&c);
		len = herd_cur_le64(&c);
		if (!offset || !len || !capacity)
			return herd_diag_set(diag, -EINVAL, name, 0,
					     "an extent of a VMDK: name its descriptor");
		if (offset > file_size / 512 || len > file_size / 512 - offset)
			return herd_diag_set(diag, -EBADMSG, name, 28,
					     "the VMDK descriptor lies past the end");
		offset *= 512;
		len *= 512;
	}
	if (len > HERD_VMDK_TEXT_MAX)
		return herd_diag_set(diag, -EOVERFLOW, name, offset,
				     "the VMDK descriptor is too long");

	CLEANUP_FREE char *text = malloc(len + 1);

	if (!text)
		return -ENOMEM;
	err = herd_pread_full(fd, text, len, offset, name, diag);
	if (err)
		return err;
	text[len] = '\0';
	*ret = TAKE_PTR(text);
	*ret_len = len;
	*ret_offset = offset;
	return 0;
}
