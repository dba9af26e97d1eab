/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials of a process, a container and an instance, and the texts that
 * come with them.
 */
#include "aws_credentials_fixture.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

/* ---- parts ---- */

static void test_time(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} right[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2027-01-15T08:00:00Z", NOW },
		{ "2027-01-15T08:00:00.629Z", NOW },
		{ "2027-01-15T08:00:00UTC", NOW },
		{ "2027-01-15T08:00:00", NOW },
		{ "2027-01-15 08:00:00+00:00", NOW },
		{ "2027-01-15T10:30:00+02:30", NOW },
		{ "2027-01-15T00:00:00-0800", NOW },
	};
	static const char *const wrong[] = {
		"",
		"2027",
		"2027-01-15",
		"2027-13-15T08:00:00Z",
		"2027-01-15T24:00:00Z",
		"2027-01-15T08:00:00X",
		"2027-01-15T08:00:00+1",
		"2027-01-15T08:00:00+02:30x",
		"1800000000",
		" 2027-01-15T08:00:00Z",
	};
	int64_t got = -1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		assert_int_equal(herd_credentials_time(right[i].text, &got), 0);
		assert_int_equal(got, right[i].seconds);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!herd_credentials_time(wrong[i], &got))
			fail_msg("%s was read", wrong[i]);
	assert_int_equal(herd_credentials_http_date(
				 "Fri, 15 Jan 2027 08:00:00 GMT", &got),
			 0);
	assert_int_equal(got, NOW);
	assert_int_not_equal(herd_credentials_http_date(
				     "Fri, 15 anF 2027 08:00:00 GMT", &got),
			     0);
	assert_int_not_equal(herd_credentials_http_date("Fri", &got), 0);
}

static void words_are(const char *command, const char *joined)
{
	char *text = NULL, *words[HERD_WORDS_MAX + 1], got[200] = "";
	int err = herd_credentials_words(command, &text, words);

	if (err)
		fail_msg("%s: %s", command, strerror(-err));
	for (size_t i = 0; words[i]; i++) {
		strcat(got, words[i]);
		strcat(got, "|");
	}
	assert_string_equal(got, joined);
	free(text);
}

static void test_words(void **state)
{
	char *text = NULL, *words[HERD_WORDS_MAX + 1], many[300] = "";

	(void)state;
	words_are("a", "a|");
	words_are("  a  b\tc\n d ", "a|b|c|d|");
	words_are("a 'b c' \"d e\"f", "a|b c|d ef|");
	words_are("a '' \"\"", "a|||");
	words_are("a\\ b \\\\ \\'", "a b|\\|'|");
	words_are("'a\\b' \"a\\b\\\"\\\\\"", "a\\b|a\\b\"\\|");
	words_are("$HOME ~ * # ; |", "$HOME|~|*|#|;|||");
	assert_int_equal(herd_credentials_words("", &text, words), -ENOENT);
	assert_int_equal(herd_credentials_words("  ", &text, words), -ENOENT);
	assert_int_equal(herd_credentials_words("a 'b", &text, words), -EINVAL);
	assert_int_equal(herd_credentials_words("a \"b", &text, words),
			 -EINVAL);
	assert_int_equal(herd_credentials_words("a \\", &text, words), -EINVAL);
	for (int i = 0; i < HERD_WORDS_MAX; i++)
		strcat(many, "a ");
	assert_int_equal(herd_credentials_words(many, &text, words), 0);
	assert_null(words[HERD_WORDS_MAX]);
	free(text);
	strcat(many, "a");
	assert_int_equal(herd_credentials_words(many, &text, words), -E2BIG);
}

