/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexing against real ext4 images that the kernel has written to. The main
 * oracle is the code itself in its slow form: a sibling read by what changed
 * must give, record for record, what a full scan gives.
 */
#include "acquire/base/cleanup.h"
#include "index/attach.h"
#include "index/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/herd-attach-XXXXXX";
static bool can_mount;

/* Runs a script in the test's folder; its output goes to `log` there. */
static int __attribute__((format(printf, 1, 2))) sh(const char *fmt, ...)
{
	char path[200], cmd[300];
	va_list ap;

	snprintf(path, sizeof(path), "%s/script", dir);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	fclose(f);
	snprintf(cmd, sizeof(cmd), "cd %s && bash script >>log 2>&1", dir);
	return system(cmd);
}

static const char make_base[] =
	"mkdir -p tree/etc tree/deep\n"
	"cp -a /usr/share/doc/[a-l]* /usr/share/perl* tree/\n"
	"echo x > tree/etc/fstab\n"
	"(cd tree/deep; for i in {1..30}; do mkdir d; cd d; echo $i > f; done)\n"
	"head -c 3000000 /dev/urandom > tree/big; ln tree/big tree/big2\n"
	"for i in {1..600}; do echo $i > tree/deep/file-with-a-long-name-$i; done\n"
	"truncate -s 300M base.raw\n"
	"mkfs.ext4 -q -F -O metadata_csum,inline_data -d tree base.raw\n";

/* Changes of every kind, made by the kernel; seed and image come before. */
static const char change[] =
	"set -e; cp --sparse=always base.raw $image; mkdir -p mnt\n"
	"mount -o loop $image mnt; cd mnt; set +e; RANDOM=$seed\n"
	"pick() { sort | shuf -n $1 --random-source=<(yes $seed); }\n"
	"find . -xdev -type f | pick 40 | while read -r f; do case $((RANDOM % 9)) in\n"
	" 0) rm $f;; 1) chmod 4711 $f;; 2) chown 12:34 $f;; 3) echo more >> $f;;\n"
	" 4) printf X | dd of=$f bs=1 conv=notrunc;; 5) mv $f $f.moved;;\n"
	" 6) ln $f $f.link;; 7) setfattr -n user.a -v b $f;;\n"
	" 8) rm $f; mkdir $f; echo in > $f/x;; esac; done\n"
	"find . -xdev -mindepth 1 -maxdepth 3 -type d | pick 8 | while read -r d; do\n"
	" [ -d $d ] || continue; case $((RANDOM % 5)) in\n"
	" 0) mv $d $d.moved;; 1) rm -r $d;; 2) rm -r $d; echo file > $d;;\n"
	" 3) cp -a $d $d.copy;; 4) mv $d moved-to-top.$RANDOM;; esac; done\n"
	"mkdir -p new/a/b; cp /bin/ls new/a/b; mkfifo new/p; mknod new/n c 1 3\n"
	"ln -s /etc/passwd new/l; ln -s $(printf 'x%.0s' {1..100}) new/long\n"
	"truncate -s 20G new/sparse\n"
	"printf z | dd of=new/sparse bs=1 seek=5000000000 conv=notrunc\n"
	"cat etc/fstab big > /dev/null; cd ..; umount mnt\n";

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	can_mount = geteuid() == 0 && !access("/dev/loop-control", W_OK);
	return sh("%s", make_base);
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	sh("mountpoint -q mnt && umount mnt");
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* Probes and opens an image of the test's folder. */
static struct herd_source *open_image(const char *name, struct herd_image *img)
{
	struct herd_source *src = NULL;
	struct herd_diag diag;
	char path[200];

	herd_diag_clear(&diag);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(herd_image_probe(path, NULL, NULL, img, &diag), 0);
	assert_int_equal(herd_image_open(img, NULL, &src, &diag), 0);
	return src;
}

static int attach_as(struct herd_store *s, const char *instance,
		     const char *image, const char *reference, bool verify,
		     struct herd_instance *ret)
{
	struct herd_image img = { 0 }, ref_img = { 0 };
	struct herd_source *src = open_image(image, &img);
	struct herd_source *ref = reference ? open_image(reference, &ref_img)
					    : NULL;
	struct herd_attach a = { .group = "g", .instance = instance,
				 .images = &img, .disks = &src, .n_disks = 1,
				 .reference_disks = &ref,
				 .n_reference_disks = 1, .verify = verify,
				 .now = 1000 };
	struct herd_diag diag;
	char text[1024];

	herd_diag_clear(&diag);
	int err = herd_attach(s, &a, ret, &diag);

