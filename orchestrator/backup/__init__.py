"""Copies of a lab's folder, made while the lab runs, and a lab's folder made of one.

::

    TARGET/lab-20261121T222400Z/    a backup: whole and verified, or not there at all
        lab.sqlite                  one moment of the database
        artifacts/ab/ab12…          those that this database names
        security/                   the authority, for its owner only
        settings.yaml               the file of settings, if one was named
        manifest.json               what it holds, with digests
    TARGET/.lab-….part              one under way; what a crash left there goes with the next backup
"""
