-- What holds within a standing: topics and frequency by purpose, a break under "*". A projection, as standings are.
CREATE TABLE preference (
  controller_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  purpose {text} NOT NULL,
  content {text} NOT NULL,
  paused_until {int},
  since {int} NOT NULL,
  event_id {id} NOT NULL,
  PRIMARY KEY (controller_id, subject_id, purpose)
) {by_key};

-- An entry that chose nothing holds '', which its hash leaves out: entries from before hash as they did.
ALTER TABLE consent_entry ADD COLUMN preference {text} NOT NULL DEFAULT '';

-- When the company's other systems last told what they know: a whole list or one record.
CREATE TABLE consent_feed (
  controller_id {id} PRIMARY KEY,
  told_at {int} NOT NULL
) {strict};