	if (err)
		print_message("%s\n", herd_diag_format(&diag, err, text,
						       sizeof(text)));
	herd_source_destroy(src);
	herd_source_destroy(ref);
	herd_image_deinit(&img);
	herd_image_deinit(&ref_img);
	return err;
}

static int attach(struct herd_store *s, const char *instance, const char *image,
		  const char *reference, struct herd_instance *ret)
{
	return attach_as(s, instance, image, reference, false, ret);
}

static struct herd_store *open_store(const char *name)
{
	struct herd_store *s = NULL;
	struct herd_diag diag;
	char path[200];

	herd_diag_clear(&diag);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(herd_store_open(path, HERD_STORE_WRITE |
					 HERD_STORE_CREATE, &s, &diag), 0);
	return s;
}

/*
 * All records but those that tell how the work was done, and what could be
 * looked at: where the reference's image is not at hand, of what sort its files
 * are is not known (byte 8 of a tally).
 */
static int dump_record(void *arg, const char *table, const void *key,
		       size_t key_len, const void *value, size_t value_len)
{
	FILE *f = arg;

	if (!strcmp(table, "instance") || !strcmp(table, "look") ||
	    !strcmp(table, "kept"))
		return 0;
	fprintf(f, "%s ", table);
	for (size_t i = 0; i < key_len; i++)
		fprintf(f, "%02x", ((const uint8_t *)key)[i]);
	fputc(' ', f);
	for (size_t i = 0; i < value_len; i++)
		if (i != 8 || strcmp(table, "tally"))
			fprintf(f, "%02x", ((const uint8_t *)value)[i]);
	fputc('\n', f);
	return 0;
}

static void dump(struct herd_store *s, const char *name)
{
	struct herd_txn *t = NULL;
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(herd_txn_begin(s, false, &t, NULL), 0);
	assert_int_equal(herd_store_dump(t, dump_record, f), 0);
	herd_txn_abort(t);
	fclose(f);
}

static void one_sibling(unsigned seed)
{
	struct herd_instance by_change = { 0 }, in_full = { 0 };
	char sib[32];

	snprintf(sib, sizeof(sib), "sib%u.raw", seed);
	assert_int_equal(sh("seed=%u image=%s\n%s", seed, sib, change), 0);
	struct herd_store *a = open_store("a"), *b = open_store("b");

	assert_int_equal(attach(a, "base", "base.raw", NULL, NULL), 0);
	assert_int_equal(attach(b, "base", "base.raw", NULL, NULL), 0);
	assert_int_equal(attach(a, "sib", sib, "base.raw", &by_change), 0);
	assert_int_equal(attach(b, "sib", sib, NULL, &in_full), 0);
	dump(a, "a.txt");
	dump(b, "b.txt");
	assert_int_equal(sh("cmp a.txt b.txt"), 0);
	assert_int_equal(by_change.entries, in_full.entries);
	assert_int_equal(by_change.files, in_full.files);
	assert_int_equal(by_change.bytes, in_full.bytes);
	assert_int_equal(by_change.problems, 0);
	/* copies of folders are new to both; what lay there is not */
	assert_true(by_change.hashed_files + 1000 < in_full.hashed_files);
	herd_instance_deinit(&by_change);
	herd_instance_deinit(&in_full);
	herd_store_close(a);
	herd_store_close(b);
	sh("rm -rf a b %s", sib);
}

static void changes_equal_full_scan(void **state)
{
	(void)state;
	if (!can_mount) {
		print_message("skipped: needs root and loop devices\n");
		skip();
	}
	for (unsigned seed = 1; seed <= 6; seed++)
		one_sibling(seed);
}

static void attaching_twice_is_no_work(void **state)
{
	struct herd_instance first = { 0 }, again = { 0 };
	struct herd_store *s = open_store("twice");

	(void)state;
	assert_int_equal(attach(s, "base", "base.raw", NULL, &first), 0);
	dump(s, "one.txt");
	assert_int_equal(attach(s, "base", "base.raw", NULL, &again), 0);
	dump(s, "two.txt");
	assert_int_equal(first.id, again.id);
	assert_int_equal(sh("cmp one.txt two.txt"), 0);
	assert_int_equal(sh("cp base.raw other.raw; touch -d 2001-01-01 other.raw"), 0);
	assert_int_equal(attach(s, "base", "other.raw", NULL, NULL), -EEXIST);
	herd_instance_deinit(&first);
	herd_instance_deinit(&again);
	herd_store_close(s);
	sh("rm -rf twice other.raw");
}