static void test_container_hosts(void **state)
{
	static const char *const allowed[] = {
		"https://anything.example/x", "http://127.0.0.1/",
		"http://127.9.8.7",	      "http://localhost:80/x?y",
		"http://[::1]:8080/v1",	      "http://169.254.170.2/v2/x",
		"http://169.254.170.23/v1",   "http://[fd00:ec2::23]/v1",
		"HTTP://LocalHost/",
	};
	static const char *const refused[] = {
		"http://169.254.169.254/",
		"http://10.0.0.1/",
		"http://1.2.3.4",
		"http://localhost.example/",
		"http://127.0.0.1.example/",
		"http://127.0.0.1@evil.example/",
		"http://evil.example\\@127.0.0.1/",
		"http://[fd00:ec2::254]/",
		"http://[::1].example/",
		"http://",
		"http://[::1",
		"ftp://127.0.0.1/",
		"127.0.0.1",
		"",
		"http://127.1/",
		"http://0177.0.0.1/",
		"https:///x",
		"http://127.0.0.1 /",
		"http://evil.example#127.0.0.1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (!herd_credentials_url_allowed(allowed[i]))
			fail_msg("%s is refused", allowed[i]);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (herd_credentials_url_allowed(refused[i]))
			fail_msg("%s is allowed", refused[i]);
}

/* ---- a process ---- */

static void process(const char *command)
{
	char text[600];

	snprintf(text, sizeof(text), "[default]\ncredential_process = %s\n",
		 command);
	aws_config(text);
}

static void test_process(void **state)
{
	char command[400];

	(void)state;
	aws_put("with space.json",
		"{\"Version\": 1, \"AccessKeyId\": \"AKIDP\", \"SecretAccessKey\": "
		"\"p\", \"SessionToken\": \"t\", \"Expiration\": "
		"\"2027-01-15T09:00:00+00:00\"}");
	snprintf(command, sizeof(command), "cat \"%s\"",
		 aws_home_path("with space.json"));
	process(command);
	gives(NULL, "AKIDP", "profile default (process)");
	token_is("p", "t");
	assert_int_equal(t.keys->expires, NOW + 3600);
	at = NOW + 3600;
	refuses(NULL, "keys that expired", NULL);
	at = NOW;
	process("echo {\\\"Version\\\":1, "
		"'\"AccessKeyId\":\"AKID\", \"SecretAccessKey\":\"$HOME\"}'");
	gives(NULL, "AKID", "profile default (process)");
	token_is("$HOME", "(none)"); /* no shell has seen it */
}

static void test_process_wrong(void **state)
{
	(void)state;
	process("/nowhere/at-all --secret hidden");
	refuses(NULL, "/nowhere/at-all cannot be started", NULL);
	process("sh -c 'echo hidden; echo log in first >&2; echo more >&2; exit "
		"3'");
	refuses(NULL, "status 3", "log in first", NULL);
	aws_has_not(t.text, "more");
	process("sh -c 'kill -9 $$'");
	refuses(NULL, "signal 9", NULL);
	process("echo hidden");
	refuses(NULL, "no JSON", NULL);
	process("echo '{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"hidden\"}'");
	refuses(NULL, "Version", NULL);
	process("echo '{\"Version\": 1, \"SecretAccessKey\": \"hidden\"}'");
	refuses(NULL, "access key id is missing", NULL);
	process("echo '{\"Version\": 1, \"AccessKeyId\": \"A\", "
		"\"SecretAccessKey\": \"hid\\nden\"}'");
	refuses(NULL, "secret access key", "characters", NULL);
	process("head -c 70000 /dev/zero");
	refuses(NULL, "more than 65536 bytes", NULL);
	process("sh -c 'unclosed");
	refuses(NULL, "a quote is open", NULL);
}

/* Neither our descriptors nor our stdin are the child's. */
static void test_process_descriptors(void **state)
{
	int fd = open("/dev/zero", O_RDONLY); /* not close-on-exec */

	(void)state;
	assert_true(fd > 2);
	aws_put("script", "read x && exit 9\n"
			  "for f in /proc/$$/fd/*; do\n"
			  "	[ -e $f ] && [ ${f##*/} -gt 2 ] || continue\n"
			  "	[ \"$(readlink $f)\" = \"$0\" ] && continue\n"
			  "	readlink $f >&2; exit 8\n"
			  "done\n"
			  "echo '{\"Version\":1,\"AccessKeyId\":\"A\","
			  "\"SecretAccessKey\":\"S\"}'\n");

	char command[300];

	snprintf(command, sizeof(command), "sh %s", aws_home_path("script"));
	process(command);
	gives(NULL, "A", "profile default (process)");
	close(fd);
}

/* What it leaves behind with its pipes is not waited for; what does not end
   is ended, with all that it started. */
static void test_process_end(void **state)
{
	char command[400];

	(void)state;
	process("sh -c 'sleep 1000 & echo \"{\\\"Version\\\":1,"
		"\\\"AccessKeyId\\\":\\\"A\\\",\\\"SecretAccessKey\\\":"
		"\\\"S\\\"}\"; echo $! >$HOME/left'");
	gives(NULL, "A", "profile default (process)");

	FILE *f = fopen(aws_home_path("left"), "r");
	int left = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &left), 1);
	fclose(f);
	assert_int_equal(kill(left, SIGKILL), 0);

	snprintf(command, sizeof(command),
		 "sh -c 'sleep 1000 & echo $! >%s; wait'",
		 aws_home_path("inner"));
	process(command);
	opened(NULL);
	t.c->process_ms = 500;
	assert_int_equal(get(), -ENOKEY);
	aws_has(t.diag.message, "did not end");
	f = fopen(aws_home_path("inner"), "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &left), 1);
	fclose(f);
	/* not ours to wait for: gone, or a zombie of whoever took it in */
	snprintf(command, sizeof(command), "/proc/%d/stat", left);
	for (int i = 0; i < 1000; i++) {
		char stat[300] = "", *state_of;

		f = fopen(command, "r");
		if (!f)
			break;
		if (!fgets(stat, sizeof(stat), f))
			stat[0] = '\0';
		fclose(f);
		state_of = strrchr(stat, ')');
		if (!state_of || state_of[2] == 'Z' || state_of[2] == 'X')
			break;
		usleep(10000);
		assert_true(i < 999);
	}
}

