-- Tests, and the holdout that every company may have. shop_id NULL: all shops of the company, pooled by strata.
-- kind 'holdout': arm 0 sees no block at all, arm 1 everything; its row has no purpose and runs without an end.
-- settings (JSON): what was asked when it was made (arms, touchpoints, metric, guardrails, window, mde, rate), the plan
-- that answered it, hash_version and seed. Nothing of it changes once state is not 'draft'. Arms count from 0, which is
-- the control; shipped_arm is one of these numbers.
CREATE TABLE experiment (
  controller_id {id} NOT NULL,
  experiment_id {id} NOT NULL,
  shop_id {id},
  kind {text} NOT NULL CHECK (kind IN ('test', 'holdout')),
  key {text} NOT NULL,
  name {text} NOT NULL,
  state {text} NOT NULL CHECK (state IN ('draft', 'running', 'stopped', 'shipped')),
  purpose {text} NOT NULL,
  settings {text} NOT NULL,
  created_at {int} NOT NULL,
  created_by {text} NOT NULL,
  started_at {int},
  stopped_at {int},
  shipped_arm {small},
  PRIMARY KEY (controller_id, experiment_id),
  UNIQUE (controller_id, key)
) {strict};

-- weights (JSON): one number an arm, in ten-thousandths that sum to 10,000; coverage 0 to 10,000. A version never
-- changes; the highest one counts since the moment it names.
CREATE TABLE experiment_weights (
  controller_id {id} NOT NULL,
  experiment_id {id} NOT NULL,
  version {int} NOT NULL,
  coverage {int} NOT NULL,
  weights {text} NOT NULL,
  since {int} NOT NULL,
  created_by {text} NOT NULL,
  PRIMARY KEY (controller_id, experiment_id, version)
) {by_key};

-- The first time a subject was eligible and an arm was drawn, shown or not: one row a subject and experiment, for ever.
-- Attributes are those of that moment. segments is a JSON list of the shop's segments. message_id NULL: erased.
CREATE TABLE exposure (
  controller_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  experiment_id {id} NOT NULL,
  arm {small} NOT NULL,
  weights_version {int} NOT NULL,
  exposed_at {int} NOT NULL,
  message_id {id},
  shop_id {id} NOT NULL,
  customer_kind {text} NOT NULL,
  touchpoint {text} NOT NULL,
  purchase_type {text} NOT NULL,
  segments {text} NOT NULL,
  country {text} NOT NULL,
  PRIMARY KEY (controller_id, subject_id, experiment_id)
) {by_key};
CREATE INDEX exposure_experiment ON exposure (controller_id, experiment_id, exposed_at);

-- Exposures that no tally holds yet, filled by a trigger in the commit of the exposure. A job deletes its rows in the
-- transaction that counts them, so each is counted once whatever dies; commits that finish out of order miss nothing,
-- which a cursor by time or number could. A rebuild counts all of exposure and empties this.
CREATE TABLE exposure_waiting (
  controller_id {id} NOT NULL,
  experiment_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  PRIMARY KEY (controller_id, experiment_id, subject_id)
) {by_key};

-- sqlite
CREATE TRIGGER exposure_waits AFTER INSERT ON exposure
BEGIN INSERT INTO exposure_waiting (controller_id, experiment_id, subject_id)
  VALUES (NEW.controller_id, NEW.experiment_id, NEW.subject_id); END;
CREATE TRIGGER experiment_weights_update BEFORE UPDATE ON experiment_weights
BEGIN SELECT RAISE(ABORT, 'experiment_weights only grows'); END;
-- postgresql
CREATE FUNCTION exposures_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO exposure_waiting (controller_id, experiment_id, subject_id)
  SELECT controller_id, experiment_id, subject_id FROM fresh; RETURN NULL; END $$;
CREATE TRIGGER exposure_waits AFTER INSERT ON exposure
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION exposures_wait();
CREATE TRIGGER experiment_weights_change BEFORE UPDATE ON experiment_weights
  FOR EACH STATEMENT EXECUTE FUNCTION only_grows();
-- both
