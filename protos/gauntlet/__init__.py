"""The proto package gauntlet; not the face package of that name."""
