"""Finished measurements as one flat table, for other programs: `gauntlet results` and `lab.results()`.

client.ended ─ jobs, one after another ─▶ columns.row ─▶ csv | json | parquet | DataFrame
                                      └──────────────▶ mlperf
"""
