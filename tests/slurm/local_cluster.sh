#!/usr/bin/env bash
# A Slurm cluster of two nodes on this one machine, with daemons, files and
# ports of its own, to test launches on:
#
#     bash tests/slurm/local_cluster.sh start FOLDER
#     bash tests/slurm/local_cluster.sh stop FOLDER
#
# `start` installs slurm-wlm and munge from Debian where they are missing (as
# root only) and prints the setting that srun, sbatch and the rest need. The
# partition is "debug". Each node claims a GPU that is none: Slurm lets
# --gres=gpu:1 through and processes still find no GPU. PORT (16817) is the
# controller's, the nodes take the next two.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin  # where Debian puts daemons

die() { echo "local_cluster.sh: $*" >&2; exit 1; }

usage() { echo "usage: bash tests/slurm/local_cluster.sh start|stop FOLDER" >&2; exit 2; }

install() {
  command -v slurmctld slurmd munged >/dev/null && return
  [ "$(id -u)" = 0 ] || die "slurmctld, slurmd and munged are not installed, and only root can install them."
  command -v apt-get >/dev/null || die "slurmctld, slurmd and munged are not installed, and there is no apt-get."
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends slurmctld slurmd slurm-client munge; } >"$folder/apt.log" 2>&1 ||
    die "apt-get could not install slurmctld, slurmd, slurm-client and munge: see $folder/apt.log."
}

# The first node has the name of this machine, so that the name of a job's
# first host leads somewhere.
write_settings() {
  getent hosts "$host" >/dev/null || die "the name of this machine, $host, has no address."
  cat >"$folder/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
# A job that is requeued starts again after cred_expire seconds (120).
AuthInfo=socket=$folder/munge.socket,cred_expire=5
SlurmctldPort=$port
StateSaveLocation=$folder/controller
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.slurm.pid
SlurmdPidFile=$folder/%n.slurm.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=4 Gres=gpu:1
NodeName=$host-second NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=4 Gres=gpu:1
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
  echo "Name=gpu File=/dev/null" >"$folder/gres.conf"
}

# launch NAME COMMAND...: in the background, its number in NAME.pid.
launch() {
  local name=$1; shift
  "$@" >"$folder/$name.log" 2>&1 &
  echo $! >"$folder/$name.pid"
}

# until_true COMMAND...: wait for it, at most half a minute.
until_true() {
  for _ in $(seq 60); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.5
  done
  return 1
}

munge_answers() { munge -S "$folder/munge.socket" -n; }
all_idle() { [ "$(sinfo -h -o "%D %T")" = "2 idle" ]; }

start() {
  mkdir -p "$folder/controller"
  chmod 755 "$folder"
  install
  write_settings
  [ -s "$folder/munge.key" ] || (umask 077; head -c 1024 /dev/urandom >"$folder/munge.key")
  launch munged munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.munge.pid" --seed-file="$folder/munge.seed" --log-file="$folder/munged.log"
  until_true munge_answers || fail
  launch slurmctld slurmctld -D -c -f "$folder/slurm.conf"
  for node in "$host" "$host-second"; do
    launch "$node" slurmd -D -f "$folder/slurm.conf" -N "$node"
  done
  until_true all_idle || fail
  echo "export SLURM_CONF=$folder/slurm.conf"
}

fail() {
  tail -n 5 "$folder"/*.log >&2
  stop
  die "the cluster did not come up: logs are in $folder."
}

# A number may have gone to another process since.
is_ours() { { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF "$folder"; }
is_gone() { ! is_ours "$1"; }
no_jobs() { [ -z "$(squeue -h)" ]; }

stop() {
  if [ -f "$folder/slurmctld.pid" ] && scancel --user "$(id -un)" 2>/dev/null; then
    until_true no_jobs || echo "local_cluster.sh: jobs did not end." >&2
  fi
  local name pid
  for name in "$host" "$host-second" slurmctld munged; do
    [ -f "$folder/$name.pid" ] || continue
    pid=$(cat "$folder/$name.pid")
    if is_ours "$pid"; then
      kill "$pid"
      until_true is_gone "$pid" || kill -9 "$pid"
    fi
    rm "$folder/$name.pid"
  done
}

[ $# = 2 ] || usage
mkdir -p "$2"
folder=$(cd "$2" && pwd)
host=$(hostname -s)
port=${PORT:-16817}
export SLURM_CONF=$folder/slurm.conf
case $1 in
  start | stop) "$1" ;;
  *) usage ;;
esac
