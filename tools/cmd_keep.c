/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs keep: images of memory without what they have in common, and back.
 * What parses an image is a process of its own, locked in, as for attach.
 *
 * Threads: the main thread.
 */
#include "acquire/base/cleanup.h"
#include "acquire/confine.h"
#include "acquire/memory_keep.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char help[] =
"Usage: herdfs keep --to DIR [OPTION]… IMAGE…\n"
"  or:  herdfs keep --export FILE NAME.keep\n"
"Brings images of memory (raw, LiME, ELF) into a folder in which pages that they\n"
"have in common are there once and pages of zeros not at all. Each becomes\n"
"NAME.keep, which herdfs attach --memory takes like the image. --export gives it\n"
"back, bit for bit. The images themselves are not touched. What is packed (AVML\n"
"with compression, kdump) is refused, or kept unpacked with --as-lime.\n\n"
"  --to DIR       the folder; made if it is not there\n"
"  --export FILE  where to; \"-\" is the standard output\n"
"  --format FMT   lime, elf-core or raw-memory; found out from content when not\n"
"                 given\n"
"  --as-lime      keep what is packed as the LiME file that it would be; --export\n"
"                 then gives that file, not the packed one\n"
"  --quiet        nothing but errors\n"
"  --help         this text\n\n"
"Exit status: 0 all done, 1 not all, 2 wrong usage.\n";

struct keep {
	const char *to, *export, *format;
	bool as_lime, quiet;
};

/* "/x/i-1.lime" → "i-1.lime": the end says what it was. */
static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int lock_in(const struct herd_image *img, const char *dir,
		   struct herd_diag *diag)
{
	CLEANUP_FREE const char **files = calloc(img->n_files + 1,
						 sizeof(*files));
	struct herd_confinement c = { .read_files = files,
				      .n_read_files = img->n_files,
				      .write_dirs = &dir,
				      .n_write_dirs = dir != NULL };
	char missing[256];

	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < img->n_files; i++)
		files[i] = img->files[i].path;
	return herd_confine(&c, missing, sizeof(missing), diag);
}

/* ---- in ---- */

static int import(const struct keep *k, const char *path,
		  struct herd_diag *diag)
{
	struct herd_image img = { .n_files = 0 };
	struct herd_keep_result r = { .bytes = 0 };
	char all[16], stored[16];
	int err = herd_s3_is_object(path) ?
			  herd_diag_set(diag, -EOPNOTSUPP, path, HERD_NO_OFFSET,
					"is in S3: bring it home first, what is "
					"kept is read from files") :
			  herd_memory_probe(path, k->format, &img, diag);

	if (err)
		herd_diag_set(diag, err, path, HERD_NO_OFFSET, "%s",
			      strerror(-err));
	if (!err)
		err = lock_in(&img, k->to, diag);
	if (!err)
		err = herd_keep_import(k->to, name_of(path), &img, k->as_lime,
				       &r, diag);
	if (!err && !k->quiet)
		printf("%s.keep: %s in %s: %llu pages, %llu of zeros, %llu known, "
		       "%llu new\n", name_of(path),
		       herd_tool_bytes(r.bytes, all, sizeof(all)),
		       herd_tool_bytes(r.stored, stored, sizeof(stored)),
		       (unsigned long long)r.pages, (unsigned long long)r.zeros,
		       (unsigned long long)r.shared,
		       (unsigned long long)r.fresh);
	herd_image_deinit(&img);
	return err;
}

static int publish(const struct keep *k, const char *path)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err = herd_keep_publish(k->to, name_of(path), &diag);

	return err ? herd_tool_fail(&diag, err) : HERD_EXIT_OK;
}

static int import_in_child(const struct keep *k, const char *path)
{
	struct herd_diag why = { .offset = HERD_NO_OFFSET };
	CLEANUP_FD int lock = -1;
	int status = 0, err = herd_keep_lock(k->to, &lock, &why);
	pid_t pid;

	if (err)
		return herd_tool_fail(&why, err);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		err = import(k, path, &why);
		if (err)
			herd_tool_fail(&why, err);
		_exit(fflush(stdout) || err ? 1 : 0);
	}
	if (pid < 0)
		return herd_tool_fail(NULL, -errno);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		herd_tool_warn("%s: the reader crashed (signal %d): not kept",
			       path, WTERMSIG(status));
	return status ? HERD_EXIT_FAILED : publish(k, path);
}

/* ---- out ---- */

static int export(const struct keep *k, const char *path)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_image img = { .n_files = 0 };
	bool standard = strcmp(k->export, "-") == 0;
	int fd = standard ? STDOUT_FILENO :
		 open(k->export, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int err = fd < 0 ? herd_diag_set(&diag, -errno, k->export, HERD_NO_OFFSET,
					 "%s", strerror(errno)) :
		  herd_keep_probe(path, &img, &diag);

	if (err)	/* whoever knows more has said it */
		herd_diag_set(&diag, err, path, HERD_NO_OFFSET, "%s",
			      strerror(-err));
	if (!err)
		err = herd_keep_export(&img, fd, &diag);
	if (!err && !standard && fsync(fd))
		err = herd_diag_set(&diag, -errno, k->export, HERD_NO_OFFSET,
				    "%s", strerror(errno));
	/* half an image is none */
	if (err && fd >= 0 && !standard)
		unlink(k->export);
	if (fd >= 0 && !standard)
		close(fd);
	herd_image_deinit(&img);
	return err ? herd_tool_fail(&diag, err) : HERD_EXIT_OK;
}

int herd_cmd_keep(int argc, char **argv)
{
	struct keep k = { .quiet = false };
	const struct herd_tool_option options[] = {
		{ "to", .text = &k.to },
		{ "export", .text = &k.export },
		{ "format", .text = &k.format },
		{ "as-lime", .flag = &k.as_lime },
		{ "quiet", .flag = &k.quiet },
		{ 0 },
	};
	int status = herd_tool_options(argc, argv, "keep", help, options);

	if (status)
		return status < 0 ? herd_tool_finish(HERD_EXIT_OK) : status;
	if (!k.to == !k.export)
		return herd_tool_usage("keep", "give --to DIR, or --export FILE");
	if (optind >= argc || (k.export && optind + 1 != argc))
		return herd_tool_usage("keep", k.export ? "which one?" :
				       "no image is named");
	if (k.export)
		return herd_tool_finish(export(&k, argv[optind]));
	if (mkdir(k.to, 0700) && errno != EEXIST) {
		herd_tool_warn("%s: %s", k.to, strerror(errno));
		return herd_tool_finish(HERD_EXIT_FAILED);
	}
	for (int i = optind; i < argc; i++)
		status |= import_in_child(&k, argv[i]);
	return herd_tool_finish(status);
}
