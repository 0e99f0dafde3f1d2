#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real systemd user manager starts the daemon by its socket, restarts it when it hangs, and reloads and stops it.

Needs root once: a cgroup and namespaces of its own, in which a user that exists nowhere else runs `systemd --user`.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, SOURCE, Tap  # noqa: E402

UID = 54321
PROGRAMS = ["mcp-brokerd", "mcp-broker-net", "mcp-broker-session", "mcp-broker-kdf", "mcp-broker-identity", "mcp-add", "mcp-list",
            "mcp-token", "mcp-brokerctl"]

# Runs as root in namespaces of its own; $1 is the scratch folder.
AS_ROOT = r"""
set -eu
mount --make-rprivate /
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system /run/systemd/unit-root /run/lock /run/user/54321
chown 54321:54321 /run/user/54321
chmod 700 /run/user/54321
umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
unset XDG_STATE_HOME XDG_CONFIG_HOME XDG_CONFIG_DIRS XDG_DATA_HOME XDG_DATA_DIRS MCP_BROKER_SOCK
export HOME="$1/home" USER=mcpbtest LOGNAME=mcpbtest XDG_RUNTIME_DIR=/run/user/54321
export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/54321/bus
exec setpriv --reuid 54321 --regid 54321 --clear-groups --inh-caps=-all bash "$1/as-user" "$1"
"""

# Runs as the user; every claim is one line "CLAIM yes|no text".
AS_USER = r"""
set -u
cd "$1"
say() { if [ "$1" = 0 ]; then echo "CLAIM yes $2" >>"$OUT"; else echo "CLAIM no $2" >>"$OUT"; fi; }
OUT=$PWD/claims
export PATH=$PWD/bin:$PATH LD_LIBRARY_PATH=$PWD/bin
/lib/systemd/systemd --user --unit=basic.target --log-target=console >manager.log 2>&1 &
manager=$!
state=
for _ in $(seq 600); do
        state=$(systemctl --user is-system-running 2>/dev/null) || true
        case $state in running|degraded) break ;; esac
        kill -0 $manager 2>/dev/null || break
        read -r -t 0.05 _ <> <(:) || true
done
case $state in running|degraded) say 0 "a user manager runs" ;; *) say 1 "a user manager runs: $state"; exit 0 ;; esac
mkdir -p "$XDG_RUNTIME_DIR/systemd/user/mcp-broker.service.d"
cp units/mcp-broker.socket units/mcp-broker.service "$XDG_RUNTIME_DIR/systemd/user/"
cat >"$XDG_RUNTIME_DIR/systemd/user/mcp-broker.service.d/test.conf" <<END
[Service]
ExecStart=
ExecStart=$PWD/bin/mcp-brokerd -f --libexec-dir=$PWD/bin --vendor-dir=$PWD/vendor
Environment=LD_LIBRARY_PATH=$PWD/bin
StandardError=append:$PWD/daemon.log
WatchdogSec=2
END
systemctl --user daemon-reload
systemctl --user enable mcp-broker.socket >enable.log 2>&1
test -L "$HOME/.config/systemd/user/sockets.target.wants/mcp-broker.socket" ||
        test -L "$XDG_RUNTIME_DIR/systemd/user/sockets.target.wants/mcp-broker.socket"
say $? "the socket can be enabled"
systemctl --user start mcp-broker.socket
say $? "the socket unit starts"
[ "$(systemctl --user is-active mcp-broker.service)" = inactive ]
say $? "nothing runs before somebody asks"
mcp-list --no-autostart >list.out 2>&1
say $? "the first request starts the daemon: $(tail -n 1 list.out)"
[ "$(systemctl --user is-active mcp-broker.service)" = active ]
say $? "the service is active, as it has said itself"
main=$(systemctl --user show mcp-broker.service -p MainPID --value)
keeper=$(mcp-brokerctl status --json | python3 -c 'import json,sys; print(next(p["pid"] for p in json.load(sys.stdin)["processes"] if p["name"] == "keeper"))')
systemctl --user reload mcp-broker.service
say $? "it reloads"
[ "$(systemctl --user show mcp-broker.service -p MainPID --value)" = "$main" ]
say $? "and is the same process afterwards"
kill -STOP "$keeper"
timeout 60 mcp-list --no-autostart >hang.out 2>&1
say $? "a request that comes while it hangs is answered: $(tail -n 1 hang.out)"
[ "$(systemctl --user show mcp-broker.service -p NRestarts --value)" -ge 1 ]
say $? "because systemd restarted it"
[ ! -d "/proc/$keeper" ]
say $? "and nothing of the old one is left"
kill -KILL "$(systemctl --user show mcp-broker.service -p MainPID --value)"
timeout 60 mcp-list --no-autostart >kill.out 2>&1
say $? "a killed daemon is started again: $(tail -n 1 kill.out)"
systemctl --user stop mcp-broker.service
say $? "it stops"
[ "$(systemctl --user show mcp-broker.service -p Result --value)" = success ]
say $? "with success"
timeout 60 mcp-list --no-autostart >again.out 2>&1
say $? "its socket survives the stop: $(tail -n 1 again.out)"
timeout 60 mcp-brokerctl stop
say $? "mcp-brokerctl stops it as well"
systemctl --user exit
wait $manager
exit 0
"""


