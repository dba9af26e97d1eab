/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local AWS with a small world of its own in a folder below /tmp: three
 * disks, a group of two instances, and snapshots of all sorts.
 */
#ifndef LOCAL_FIXTURE_H
#define LOCAL_FIXTURE_H

#include "acquire/aws/call.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SERVER "tests/aws/localaws.py"
#define BLOCK 524288u
#define ALL_KEY "AKIALOCALTESTALL0000"
#define ACQUIRE_KEY "AKIALOCALACQUIRE0000"
#define READ_KEY "AKIALOCALTESTREAD000"
#define SECRET "local/only+secret"
#define I1 "i-0000000000000000a"
#define I2 "i-0000000000000000b"
#define GONE "i-0000000000000000c"
#define V1 "vol-0000000000000000a"
#define V2 "vol-0000000000000000b"
#define BASE "snap-0000000000000000a"
#define FIRST "snap-0000000000000000b"
#define SECOND "snap-0000000000000000c"
#define PENDING "snap-0000000000000000d"
#define ARCHIVED "snap-0000000000000000e"
#define OUTPOST "snap-0000000000000000f"
#define PUBLIC "snap-000000000000000aa"
#define NOWHERE "snap-000000000000000bb"
#define IMAGE "ami-0000000000000000a"
#define TEMPLATE "lt-0000000000000000a"

static char dir[64];
static char control[64];
static pid_t server;
static const char *why_not;

struct client {
	struct herd_aws_settings *settings;
	struct herd_http *http;
	struct herd_aws_credentials *credentials;
	struct herd_aws *aws;
};

/* ---- a world of three disks ---- */

static inline void put_file(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* A disk of 1 GiB with these blocks written, each full of its own byte. */
static inline void put_disk(const char *name, const uint32_t *blocks,
			    const char *bytes, size_t n)
{
	static char data[BLOCK];
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 30), 0);
	for (size_t i = 0; i < n; i++) {
		memset(data, bytes[i], sizeof(data));
		assert_int_equal(pwrite(fd, data, sizeof(data),
					(off_t)blocks[i] * BLOCK),
				 sizeof(data));
	}
	close(fd);
}

static inline void read_text(const char *path, struct herd_buf *b)
{
	FILE *f = fopen(path, "r");
	char *to;

	assert_non_null(f);
	to = herd_buf_extend(b, 65536);
	assert_non_null(to);
	b->len = fread(to, 1, 65535, f);
	fclose(f);
	b->data[b->len] = '\0';
}

#define SNAPSHOT_JSON(id_, more_) "{\"id\":\"" id_ "\"," more_ "}"

static inline void put_world(void)
{
	struct herd_buf acquire CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf reading CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	read_text("docs/iam-acquire.json", &acquire);
	read_text("docs/iam-read.json", &reading);
	herd_buf_printf(
		&b,
		"{\"pages\":{\"empty_every\":2,\"short_every\":2,\"limit\":3,"
		"\"ec2\":1},\"ebs_lag\":2,\"keys\":["
		"{\"id\":\"" ALL_KEY "\",\"secret\":\"" SECRET "\"},"
		"{\"id\":\"" ACQUIRE_KEY "\",\"secret\":\"" SECRET
		"\",\"policy\":%s},{\"id\":\"" READ_KEY
		"\",\"secret\":\"" SECRET "\",\"policy\":%s}],",
		(char *)acquire.data, (char *)reading.data);
	herd_buf_printf(
		&b,
		"\"groups\":[{\"name\":\"web & co\",\"instances\":[\"" I1
		"\",\"" I2 "\"],\"launch_template\":{\"id\":\"" TEMPLATE
		"\",\"name\":\"web\",\"version\":1}},{\"name\":\"other\","
		"\"instances\":[]}],\"launch_templates\":[{\"id\":\"" TEMPLATE
		"\",\"name\":\"web\",\"versions\":[{\"version\":1,"
		"\"image_id\":\"" IMAGE "\"}]}],\"images\":[{\"id\":\"" IMAGE
		"\",\"devices\":[{\"device\":\"/dev/xvda\",\"snapshot\":\"" BASE
		"\"}]}],\"instances\":[{\"id\":\"" I1
		"\",\"private_ip\":\"10.0.0.1\",\"image_id\":\"" IMAGE
		"\",\"tags\":{\"Name\":\"web-1\"},\"volumes\":[{\"id\":\"" V1
		"\",\"device\":\"/dev/xvda\",\"image\":\"second.raw\","
		"\"snapshot\":\"" BASE "\"},{\"id\":\"" V2
		"\",\"device\":\"/dev/sdf\",\"image\":\"base.raw\"}]},"
		"{\"id\":\"" I2 "\",\"volumes\":[]}],");
	herd_buf_printf(
		&b, "\"snapshots\":[" SNAPSHOT_JSON(
			    BASE, "\"image\":\"base.raw\","
				  "\"volume\":\"vol-0000000000000000d\"") "," SNAPSHOT_JSON(FIRST, "\"image\":\"base.raw\",\"volume\":\"" V1
												   "\"") "," SNAPSHOT_JSON(SECOND,
															   "\"image\":\"second.raw\",\"volume\":\"" V1 "\"") "," SNAPSHOT_JSON(PENDING, "\"image\":\"base.raw\",\"state\":"
																									"\"pending\"") "," SNAPSHOT_JSON(ARCHIVED, "\"image\":\"base.raw\",\"tier\":"
																														   "\"archive\"") "," SNAPSHOT_JSON(OUTPOST, "\"image\":\"base.raw\",\"outpost\":"
																																			     "\"arn:aws:outposts:x\"") "," SNAPSHOT_JSON(PUBLIC,
																																									 "\"image\":\"base.raw\",\"owner\":"
																																									 "\"999999999999\",\"public\":true") "]}");
	herd_buf_u8(&b, 0);
	put_file("world.json", (char *)b.data);
}

