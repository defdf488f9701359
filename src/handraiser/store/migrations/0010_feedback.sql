-- Scores that customers gave, under their pseudonym; counted says that the tallies of experiments know of it.
CREATE TABLE feedback (
  controller_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  feedback_id {text} NOT NULL,
  subject_id {id} NOT NULL,
  score {small} NOT NULL,
  occurred_at {int} NOT NULL,
  recorded_at {int} NOT NULL,
  counted {small} NOT NULL DEFAULT 0,
  PRIMARY KEY (controller_id, shop_id, feedback_id)
) {strict};
CREATE INDEX feedback_subject ON feedback (controller_id, subject_id);
CREATE INDEX feedback_waiting ON feedback (controller_id, recorded_at) WHERE counted = 0;

ALTER TABLE tally ADD COLUMN scored {int} NOT NULL DEFAULT 0;
ALTER TABLE tally ADD COLUMN unhappy {int} NOT NULL DEFAULT 0;
