"""Reports that people can read: what was found in pictures, and what their files say."""

from doctored.apps.report.files import ENDINGS, check_installed, encode_report
from doctored.apps.report.report import FailedSection, Origin, PictureSection, Report, picture_section

__all__ = [
    "ENDINGS",
    "FailedSection",
    "Origin",
    "PictureSection",
    "Report",
    "check_installed",
    "encode_report",
    "picture_section",
]
