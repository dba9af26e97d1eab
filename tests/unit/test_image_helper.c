/* SPDX-License-Identifier: Apache-2.0 */
/* The process that reads an image for us, and many threads that ask it. */
#include "tests/unit/image_fixture.h"

#include "acquire/confine.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void test_helper_dies(void **state)
{
	struct opened o;
	struct herd_diag diag;
	uint8_t buf[512];

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 " SUBCLUSTERS " base.raw c.qcow2"),
			 0);
	must_open("c.qcow2", &o);
	assert_int_equal(herd_source_read(o.source, buf, 512, 0, NULL), 0);
	assert_int_equal(kill(o.helper.pid, SIGKILL), 0);

	double began = now();

	for (int i = 0; i < 20; i++) {
		herd_diag_clear(&diag);
		assert_int_equal(herd_source_read(o.source, buf, 512, 0, &diag),
				 -EIO);
		assert_non_null(strstr(diag.message, "qemu-nbd"));
	}
	assert_true(now() - began < 1);
	image_close(&o);
}

/* Whoever used it is killed: it does not stay behind. */
static void test_helper_goes_with_its_user(void **state)
{
	int fds[2];
	pid_t helper = 0, child;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 " SUBCLUSTERS " base.raw c.qcow2"),
			 0);
	/* so that the orphan comes to us and not to init */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		struct opened o;

		must_open("c.qcow2", &o);
		if (write(fds[1], &o.helper.pid, sizeof(pid_t)) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(fds[0], &helper, sizeof(helper)), sizeof(helper));
	assert_int_equal(kill(helper, 0), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(fds[0]);
	close(fds[1]);

	bool gone = false;

	for (int i = 0; i < 300 && !gone; i++) {
		gone = waitpid(helper, NULL, WNOHANG) == helper;
		usleep(10000);
	}
	assert_true(gone);
}

static void test_helper_leaves_nothing(void **state)
{
	struct opened o;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 " SUBCLUSTERS
			     " base.raw c.qcow2 && mkdir -p tmp"), 0);
	setenv("TMPDIR", in_scratch("tmp"), 1);
	must_open("c.qcow2", &o);
	unsetenv("TMPDIR");
	assert_int_equal(run("test -z \"$(ls -A tmp)\""), 0);
	image_close(&o);
}

static void test_helper_says_why(void **state)
{
	uint8_t bad[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 " SUBCLUSTERS " base.raw w.qcow2"),
			 0);
	write_at("w.qcow2", 40, bad, 8);	/* where the L1 table lies */
	refuse("w.qcow2", NULL, -EBADMSG, "qemu-nbd does not read it: ");
}

static void *reader(void *arg)
{
	struct opened *o = arg;
	uint64_t seed = (uint64_t)pthread_self();
	CLEANUP_FREE uint8_t *got = malloc(MIB);

	for (int i = 0; i < 100; i++) {
		size_t off = random_next(&seed) % (DISK - MIB);
		size_t len = random_next(&seed) % MIB;

		if (herd_source_read(o->source, got, len, off, NULL) ||
		    memcmp(got, disk + off, len))
			return o;
	}
	return NULL;
}

static void check_threads(const char *name)
{
	pthread_t threads[6];
	struct opened o;
	void *failed;

	must_open(name, &o);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &o),
				 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	image_close(&o);
}

static void test_threads(void **state)
{
	(void)state;
	NEED("qemu-img");
	NEED("ewfacquirestream");
	assert_int_equal(run("rm -f one.*; "
			     "qemu-img convert -f raw -O qcow2 -c base.raw c.qcow2 && "
			     "qemu-img convert -f raw -O qcow2 " SUBCLUSTERS
			     " base.raw x.qcow2 && "
			     "ewfacquirestream -q -t one -c fast <base.raw"), 0);
	check_threads("c.qcow2");
	check_threads("x.qcow2");
	check_threads("one.E01");
}

/* What opening and reading need is there after herd_confine. */
static int open_confined(const char *name)
{
	CLEANUP_FREE uint8_t *got = malloc(DISK);
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct opened o = { 0 };
	const char *files[64];
	char missing[300];
	int err = herd_image_probe(in_scratch(name), NULL, NULL, &o.img, NULL);

	if (!err && herd_image_needs_helper(&o.img))
		err = herd_helper_start(&o.img, NULL, &o.helper, NULL);
	if (err)
		return 10;
	for (size_t i = 0; i < o.img.n_files; i++)
		files[i] = o.img.files[i].path;

	struct herd_confinement c = {
		.read_files = files, .n_read_files = o.img.n_files,
		.connected_sockets = true,
	};

	if (herd_confine(&c, missing, sizeof(missing), NULL))
		return 11;
	if (herd_image_verify(&o.img, true, NULL))
		return 12;
	if (herd_image_open(&o.img, &o.helper, &o.source, NULL))
		return 13;
	if (herd_source_read(o.source, got, DISK, 0, NULL) ||
	    memcmp(got, disk, DISK))
		return 14;
	if (o.source->ops->data_extents &&
	    o.source->ops->data_extents(o.source, &e, NULL))
		return 15;
	double began = now();

	/* it may not be killed from in here, but ends with its sockets */
	herd_source_destroy(o.source);
	herd_helper_stop(&o.helper);
	herd_image_deinit(&o.img);
	return now() - began < 3 ? 0 : 16;
}

static void test_confined(void **state)
{
	static const char *const names[] = { "base.raw", "c.qcow2", "x.qcow2",
					     "one.E01", "c.vmdk", "c.vhd" };

	(void)state;
	NEED("qemu-img");
	NEED("ewfacquirestream");
	assert_int_equal(run("rm -f c.* one.*; "
			     "qemu-img convert -f raw -O qcow2 base.raw c.qcow2 && "
			     "qemu-img convert -f raw -O qcow2 " SUBCLUSTERS
			     " base.raw x.qcow2 && "
			     "qemu-img convert -f raw -O vpc base.raw c.vhd && "
			     "qemu-img convert -f raw -O vmdk base.raw c.vmdk && "
			     "ewfacquirestream -q -t one -c fast <base.raw"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int status;
		pid_t child = fork();

		if (child == 0)
			_exit(open_confined(names[i]));
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status)
			fail_msg("%s: status %x", names[i], (unsigned)status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_helper_dies),
		cmocka_unit_test(test_helper_goes_with_its_user),
		cmocka_unit_test(test_helper_leaves_nothing),
		cmocka_unit_test(test_helper_says_why),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_confined),
	};

	return cmocka_run_group_tests(tests, image_setup, image_teardown);
}