/* ---- the server ---- */

/* "…": "value" out of the server's own words. */
static inline void word_of(const char *json, const char *key, char *to,
			   size_t size)
{
	char quoted[32];
	const char *p;

	snprintf(quoted, sizeof(quoted), "\"%s\": \"", key);
	p = strstr(json, quoted);
	assert_non_null(p);
	p += strlen(quoted);
	snprintf(to, size, "%.*s", (int)strcspn(p, "\""), p);
}

static inline bool start_server(void)
{
	char world[128], ready[128], log[128], endpoint[64];
	struct herd_buf said CLEANUP_BUF = HERD_BUF_INIT;
	struct stat st;

	snprintf(world, sizeof(world), "%s/world.json", dir);
	snprintf(ready, sizeof(ready), "%s/ready", dir);
	snprintf(log, sizeof(log), "%s/log", dir);
	server = fork();
	assert_true(server >= 0);
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int fd = open(log, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		dup2(fd, 1);
		dup2(fd, 2);
		execlp("python3", "python3", "-B", SERVER, "--world", world,
		       "--ready", ready, NULL);
		_exit(127);
	}
	for (unsigned i = 0; i < 600 && stat(ready, &st); i++) {
		int status;

		if (waitpid(server, &status, WNOHANG) == server) {
			server = 0;
			return false;
		}
		usleep(50000);
	}
	read_text(ready, &said);
	word_of((char *)said.data, "endpoint", endpoint, sizeof(endpoint));
	word_of((char *)said.data, "control", control, sizeof(control));
	setenv("AWS_ENDPOINT_URL", endpoint, 1);
	setenv("AWS_REGION", "eu-central-1", 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("HOME", dir, 1);
	return true;
}

static inline int remove_one(const char *path, const struct stat *st, int type,
			     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void forget_environment(void)
{
	static const char *const names[] = {
		"AWS_PROFILE",
		"AWS_DEFAULT_PROFILE",
		"AWS_DEFAULT_REGION",
		"AWS_SESSION_TOKEN",
		"AWS_CONFIG_FILE",
		"AWS_SHARED_CREDENTIALS_FILE",
		"AWS_CA_BUNDLE",
		"AWS_USE_FIPS_ENDPOINT",
		"AWS_USE_DUALSTACK_ENDPOINT",
		"AWS_ENDPOINT_URL_EBS",
		"AWS_ENDPOINT_URL_EC2",
		"AWS_ENDPOINT_URL_AUTO_SCALING",
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
		"http_proxy",
		"https_proxy",
		"HTTPS_PROXY",
		"ALL_PROXY",
		"all_proxy",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

static inline int setup(void **state)
{
	static const uint32_t base[] = { 0,   1,   5,	100, 101,
					 102, 103, 104, 105, 2047 };
	static const uint32_t second[] = { 0,	1,   5,	  7,   100,
					   101, 102, 103, 104, 2047 };

	(void)state;
	if (access(SERVER, R_OK)) {
		why_not = SERVER " is not there";
		return 0;
	}
	forget_environment();
	strcpy(dir, "/tmp/herd-aws-XXXXXX");
	assert_non_null(mkdtemp(dir));
	put_disk("base.raw", base, "abcdefghij", 10);
	put_disk("second.raw", second, "abXYdefghj", 10);
	put_world();
	if (!start_server())
		why_not = "the local AWS does not start (python3?)";
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	if (server) {
		kill(server, SIGTERM);
		waitpid(server, NULL, 0);
	}
	if (dir[0])
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static inline void connect_as(struct client *c, const char *key)
{
	static const struct herd_aws_options options;
	static const struct herd_http_options http = { .connections = 16 };
	struct herd_diag diag = { 0 };

	if (why_not) {
		print_message("skipped: %s\n", why_not);
		skip();
	}
	setenv("AWS_ACCESS_KEY_ID", key, 1);
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	memset(c, 0, sizeof(*c));
	assert_int_equal(herd_aws_settings_load(&options, &c->settings, &diag),
			 0);
	assert_int_equal(herd_http_create(&http, &c->http, &diag), 0);
	assert_int_equal(herd_aws_credentials_create(c->settings, c->http, NULL,
						     &c->credentials),
			 0);
	assert_int_equal(herd_aws_create(
				 &(struct herd_aws_config){
					 .settings = c->settings,
					 .http = c->http,
					 .credentials = c->credentials,
				 },
				 &c->aws),
			 0);
}

static inline void disconnect(struct client *c)
{
	herd_aws_destroy(c->aws);
	herd_aws_credentials_destroy(c->credentials);
	herd_http_destroy(c->http);
	herd_aws_settings_destroy(c->settings);
}

static inline void tell(struct client *c, const char *json)
{
	char url[128];
	struct herd_http_answer answer = { 0 };

	snprintf(url, sizeof(url), "%s/_control", control);
	assert_int_equal(herd_http_do(c->http,
				      &(struct herd_http_request){
					      .method = "POST",
					      .url = url,
					      .body = json,
					      .body_len = strlen(json),
					      .answer_max = 65536,
				      },
				      &answer),
			 0);
	assert_int_equal(answer.status, 200);
	herd_http_answer_deinit(&answer);
}

#endif
