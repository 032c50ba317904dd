#!/usr/bin/env bash
# Runs the unit FOLDER/tfjet@.service under a user manager of systemd and says what that saw, one
# `KEY VALUE` a line. To be started in mount and PID namespaces of its own.
set -uo pipefail
folder=$1
manager=
for path in /usr/lib/systemd/systemd /lib/systemd/systemd; do [[ -x $path ]] && manager=$path; done
[[ -n $manager ]] || { echo "SKIPPED systemd is not installed"; exit 0; }
command -v systemctl >/dev/null || { echo "SKIPPED systemctl is not installed"; exit 0; }
((EUID == 0)) || { echo "SKIPPED namespaces need root"; exit 0; }
mount -t tmpfs tmpfs /run && mount -t proc proc /proc ||
  { echo "SKIPPED nothing can be mounted here"; exit 0; }
mkdir -p /run/systemd/system /run/user/units
chmod 700 /run/user
export XDG_RUNTIME_DIR=/run/user HOME=/run/user XDG_CONFIG_HOME=/run/user
mkdir -p /run/user/systemd/user
cp "$folder/tfjet@.service" /run/user/systemd/user/
"$manager" --user --log-target=console >/run/user/manager.log 2>&1 &
for _ in $(seq 50); do [[ -S /run/user/systemd/private ]] && break; sleep 0.1; done
[[ -S /run/user/systemd/private ]] ||
  { echo "SKIPPED the manager did not start: $(tail -1 /run/user/manager.log)"; exit 0; }
echo "ready yes"

control() { timeout 20 systemctl --user --no-pager "$@"; }
value() { control show --value -p "$2" "tfjet@$1.service"; }
state() { # NAME STATE SECONDS: waits for a state, says the last one
  local limit=$((SECONDS + $3))
  while [[ $(value "$1" ActiveState) != "$2" ]] && ((SECONDS < limit)); do sleep 0.1; done
  value "$1" ActiveState
}

# `start` returns when the service is ready, or failed.
control start tfjet@steady.service
echo "steady-state $(value steady ActiveState)"
control start tfjet@away.service
echo "away-state $(value away ActiveState)"
away_since=$SECONDS
sleep 3
echo "steady-status $(value steady StatusText)"
control reload tfjet@steady.service
echo "steady-reload $?"
echo "steady-restarts-before $(value steady NRestarts)"
pid=$(value steady MainPID)
echo "steady-pid-before $pid"
echo "away-restarts-while-waiting $(($(value away NRestarts)))"
kill -STOP "$pid"
for _ in $(seq 100); do [[ $(value steady NRestarts) != 0 ]] && break; sleep 0.1; done
echo "steady-restarts-after-hang $(value steady NRestarts)"
echo "steady-state-after-hang $(state steady active 10)"
echo "steady-pid-after-hang $(value steady MainPID)"
begin=$(date +%s.%N)
control stop tfjet@steady.service
end=$(date +%s.%N)
echo "steady-stop-seconds $(awk "BEGIN { print $end - $begin }")"
echo "steady-result $(value steady Result)"
while ((SECONDS - away_since < 9)); do sleep 0.2; done
echo "away-restarts-after-source-timeout $(value away NRestarts)"
control stop tfjet@away.service
control start tfjet@wrong.service 2>/dev/null
sleep 1
echo "wrong-state $(value wrong ActiveState)"
echo "wrong-restarts $(value wrong NRestarts)"
echo "wrong-code $(value wrong ExecMainStatus)"
kill %1
