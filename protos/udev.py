"""Words of udev rules that let an agent read a sensor: the agent gives them, and deployment before there is one."""

from __future__ import annotations


def let_read(subsystem: str, group: str, chip: str = "") -> str:
    """What to do, as root, so that a group may read a class of sensors from now on.

    The group, not everybody: who reads a processor's energy often enough can guess at secrets that it works with
    (CVE-2020-8694). A rule, not a chmod: the kernel makes its files anew at each start.

    Args:
        subsystem: that udev knows the sensor's folder by, for example "powercap".
        group: of the agent.
        chip: the folder's name file says; empty: any.
    """
    match = f'SUBSYSTEM=="{subsystem}", ACTION=="add"' + (f', ATTR{{name}}=="{chip}"' if chip else "")
    rule = f'{match}, RUN+="/bin/chgrp -R {group} /sys%p", RUN+="/bin/chmod -R g+r /sys%p"'
    return (
        f"as root: echo '{rule}' > /etc/udev/rules.d/70-gauntlet-{subsystem}.rules "
        f"&& udevadm control --reload && udevadm trigger --subsystem-match={subsystem} --action=add"
    )
