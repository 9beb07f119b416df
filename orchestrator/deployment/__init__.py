"""From a host that answers to SSH to a running, enrolled agent, and back: what `gauntlet deploy` is made of.

::

    inventory    who: a file that names hosts
    sshconfig    who: the user's own ~/.ssh/config
    dialing      how: jump hosts, strict host keys, the user's keys
    connection   a host's shell and files
    board        what is there: system, architecture, Python, disk, sensors
    wheelhouse   what it needs: wheels that fit it (target), Gauntlet's own (ownwheel); standalone: a Python
    release      what is installed: a folder a release, and a link to the one in use; layout: where
    enrolment    its certificate; lab: the lab's side of that, and who is connected
    service      what keeps it running: systemd, the user's systemd, or a session of its own; unit: as text
    rollout      the steps in their order, with a way back; removal: and away again
    parallel     many hosts at once; task: one of them; steps: what happened
"""