/* ---- container, instance ---- */

static void test_container(void **state)
{
	char path[300];

	(void)state;
	point("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/container/3600");
	gives(NULL, "ASIACONTAINER1", "container");
	assert_int_equal(t.keys->expires, NOW + 3600);
	point("AWS_CONTAINER_CREDENTIALS_FULL_URI",
	      "/container/3600?token=Bearer%20one");
	refuses(NULL, "container", "status 401", NULL);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer one", 1);
	gives(NULL, "ASIACONTAINER2", "container");
	/* the file goes before the variable and is read each time */
	aws_put("token", "Bearer two\n");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", aws_home_path("token"),
	       1);
	snprintf(path, sizeof(path), "/container/3600?file=%s",
		 aws_home_path("token"));
	point("AWS_CONTAINER_CREDENTIALS_FULL_URI", path);
	gives(NULL, "ASIACONTAINER3", "container");
	aws_put("token", "Bearer three");
	at = t.keys->expires - 100;
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "ASIACONTAINER4");
	aws_put("token", "Bearer\r\nX-Evil: yes");
	refuses(NULL, "container", "control characters", NULL);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", aws_home_path("no"),
	       1);
	refuses(NULL, "token cannot be read", NULL);
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.1.2.3/", 1);
	refuses(NULL, "must be https, or http to this host", NULL);
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/", 1);
	refuses(NULL, "does not begin with a slash", NULL);
}