static void what_cannot_be_read_is_refused(void **state)
{
	struct herd_store *s = open_store("refused");

	(void)state;
	assert_int_equal(sh("head -c 1M /dev/urandom > noise.raw"), 0);
	assert_int_equal(attach(s, "noise", "noise.raw", NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(sh("truncate -s 5M empty.raw"), 0);
	assert_int_equal(attach(s, "empty", "empty.raw", NULL, NULL), -EOPNOTSUPP);
	herd_store_close(s);
}

static int keep_text(void *arg, const char *path, size_t path_len,
		     const char *text, size_t text_len)
{
	snprintf(arg, 2000, "%.*s: %.*s", (int)path_len, path, (int)text_len,
		 text);
	return 0;
}

/* Attaches base.raw beside itself; what is said of the comparison. */
static void compared_with(const char *store, struct herd_source *ref,
			  const char *no_reference, char problem[2000])
{
	struct herd_image img = { 0 };
	struct herd_instance inst = { 0 };
	struct herd_source *src = open_image("base.raw", &img);
	struct herd_store *s = open_store(store);
	struct herd_txn *t = NULL;
	struct herd_attach a = { .group = "g",
				 .instance = "sib",
				 .images = &img,
				 .disks = &src,
				 .n_disks = 1,
				 .reference_disks = &ref,
				 .n_reference_disks = 1,
				 .no_reference = no_reference,
				 .now = 1000 };
	bool said = ref || no_reference;

	problem[0] = '\0';
	assert_int_equal(attach(s, "base", "base.raw", NULL, NULL), 0);
	assert_int_equal(herd_attach(s, &a, &inst, NULL), 0);
	assert_int_equal(inst.problems, said ? 1 : 0);
	assert_true(inst.entries > 1000);
	assert_true(inst.inherited_files < inst.hashed_files);
	assert_int_equal(herd_txn_begin(s, false, &t, NULL), 0);
	assert_int_equal(herd_problem_each(t, inst.id, keep_text, problem), 0);
	herd_txn_abort(t);
	herd_instance_deinit(&inst);
	herd_store_close(s);
	herd_source_destroy(src);
	herd_image_deinit(&img);
	sh("rm -rf %s", store);
}

static void a_comparison_not_made_is_told(void **state)
{
	struct herd_image img = { 0 };
	char problem[2000];

	(void)state;
	compared_with("none", NULL, NULL, problem);
	assert_string_equal(problem, "");
	compared_with("gone", NULL, "base.raw: No such file", problem);
	assert_string_equal(problem, ".volumes: compared not block by block but "
			    "in full, because the images of the reference base "
			    "are not to be had (base.raw: No such file)");

	/* the head of the volume is not that which was indexed */
	assert_int_equal(sh("cp base.raw ref.raw; printf X | "
			    "dd of=ref.raw bs=1 seek=1144 conv=notrunc"), 0);
	struct herd_source *ref = open_image("ref.raw", &img);

	compared_with("other", ref, NULL, problem);
	assert_string_equal(problem, ".volumes/0: compared not block by block "
			    "but in full, because ref.raw: not what was indexed "
			    "as disk 0 of the reference base");
	herd_source_destroy(ref);
	herd_image_deinit(&img);

	/* it is cut while it is being read */
	assert_int_equal(sh("cp base.raw ref.raw"), 0);
	ref = open_image("ref.raw", &img);
	assert_int_equal(sh("truncate -s 1M ref.raw"), 0);
	compared_with("cut", ref, NULL, problem);
	assert_non_null(strstr(problem, ".volumes/0: compared not block by block "
			       "but in full, because ref.raw: "));
	herd_source_destroy(ref);
	herd_image_deinit(&img);
	sh("rm ref.raw");
}

static void what_an_image_says_of_itself_is_told(void **state)
{
	struct herd_instance inst = { 0 };
	struct herd_store *s;
	struct herd_txn *t = NULL;
	char problem[2000] = "";

	(void)state;
	if (sh("qemu-img convert -f raw -O qcow2 base.raw marked.qcow2 &&"
	       " printf '\\002' | dd of=marked.qcow2 bs=1 seek=79 conv=notrunc")) {
		print_message("skipped: no qemu-img\n");
		skip();
	}
	s = open_store("marked");
	assert_int_equal(attach(s, "m", "marked.qcow2", NULL, &inst), 0);
	assert_int_equal(inst.problems, 1);
	assert_int_equal(herd_txn_begin(s, false, &t, NULL), 0);
	assert_int_equal(herd_problem_each(t, inst.id, keep_text, problem), 0);
	herd_txn_abort(t);
	assert_string_equal(problem, ".volumes/0: marked.qcow2 is marked corrupt "
			    "(a write to it went wrong, what its tables say may "
			    "be wrong): read all the same");
	herd_instance_deinit(&inst);
	herd_store_close(s);
	sh("rm -rf marked marked.qcow2");
}

/* ---- the herd's ledger ---- */

/* Returns how many have what it has; 0: the herd has. */
static uint32_t same_of_instance(struct herd_txn *t, const struct herd_herd *a,
				 const struct herd_herd *b, uint32_t id)
{
	struct herd_finding *f, *g;
	size_t n, m;

	assert_int_equal(herd_judge_instance(t, a, id, &f, &n, NULL), 0);
	assert_int_equal(herd_judge_instance(t, b, id, &g, &m, NULL), 0);
	assert_int_equal(n, m);
	assert_true(n < 2);
	if (!n) {
		free(f);
		free(g);
		return 0;
	}
	assert_int_equal(f->path, g->path);
	assert_int_equal(f->verdict.class, g->verdict.class);
	assert_int_equal(f->verdict.reasons, g->verdict.reasons);
	assert_int_equal(f->verdict.count, g->verdict.count);
	assert_int_equal(f->verdict.rank, g->verdict.rank);
	assert_int_equal(f->herd_holder, g->herd_holder);
	n = f->verdict.count;
	free(f);
	free(g);
	return (uint32_t)n;
}

/* Its ledger is used, and finds what is found from nothing. alike: m2 and m3
   have the same, and more than anybody. */
static void check_ledger(struct herd_store *s, unsigned members,
			 bool alike)
{
	struct herd_herd *kept, *anew;
	struct herd_txn *t = NULL;
	struct herd_group g;

	assert_int_equal(herd_txn_begin(s, false, &t, NULL), 0);
	assert_int_equal(herd_group_find(t, "g", &g), 0);
	assert_int_equal(g.members, members + 1);
	assert_int_equal(herd_herd_make(t, &g, &kept, NULL), 0);
	assert_int_equal(herd_herd_make_without(t, &g, HERD_WITHOUT_LEDGER,
						&anew, NULL), 0);
	assert_true(herd_herd_by_ledger(kept));
	for (unsigned i = 1; i <= members; i++) {
		struct herd_instance inst = { 0 };
		char name[16];

		snprintf(name, sizeof(name), "m%u", i);
		assert_int_equal(herd_instance_find(t, g.id, name, &inst), 0);
		assert_int_equal(same_of_instance(t, kept, anew, inst.id),
				 alike && (i == 2 || i == 3) ? 0 : 1);
		herd_instance_deinit(&inst);
	}
	herd_herd_destroy(kept);
	herd_herd_destroy(anew);
	herd_txn_abort(t);
}

/* Attach writes it, and who is verified is in it as what it proves to be. */
static void the_ledger_has_who_is_verified(void **state)
{
	static const char member[] =
		"set -e; cp --sparse=always base.raw m%u.raw\n"
		"(echo own %u; yes) | head -c 9000 > own\n"
		"printf 'cd etc\\nwrite own own\\n' |\n"
		"debugfs -w -f /dev/stdin m%u.raw\n";
	struct herd_store *s;

	(void)state;
	s = open_store("ledger");
	assert_int_equal(attach(s, "base", "base.raw", NULL, NULL), 0);
	for (unsigned i = 1; i <= 4; i++) {
		char name[16], image[16];

		assert_int_equal(sh(member, i, i, i), 0);
		snprintf(name, sizeof(name), "m%u", i);
		snprintf(image, sizeof(image), "m%u.raw", i);
		assert_int_equal(attach(s, name, image, "base.raw", NULL), 0);
	}
	check_ledger(s, 4, false);
	/* behind its back, as if it had been taken over by metadata alone */
	assert_int_equal(sh("set -e; touch -r m2.raw was\n"
			    "size=$(dumpe2fs -h m2.raw | sed -n 's/^Block size: *//p')\n"
			    "block=$(debugfs -R 'bmap etc/own 0' m2.raw)\n"
			    "printf 3 | dd of=m2.raw bs=1 conv=notrunc"
			    " seek=$((block * size + 4))\n"
			    "touch -r was m2.raw"), 0);
	assert_int_equal(attach_as(s, "m2", "m2.raw", "base.raw", true, NULL),
			 0);
	check_ledger(s, 4, true);
	assert_int_equal(sh(member, 5, 5, 5), 0);
	assert_int_equal(attach(s, "m5", "m5.raw", "base.raw", NULL), 0);
	check_ledger(s, 5, true);
	herd_store_close(s);
	sh("rm -rf ledger m?.raw was");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attaching_twice_is_no_work),
		cmocka_unit_test(what_cannot_be_read_is_refused),
		cmocka_unit_test(a_comparison_not_made_is_told),
		cmocka_unit_test(what_an_image_says_of_itself_is_told),
		cmocka_unit_test(the_ledger_has_who_is_verified),
		cmocka_unit_test(changes_equal_full_scan),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
