/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which programs, places and names are known for what. None of these lists
 * says that something is good: they decide how loudly it is told when the herd
 * has no opinion of it.
 */
#include "index/memory/machine_judge_internal.h"

#include <ctype.h>
#include <string.h>

/* The word, alone or with a version behind it: "python3.11", "php-fpm8.2". */
static bool versions_of(const char *base, const char *const *list)
{
	for (; *list; list++) {
		size_t n = strlen(*list);

		if (!strncmp(base, *list, n) &&
		    strspn(base + n, "0123456789.-") == strlen(base + n))
			return true;
	}
	return false;
}

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

bool herd_is_shell(const char *base)
{
	static const char *const shells[] = {
		"sh",  "bash", "dash", "ash",  "ksh",	"mksh",	   "ksh93",
		"zsh", "fish", "csh",  "tcsh", "rbash", "busybox", NULL
	};

	return versions_of(base, shells);
}

bool herd_is_interpreter(const char *base)
{
	static const char *const names[] = {
		"python", "pypy", "perl",   "ruby",    "php",	 "node",
		"nodejs", "lua",  "luajit", "tclsh",   "expect", "java",
		"awk",	  "gawk", "mawk",   "php-fpm", "guile",	 NULL
	};

	return herd_is_shell(base) || versions_of(base, names);
}

bool herd_is_relay(const char *base)
{
	static const char *const names[] = {
		"nc",	       "ncat",		 "netcat",
		"nc.openbsd",  "nc.traditional", "socat",
		"chisel",      "frpc",		 "frps",
		"ngrok",       "cryptcat",	 "telnet",
		"proxytunnel", "gsocket",	 NULL
	};

	return herd_word_in(base, names);
}

bool herd_makes_code(const char *base)
{
	static const char *const names[] = { "node",	 "nodejs",
					     "java",	 "dotnet",
					     "mono",	 "mono-sgen",
					     "luajit",	 "pypy",
					     "ruby",	 "php",
					     "php-fpm",	 "nginx",
					     "apache2",	 "httpd",
					     "beam.smp", "polkitd",
					     "gjs",	 "gnome-shell",
					     "firefox",	 "chrome",
					     "chromium", "qemu-system-x86_64",
					     "postgres", "mysqld",
					     "mariadbd", "haproxy",
					     "varnishd", "rspamd",
					     "pwsh",	 "julia",
					     "erl",	 "envoy",
					     NULL };

	return versions_of(base, names);
}

bool herd_sees_packets(const char *base)
{
	static const char *const names[] = {
		"dhclient",	  "dhcpcd",
		"udhcpc",	  "systemd-networkd",
		"NetworkManager", "nm-dispatcher",
		"tcpdump",	  "dumpcap",
		"arping",	  "ping",
		"lldpd",	  "keepalived",
		"wpa_supplicant", "hostapd",
		"suricata",	  "snort",
		"zeek",		  "dnsmasq",
		"dhcpd",	  "radvd",
		"ndppd",	  "bird",
		"zebra",	  "ospfd",
		"pimd",		  "mtr-packet",
		"fping",	  "chronyd",
		"arpwatch",	  "networkd-dispat",
		"busybox",	  NULL
	};

	return herd_word_in(base, names);
}

bool herd_comes_and_goes(const char *base)
{
	static const char *const names[] = { "packagekitd",
					     "systemd-hostnamed",
					     "systemd-localed",
					     "systemd-timedated",
					     "systemd-importd",
					     "systemd-machined",
					     "fwupd",
					     "udisksd",
					     "upowerd",
					     "colord",
					     "accounts-daemon",
					     "systemd-udevd",
					     "udevadm",
					     "systemd-sleep",
					     "polkitd",
					     "systemd-coredump",
					     "systemd-userwork",
					     "systemd-userwor",
					     "dbus-launch",
					     "gpg-agent",
					     "dirmngr",
					     "mandb",
					     "apt-get",
					     "dpkg",
					     "unattended-upgrade",
					     "apt-check",
					     "fstrim",
					     "logrotate",
					     "run-parts",
					     "anacron",
					     "e2scrub_all",
					     "modprobe",
					     "pcp-pmie-check",
					     "sa1",
					     "sadc",
					     "needrestart",
					     "sshd-session",
					     "systemd-tmpfiles",
					     "systemd-cat",
					     "dpkg-preconfigure",
					     NULL };

	return herd_word_in(base, names);
}

bool herd_unit_is_scheduled(const char *cgroup)
{
	static const char *const units[] = { "/apt-daily",
					     "/man-db.service",
					     "/logrotate.service",
					     "/fstrim.service",
					     "/e2scrub",
					     "/dpkg-db-backup",
					     "/phpsessionclean",
					     "/sysstat",
					     "/systemd-tmpfiles-clean",
					     "/motd-news",
					     "/update-notifier",
					     "/fwupd-refresh",
					     "/mdcheck",
					     "/mdmonitor-oneshot",
					     "/plocate-updatedb",
					     "/updatedb",
					     "/ua-timer",
					     "/snapd.refresh",
					     "/systemd-coredump",
					     "/unattended-upgrades",
					     "/dnf-makecache",
					     "/dnf-automatic",
					     "/certbot",
					     "/xfs_scrub",
					     "/btrfs-scrub",
					     NULL };

	for (size_t i = 0; units[i]; i++)
		if (strstr(cgroup, units[i]))
			return true;
	return false;
}