def prepare(scratch):
    """Everything that the user needs, where it can be read."""
    for name in ("bin", "home", "units", "vendor/policy.d"):
        (scratch / name).mkdir(parents=True)
    for name in PROGRAMS:
        hidden = BUILD / ".libs" / name
        shutil.copy(hidden if hidden.exists() else BUILD / name, scratch / "bin")
    for library in (BUILD / ".libs").glob("libmcpbroker.so*"):
        shutil.copy(library, scratch / "bin")
    for unit in ("mcp-broker.socket", "mcp-broker.service"):
        shutil.copy(BUILD / unit, scratch / "units")
    shutil.copy(SOURCE / "src/policy/99-default.conf", scratch / "vendor/policy.d")
    passwd = pathlib.Path("/etc/passwd").read_text(encoding="utf-8")
    group = pathlib.Path("/etc/group").read_text(encoding="utf-8")
    (scratch / "passwd").write_text(passwd + f"mcpbtest:x:{UID}:{UID}::{scratch}/home:/bin/bash\n")
    (scratch / "group").write_text(group + f"mcpbtest:x:{UID}:\n")
    (scratch / "as-root").write_text(AS_ROOT)
    (scratch / "as-user").write_text(AS_USER)
    for root, folders, files in os.walk(scratch):
        for name in folders + files:
            os.chown(os.path.join(root, name), UID, UID)
    for root, folders, files in os.walk(scratch / "vendor"):
        for name in folders + files:
            os.chmod(os.path.join(root, name), 0o755 if name in folders else 0o644)
    os.chown(scratch, UID, UID)
    os.chmod(scratch, 0o755)


def cgroup_root():
    unified = pathlib.Path("/sys/fs/cgroup/unified")
    return unified if unified.exists() else pathlib.Path("/sys/fs/cgroup")


def run(scratch):
    group = cgroup_root() / f"mcpb-test-{os.getpid()}"
    group.mkdir()
    for name in (group, group / "cgroup.procs", group / "cgroup.subtree_control", group / "cgroup.threads"):
        os.chown(name, UID, UID)
    try:
        subprocess.run(["bash", "-c", f'echo $BASHPID >{group}/cgroup.procs && exec unshare --mount --pid --fork --cgroup '
                        f'--kill-child --mount-proc bash {scratch}/as-root {scratch}'], timeout=300, check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(scratch / "root.log", "wb"))
    finally:
        for folder, _, _ in sorted(os.walk(group), key=lambda entry: -len(entry[0])):
            try:
                os.rmdir(folder)
            except OSError:
                pass


def main():
    tap = Tap()
    claims = []
    if os.geteuid() != 0:
        tap.skip("a user manager starts the daemon", "needs root for a cgroup of its own")
        print("1..1")
        return 0
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="mcpb-um-"))
    try:
        prepare(scratch)
        run(scratch)
        if (scratch / "claims").exists():
            claims = (scratch / "claims").read_text().splitlines()
        for claim in claims:
            _, good, text = claim.split(" ", 2)
            text, _, detail = text.partition(": ")
            tap.ok(good == "yes", text, detail)
        logs = "".join(f"--- {name}\n{(scratch / name).read_text(errors='replace')[-3000:]}\n"
                       for name in ("root.log", "manager.log", "daemon.log") if (scratch / name).exists())
        tap.ok(len(claims) == 16, "all of it was tried", f"{len(claims)} claims\n{logs}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
