#!/usr/bin/env bash
# What a host of a slice does, in the folder of this file:
#   host.sh install BUCKET        condfoley as built, in env/, and the bucket as the folder bucket/
#   host.sh start [NAME=VALUE ...] -- WORDS   `condfoley WORDS` in bucket/, unless it was started before
#   host.sh status                a line: condfoley HOSTNAME none, running or ended CODE
#   host.sh log OFFSET            what its log has from byte OFFSET on, a megabyte at the most
# Each can be called again: what is done is not done twice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$PWD

install() {
  exec 9> lock
  flock 9
  [ -e env/installed ] || { install_condfoley; touch env/installed; }
  mkdir -p bucket
  # Other hosts write there too, so nothing that is read is kept; and it stays, so it may not hold the lock.
  mountpoint -q bucket || { install_gcsfuse; gcsfuse --implicit-dirs --metadata-cache-ttl-secs=0 "$1" bucket 9>&-; }
}

install_condfoley() {
  # Newer systems want to be told that their own Python is meant.
  python3 -m pip install --quiet --user uv || python3 -m pip install --quiet --user --break-system-packages uv
  python3 -m uv venv --quiet --clear --python 3.11 env
  python3 -m uv pip install --quiet --python env/bin/python --constraint constraints.txt "$(echo "$here"/*.whl)[tpu]"
}

install_gcsfuse() {
  command -v gcsfuse > /dev/null && return
  local key=/usr/share/keyrings/cloud.google.asc from=https://packages.cloud.google.com/apt
  curl --silent --fail "$from/doc/apt-key.gpg" | sudo tee "$key" > /dev/null
  echo "deb [signed-by=$key] $from gcsfuse-$(lsb_release -c -s) main" | sudo tee /etc/apt/sources.list.d/gcsfuse.list > /dev/null
  # A new machine updates itself, and has apt locked meanwhile: to wait for the lists there is no option.
  local left=60
  until sudo apt-get update -qq; do
    [ $((left -= 1)) -gt 0 ] || return 1
    sleep 10
  done
  sudo apt-get -o DPkg::Lock::Timeout=600 install -y -qq gcsfuse
}

start() {
  # Made by one caller only.
  mkdir run 2> /dev/null || return 0
  setsid nohup bash host.sh run "$@" > /dev/null 2>&1 < /dev/null &
}

run() {
  # Where a machine ends, all its processes are told; condfoley saves then, and its code is to be written.
  trap : TERM
  echo "$$ $(boot)" > run/pid.partial
  mv run/pid.partial run/pid
  local settings=()
  while [ "$1" != -- ]; do settings+=("$1"); shift; done
  shift
  local code=0
  (cd bucket && exec env "${settings[@]}" "$here/env/bin/condfoley" "$@") > run/log 2>&1 || code=$?
  echo "$code" > run/code.partial
  mv run/code.partial run/code
}

status() {
  local state
  if [ ! -d run ]; then
    state=none
  elif runs; then
    state=running
  else
    # With its machine, as one that is told to end: it would have left its code.
    state='ended 143'
  fi
  # Looked for last: it may have ended just now.
  [ ! -e run/code ] || state="ended $(cat run/code)"
  echo "condfoley $(hostname) $state"
}

runs() {
  local pid booted
  # Just begun.
  [ -e run/pid ] || { [ -n "$(find run -maxdepth 0 -newermt '1 minute ago')" ]; return; }
  read -r pid booted < run/pid
  # Since the machine began anew that number may be another's.
  [ "$booted" = "$(boot)" ] && kill -0 "$pid" 2> /dev/null
}

boot() {
  cat /proc/sys/kernel/random/boot_id
}

log() {
  # All is read, so that the first of the two is not broken off.
  [ ! -e run/log ] || tail -c "+$(($1 + 1))" run/log | { head -c 1048576; cat > /dev/null; }
}

"$@"