bool herd_watches(const char *base)
{
	static const char *const names[] = { "auditd",
					     "rsyslogd",
					     "syslog-ng",
					     "systemd-journald",
					     "journalctl",
					     "falcon-sensor",
					     "wazuh-agentd",
					     "ossec-agentd",
					     "ossec-logcollector",
					     "ossec-syscheckd",
					     "osqueryd",
					     "clamd",
					     "freshclam",
					     "falco",
					     "auditbeat",
					     "filebeat",
					     "packetbeat",
					     "amazon-ssm-agent",
					     "ssm-agent-worker",
					     "amazon-cloudwatch-agent",
					     "fail2ban-server",
					     "sysmon",
					     "mdatp",
					     "wdavdaemon",
					     "splunkd",
					     "ds_agent",
					     "sentinelone-agent",
					     "cbagentd",
					     "tetragon",
					     "aide",
					     "samhain",
					     "suricata",
					     "snort",
					     "zeek",
					     "cron",
					     "crond",
					     "unattended-upgr",
					     "klogd",
					     "syslogd",
					     NULL };

	return herd_word_in(base, names);
}

static const char *const demand_starts[] = {
	"nf_",	"nft_",	   "xt_",  "ipt_",   "ip6t_", "ip_",	  "ip6_",
	"nls_", "crypto_", "af_",  "algif_", "snd",   "usb",	  "hid",
	"nfs",	"sunrpc",  "cls_", "sch_",   "act_",  "cfg80211", NULL
};
static const char *const demand_names[] = { "inet_diag",
					    "tcp_diag",
					    "udp_diag",
					    "unix_diag",
					    "raw_diag",
					    "netlink_diag",
					    "packet_diag",
					    "af_packet_diag",
					    "loop",
					    "fuse",
					    "overlay",
					    "vfat",
					    "fat",
					    "msdos",
					    "isofs",
					    "udf",
					    "squashfs",
					    "br_netfilter",
					    "bridge",
					    "stp",
					    "llc",
					    "veth",
					    "tun",
					    "vxlan",
					    "autofs4",
					    "binfmt_misc",
					    "iptable_filter",
					    "iptable_nat",
					    "x_tables",
					    "nfnetlink",
					    "psample",
					    "sg",
					    "sr_mod",
					    "cdrom",
					    "uas",
					    "evdev",
					    "pcspkr",
					    "btrfs",
					    "xfs",
					    "raid6_pq",
					    "xor",
					    "dm_mod",
					    "cmac",
					    "ecb",
					    "ctr",
					    "gcm",
					    "ccm",
					    "cbc",
					    "xts",
					    "ghash_clmulni_intel",
					    "aesni_intel",
					    "crc32_pclmul",
					    "vsock",
					    "vmw_vsock_virtio_transport",
					    "rfkill",
					    "qrtr",
					    NULL };

bool herd_module_on_demand(const char *name)
{
	for (size_t i = 0; demand_starts[i]; i++)
		if (begins(name, demand_starts[i]))
			return true;
	return herd_word_in(name, demand_names);
}

bool herd_odd_place(const char *path)
{
	static const char *const starts[] = { "/tmp/",	     "/var/tmp/",
					      "/dev/",	     "/run/shm/",
					      "/var/crash/", "/proc/",
					      NULL };

	for (size_t i = 0; starts[i]; i++)
		if (begins(path, starts[i]))
			return true;
	/* a hidden name, but for what is below a home */
	return strstr(path, "/.") != NULL && !begins(path, "/home/") &&
	       !begins(path, "/root/");
}

bool herd_system_place(const char *path)
{
	static const char *const starts[] = { "/usr/", "/bin/", "/sbin/",
					      "/lib",  "/opt/", "/snap/",
					      NULL };

	for (size_t i = 0; starts[i]; i++)
		if (begins(path, starts[i]))
			return !begins(path, "/usr/local/");
	return false;
}

bool herd_is_memory_fs(const char *fs)
{
	static const char *const names[] = { "tmpfs", "ramfs",	   "devtmpfs",
					     "proc",  "hugetlbfs", NULL };

	return herd_word_in(fs, names);
}

bool herd_is_shared_memory(const struct herd_mfile *f)
{
	return f->kind == HERD_MFILE_SHM &&
	       (!f->path[0] || begins(f->path, "/dev/zero") ||
		begins(f->path, "/SYSV"));
}

bool herd_kthread_name(const char *comm)
{
	static const char *const starts[] = { "kworker",
					      "ksoftirqd/",
					      "migration/",
					      "rcu_",
					      "rcuop/",
					      "rcuog/",
					      "rcuos/",
					      "cpuhp/",
					      "idle_inject/",
					      "irq/",
					      "scsi_eh_",
					      "scsi_tmf_",
					      "jbd2/",
					      "xfs-",
					      "xfsaild",
					      "kswapd",
					      "watchdog/",
					      "khungtaskd",
					      "kcompactd",
					      "khugepaged",
					      "ksmd",
					      "kthreadd",
					      "kthrotld",
					      "kblockd",
					      "kdevtmpfs",
					      "kintegrityd",
					      "oom_reaper",
					      "writeback",
					      "ext4-rsv-conver",
					      "md_",
					      "ata_sff",
					      "edac-poller",
					      "kauditd",
					      "netns",
					      "mm_percpu_wq",
					      "slub_flushwq",
					      "inet_frag_wq",
					      "zswap-shrink",
					      "ecryptfs-kthrea",
					      "kstrp",
					      "acpi_thermal_pm",
					      NULL };

	for (size_t i = 0; starts[i]; i++)
		if (begins(comm, starts[i]))
			return true;
	return false;
}
