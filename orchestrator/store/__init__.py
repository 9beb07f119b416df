"""Where jobs, results, devices and campaigns survive: one interface, SQLAlchemy behind it."""
