#!/bin/sh
# Runs the output of an agent as a container does: only the output, Node and Debian's /usr, all read-only;
# a volume /data; a user without rights; processes and mounts of its own. It needs nothing but util-linux
# and coreutils, and root.
#
#   unshare --mount --pid --fork --kill-child sh eve-image.sh <folder> <node>
#
# The folder holds .output, volume, and root, an empty folder.
set -eu
folder=$1 node=$2
root=$folder/root
mount -t tmpfs -o mode=755 image "$root"
cd "$root"
mkdir app app/.output data dev proc tmp usr
# /bin, /lib and others are links into /usr.
for name in bin lib lib64 sbin; do
  if [ -L "/$name" ]; then cp -P "/$name" "$name"; fi
done
readonly_bind() {
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
}
readonly_bind /usr usr
readonly_bind "$folder/.output" app/.output
touch node
readonly_bind "$node" node
mount --bind "$folder/volume" data
mount -t proc proc proc
mount -t tmpfs tmp tmp
for device in null random urandom zero; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mount -o remount,ro "$root"
exec chroot --userspec=1000:1000 "$root" sh -c 'cd /app && exec /node .output/server/index.mjs'
