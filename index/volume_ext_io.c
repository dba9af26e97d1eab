/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libext2fs on top of a source: an I/O manager that can only read, and its
 * error codes as ours.
 *
 * Threads: any, each with file systems of its own. The source to open is
 * handed to the manager in a thread-local variable, for it only gets a name.
 */
#include "index/volume_ext.h"

#include <limits.h>
#include <stdio.h>

/* Of one channel. */
struct ext_io {
	struct herd_source *source;
	int err;		/* of the last read that failed */
	struct herd_diag diag;
};

static _Thread_local struct herd_source *opening;
static struct struct_io_manager read_only;

static errcode_t io_open(const char *name, int flags, io_channel *ret)
{
	struct ext_io *io = calloc(1, sizeof(*io));
	struct struct_io_channel *channel = calloc(1, sizeof(*channel));
	char *copy = strdup(name);

	(void)flags;
	if (!io || !channel || !copy || !opening) {
		free(io);
		free(channel);
		free(copy);
		return EXT2_ET_NO_MEMORY;
	}
	io->source = opening;
	herd_diag_clear(&io->diag);
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->name = copy;
	channel->block_size = 1024;
	channel->refcount = 1;
	channel->private_data = io;
	channel->manager = &read_only;
	*ret = channel;
	return 0;
}

static errcode_t io_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	free(channel->private_data);
	free(channel->name);
	free(channel);
	return 0;
}

static errcode_t io_set_blksize(io_channel channel, int size)
{
	if (size <= 0)
		return EXT2_ET_INVALID_ARGUMENT;
	channel->block_size = size;
	return 0;
}

/* A negative count is one of bytes. */
static errcode_t io_read64(io_channel channel, unsigned long long block,
			   int count, void *data)
{
	struct ext_io *io = channel->private_data;
	uint64_t off, len;

	if (count == INT_MIN ||
	    __builtin_mul_overflow(block, (uint64_t)channel->block_size, &off))
		return EXT2_ET_BAD_BLOCK_NUM;
	len = count < 0 ? (uint64_t)-count
			: (uint64_t)count * (uint64_t)channel->block_size;
	herd_diag_clear(&io->diag);
	io->err = herd_source_read(io->source, data, len, off, &io->diag);
	return io->err ? EXT2_ET_SHORT_READ : 0;
}

static errcode_t io_read(io_channel channel, unsigned long block, int count,
			 void *data)
{
	return io_read64(channel, block, count, data);
}

static errcode_t io_write64(io_channel channel, unsigned long long block,
			    int count, const void *data)
{
	(void)channel;
	(void)block;
	(void)count;
	(void)data;
	return EXT2_ET_RO_FILSYS;
}

static errcode_t io_write(io_channel channel, unsigned long block, int count,
			  const void *data)
{
	return io_write64(channel, block, count, data);
}

static errcode_t io_write_byte(io_channel channel, unsigned long offset,
			       int count, const void *data)
{
	return io_write64(channel, offset, count, data);
}

static errcode_t io_range_write(io_channel channel, unsigned long long block,
				unsigned long long count)
{
	(void)count;
	return io_write64(channel, block, 0, NULL);
}

static errcode_t io_flush(io_channel channel)
{
	(void)channel;
	return 0;
}

static errcode_t io_readahead(io_channel channel, unsigned long long block,
			      unsigned long long count)
{
	(void)channel;
	(void)block;
	(void)count;
	return 0;
}

static errcode_t io_set_option(io_channel channel, const char *option,
			       const char *arg)
{
	(void)channel;
	(void)option;
	(void)arg;
	return EXT2_ET_INVALID_ARGUMENT;
}

static struct struct_io_manager read_only = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "herd source",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_blksize,
	.read_blk = io_read,
	.read_blk64 = io_read64,
	.write_blk = io_write,
	.write_blk64 = io_write64,
	.write_byte = io_write_byte,
	.flush = io_flush,
	.set_option = io_set_option,
	.discard = io_range_write,
	.zeroout = io_range_write,
	.cache_readahead = io_readahead,
};

/* ---- errors ---- */

static pthread_once_t texts_once = PTHREAD_ONCE_INIT;

static void add_texts(void)
{
	initialize_ext2_error_table();
}

const char *herd_ext_message(errcode_t code)
{
	pthread_once(&texts_once, add_texts);
	return error_message(code);
}

int herd_ext_error(ext2_filsys fs, const char *source, errcode_t code,
		   uint64_t at, const char *what, struct herd_diag *diag)
{
	struct ext_io *io = fs && fs->io ? fs->io->private_data : NULL;

	if (code == EXT2_ET_NO_MEMORY)
		return -ENOMEM;
	if (code == EXT2_ET_SHORT_READ && io && io->err)
		return herd_diag_set(diag, io->err, source, io->diag.offset,
				     "%s: %s", what, io->diag.message);
	return herd_diag_set(diag, -EBADMSG, source, at, "%s: %s", what,
			     herd_ext_message(code));
}

int herd_ext_fs_open(struct herd_source *source, int superblock,
		     unsigned block_size, bool ignore_checksums,
		     ext2_filsys *ret, errcode_t *ret_code,
		     struct herd_diag *diag)
{
	int flags = EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP |
		    EXT2_FLAG_NOFREE_ON_ERROR |
		    (ignore_checksums ? EXT2_FLAG_IGNORE_CSUM_ERRORS : 0);
	uint64_t at = superblock ? (uint64_t)superblock * block_size : 1024;
	ext2_filsys fs = NULL;

	opening = source;
	*ret_code = ext2fs_open2("herd", NULL, flags, superblock,
				 superblock ? block_size : 0,
				 &read_only, &fs);
	opening = NULL;
	if (!*ret_code) {
		fs->flags &= ~EXT2_FLAG_IGNORE_CSUM_ERRORS;
		*ret = fs;
		return 0;
	}
	int err = herd_ext_error(fs, source->name, *ret_code, at, "superblock",
				 diag);

	if (fs)
		ext2fs_free(fs);
	return err;
}