static void test_instance(void **state)
{
	(void)state;
	instance("/imds/7200/");
	gives(NULL, "ASIAIMDS1", "instance metadata");
	assert_int_equal(t.keys->expires, NOW + 7200);
	assert_int_equal(aws_server_count(&server, "imds-put"), 1);
	setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
	refuses(NULL, "AWS_EC2_METADATA_DISABLED is true", NULL);
	instance("/imds-off");
	refuses(NULL, "no IMDSv2 token: status 403", "turned off", NULL);
	instance("/imds-norole");
	refuses(NULL, "the instance has no role", NULL);
	instance("/imds-failed");
	refuses(NULL, "AssumeRoleUnauthorizedAccess", "cannot assume", NULL);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
	refuses(NULL, "instance metadata: cannot be reached", NULL);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "nonsense", 1);
	refuses(NULL, "not an http or https URL", NULL);
	/* one of the profile */
	unsetenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	snprintf(t.text, sizeof(t.text),
		 "[default]\nec2_metadata_service_endpoint = %s/imds/3600\n",
		 server.base);
	aws_config(t.text);
	gives(NULL, "ASIAIMDS2", "instance metadata");
}

/* A token that does not come names the hop limit; IMDSv1 is never asked. */
static void test_instance_slow(void **state)
{
	(void)state;
	instance("/imds-slow");
	refuses(NULL, "no answer within 1 s", "hop limit", NULL);
	assert_int_equal(aws_server_count(&server, "imds-slow-put"), 1);
	assert_int_equal(aws_server_count(&server, "imds-slow-get"), 0);
	instance("/imds-v1");
	refuses(NULL, "no IMDSv2 token: status 404", NULL);
	assert_int_equal(aws_server_count(&server, "imds-v1-get"), 0);
}

/* Keys that are outdated already are what IMDS has when AWS cannot renew. */
static void test_instance_outdated(void **state)
{
	(void)state;
	instance("/imds/1");
	at = NOW + 100000;
	opened(NULL);
	assert_int_equal(get(), 0);
	assert_int_equal(t.keys->expires, at + 600);
}

/* ---- the real addresses ---- */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 &&
		    write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	herd_cleanup_fd(&fd);
	return done;
}

static bool add_address(int fd, const char *name, const char *address)
{
	struct ifreq r = { .ifr_flags = IFF_UP };
	struct sockaddr_in in = { .sin_family = AF_INET };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	inet_pton(AF_INET, address, &in.sin_addr);
	if (!strcmp(name, "lo"))
		return !ioctl(fd, SIOCSIFFLAGS, &r);
	memcpy(&r.ifr_addr, &in, sizeof(in));
	return !ioctl(fd, SIOCSIFADDR, &r);
}

/* A network of our own in which the link-local addresses are this host's. */
static bool own_network(void)
{
	char map[40];
	int fd = -1;
	bool done;

	snprintf(map, sizeof(map), "0 %u 1", (unsigned)geteuid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) ||
	    !write_file("/proc/self/uid_map", map))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	done = fd >= 0 && add_address(fd, "lo", "127.0.0.1") &&
	       add_address(fd, "lo:1", "169.254.169.254") &&
	       add_address(fd, "lo:2", "169.254.170.2");
	herd_cleanup_fd(&fd);
	return done;
}

/* The last test: there is no way back. With a proxy set that nobody is behind. */
static void test_real_addresses(void **state)
{
	struct aws_server own;

	(void)state;
	if (!own_network()) {
		print_message("skip: no network namespace\n");
		skip();
	}
	assert_true(aws_server_start(&own, "0.0.0.0", 80, token_path));
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	unsetenv("AWS_EC2_METADATA_DISABLED");
	gives(NULL, "ASIAIMDS1", "instance metadata");
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	       "/v2/credentials/abc-1?token=abc", 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "abc", 1);
	gives(NULL, "ASIACONTAINER1", "container");
	aws_server_stop(&own);
	unsetenv("http_proxy");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_container_hosts),
		AT_HOME(test_process),
		AT_HOME(test_process_wrong),
		AT_HOME(test_process_descriptors),
		AT_HOME(test_process_end),
		AT_HOME(test_container),
		AT_HOME(test_instance),
		AT_HOME(test_instance_slow),
		AT_HOME(test_instance_outdated),
		cmocka_unit_test_setup_teardown(test_real_addresses, begin,
						end),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
