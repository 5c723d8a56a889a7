# Runs a command as a container does: the root of its files is a layer over those of the host, which
# do not change.
#
#   sh container.sh <folder> <command> [argument...]
set -e
folder=$1
shift
mount -t tmpfs none "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" none "$folder/root"
mount --rbind /proc "$folder/root/proc"
mount --rbind /dev "$folder/root/dev"
exec chroot "$folder/root" "$@"
