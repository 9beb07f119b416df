"""The one question to a board: a shell script that says what it is, as KEY=VALUE lines.

POSIX sh and what BusyBox has: no Python is needed there. It changes nothing. The braces make the shell read all of it
before it does anything, since it comes over standard input.
"""

from __future__ import annotations

SCRIPT = r"""
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
say() { printf '%s=%s\n' "$1" "$2"; }
has() { command -v "$1" >/dev/null 2>&1; }
# Nothing may hang. Old BusyBoxes have a `timeout` that is used otherwise.
brief() { if timeout 5 true; then timeout 5 "$@"; else "$@"; fi </dev/null 2>/dev/null; }
{
say clock "$(date +%s)"
say system "$(uname -s)"
say kernel "$(uname -r)"
say machine "$(uname -m)"
say bits "$(getconf LONG_BIT 2>/dev/null)"
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null)
# musl's ldd tells its version on standard error.
[ -n "$libc" ] || libc=$(ldd --version 2>&1 </dev/null | head -n 2 | tr '\n' ' ')
for file in /lib/ld-musl-*; do
  [ ! -e "$file" ] || libc="musl $libc"
done
say libc "$libc"
[ ! -r /etc/os-release ] || (
  . /etc/os-release
  say distribution "$ID $ID_LIKE"
  say title "$PRETTY_NAME"
)
[ ! -r /proc/device-tree/model ] || say model "$(tr -d '\000' </proc/device-tree/model)"
[ ! -r /sys/class/dmi/id/product_name ] || say model "$(cat /sys/class/dmi/id/product_name)"
while read -r key value _; do
  [ "$key" != MemTotal: ] || say memory_kib "$value"
done </proc/meminfo 2>/dev/null

uid=$(id -u)
user=$(id -un)
say user "$user"
say group "$(id -gn)"
[ "$uid" != 0 ] || say root yes
[ "$uid" = 0 ] || ! has sudo || ! brief sudo -n true || say sudo yes
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$uid}"
if [ -d /run/systemd/system ]; then # sd_booted(3)
  say systemd yes
  ! brief systemctl --user show --property=Version >/dev/null || say user_systemd yes
  [ ! -e "/var/lib/systemd/linger/$user" ] || say lingering yes
fi
for program in tar setsid crontab uv; do
  ! has "$program" || say program "$program"
done

say home "$HOME"
[ ! -d "$HOME" ] || say home_exists yes
place=$HOME/.local/share/gauntlet
while [ ! -d "$place" ]; do
  place=${place%/*}
  [ -n "$place" ] || place=/
done
say place "$place"
[ ! -w "$place" ] || say writable yes
set -- $(df -Pk "$place" 2>/dev/null | tail -n 1)
say disk_kib "$4"
mounted=$6
set -- $(df -Pi "$place" 2>/dev/null | tail -n 1)
[ "${2:-0}" = 0 ] || say inodes "$4" # btrfs counts none
while read -r _ where _ options _; do
  [ "$where" != "$mounted" ] || say mount_options "$options"
done </proc/mounts 2>/dev/null

for file in /sys/class/powercap/intel-rapl:*/energy_uj; do
  [ ! -e "$file" ] || [ -r "$file" ] || say unreadable "powercap||$file"
done
for folder in /sys/class/hwmon/hwmon*; do
  name=$(cat "$folder/name" 2>/dev/null)
  case $name in ina2* | ina3*) ;; *) continue ;; esac
  for file in "$folder/in1_input" "$folder/power1_input"; do
    [ ! -e "$file" ] || [ -r "$file" ] || say unreadable "hwmon|$name|$file"
  done
done

probe='
import sys, struct
def has(name):
    try:
        __import__(name)
        return True
    except Exception:
        return False
bits = 8 * struct.calcsize("P")
venv = has("venv") and has("ensurepip")
path = getattr(sys, "_base_executable", None) or sys.executable
version = ".".join(map(str, sys.version_info[:3]))
print("python=%s|%s|%d|%d|%s" % (version, sys.implementation.name, bits, venv, path))
sys.exit(sys.version_info < (3, 9) or bits != 64 or not venv)
'
seen=" "
# True if it will do, and nothing better need be looked for.
try() {
  [ -x "$1" ] || return 1
  real=$(readlink -f "$1" 2>/dev/null || echo "$1")
  case $seen in *" $real "*) return 1 ;; esac
  seen="$seen$real "
  brief "$1" -I -c "$probe"
}
find_python() {
  IFS=:
  for folder in $PATH "$HOME/.local/bin"; do
    for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do
      ! try "$folder/$name" || return
    done
  done
  for file in "$HOME"/.local/share/uv/python/*/bin/python3; do
    ! try "$file" || return
  done
}
find_python
say end yes
exit 0
}
"""
