#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# guest_app.sh VERSION DIR: the guests' own application as a real package,
# DIR/app_VERSION_all.deb. A daemon that writes a log and keeps some 40 cache
# objects with random names, a cron job, modules, pages and a deployed git tree.
# 1.1 differs from 1.0 as a release does: files changed, came and went.

set -eu
version=$1
out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
p=$work/app
minor=${version#*.}

mkdir -p "$p"/DEBIAN "$p"/usr/{bin,lib/app,share/app/static,lib/systemd/system} \
	"$p"/etc/{app,cron.d,logrotate.d} "$p"/var/{cache,lib,log}/app "$p"/srv/site
cat >"$p/DEBIAN/control" <<E
Package: app
Version: $version
Architecture: all
Maintainer: Web Team <web@example.org>
Depends: python3, nginx-light | nginx
Section: web
Priority: optional
Description: what this group of instances is for
E
printf '/etc/app/app.conf\n/etc/cron.d/app\n/etc/logrotate.d/app\n' \
	>"$p/DEBIAN/conffiles"
cat >"$p/DEBIAN/postinst" <<'E'
#!/bin/sh
set -e
chown -R www-data:www-data /var/cache/app /var/lib/app /var/log/app
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl restart app.service
fi
E
chmod 755 "$p/DEBIAN/postinst"

cat >"$p/usr/bin/appd" <<'E'
#!/usr/bin/python3
"""Writes a log and keeps a cache, as applications do."""
import json
import os
import random
import time

CACHE, LOG, STATE = "/var/cache/app", "/var/log/app/app.log", "/var/lib/app"
host = os.uname().nodename
served = 0


def line(text):
    with open(LOG, "a") as f:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        f.write(f"{now} {host} appd[{os.getpid()}]: {text}\n")


line("started")
while True:
    for _ in range(random.randint(1, 4)):
        served += 1
        line(f"request {random.getrandbits(64):016x} served in "
             f"{random.randint(1, 900)} ms")
        name = f"{CACHE}/obj-{random.getrandbits(32):08x}"
        with open(name, "wb") as f:
            f.write(b"OBJ1" + os.urandom(random.randint(100, 4000)))
    have = sorted((f.stat().st_mtime, f.path) for f in os.scandir(CACHE))
    for _, old in have[:-40]:
        os.unlink(old)
    with open(STATE + "/state.json.new", "w") as f:
        json.dump({"host": host, "served": served, "at": time.time()}, f)
    os.rename(STATE + "/state.json.new", STATE + "/state.json")
    time.sleep(2)
E
cat >"$p/usr/bin/app-stats" <<'E'
#!/bin/sh
echo "$(date -u +%s),$(ls /var/cache/app | wc -l)" >>/var/lib/app/stats.csv
E
chmod 755 "$p"/usr/bin/*
cat >"$p/usr/lib/systemd/system/app.service" <<'E'
[Unit]
Description=Application server
After=network.target

[Service]
ExecStart=/usr/bin/appd
User=www-data
Restart=always

[Install]
WantedBy=multi-user.target
E
mkdir -p "$p/etc/systemd/system/multi-user.target.wants"
ln -s /lib/systemd/system/app.service \
	"$p/etc/systemd/system/multi-user.target.wants/app.service"
printf 'listen = 127.0.0.1:8080\nworkers = 2\ncache = /var/cache/app\n' \
	>"$p/etc/app/app.conf"
echo '* * * * * www-data /usr/bin/app-stats' >"$p/etc/cron.d/app"
cat >"$p/etc/logrotate.d/app" <<'E'
/var/log/app/*.log {
	daily
	rotate 7
	compress
	missingok
	notifempty
	create 0640 www-data www-data
}
E
for i in $(seq 1 40); do	# every fifth module changes from release to release
	r=1.0
	[ $((i % 5)) -ne 0 ] || r=$version
	printf '"""Module %d, release %s."""\n\n\ndef run(x):\n    return x + %d\n' \
		"$i" $r "$i" >"$p/usr/lib/app/part$i.py"
done
for i in $(seq 1 60); do
	r=1.0
	[ $((i % 4)) -ne 0 ] || r=$version
	printf '<!doctype html><title>Page %d</title><p>Release %s\n' "$i" $r \
		>"$p/usr/share/app/static/page$i.html"
done
if [ "$minor" -ge 1 ]; then
	rm "$p"/usr/lib/app/part{7,8,9}.py
	for i in 41 42 43 44 45; do
		echo "NEW = $i" >"$p/usr/lib/app/part$i.py"
	done
fi
export GIT_AUTHOR_DATE='2024-05-01T00:00:00Z' GIT_COMMITTER_DATE='2024-05-01T00:00:00Z'
(
	cd "$p/srv/site"
	export HOME=$work
	git init -q -b main
	echo "site $version" >index.txt
	git add .
	git -c user.name=web -c user.email=web@example.org commit -q -m "Release $version"
)
(cd "$p" && find usr srv -type f -exec md5sum {} +) >"$p/DEBIAN/md5sums"
find "$p" -exec touch -h -d "2024-05-0$((minor + 1)) 00:00:00Z" {} +
dpkg-deb --root-owner-group -Zgzip -z1 -b "$p" "$out/app_${version}_all.deb" >/dev/null
