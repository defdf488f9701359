#!/usr/bin/env bash
# Backs a running installation up, restores the backup beside it, and proves the restored ledger. Nothing of the installation
# is changed; run it from cron, and keep FOLDER/backup somewhere else.
#
#   restore-drill.sh FOLDER
#
# Reads HANDRAISER_STATE_DIR and HANDRAISER_DATABASE_URL as the service does. On PostgreSQL, DRILL_DATABASE_URL names an empty
# database to restore into, and pg_dump and pg_restore of the server's version must be at hand.
set -euo pipefail
state=${HANDRAISER_STATE_DIR:-.state}
database=${HANDRAISER_DATABASE_URL:-sqlite:///$state/handraiser.db}
mkdir -p "$1/restored"
backup=$(realpath "$1")/backup
restored=$(realpath "$1")/restored
mkdir -p "$backup"

# The kept heads first: every head in them must then be in the backup.
for file in ledger-heads.log withdrawals.journal secrets.json; do
  [ ! -e "$state/$file" ] || cp -p "$state/$file" "$backup/"
done
if [[ $database = sqlite* ]]; then
  python3 -c 'import sqlite3, sys; sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).backup(sqlite3.connect(sys.argv[2]))' \
    "${database#sqlite:///}" "$backup/handraiser.db"
  cp "$backup/handraiser.db" "$restored/"
  export HANDRAISER_DATABASE_URL=sqlite:///$restored/handraiser.db
else
  pg_dump --format=custom --no-owner --file "$backup/handraiser.dump" "$database"
  pg_restore --no-owner --exit-on-error --single-transaction --dbname "$DRILL_DATABASE_URL" "$backup/handraiser.dump"
  export HANDRAISER_DATABASE_URL=$DRILL_DATABASE_URL
fi
[ ! -e "$backup/secrets.json" ] || cp -p "$backup/secrets.json" "$restored/"
[ ! -e "$backup/withdrawals.journal" ] || cp -p "$backup/withdrawals.journal" "$restored/"

export HANDRAISER_STATE_DIR=$restored
handraiser check
if [ -e "$backup/ledger-heads.log" ]; then
  handraiser consents verify --head "$backup/ledger-heads.log"
else
  handraiser consents verify
fi
