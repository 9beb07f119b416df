"""A campaign as one self-contained page."""

from search.report.audit import audit_document
from search.report.inputs import ReportInput
from search.report.page import render, write_report

__all__ = ["ReportInput", "audit_document", "render", "write_report"]
