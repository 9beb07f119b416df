"""The process that measures: a child of the agent, one job at a time, expendable."""
