#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# /usr/sbin/instance-init of the guests: at each boot what cloud-init does,
# from the seed in /run/seed. At the first one it makes the instance itself:
# host name, addresses, host keys, the administrator's key.

set -e
. /run/seed/meta-data
cloud=/var/lib/cloud
mine=$cloud/instances/$INSTANCE_ID
log=/var/log/cloud-init.log
say() { echo "$(date -u '+%Y-%m-%d %H:%M:%S') - instance-init[INFO]: $*" >>$log; }

mkdir -p $cloud/data "$mine/sem"
if [ ! -e "$mine/sem/config_ssh" ]; then
	mkdir -p /run/cloud-init
	: >/run/cloud-init/first-boot
	say "new instance $INSTANCE_ID, local-ipv4 $ADDRESS, mac $MAC"
	echo "$HOST" >/etc/hostname
	hostname "$HOST"
	cat >/etc/hosts <<E
127.0.0.1 localhost
127.0.1.1 $HOST.eu-west-1.compute.internal $HOST
$ADDRESS $HOST.eu-west-1.compute.internal

::1 ip6-localhost ip6-loopback
E
	cat >/etc/systemd/network/50-cloud-init.network <<E
[Match]
MACAddress=$MAC

[Network]
Address=$ADDRESS/20
DNS=10.0.0.2
E
	networkctl reload 2>/dev/null || true
	echo "$INSTANCE_ID" >$cloud/data/instance-id
	echo "NO_PREVIOUS_INSTANCE_ID" >$cloud/data/previous-instance-id
	echo "$HOST" >$cloud/data/previous-hostname
	printf '{"fqdn": "%s.eu-west-1.compute.internal", "hostname": "%s"}\n' \
		"$HOST" "$HOST" >$cloud/data/set-hostname
	ln -sfn "$mine" $cloud/instance
	printf 'instance-id: %s\nlocal-hostname: %s\nlocal-ipv4: %s\nmac: %s\n' \
		"$INSTANCE_ID" "$HOST" "$ADDRESS" "$MAC" >"$mine/metadata.yaml"
	printf '#cloud-config\nruncmd: []\n' >"$mine/user-data.txt"
	chmod 600 "$mine/user-data.txt"
	echo "DataSourceEc2Local: $INSTANCE_ID" >"$mine/datasource"
	# no RSA: finding primes takes half a minute under emulation
	for t in ecdsa ed25519; do
		ssh-keygen -t $t -N '' -C "root@$HOST" -f /etc/ssh/ssh_host_${t}_key
	done >/var/log/cloud-init-output.log 2>&1
	install -d -m 700 /home/admin/.ssh
	echo "$PUBLIC_KEY" >/home/admin/.ssh/authorized_keys
	chmod 600 /home/admin/.ssh/authorized_keys
	chown -R admin:admin /home/admin/.ssh
	echo 'admin ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cloud-init-users
	chmod 440 /etc/sudoers.d/90-cloud-init-users
	for s in config_ssh config_users_groups config_set_hostname; do
		printf '%s: %s\n' $$ "$(date)" >"$mine/sem/$s"
	done
fi
echo "$(date -R) - v. 1.0 finished" >"$mine/boot-finished"
printf '{"v1": {"datasource": "DataSourceEc2Local", "instance": "%s", "finished": %s}}\n' \
	"$INSTANCE_ID" "$(date +%s)" >$cloud/data/status.json
say "finished, uptime $(cut -d ' ' -f 1 /proc/uptime) s"
