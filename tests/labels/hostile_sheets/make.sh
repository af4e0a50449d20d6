#!/bin/bash
# Makes the sheets of this folder that a spreadsheet saved: LibreOffice 7.4.7 (apt-get install libreoffice-calc).
#
#   bash tests/hostile_sheets/make.sh
#
# plain_A.csv and plain_A.xlsx are what step 2 writes, filled in; the others are what LibreOffice makes of
# them when somebody opens and saves them; .ods and .xls are kinds that step 4 refuses. The numbers are the
# CSV filter's: delimiter (44 comma, 59 semicolon, 9 tab), quote, character set (76 UTF-8, 1 Windows-1252,
# 85 GB18030, 65535 UTF-16), first row.
set -euo pipefail
cd "$(dirname "$0")"
PYTHONPATH=../..:.. python - <<'PYTHON'
from pathlib import Path

import merge_folder
from common import sheets

rows = merge_folder.filled(merge_folder.LABELS, note="=1+1 seen, twice; ok")
sheets.write_csv(Path("plain_A.csv"), rows)
sheets.write_xlsx(Path("plain_A.xlsx"), rows, "A")
PYTHON

profile="-env:UserInstallation=file://$(mktemp -d)"
save() { # <source> <its import filter> <file> <export filter>
    local folder
    folder="$(mktemp -d)"
    soffice "$profile" --headless ${2:+--infilter="$2"} --convert-to "$4" --outdir "$folder" "$1" > /dev/null
    mv "$folder"/* "$3"
}
csv="csv:Text - txt - csv (StarCalc)"
utf8="CSV:44,34,76,1"
save plain_A.csv "$utf8" semicolon_A.csv "$csv:59,34,76,1"
save plain_A.csv "$utf8" tab_A.csv "$csv:9,34,76,1"
save plain_A.csv "$utf8" cp1252_A.csv "$csv:59,34,1,1"
save plain_A.csv "$utf8" gb18030_A.csv "$csv:44,34,85,1"
save plain_A.csv "$utf8" utf16_A.csv "$csv:9,34,65535,1"
save plain_A.csv "$utf8" from_csv_A.xlsx "xlsx"
save plain_A.xlsx "" from_xlsx_A.xlsx "xlsx"
save plain_A.xlsx "" from_xlsx_A.csv "$csv:59,34,1,1"
# Opened as if it were Windows-1252, the wrong guess that the import dialogue offers, and saved like that.
save plain_A.csv "CSV:44,34,1,1" misread_A.csv "$csv:44,34,76,1"
save plain_A.xlsx "" saved_as_A.ods "ods"
save plain_A.xlsx "" saved_as_A.xls "xls"
